"""What a refusal tells: the element by its path, and what would be taken."""

from __future__ import annotations

import json

import pytest

from exchange.request import Request
from exchange.rest.body import patch_body
from exchange.rest.media_type import JSON_PATCH, UnsupportedMediaType
from tests.passage.world import entry, patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import POST


@pytest.fixture(scope="module")
def world(shared_module):
    made = shared_module.clear()
    made.post.store(patient_of(POST, 1))
    return made


def told(said) -> tuple[int, str, list[str]]:
    issue = said.body["issue"][0]
    return said.status, issue["diagnostics"], issue.get("expression", [])


def test_an_id_outside_of_the_prefix_is_told_the_prefix(world):
    said = world.post.put({"resourceType": "Patient", "id": "mine"})
    assert told(said) == (
        422, "an id that this client gives begins with posta-, its registered prefix", ["Patient.id"],
    )  # fmt: skip


def test_another_id_than_the_address_has(world):
    body = json.dumps(an_observation("posta-o1", "posta-p1")).encode()
    said = world.post.ask(Request("update", "Observation", "posta-o2", body=body))
    assert told(said)[::2] == (400, ["Observation.id"])


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"subject": {"reference": "Patient/posta-nobody"}}, "Observation.subject"),
        ({"subject": {"reference": "Patient/posta-nobody/_history/1"}}, "Observation.subject"),
        (
            {"performer": [{"display": "x"}, {"reference": "Patient/posta-nobody"}]},
            "Observation.performer[1]",
        ),
    ],
)
def test_a_reference_that_leads_nowhere_is_named(world, more, place):
    resource = an_observation("posta-o1", "posta-p1") | more
    assert told(world.post.put(resource))[::2] == (422, [place])
    said = world.post.bundle("transaction", [entry("PUT", "Observation/posta-o1", resource)])
    assert told(said)[::2] == (422, [place.replace("Observation", "Bundle.entry[0].resource")])


@pytest.mark.parametrize(
    ("rows", "status", "place"),
    [
        ([entry("PUT", "Observation/posta-o1", an_observation("posta-o1", "posta-p1", status="bad"))], 400, "Bundle.entry[0].resource.status"),
        ([entry("PUT", "Patient/mine", {"resourceType": "Patient", "id": "mine"})], 422, "Bundle.entry[0].resource.id"),
        ([entry("DELETE", "Patient?color=red")], 400, "Bundle.entry[0]"),
        ([entry("DELETE", "Patient/posta-nobody")], 404, "Bundle.entry[0].resource"),
        ([entry("PUT", "Patient/posta-p7", patient_of(POST, 7)), entry("GET", "Patient/posta-nobody")], 404, "Bundle.entry[1].request"),
        ([entry("GET", "Patient?color=red")], 400, "Bundle.entry[0].request"),
    ],
)  # fmt: skip
def test_a_transaction_names_the_entry_and_its_element(world, rows, status, place):
    assert told(world.post.bundle("transaction", rows))[::2] == (status, [place])
    assert world.post.get("Patient/posta-p7").status == 404


def test_another_bundle_is_told_what_is_taken(world):
    body = json.dumps({"resourceType": "Bundle", "type": "collection"}).encode()
    assert told(world.post.ask(Request("transaction", body=body))) == (
        400, "what is posted here is a Bundle of type batch or transaction", ["Bundle.type"],
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["application/fhir+json", "application/json"])
def test_a_json_patch_under_another_type_is_told_its_type(kind):
    with pytest.raises(UnsupportedMediaType, match=JSON_PATCH.replace("+", r"\+")):
        patch_body(kind, b' [{"op":"remove","path":"/note"}]')
    assert patch_body(kind, b'{"resourceType":"Parameters"}') == (kind, b'{"resourceType":"Parameters"}')
