"""Who may import whom, and what only one file may do."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.architecture.sources import ROOT, files, shown, tree

PERMIT_MINT = "exchange/consent/decision.py"
UNWELCOME = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "service", "handler",
             "processor", "misc"}  # fmt: skip


def test_the_import_contracts_hold():
    """In a process of its own: the linter's set-up would silence the loggers of the tests that follow."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as run; run()",
        "--no-cache",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def makers(name: str) -> set[str]:
    found = set()
    for path in files("exchange", "adapters"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                called = node.func
                if getattr(called, "id", None) == name or getattr(called, "attr", None) == name:
                    found.add(shown(path))
    return found


def test_only_the_decision_makes_a_permit():
    assert makers("Permit") == {PERMIT_MINT}


def test_no_permit_is_copied_into_a_wider_one():
    """`dataclasses.replace` would be a second mint: files that know Permits do not use it on them."""
    for path in files("exchange"):
        for node in ast.walk(tree(path)):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", "")) == "replace"
            ):
                first = node.args[0] if node.args else None
                assert getattr(first, "id", "") != "permit", f"{shown(path)}:{node.lineno}"


def test_only_the_spine_and_the_command_line_decide_enforce_and_record():
    allowed = {"exchange/perform.py"}
    for name in ("decide", "enforce", "append_and_commit"):
        assert makers(name) <= allowed, name


@pytest.mark.parametrize("path", files("exchange", "adapters", "tests"), ids=shown)
def test_names_say_what_a_file_is_for(path):
    parts = {path.stem, path.parent.name} if path.name == "__init__.py" else {path.stem}
    words = {part.removeprefix("test_") for part in parts}
    assert not words & UNWELCOME


def test_the_exchange_and_the_adapters_hold_only_the_given_folders():
    given = {"exchange", "adapters", "migrations", "deploy", "tests", "docs"}
    found = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))}
    assert found <= given | {"var", "build", "dist"}
