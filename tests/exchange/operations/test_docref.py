"""$docref: the documents of a patient, the newest of each type or all of a period."""

from __future__ import annotations

import pytest

from exchange.fhir.validate import check
from tests.passage.world import patient_of
from tests.sample.consent import a_consent, a_provision
from tests.sample.requester import HOSPITAL, POST


def a_reference(number: int, code: str, day: str, **more) -> dict:
    return {
        "resourceType": "DocumentReference", "id": f"posta-r{number}", "status": "current", "type": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": "Patient/posta-p1"}, "date": f"{day}T10:00:00Z", "context": {"period": {"start": day, "end": day}},
        "content": [{"attachment": {"contentType": "text/plain", "data": "eA=="}}],
    } | more  # fmt: skip


@pytest.fixture
def world(empty):
    empty.post.store(
        patient_of(POST, 1), patient_of(POST, 2), a_reference(1, "34133-9", "2025-01-01"), a_reference(2, "34133-9", "2026-01-01"),
        a_reference(3, "18842-5", "2024-01-01"), a_reference(4, "34133-9", "2026-02-01", status="superseded"),
        a_reference(5, "34133-9", "2026-03-01", subject={"reference": "Patient/posta-p2"}),
    )  # fmt: skip
    return empty


def ids(caller, query: str) -> list[str]:
    said = caller.get(f"DocumentReference/$docref?{query}")
    assert said.status == 200, said.text
    assert check(said.body) == []
    return said.ids


def test_without_dates_the_newest_of_each_type(world):
    assert ids(world.post, "patient=posta-p1") == ["posta-r2", "posta-r3"]
    assert ids(world.post, "patient=posta-p1&type=http://loinc.org|34133-9") == ["posta-r2"]


def test_with_dates_all_of_the_period(world):
    assert ids(world.post, "patient=posta-p1&start=2025-01-01&end=2026-01-31") == ["posta-r2", "posta-r1"]
    assert ids(world.post, "patient=posta-p1&end=2024-12-31") == ["posta-r3"]
    assert ids(world.post, "patient=posta-p1&start=2027-01-01") == []
    assert ids(world.post, "patient=posta-p1&start=2024-01-01&type=18842-5") == ["posta-r3"]


def test_nothing_is_made_on_demand(world):
    assert ids(world.post, "patient=posta-p1&on-demand=true") == []
    assert ids(world.post, "patient=posta-p1&on-demand=false") == ["posta-r2", "posta-r3"]


def test_it_reaches_as_far_as_the_permit(world):
    assert ids(world.hospital, "patient=posta-p1") == ids(world.hospital, "patient=posta-none") == []
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    assert (
        ids(world.hospital, "patient=posta-p1") == []
    )  # nobody knows what a plain text says: it is restricted
    restricted = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    permit = a_provision("permit", actors=[HOSPITAL], securityLabel=[restricted])
    world.post.store(a_consent("posta-c1", "posta-p1", provision=permit))
    assert ids(world.hospital, "patient=posta-p1") == ["posta-r2", "posta-r3"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "start=2020",
        "patient=posta-p1&color=red",
        "patient=posta-p1&start=x",
        "patient=posta-p1&on-demand=maybe",
        "patient=posta-p1&patient=posta-p2",
        "patient=posta-p1&_count=1",
    ],
)
def test_what_it_does_not_take_is_refused(world, query):
    assert world.post.get(f"DocumentReference/$docref?{query}").status == 400


def test_it_may_be_posted(world):
    rows = [
        {"name": "patient", "valueId": "posta-p1"},
        {
            "name": "type",
            "valueCodeableConcept": {"coding": [{"system": "http://loinc.org", "code": "34133-9"}]},
        },
    ]
    parameters = {"resourceType": "Parameters", "parameter": rows}
    assert world.post.operate("DocumentReference/$docref", parameters).ids == ["posta-r2"]
    assert (
        world.of(POST, "system/DocumentReference.r").operate("DocumentReference/$docref", parameters).status
        == 403
    )
    rows[1] = {"name": "type", "valueCodeableConcept": {"text": "x"}}
    assert world.post.operate("DocumentReference/$docref", parameters).status == 400
