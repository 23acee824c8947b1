"""Conditional create, update and delete: none, one, several; and what races for one criterion."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.passage.world import entry, patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

UNIT = {"resourceType": "Organization", "name": "UNIDAD", "identifier": [{"system": "urn:x", "value": "1"}]}
WHERE = "identifier=urn:x|1"


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1))
    return empty


# --- update


def test_nothing_found_and_no_id_creates(world):
    said = world.post.put_where(WHERE, dict(UNIT))
    assert (said.status, said.headers["etag"]) == (201, 'W/"1"')
    assert said.headers["location"].endswith(f"/Organization/{said.body['id']}/_history/1")


def test_nothing_found_and_an_id_creates_under_it(world):
    assert world.post.put_where(WHERE, UNIT | {"id": "posta-u1"}).body["id"] == "posta-u1"
    assert world.post.put_where("identifier=urn:x|2", UNIT | {"id": "hospital-u1"}).status == 422


def test_the_one_found_is_updated(world):
    made = world.post.put_where(WHERE, dict(UNIT)).body["id"]
    again = world.post.put_where(WHERE, UNIT | {"name": "OTRA"})
    assert (again.status, again.headers["etag"], again.body["id"]) == (200, 'W/"2"', made)
    assert world.post.put_where(WHERE, UNIT | {"name": "OTRA", "id": made}).headers["etag"] == 'W/"2"'
    assert world.post.put_where(WHERE, UNIT | {"id": "posta-other"}).status == 400


def test_several_found_are_refused(world):
    world.post.post(dict(UNIT))
    world.post.post(dict(UNIT))
    assert world.post.put_where(WHERE, dict(UNIT)).status == 412
    assert world.post.delete(f"Organization?{WHERE}").status == 412
    assert len(world.post.get("Organization").ids) == 2


def test_preconditions_hold_for_conditional_updates_too(world):
    assert world.post.put_where(WHERE, dict(UNIT), if_match='W/"1"').status == 412
    assert world.post.put_where(WHERE, dict(UNIT), if_none_match="*").status == 201
    assert world.post.put_where(WHERE, dict(UNIT), if_none_match="*").status == 412
    assert world.post.put_where(WHERE, UNIT | {"name": "X"}, if_match='W/"1"').status == 200
    assert world.post.put(UNIT | {"id": "posta-u2"}, if_none_match="*").status == 201
    assert world.post.put(UNIT | {"id": "posta-u2"}, if_none_match="*").status == 412


def test_what_is_hidden_is_not_found(world):
    """The hospital may read the record, and still it is not the hospital's to write."""
    world.post.store(
        an_observation("posta-o1", "posta-p1"), a_consent("posta-c1", "posta-p1", permit=HOSPITAL)
    )
    assert world.hospital.get("Observation/posta-o1").status == 200
    body = {name: value for name, value in an_observation("x", "posta-p1").items() if name != "id"}
    assert world.hospital.put_where("_id=posta-o1", dict(body)).status == 422
    assert (
        world.hospital.delete("Observation?_id=posta-o1").normalised()
        == world.hospital.delete("Observation?_id=posta-none").normalised()
    )
    assert world.post.get("Observation/posta-o1").status == 200


def test_anothers_unit_is_found_and_is_not_updated(world):
    world.post.put_where(WHERE, dict(UNIT))
    assert world.hospital.put_where(WHERE, dict(UNIT)).status == 422
    assert world.hospital.delete(f"Organization?{WHERE}").status == 404


@pytest.mark.parametrize(
    "scopes",
    ["system/Organization.u", "system/Organization.us", "system/Organization.cu", "system/Organization.cs"],
)
def test_a_conditional_update_creates_finds_and_updates_so_it_needs_all_three(world, scopes):
    assert world.of(POST, scopes).put_where(WHERE, dict(UNIT)).status == 403


def test_all_three_are_enough(world):
    assert world.of(POST, "system/Organization.cus").put_where(WHERE, dict(UNIT)).status == 201


@pytest.mark.parametrize(
    "criteria", ["", "_sort=name", "color=red", "_include=Organization:partof", "identifier="]
)
def test_criteria_that_say_nothing_are_refused(world, criteria):
    assert world.post.put_where(criteria, dict(UNIT)).status == 400
    assert world.post.delete(f"Organization?{criteria}").status == 400


# --- delete


def test_the_one_found_is_deleted_and_repeating_it_is_no_failure(world):
    made = world.post.put_where(WHERE, dict(UNIT)).body["id"]
    assert world.post.delete(f"Organization?{WHERE}").status == 204
    assert world.post.get(f"Organization/{made}").status == 410
    assert world.post.delete(f"Organization?{WHERE}").status == 204
    assert world.of(POST, "system/Organization.d").delete(f"Organization?{WHERE}").status == 403


# --- create


def test_what_a_conditional_create_finds_it_answers_with_its_place(world):
    first = world.post.post(dict(UNIT), if_none_exist=WHERE)
    again = world.post.post(dict(UNIT), if_none_exist=WHERE)
    assert (first.status, again.status) == (201, 200)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["etag"] == 'W/"1"'


# --- races


def test_of_64_who_race_for_one_criterion_one_makes_it(world):
    """By If-None-Exist, by conditional update and by transaction, all at once."""

    def one(number: int) -> int:
        match number % 3:
            case 0:
                return world.post.post(dict(UNIT), if_none_exist=WHERE).status
            case 1:
                return world.post.put_where(WHERE, dict(UNIT)).status
        said = world.post.bundle(
            "transaction",
            [entry("POST", "Organization", dict(UNIT), "urn:uuid:1", ifNoneExist=WHERE.replace("|", "%7C"))],
        )
        return int(said.body["entry"][0]["response"]["status"]) if said.status == 200 else said.status

    with ThreadPoolExecutor(64) as pool:
        statuses = list(pool.map(one, range(64)))
    assert set(statuses) <= {200, 201, 409, 503}
    assert statuses.count(201) == 1
    assert len(world.post.get("Organization").ids) == 1


def test_of_many_bundles_with_many_criteria_none_makes_anything_twice(world):
    """Each bundle names the same criteria in another order: they would lock each other out."""
    units = [UNIT | {"identifier": [{"system": "urn:y", "value": str(number)}]} for number in range(6)]

    def one(number: int) -> int:
        turned = units[number % 6 :] + units[: number % 6]
        entries = [
            entry("PUT" if (number + place) % 2 else "POST", "Organization" + (f"?{where}" if (number + place) % 2 else ""), dict(unit), f"urn:uuid:{place}",
                  **({} if (number + place) % 2 else {"ifNoneExist": where}))
            for place, unit in enumerate(turned) for where in [f"identifier=urn:y|{unit['identifier'][0]['value']}"]
        ]  # fmt: skip
        return world.post.bundle("transaction", entries).status

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(one, range(32)))
    assert set(statuses) <= {200, 409, 503}
    assert statuses.count(200) > 0
    assert len(world.post.get("Organization").ids) == 6


# --- what takes no criteria


def test_criteria_where_none_are_taken_are_refused(world):
    """What a client meant by them would not be done."""
    query = (("name", "x"),)
    assert world.post.post(dict(UNIT), query=query).status == 400
    assert world.post.put(UNIT | {"id": "posta-u1"}, query=query).status == 400
    assert world.post.delete("Patient/posta-p1?name=x").status == 400
    assert world.post.patch("Patient/posta-p1?name=x", []).status == 400
    assert world.post.post(dict(UNIT), query=(("_format", "json"), ("_pretty", "true"))).status == 201
    said = world.post.bundle(
        "batch",
        [
            entry("POST", "Organization?name=x", dict(UNIT)),
            entry("PUT", "Organization/posta-u1?name=x", UNIT | {"id": "posta-u1"}),
        ],
    )
    assert [each["response"]["status"] for each in said.body["entry"]] == ["400", "400"]


def test_a_conditional_update_in_a_batch_is_tried_again_with_its_body_as_it_came(world):
    """Racing entries are tried again; the id that the first try gave must not be taken for the client's."""

    def one(number: int) -> str:
        said = world.post.bundle(
            "batch", [entry("PUT", f"Organization?{WHERE}", UNIT | {"alias": [str(number)]})]
        )
        return said.body["entry"][0]["response"]["status"]

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(one, range(32)))
    assert set(statuses) <= {"200", "201", "409", "503"}
    assert len(world.post.get("Organization").ids) == 1
