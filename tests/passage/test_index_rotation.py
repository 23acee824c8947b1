"""The index key is rotated while the hub serves: every search answers the same before, in, and after each state."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from exchange import perform, rekeying
from exchange.fhir import peru
from exchange.perform import Spine
from exchange.problems import Unavailable
from exchange.settings import Settings
from exchange.store import index_rotation
from exchange.store.hub import open_store
from exchange.store.hub_keys import add
from tests.passage.world import Caller, a_world, patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

PEOPLE = 40
DNI = peru.DNI_SYSTEM
SEARCHES = (
    "Patient?identifier=40000007", f"Patient?identifier={DNI}|40000007", "Patient?family=quispe", "Patient?name=qu",
    "Patient?birthdate=1990-05-17", "Patient?birthdate=1990-05", "Patient?gender=female&_summary=count", "Patient?given:exact=Rosa",
    "Observation?patient=posta-p7", "Observation?patient=posta-p7&code=c2", "Observation?code=http://loinc.org|c3",
    "Observation?code=c1,c2&_summary=count", "Observation?code:not=c3&_summary=count", "Observation?status=final&_summary=count",
    f"Observation?patient.identifier={DNI}|40000011", "Observation?subject=posta-p3", "Observation?performer=Practitioner/posta-pr1",
    "Observation?performer.identifier=m1", "Patient?_has:Observation:patient:code=c3", "Practitioner?identifier=m1",
    "Patient?_id=posta-p5&_revinclude=Observation:patient", "Practitioner?_id=posta-pr1&_revinclude=Observation:performer",
    "Observation?_id=posta-o5&_include=Observation:performer", "Patient?organization=Organization/posta-org1",
)  # fmt: skip
STATES = [
    "noted", "both", "filling", "switched", "switching", "alone", "leaving", "removing", "entries", "keys", "done",
]  # fmt: skip


@pytest.fixture
def world(server, monkeypatch):
    monkeypatch.setattr(perform, "PARAMETERS_SECONDS", 0.05)
    monkeypatch.setattr(rekeying, "SETTLED_MICROSECONDS", 400_000)
    monkeypatch.setattr(rekeying, "BATCH_ROWS", 30)
    monkeypatch.setattr(rekeying, "BATCH_ENTRIES", 100)
    with a_world(server) as made:
        made.post.store({"resourceType": "Organization", "id": "posta-org1", "name": "Red"})
        made.post.store({"resourceType": "Practitioner", "id": "posta-pr1", "identifier": [{"value": "m1"}]})
        for number in range(PEOPLE):
            born = {
                "birth_date": f"1990-05-{number % 28 + 1:02d}",
                "managingOrganization": {"reference": "Organization/posta-org1"},
            }
            made.post.store(patient_of(POST, number, **born))
            made.post.store(
                an_observation(f"posta-o{number}", f"posta-p{number}", code=f"c{number % 5}", performer=[{"reference": "Practitioner/posta-pr1"}])
            )  # fmt: skip
        yield made


@contextmanager
def another_process(world):
    """A second process of the same hub, with its own memory."""
    store = open_store(world.url, Settings(), world.database_store.crypto.keyring.root)
    try:
        yield Spine(store)
    finally:
        store.close()


def rotate(world) -> None:
    with world.database_store.transaction() as transaction:
        add(transaction, transaction.crypto.make_key("index", 2))
        transaction.commit()


def state_of(world) -> str:
    with world.database_store.transaction() as transaction:
        found = transaction.rows(index_rotation.NEWEST)
    return found[0][2] if found else ""


def answers(caller: Caller) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in SEARCHES:
        said = caller.get(path)
        assert said.status == 200, (path, said.text)
        found[path] = (said.total, sorted(said.ids), sorted(each["id"] for each in said.included))
    return found


def stepped(world, spine: Spine) -> str:
    """Step until the state is another one."""
    before = state_of(world)
    while (now := state_of(world)) == before:
        if not spine.rekey_index():
            threading.Event().wait(0.05)
    return now


def test_every_search_answers_the_same_in_every_state(world):
    before = answers(world.post)
    empty = [path for path, (total, ids, _) in before.items() if not ids and not total]
    assert empty == [], "a search that finds nothing proves nothing"
    with another_process(world) as other:
        second = Caller(other, world.post.requester)
        rotate(world)
        seen = []
        while not seen or seen[-1] != "done":
            seen.append(stepped(world, world.spine))
            assert answers(world.post) == before, seen[-1]
            assert answers(second) == before, seen[-1]
        assert seen == STATES
        assert answers(second) == before
    with world.database_store.transaction() as transaction:
        assert transaction.rows(index_rotation.LEFT, {"bit": 1})[0][0] is False
        assert index_rotation.needs(transaction, 1, None) == ""
        transaction.run("DELETE FROM hub_key WHERE purpose = 'index' AND version = 1")
        transaction.commit()
    with another_process(world) as later:
        assert answers(Caller(later, world.post.requester)) == before


def test_writers_in_every_state_write_each_thing_once_and_link_each_person(world):
    rotate(world)
    failures: list[str] = []
    is_over = threading.Event()

    def write(spine: Spine, who: str) -> None:
        poster = Caller(spine, world.post.requester)
        number = 0
        while not is_over.is_set():
            body = {
                "resourceType": "Practitioner",
                "identifier": [{"system": "urn:race", "value": f"n{number}"}],
            }
            said = poster.post(body, if_none_exist=f"identifier=urn:race|n{number}")
            facility = world.of(HOSPITAL) if who == "one" else world.post
            linked = Caller(spine, facility.requester).put(
                patient_of(HOSPITAL if who == "one" else POST, 500 + number)
            )
            failures.extend(
                f"{each.status} {each.text!r}" for each in (said, linked) if each.status not in (200, 201)
            )
            number += 1
        raced.append(number)

    raced: list[int] = []
    with another_process(world) as other:
        threads = [
            threading.Thread(target=write, args=each) for each in ((world.spine, "one"), (other, "two"))
        ]
        for each in threads:
            each.start()
        try:
            while stepped(world, other) != "done":
                pass
        finally:
            is_over.set()
            for each in threads:
                each.join()
    assert failures == []
    assert min(raced) > 20
    for number in range(min(raced)):
        assert len(world.post.get(f"Practitioner?identifier=urn:race|n{number}").ids) == 1
    with world.sql() as cursor:
        cursor.execute(
            "SELECT count(*), count(DISTINCT person) FROM patient_record WHERE patient_id ~ '-p5[0-9][0-9]$'"
        )
        records, persons = cursor.fetchone()
    assert records - persons >= min(*raced, 90)


def test_a_step_that_is_cut_off_is_done_again(world, monkeypatch):
    before = answers(world.post)
    rotate(world)
    entered, calls = rekeying.enter_tokens, []

    def failing(transaction, entries):
        calls.append(1)
        entered(transaction, entries)
        if len(calls) == 2:
            raise Unavailable("cut off")

    monkeypatch.setattr(rekeying, "enter_tokens", failing)
    assert [stepped(world, world.spine) for _ in range(3)] == ["noted", "both", "filling"]
    with pytest.raises(Unavailable):
        stepped(world, world.spine)
    assert state_of(world) == "filling"
    assert answers(world.post) == before
    with another_process(world) as other:  # somebody else goes on where it stopped
        while stepped(world, other) != "done":
            pass
        assert answers(Caller(other, world.post.requester)) == before
    assert answers(world.post) == before
    with world.database_store.transaction() as transaction:
        assert transaction.rows(index_rotation.LEFT, {"bit": 1})[0][0] is False


def test_a_version_is_needed_until_the_index_has_left_it(world):
    def needed() -> str:
        with world.database_store.transaction() as transaction:
            return index_rotation.needs(transaction, 1, None)

    assert "searches go by it" in needed()
    rotate(world)
    while (state := stepped(world, world.spine)) != "done":
        assert state in needed()
    assert needed() == ""
    with world.sql() as cursor:
        cursor.execute("UPDATE resource SET tokens = tokens || 7::bigint WHERE id = 'posta-o1'")
    assert "left" in needed()


def test_a_transaction_that_began_before_holds_a_change_back(world):
    rotate(world)
    assert stepped(world, world.spine) == "noted"
    with world.database_store.transaction() as slow:
        slow.rows("SELECT 1")
        assert stepped(world, world.spine) == "both"
        for _ in range(3):
            assert world.spine.rekey_index() is False
        assert state_of(world) == "both"
    assert stepped(world, world.spine) == "filling"


def test_an_operator_sees_how_far_it_is(world):
    def told() -> str:
        with world.database_store.transaction() as transaction:
            return index_rotation.progress(transaction)

    assert told() == ""
    rotate(world)
    while stepped(world, world.spine) != "filling":
        pass
    world.spine.rekey_index()
    assert told() == "index: from version 1 to 2: filling, 30 rows gone through"
