"""Conditional criteria: what exists is found, what does not is made once, what is hidden is no match."""

from __future__ import annotations

import pytest

from tests.passage.world import entry, patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

PRESSURE = {name: value for name, value in an_observation("x", "posta-p1").items() if name != "id"}
UNIT = {"resourceType": "Organization", "name": "UNIDAD", "identifier": [{"system": "urn:x", "value": "1"}]}


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1), patient_of(POST, 2), an_observation("posta-o2", "posta-p2"))
    return empty


@pytest.mark.parametrize(
    "criteria",
    ["patient=Patient/posta-p1", "subject=posta-p1&code=8480-6", "patient=http://127.0.0.1:8780/fhir/Patient/posta-p1",
     "subject:Patient=posta-p1", "?patient=Patient/posta-p1", "subject=Patient/posta-p1,Group/g1"],
)  # fmt: skip
def test_a_condition_that_names_a_patient_finds_that_patients(world, criteria):
    """posta-p2 has such an observation, posta-p1 has not yet."""
    first = world.post.post(dict(PRESSURE), if_none_exist=criteria)
    second = world.post.post(dict(PRESSURE), if_none_exist=criteria)
    assert (first.status, second.status) == (201, 200)
    assert first.body["id"] == second.body["id"]


@pytest.mark.parametrize(
    "criteria", ["identifier=urn:x|1", "name=unidad", "name:exact=UNIDAD", "identifier=urn:x|1&name=unidad"]
)
def test_a_condition_is_met_once(world, criteria):
    statuses = [world.post.post(dict(UNIT), if_none_exist=criteria).status for _ in range(3)]
    assert statuses == [201, 200, 200]
    assert len(world.post.get("Organization").matches) == 1


def test_two_matches_are_refused(world):
    world.post.post(dict(UNIT))
    world.post.post(dict(UNIT))
    assert world.post.post(dict(UNIT), if_none_exist="identifier=urn:x|1").status == 412


@pytest.mark.parametrize(
    ("criteria", "status"),
    [("", 400), ("_sort=_id", 400), ("color=red", 400), ("_include=Patient:link", 400), ("identifier=", 400), ("_count=1", 400),
     ("_page=x&identifier=1", 400), ("_id=%00", 400), ("identifier=" + "x" * 3000, 413), ("_id=a%00b&identifier=1", 400)],
)  # fmt: skip
def test_a_condition_that_says_nothing_or_is_not_understood_is_refused(world, criteria, status):
    assert world.post.post(dict(UNIT), if_none_exist=criteria).status == status


def test_two_entries_of_a_transaction_with_one_condition_make_one_resource(world):
    said = world.post.bundle(
        "transaction",
        [
            entry("POST", "Organization", dict(UNIT), "urn:uuid:1", ifNoneExist="identifier=urn:x|1"),
            entry("POST", "Organization", dict(UNIT), "urn:uuid:2", ifNoneExist="identifier=urn:x|1"),
            entry("POST", "Location", {"resourceType": "Location", "managingOrganization": {"reference": "urn:uuid:2"}}),
        ],
    )  # fmt: skip
    assert [each["response"]["status"] for each in said.body["entry"]] == ["201", "200", "201"]
    units = world.post.get("Organization").ids
    assert len(units) == 1
    assert (
        world.post.get("Location").matches[0]["managingOrganization"]["reference"]
        == f"Organization/{units[0]}"
    )


def test_a_condition_needs_the_scope_to_search(world):
    assert (
        world.of(POST, "system/Organization.c").post(dict(UNIT), if_none_exist="identifier=urn:x|1").status
        == 403
    )


def test_the_directory_is_shared_so_another_facilitys_unit_is_found(world):
    assert world.post.post(dict(UNIT)).status == 201
    assert world.hospital.post(dict(UNIT), if_none_exist="identifier=urn:x|1").status == 200


def test_another_facilitys_patient_is_no_match(world):
    body = {"resourceType": "Patient"}
    dni = f"identifier=urn:oid:2.16.840.1.113883.4.904|{40_000_001}"
    assert world.of(HOSPITAL).post(body, if_none_exist=dni).status == 201
    assert world.post.post(dict(body), if_none_exist=dni).status == 200


def test_the_scope_to_create_and_search_is_enough(world):
    caller = world.of(POST, "system/Organization.cs")
    assert [caller.post(dict(UNIT), if_none_exist="identifier=urn:x|1").status for _ in range(2)] == [
        201,
        200,
    ]
