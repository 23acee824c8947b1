"""Every rule has its page: specifications and decisions that the code cites."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.sources import ROOT, files, shown, tree

R4 = re.compile(r"https://hl7\.org/fhir/(?:R4|smart-app-launch|uv)/")
CITED = re.compile(r"docs/decisions/(\d{4}[a-z0-9-]*(?:\.md)?)")
DECISIONS = ROOT / "docs" / "decisions"
SUPPORT = {"__init__", "act", "admission", "bundle_text", "condition"}
HEADINGS = ("## Context", "## Decision", "## Consequences", "## Rejected")


def acts():
    return [
        each for each in files("exchange/interactions", "exchange/operations") if each.stem not in SUPPORT
    ]


@pytest.mark.parametrize("path", acts(), ids=shown)
def test_every_interaction_and_operation_cites_its_specification(path):
    assert R4.search(ast.get_docstring(tree(path)) or ""), (
        f"{shown(path)} cites no https://hl7.org/fhir/R4/ page"
    )


@pytest.mark.parametrize("path", files("exchange", "adapters"), ids=shown)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(tree(path)), f"{shown(path)} has no docstring"


def test_every_cited_decision_is_written():
    for path in files("exchange", "adapters", "tests", "migrations"):
        for name in CITED.findall(path.read_text("utf-8")):
            assert list(DECISIONS.glob(f"{name}*")), f"{shown(path)} cites docs/decisions/{name}"


def pages():
    return sorted(DECISIONS.glob("[0-9]*.md"))


def test_decisions_are_numbered_without_gaps():
    assert [path.name[:4] for path in pages()] == [f"{number:04d}" for number in range(1, len(pages()) + 1)]


@pytest.mark.parametrize("path", pages(), ids=shown)
def test_a_decision_says_why_what_and_what_was_rejected(path):
    text = path.read_text("utf-8")
    assert re.match(rf"# {path.name[:4]} [^\n]+\n", text)
    assert [each for each in text.splitlines() if each.startswith("## ")] == list(HEADINGS)
    assert len(text.splitlines()) <= 60, "a decision fits on one page"
    for name in CITED.findall(text):
        assert list(DECISIONS.glob(f"{name}*")), f"{path.name} cites docs/decisions/{name}"


@pytest.mark.parametrize("path", pages(), ids=shown)
def test_files_that_a_decision_names_exist(path):
    named = re.findall(
        r"`((?:exchange|adapters|tests|migrations|deploy|docs)/[\w/.-]+)`", path.read_text("utf-8")
    )
    for each in named:
        assert (ROOT / each).exists(), f"{path.name} names {each}"
