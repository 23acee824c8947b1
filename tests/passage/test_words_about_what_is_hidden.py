"""What a visible resource says in words about a hidden one leaves with it; nothing tells hidden from absent."""

from __future__ import annotations

import json

import pytest

from tests.passage.conftest import shared_hub
from tests.passage.world import patient_of
from tests.sample.consent import a_consent, a_provision
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

__all__ = ["shared_hub"]

WORD = "innombrable"
NARRATIVE = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{WORD}</div>'}
HIV = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "B20"}]}
SUBJECT = {"subject": {"reference": "Patient/posta-p1"}}


def hidden_condition():
    return {"resourceType": "Condition", "id": "posta-k1", "code": HIV} | SUBJECT


def a_list(reference="Condition/posta-k1", **more):
    item = {"reference": reference, "display": WORD}
    return {
        "resourceType": "List", "id": "posta-l1", "status": "current", "mode": "working", "text": NARRATIVE,
        "entry": [{"item": item}, {"item": {"reference": "Observation/posta-o1", "display": "pressure"}}],
    } | SUBJECT | more  # fmt: skip


def a_composition():
    section = {
        "title": "Problems",
        "text": NARRATIVE,
        "entry": [{"reference": "Condition/posta-k1", "display": WORD}],
    }
    return {
        "resourceType": "Composition", "id": "posta-d1", "status": "final", "date": "2026-05-01", "title": "Summary",
        "type": {"coding": [{"system": "http://loinc.org", "code": "60591-5"}]},
        "author": [{"reference": "Organization/x", "display": "Posta"}], "section": [section],
    } | SUBJECT  # fmt: skip


def a_provenance():
    return {
        "resourceType": "Provenance", "id": "posta-v1", "recorded": "2026-05-01T10:00:00Z",
        "target": [{"reference": "Observation/posta-o1"}, {"reference": "Condition/posta-k1/_history/1", "display": WORD}],
        "agent": [{"who": {"reference": "Organization/x"}}],
    }  # fmt: skip


@pytest.fixture
def world(shared_hub):
    made = shared_hub.clear()
    made.post.store(
        patient_of(POST, 1),
        an_observation("posta-o1", "posta-p1"),
        a_consent("posta-c1", "posta-p1", permit=HOSPITAL),
    )
    return made


PLACES = [
    "List/posta-l1", "List/posta-l1/_history/1", "List/posta-l1/_history", "List?_id=posta-l1", "List?patient=posta-p1",
    "Patient/posta-p1/$everything", "Observation?_id=posta-o1&_revinclude=List:item", "List/_history",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_the_words_leave_and_the_reference_stays(world, place):
    world.post.store(hidden_condition(), a_list())
    assert world.hospital.get("Condition/posta-k1").status == 404
    said = world.hospital.get(place)
    assert said.status == 200
    assert WORD.encode() not in said.text
    assert b"Condition/posta-k1" in said.text
    assert b"pressure" in said.text
    assert b"REDACTED" in said.text
    assert WORD.encode() in world.post.get(place).text


@pytest.mark.parametrize("place", PLACES)
def test_a_target_that_was_never_there_leaves_the_same(world, place):
    world.post.store(a_list())
    absent = world.hospital.get(place).normalised()
    world.post.store(hidden_condition())
    assert world.hospital.get(place).normalised() == absent


def test_a_target_in_sight_leaves_the_words(world):
    world.post.store(hidden_condition() | {"code": {"text": "a cold"}}, a_list())
    said = world.hospital.get("List/posta-l1")
    assert said.body["text"] == NARRATIVE
    assert said.body["entry"][0]["item"]["display"] == WORD
    assert "security" not in said.body["meta"]


def test_a_permit_that_names_the_label_brings_the_words_back(world):
    world.post.store(hidden_condition(), a_list())
    label = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]
    express = a_provision("permit", actors=[HOSPITAL], securityLabel=label)
    category = {"category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}]}
    world.post.store(a_consent("posta-c2", "posta-p1", provision=express, **category))
    assert WORD.encode() in world.hospital.get("List/posta-l1").text


def test_a_document_about_something_sensitive_is_as_sensitive(world):
    world.post.store(hidden_condition(), a_composition())
    assert world.hospital.get("Composition/posta-d1").status == 404


def test_narratives_of_sections_leave_and_documents_are_asked_like_reads(world):
    world.post.store(hidden_condition() | {"code": {"text": "a cold"}}, a_composition())
    named = [{"meaning": "instance", "reference": {"reference": "Condition/posta-k1"}}]
    but = a_provision("permit", actors=[HOSPITAL], inside=[a_provision("deny", data=named)])
    world.post.store(a_consent("posta-c1", "posta-p1", provision=but))
    said = world.hospital.get("Composition/posta-d1")
    assert said.status == 200
    assert WORD.encode() not in said.text
    assert b"Posta" in said.text
    # The document cannot be put together without it, as if it did not exist.
    said = world.hospital.get("Composition/posta-d1/$document")
    assert (said.status, WORD.encode() in said.text) == (422, False)


def test_a_version_of_a_target_counts_like_the_target(world):
    world.post.store(hidden_condition(), a_provenance())
    assert (
        WORD.encode() not in world.hospital.get("Observation?_id=posta-o1&_revinclude=Provenance:target").text
    )


def test_a_search_does_not_find_by_words_that_it_is_not_shown(world):
    world.post.store(hidden_condition(), a_list())
    for question in (f"List?_content={WORD}", f"List?_text={WORD}", f"List?patient=posta-p1&_content={WORD}"):
        assert world.hospital.get(question).ids == []
        assert world.post.get(question).ids == ["posta-l1"]


def test_an_identifier_beside_the_reference_hides_no_words(world):
    item = {
        "reference": "Condition/posta-k1",
        "identifier": {"system": "urn:x", "value": "1"},
        "display": WORD,
    }
    world.post.store(hidden_condition(), a_list(entry=[{"item": item}], text=NARRATIVE))
    said = world.hospital.get("List/posta-l1")
    assert WORD.encode() not in said.text
    assert json.loads(said.text)["entry"][0]["item"]["identifier"]["value"] == "1"


def test_an_address_of_this_hub_is_a_reference_like_any_other(world):
    from exchange.settings import settings

    world.post.store(hidden_condition(), a_list(f"{settings().fhir_url}/Condition/posta-k1"))
    assert WORD.encode() not in world.hospital.get("List/posta-l1").text
