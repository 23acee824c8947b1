"""Versions: updates, histories, deletions, coming back; and what may not move."""

from __future__ import annotations

import pytest

from exchange.fhir.validate import check
from tests.passage.world import entry, patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1), patient_of(POST, 2), an_observation("posta-o1", "posta-p1"))
    return empty


def test_a_history_tells_every_version_newest_first(world):
    world.post.store(an_observation("posta-o1", "posta-p1", status="amended"))
    world.post.delete("Observation/posta-o1")
    world.post.store(an_observation("posta-o1", "posta-p1", status="corrected"))
    history = world.post.get("Observation/posta-o1/_history").body
    assert check(history) == []
    assert history["total"] == 4
    assert [(each["request"]["method"], each["response"]["status"], each["response"]["etag"]) for each in history["entry"]] == [
        ("PUT", "201", 'W/"4"'), ("DELETE", "204", 'W/"3"'), ("PUT", "200", 'W/"2"'), ("PUT", "201", 'W/"1"'),
    ]  # fmt: skip
    assert [each.get("resource", {}).get("status") for each in history["entry"]] == [
        "corrected",
        None,
        "amended",
        "final",
    ]


def test_a_history_in_pages_tells_each_version_once(world):
    for number in range(6):
        world.post.store(an_observation("posta-o1", "posta-p1", note=[{"text": str(number)}]))
    walk, path = [], "Observation/posta-o1/_history?_count=2"
    while path:
        said = world.post.get(path)
        walk += [each["resource"]["meta"]["versionId"] for each in said.body["entry"]]
        path = said.next
    assert walk == ["7", "6", "5", "4", "3", "2", "1"]


@pytest.mark.parametrize(
    "query",
    [
        "_since=yesterday",
        "_count=x",
        "_before=x",
        "color=1",
        "_at=2020-13",
        "_sort=_lastUpdated",
        "_list=1",
        "_page=x",
    ],
)
def test_a_history_refuses_what_it_does_not_take(world, query):
    assert world.post.get(f"Observation/posta-o1/_history?{query}").status == 400


def test_old_versions_obey_what_is_decided_today(world):
    world.post.store(
        a_consent("posta-c1", "posta-p1", permit=HOSPITAL),
        an_observation("posta-o1", "posta-p1", status="amended"),
    )
    paths = (
        "Observation/posta-o1/_history",
        "Observation/posta-o1/_history/1",
        "Observation/posta-o1/_history/2",
    )
    assert {world.hospital.get(each).status for each in paths} == {200}
    world.post.store(a_consent("posta-c1", "posta-p1", deny=HOSPITAL))
    assert {world.hospital.get(each).status for each in paths} == {404}


def test_what_is_deleted_is_gone_for_those_who_saw_it_and_comes_back(world):
    assert world.post.delete("Observation/posta-o1").headers["etag"] == 'W/"2"'
    assert world.post.get("Observation/posta-o1").status == 410
    assert world.hospital.get("Observation/posta-o1").status == 404
    assert world.post.get("Observation/posta-o1/_history/1").status == 200
    assert world.post.get("Observation/posta-o1/_history/2").status == 410
    again = world.post.put(an_observation("posta-o1", "posta-p1"))
    assert (again.status, again.headers["etag"]) == (201, 'W/"3"')


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_resource_does_not_move_to_another_patient(world, is_deleted):
    if is_deleted:
        world.post.delete("Observation/posta-o1")
    assert world.post.put(an_observation("posta-o1", "posta-p2")).status == 409
    moved = [entry("PUT", "Observation/posta-o1", an_observation("posta-o1", "posta-p2"))]
    assert world.post.bundle("transaction", moved).status == 409


@pytest.mark.parametrize(
    "subject",
    [
        None,
        {"display": "nobody"},
        {"reference": "Group/g1"},
        {"reference": "http://elsewhere.org/fhir/Patient/posta-p1"},
    ],
)
def test_a_resource_does_not_leave_its_patient_either(world, subject):
    loose = {name: value for name, value in an_observation("posta-o1", "x").items() if name != "subject"}
    assert world.post.put(loose | ({"subject": subject} if subject else {})).status == 409


def test_a_resource_of_nobody_does_not_enter_a_record(world):
    loose = {name: value for name, value in an_observation("posta-o9", "x").items() if name != "subject"}
    assert world.post.put(loose).status == 201
    assert world.post.put(an_observation("posta-o9", "posta-p1")).status == 409
    assert world.hospital.get("Observation/posta-o9").status == 404


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/hospital-p3",
        "Patient/none",
        "Patient/none#x",
        "Patient/hospital-p3/_history/1",
        "http://127.0.0.1:8780/fhir/Patient/hospital-p3",
        "Patient/none|1",
    ],
)
@pytest.mark.parametrize("element", ["subject", "performer"])
def test_every_element_that_names_a_patient_is_looked_at(world, element, reference):
    """Not the subject alone: whoever makes the resource part of a record must be the facility's own patient."""
    world.hospital.store(patient_of(HOSPITAL, 3))
    named = {"reference": reference}
    resource = an_observation("posta-x1", "posta-p1") | {
        element: [named] if element == "performer" else named
    }
    assert world.post.put(resource).status == 422


@pytest.mark.parametrize("resource", [
    {"resourceType": "Binary", "id": "posta-x", "contentType": "text/plain", "securityContext": {"reference": "Patient/hospital-p3"}, "data": "eA=="},
    {"resourceType": "Provenance", "id": "posta-x", "target": [{"reference": "Patient/hospital-p3"}], "recorded": "2026-01-01T00:00:00Z", "agent": [{"who": {"display": "x"}}]},
    {"resourceType": "Group", "id": "posta-x", "type": "person", "actual": True, "member": [{"entity": {"reference": "Patient/hospital-p3"}}]},
    {"resourceType": "Appointment", "id": "posta-x", "status": "proposed", "participant": [{"actor": {"reference": "Patient/posta-p1"}, "status": "accepted"},
                                                                                       {"actor": {"reference": "Patient/hospital-p3"}, "status": "accepted"}]},
    {"resourceType": "Composition", "id": "posta-x", "status": "final", "type": {"text": "x"}, "date": "2026", "author": [{"display": "x"}], "title": "x",
     "subject": {"reference": "Patient/hospital-p3"}},
], ids=lambda each: each["resourceType"])  # fmt: skip
def test_no_type_files_into_another_facilitys_record(world, resource):
    world.hospital.store(patient_of(HOSPITAL, 3))
    assert world.post.put(resource).status == 422
    assert resource["resourceType"] not in {
        each["resourceType"] for each in world.hospital.get("Patient/hospital-p3/$everything").matches
    }


def test_a_resource_about_a_crowd_is_refused(world):
    world.post.store(*(patient_of(POST, number) for number in range(30, 52)))
    crowd = [{"entity": {"reference": f"Patient/posta-p{number}"}} for number in range(30, 52)]
    assert (
        world.post.put(
            {"resourceType": "Group", "id": "posta-g", "type": "person", "actual": True, "member": crowd}
        ).status
        == 422
    )


def test_what_the_hub_stamps_cannot_be_forged(world):
    forged = an_observation("posta-o2", "posta-p1") | {
        "meta": {"versionId": "77", "lastUpdated": "1999-01-01T00:00:00Z", "tag": [{"code": "kept"}]}
    }
    stored = world.post.put(forged).body["meta"]
    assert stored["versionId"] == "1"
    assert stored["lastUpdated"] > "2020"
    assert stored["tag"] == [{"code": "kept"}]


def test_a_patient_that_was_deleted_is_gone_and_found_no_more(world):
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    world.post.delete("Patient/posta-p1")
    assert world.hospital.get("Patient/posta-p1").status == 410
    assert world.hospital.get("Patient?_id=posta-p1").ids == []


def test_unknown_elements_and_decimals_come_back_as_they_came(world):
    from exchange.request import Request

    text = (
        b'{"resourceType":"Observation","id":"posta-e1","extension":[{"url":"urn:unknown","valueDecimal":1.500}],"status":"final","_status":{"extension":[{"url":"urn:x","valueString":"y"}]},'
        b'"code":{"text":"\\u00f1 \xf0\x9f\x98\x80"},"subject":{"reference":"Patient/posta-p1"},"valueQuantity":{"value":0.000000000000000000001}}'
    )
    said = world.post.ask(Request("update", "Observation", "posta-e1", body=text))
    assert said.status == 201
    read = world.post.get("Observation/posta-e1").text
    for part in (
        b'"valueDecimal":1.500',
        b'"_status":{"extension":[{"url":"urn:x","valueString":"y"}]}',
        "ñ 😀".encode(),
        b"1E-21" if b"1E-21" in read else b"0.000000000000000000001",
    ):
        assert part in read
