"""$validate-code: whether a code is in a value set or one of a code system's."""

from __future__ import annotations

import pytest

from tests.exchange.operations.call import answered, call, given
from tests.exchange.terminology.conftest import COLOURS, a_code_system, a_value_set


@pytest.fixture
def world(empty):
    empty.post.store(
        a_code_system(),
        a_value_set(
            "warm", [{"system": COLOURS, "filter": [{"property": "concept", "op": "is-a", "value": "warm"}]}]
        ),
        a_value_set("open", [{"system": "urn:test:unknown"}]),
    )
    return empty


@pytest.mark.parametrize(
    ("query", "result", "message"),
    [
        ("code=red", True, ""),
        ("code=red&display=rojo%20%20VIVO", True, ""),
        ("code=red&display=Red", True, ""),
        ("code=red&display=Azul", False, "display"),
        ("code=blue", False, "not in the value set"),
        ("code=grey", False, "not in the value set"),
        ("code=warm", False, "not meant to be recorded"),
        ("code=warm&abstract=true", True, ""),
    ],
)
def test_of_a_value_set(world, query, result, message):
    for path in (f"ValueSet/$validate-code?url=urn:test:warm&system={COLOURS}&{query}",
                 f"ValueSet/posta-warm/$validate-code?system={COLOURS}&{query}"):  # fmt: skip
        said = call(world.hospital, path)
        found = answered(said)
        assert (said.status, found["result"]) == (200, [result])
        assert message in found.get("message", [""])[0]


@pytest.mark.parametrize(
    ("query", "result"),
    [("code=blue", True), ("code=grey", False), ("code=blue&display=Azul", True), ("code=warm", False)],
)
def test_of_a_code_system(world, query, result):
    for path in (
        f"CodeSystem/$validate-code?url={COLOURS}&{query}",
        f"CodeSystem/posta-colours/$validate-code?{query}",
    ):
        assert answered(call(world.hospital, path))["result"] == [result]


def test_one_right_coding_of_a_concept_suffices(world):
    concept = {"coding": [{"system": COLOURS, "code": "blue"}, {"system": COLOURS, "code": "crimson"}]}
    found = answered(
        call(
            world.post,
            "ValueSet/$validate-code",
            given(url="urn:test:warm", codeableConcept=("valueCodeableConcept", concept)),
        )
    )
    assert (found["result"], found["display"]) == ([True], ["Carmesí"])
    concept["coding"].pop()
    found = answered(
        call(
            world.post,
            "ValueSet/$validate-code",
            given(url="urn:test:warm", codeableConcept=("valueCodeableConcept", concept)),
        )
    )
    assert found["result"] == [False]


def test_a_value_set_or_code_system_may_be_posted(world):
    posted = a_value_set("x", [{"system": COLOURS, "concept": [{"code": "blue"}]}])
    coding = ("valueCoding", {"system": COLOURS, "code": "blue"})
    assert answered(call(world.post, "ValueSet/$validate-code", given(valueSet=posted, coding=coding)))[
        "result"
    ] == [True]
    system = a_code_system("urn:test:mine")
    found = call(world.post, "CodeSystem/$validate-code", given(codeSystem=system, code="red"))
    assert answered(found)["result"] == [True]
    assert call(world.post, "ValueSet/$expand?url=urn:test:x").status == 404, "nothing posted is kept"


def test_a_code_of_a_system_that_is_not_known_is_not_called_right(world):
    said = call(world.post, "ValueSet/$validate-code?url=urn:test:open&system=urn:test:unknown&code=a")
    found = answered(said)
    assert found["result"] == [False]
    assert "cannot be checked" in found["message"][0]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("ValueSet/$validate-code?url=urn:test:none&system=urn:a&code=a", 404),
        ("ValueSet/posta-none/$validate-code?system=urn:a&code=a", 404),
        ("ValueSet/$validate-code?url=urn:test:warm&code=red", 400),
        ("ValueSet/$validate-code?url=urn:test:warm&system=urn:a", 400),
        ("ValueSet/$validate-code?system=urn:a&code=a", 400),
        ("ValueSet/$validate-code?url=urn:test:warm&system=urn:a&code=a&context=x", 400),
        ("CodeSystem/$validate-code?code=a", 400),
        ("CodeSystem/$validate-code?url=urn:test:none&code=a", 404),
        ("Patient/$validate-code?code=a", 400),
    ],
)
def test_refusals(world, path, status):
    assert call(world.post, path).status == status


def test_what_fhir_defines_needs_nothing_loaded(world):
    query = "url=http://hl7.org/fhir/ValueSet/administrative-gender&system=http://hl7.org/fhir/administrative-gender"
    assert answered(call(world.post, f"ValueSet/$validate-code?{query}&code=female"))["result"] == [True]
    assert answered(call(world.post, f"ValueSet/$validate-code?{query}&code=f"))["result"] == [False]
