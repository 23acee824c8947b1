"""$lookup: what a code means."""

from __future__ import annotations

import pytest

from tests.exchange.operations.call import answered, call, given
from tests.exchange.terminology.conftest import COLOURS, a_code_system
from tests.sample.requester import a_requester


@pytest.fixture
def world(empty):
    empty.post.store(a_code_system())
    return empty


def test_everything_known_of_a_concept_is_told(world):
    said = call(world.hospital, f"CodeSystem/$lookup?system={COLOURS}&code=red")
    found = answered(said)
    assert said.status == 200
    assert (found["name"], found["version"], found["display"]) == (["Colours"], ["2"], ["Rojo vivo"])
    assert found["designation"] == [[("language", "en"), ("value", "Red")]]
    properties = [(dict(each)["code"], dict(each)["value"]) for each in found["property"]]
    assert {("inactive", False), ("parent", "warm"), ("child", "crimson"), ("hex", "f00")} <= set(properties)


def test_properties_and_language_are_chosen(world):
    said = call(
        world.post,
        f"CodeSystem/$lookup?system={COLOURS}&code=red&property=hex&property=parent&displayLanguage=en-GB",
    )
    found = answered(said)
    assert found["display"] == ["Red"]
    assert {dict(each)["code"] for each in found["property"]} == {"hex", "parent"}


def test_a_coding_may_be_posted(world):
    coding = ("valueCoding", {"system": "http://hl7.org/fhir/administrative-gender", "code": "female"})
    assert answered(call(world.post, "CodeSystem/$lookup", given(coding=coding)))["display"] == ["Female"]


def test_units_have_a_grammar(world):
    assert call(world.post, "CodeSystem/$lookup?system=http://unitsofmeasure.org&code=mg/dL").status == 200
    assert call(world.post, "CodeSystem/$lookup?system=http://unitsofmeasure.org&code=mmHg").status == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"system={COLOURS}&code=grey", 404),
        ("system=urn:test:unknown&code=red", 404),
        (f"system={COLOURS}&code=red&version=7", 404),
        (f"system={COLOURS}", 400),
        ("code=red", 400),
        (f"system={COLOURS}&code=red&date=2020", 400),
        (f"system={COLOURS}&code=red&code=blue", 400),
        (f"system={COLOURS}&code=red&color=x", 400),
        (f"system={COLOURS}&code=", 400),
    ],
)
def test_what_it_cannot_answer_it_refuses(world, query, status):
    said = call(world.post, f"CodeSystem/$lookup?{query}")
    assert said.status == status
    assert b"grey" not in said.text
    assert b"unknown&" not in said.text


def test_an_unknown_parameter_is_named(world):
    said = call(world.post, f"CodeSystem/$lookup?system={COLOURS}&code=red&color=x")
    assert said.body["issue"][0]["expression"] == ["http.color"]
    said = call(world.post, "CodeSystem/$lookup", given(code="red", system=COLOURS, color="x"))
    assert (said.status, said.body["issue"][0]["expression"]) == (400, ["http.color"])


@pytest.mark.parametrize("path", ["Patient/$lookup", "ValueSet/$lookup", "CodeSystem/posta-colours/$lookup"])
def test_it_is_asked_of_code_systems_alone(world, path):
    assert call(world.post, f"{path}?system={COLOURS}&code=red").status == 400


def test_without_the_scope_it_is_denied(world):
    world.post.requester = a_requester(scopes="system/Patient.rs")
    assert call(world.post, f"CodeSystem/$lookup?system={COLOURS}&code=red").status == 403


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "CodeSystem", "status": "active", "content": "complete"},
        {"resourceType": "Parameters", "parameter": [{"name": "code", "valueBoolean": True}]},
        {"resourceType": "Parameters", "parameter": [{"name": "code", "valueCode": "red", "nonsense": 1}]},
        {"resourceType": "Parameters", "parameter": "red"},
    ],
)
def test_a_body_that_is_no_such_call_is_refused(world, body):
    assert call(world.post, "CodeSystem/$lookup", body).status == 400
