"""$subsumes: how two codes of one system stand to each other."""

from __future__ import annotations

import pytest

from tests.exchange.operations.call import answered, call, given
from tests.exchange.terminology.conftest import COLOURS, a_code_system


@pytest.fixture
def world(empty):
    empty.post.store(a_code_system())
    return empty


@pytest.mark.parametrize(
    ("one", "other", "outcome"),
    [
        ("warm", "crimson", "subsumes"),
        ("crimson", "warm", "subsumed-by"),
        ("red", "red", "equivalent"),
        ("warm", "cold", "not-subsumed"),
        ("blue", "purple", "subsumes"),
        ("warm", "purple", "subsumes"),
    ],
)
def test_outcomes(world, one, other, outcome):
    query = f"codeA={one}&codeB={other}"
    for path in (
        f"CodeSystem/$subsumes?system={COLOURS}&{query}",
        f"CodeSystem/posta-colours/$subsumes?{query}",
    ):
        said = call(world.hospital, path)
        assert answered(said) == {"outcome": [outcome]}


def test_codings_may_be_posted(world):
    pair = {
        "codingA": ("valueCoding", {"system": COLOURS, "code": "warm"}),
        "codingB": ("valueCoding", {"system": COLOURS, "code": "red"}),
    }
    assert answered(call(world.post, "CodeSystem/$subsumes", given(**pair))) == {"outcome": ["subsumes"]}
    pair["codingB"][1]["system"] = "urn:test:other"
    assert call(world.post, "CodeSystem/$subsumes", given(**pair)).status == 400


def test_fhirs_own_hierarchies_are_known(world):
    said = call(
        world.post,
        "CodeSystem/$subsumes?system=http://terminology.hl7.org/CodeSystem/v3-ActReason&codeA=PurposeOfUse&codeB=ETREAT",
    )
    assert answered(said) == {"outcome": ["subsumes"]}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"CodeSystem/$subsumes?system={COLOURS}&codeA=red&codeB=grey", 404),
        ("CodeSystem/$subsumes?system=urn:test:unknown&codeA=red&codeB=blue", 404),
        ("CodeSystem/posta-none/$subsumes?codeA=red&codeB=blue", 404),
        ("CodeSystem/$subsumes?codeA=red&codeB=blue", 400),
        (f"CodeSystem/$subsumes?system={COLOURS}&codeA=red", 400),
        (f"ValueSet/$subsumes?system={COLOURS}&codeA=red&codeB=blue", 400),
    ],
)
def test_refusals(world, path, status):
    assert call(world.post, path).status == status
