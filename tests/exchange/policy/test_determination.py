"""$determine-sensitivity: a named clinician's word about an episode, and the latest one counts."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from exchange.policy.determination import Determination, determined, record_determination
from exchange.policy.sensitivity import NORMAL, Label
from exchange.requester import User
from tests.exchange.policy.episodes import (
    CONFIDENTIALITY,
    a_condition,
    a_determination,
    an_encounter,
    an_episode,
    categories,
    levels,
)
from tests.passage.world import patient_of
from tests.sample.requester import HOSPITAL, POST

OPERATION = "Encounter/posta-e1/$determine-sensitivity"
HIV = Label("R", frozenset({"HIV"}))
SDV = Label("V", frozenset({"SDV"}))


def now(**shift: float) -> str:
    return (datetime.now(UTC) + timedelta(**shift)).isoformat()


@pytest.fixture
def world(empty):
    an_episode(empty)
    return empty


def test_rows_are_labelled_when_they_are_stored(world):
    assert levels(world) == {
        "posta-c1": "N", "posta-e1": "N", "posta-h1": "R", "posta-o1": "N", "posta-p1": "N", "posta-x1": "N",
    }  # fmt: skip
    assert categories(world, "posta-h1") == {"HIV"}


def test_an_episode_is_raised_as_a_whole_and_nothing_beside_it(world):
    said = world.post.operate(
        OPERATION, a_determination("V", now(), category=[("valueCode", "SDV"), ("valueCode", "PSY")])
    )
    assert said.status == 200, said.text
    told = {each["name"]: each for each in said.body["parameter"]}
    assert told["confidentiality"]["valueCode"] == "V"
    assert [each["valueCode"] for each in said.body["parameter"] if each["name"] == "category"] == [
        "PSY",
        "SDV",
    ]
    assert levels(world) == {
        "posta-c1": "V", "posta-e1": "V", "posta-h1": "V", "posta-o1": "V", "posta-p1": "N", "posta-x1": "N",
    }  # fmt: skip
    assert categories(world, "posta-c1") == {"SDV", "PSY"}


def test_a_named_clinician_may_lower_an_episode(world):
    assert world.post.operate(OPERATION, a_determination("N", now())).status == 200
    assert levels(world)["posta-h1"] == "N"
    assert categories(world, "posta-h1") == set()


def test_the_latest_determination_counts_whatever_comes_later(world):
    assert world.post.operate(OPERATION, a_determination("N", now(seconds=-1))).status == 200
    # Told later, determined earlier: it changes nothing.
    assert world.post.operate(OPERATION, a_determination("V", now(days=-1))).status == 200
    assert levels(world)["posta-c1"] == "N"
    assert world.post.operate(OPERATION, a_determination("R", now())).status == 200
    assert levels(world)["posta-c1"] == "R"


def test_of_two_of_one_instant_the_stricter_counts(world):
    at = now()
    for confidentiality in ("V", "N"):
        assert world.post.operate(OPERATION, a_determination(confidentiality, at)).status == 200
    assert levels(world)["posta-c1"] == "V"


def test_what_arrives_later_is_raised_and_never_lowered(world):
    world.post.operate(OPERATION, a_determination("R", now(), category=("valueCode", "PSY")))
    world.post.store(a_condition("posta-l1"), a_condition("posta-l2", "T74"))
    assert levels(world)["posta-l1"] == "R"
    assert categories(world, "posta-l1") == {"PSY"}
    assert levels(world)["posta-l2"] == "V"
    world.post.operate(OPERATION, a_determination("N", now()))
    world.post.store(a_condition("posta-l3", "B24"), a_condition("posta-l4"))
    found = levels(world)
    assert (found["posta-l1"], found["posta-l2"], found["posta-l3"], found["posta-l4"]) == (
        "N",
        "N",
        "R",
        "N",
    )


def test_what_was_written_after_an_older_determination_is_raised_only(world):
    """Determined for yesterday: everything here was written since."""
    world.post.operate(OPERATION, a_determination("N", now(days=-1)))
    assert levels(world)["posta-h1"] == "R"
    world.post.operate(OPERATION, a_determination("R", now(hours=-1)))
    assert levels(world)["posta-c1"] == "R"


def test_what_the_source_told_stays(world):
    told = {"security": [{"system": CONFIDENTIALITY, "code": "R"}]}
    world.post.store(a_condition("posta-t1", meta=told))
    world.post.operate(OPERATION, a_determination("N", now()))
    assert levels(world)["posta-t1"] == "R"


def test_past_versions_share_the_determination(world):
    world.post.store(a_condition("posta-h1", "B24", note=[{"text": "otra"}]))
    world.post.operate(OPERATION, a_determination("N", now()))
    assert levels(world)["posta-h1"] == "N"


def test_to_a_stranger_the_episode_is_absent(world):
    absent = world.hospital.operate(
        "Encounter/posta-none/$determine-sensitivity", a_determination("V", now())
    )
    assert absent.status == 404
    assert world.hospital.operate(OPERATION, a_determination("V", now())).normalised() == absent.normalised()
    assert levels(world)["posta-c1"] == "N"


def test_an_episode_that_was_deleted_is_gone(world):
    world.post.store(an_encounter("posta-e2"))
    world.post.delete("Encounter/posta-e2")
    assert (
        world.post.operate("Encounter/posta-e2/$determine-sensitivity", a_determination("V", now())).status
        == 410
    )


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"confidentiality": None}, 422), ({"confidentiality": ("valueCode", "U")}, 422),
        ({"confidentiality": ("valueCode", "X")}, 422), ({"confidentiality": ("valueCode", "N"), "category": ("valueCode", "HIV")}, 422),
        ({"category": ("valueCode", "NOSUCH")}, 422), ({"category": [("valueCode", "HIV")] * 21}, 422),
        ({"determined-by": None}, 422), ({"determined-by": ("valueReference", {"display": "Dra. Flores"})}, 422),
        ({"determined-by": ("valueReference", {"reference": "Organization/1"})}, 422),
        ({"determined-by": ("valueReference", {"reference": "https://elsewhere.example/Practitioner/1"})}, 422),
        ({"determined-by": ("valueString", "Practitioner/1")}, 400), ({"determined-at": None}, 400),
        ({"determined-at": ("valueInstant", "2999-01-01T00:00:00Z")}, 422), ({"determined-at": ("valueString", "hoy")}, 400),
        ({"reason": None}, 422), ({"reason": ("valueString", "x" * 1_001)}, 422), ({"colour": ("valueCode", "red")}, 400),
        ({"confidentiality": [("valueCode", "R"), ("valueCode", "V")]}, 400),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_refused(world, more, status):
    said = world.post.operate(OPERATION, a_determination("R", now(), **more))
    assert said.status == status, said.text
    assert "Flores" not in said.text.decode()
    assert levels(world)["posta-c1"] == "N"


def test_it_is_posted_to_an_encounter(world):
    assert world.post.get(OPERATION).status == 405
    assert world.post.operate("Encounter/$determine-sensitivity", a_determination("R", now())).status in (
        400,
        404,
    )
    assert world.post.operate(
        "Patient/posta-p1/$determine-sensitivity", a_determination("R", now())
    ).status in (400, 404)
    assert world.post.operate(OPERATION).status in (400, 422)


@pytest.mark.parametrize("scopes", ["system/Encounter.r", "system/Encounter.u", "system/Observation.cruds"])
def test_it_needs_to_read_and_to_update(world, scopes):
    assert world.of(POST, scopes).operate(OPERATION, a_determination("R", now())).status == 403


@pytest.mark.parametrize(
    ("user", "status"),
    [
        (User("u1", "Dra. Flores", "physician", "Practitioner/posta-d1"), 200),
        (User("u1", "Dra. Flores", "physician", "Practitioner/posta-d2"), 403),
        (User("u1", "Dra. Flores", "physician"), 403), (User("u1", "Lic. Rojas", "nurse", "Practitioner/posta-d1"), 403),
        (User("u1", "x", "", "Practitioner/posta-d1"), 403),
    ],
)  # fmt: skip
def test_a_user_determines_in_their_own_name(world, user, status):
    from dataclasses import replace

    world.post.requester = replace(world.post.requester, user=user)
    said = world.post.operate(OPERATION, a_determination("R", now()))
    assert said.status == status, said.text


def test_every_determination_is_an_event_that_names_the_episode(world):
    world.post.operate(OPERATION, a_determination("R", now()))
    world.hospital.operate(OPERATION, a_determination("R", now()))
    events = [
        each
        for each in world.events()
        if "determine-sensitivity" in json.dumps(each) or "posta-e1" in json.dumps(each)
    ]
    assert any(
        entity.get("what", {}).get("reference") == "Encounter/posta-e1"
        for each in events
        for entity in each["entity"]
    )


def test_nothing_of_a_determination_is_readable_at_rest(world):
    world.post.operate(
        OPERATION, a_determination("R", now(), reason=("valueString", "Violencia relatada por la madre"))
    )
    with world.sql() as cursor:
        cursor.execute("SELECT episode, sealed FROM sensitivity_determination")
        [(episode, body)] = cursor.fetchall()
    for secret in (b"Violencia", b"posta-e1", b"posta-d1", b'"R"'):
        assert secret not in bytes(body)
    assert episode == world.database_store.crypto.blind_index.value("episode|Encounter/posta-e1")


def test_a_determination_that_was_moved_or_altered_does_not_open(world):
    world.post.operate(OPERATION, a_determination("N", now()))
    with world.sql() as cursor:
        cursor.execute(
            "UPDATE sensitivity_determination SET sealed = set_byte(sealed, 40, get_byte(sealed, 40) # 1)"
        )
    assert world.post.put(a_condition("posta-l9", "B24")).status == 500


def test_a_resource_of_another_record_is_not_reached_by_naming_the_episode(world):
    """Another facility's row that names the episode stays what its own codes say."""
    world.hospital.store(patient_of(HOSPITAL, 1))
    world.hospital.store(a_condition("hospital-c1", "B24", encounter="posta-e1", patient="hospital-p1"))
    world.post.operate(OPERATION, a_determination("N", now()))
    assert levels(world)["hospital-c1"] == "R"
    world.hospital.store(a_condition("hospital-c2", "B24", encounter="posta-e1", patient="hospital-p1"))
    assert levels(world)["hospital-c2"] == "R"


@pytest.mark.parametrize(
    ("automatic", "told", "found", "last_updated", "expected"),
    [
        (HIV, NORMAL, {}, 5, HIV),
        (HIV, NORMAL, {(1, "e"): Determination(NORMAL, 5)}, 5, NORMAL),
        (HIV, NORMAL, {(1, "e"): Determination(NORMAL, 5)}, 6, HIV),
        (NORMAL, NORMAL, {(1, "e"): Determination(SDV, 5)}, 6, SDV),
        (HIV, NORMAL, {(1, "e"): Determination(SDV, 5)}, 6, Label("V", frozenset({"HIV", "SDV"}))),
        (HIV, Label("R"), {(1, "e"): Determination(NORMAL, 5)}, 5, Label("R")),
        (HIV, NORMAL, {(2, "e"): Determination(NORMAL, 5)}, 5, HIV),
        (HIV, NORMAL, {(1, "f"): Determination(NORMAL, 5)}, 5, HIV),
    ],
)
def test_how_a_determination_meets_a_label(automatic, told, found, last_updated, expected):
    assert determined(automatic, told, ["e"], [1], found, last_updated) == expected


def test_of_several_episodes_the_strictest_counts():
    found = {(1, "e"): Determination(NORMAL, 9)}
    assert determined(HIV, NORMAL, ["e", "f"], [1], found, 5) == HIV
    assert determined(HIV, NORMAL, ["e", "f"], [1], found | {(1, "f"): Determination(SDV, 9)}, 5) == SDV
    assert determined(HIV, NORMAL, [], [1], found, 5) == HIV


def test_what_is_written_while_somebody_determines_is_not_missed(world):
    """The writer waits for the determination, and is labelled by it."""
    with world.sql() as cursor:
        cursor.execute("SELECT compartment FROM resource WHERE id = 'posta-e1'")
        [(compartment,)] = cursor.fetchall()
    with world.database_store.transaction() as transaction:
        record_determination(transaction, compartment, "posta-e1", Determination(SDV, transaction.now), {})
        writer = threading.Thread(target=world.post.store, args=(a_condition("posta-w1"),))
        writer.start()
        writer.join(0.5)
        assert writer.is_alive()
        transaction.commit()
    writer.join(10)
    assert levels(world)["posta-w1"] == "V"
    assert categories(world, "posta-w1") == {"SDV"}
