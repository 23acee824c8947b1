"""Sealed versions: what is written is read, and a row that was touched does not open."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from exchange.fhir.resource import parse
from exchange.permit import Permit
from exchange.problems import KeyDestroyed, SealBroken
from exchange.store.history import Asked, of_one
from exchange.store.versions import occupied, read_current, read_version
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient
from tests.sample.requester import HOSPITAL, POST, a_requester
from tests.sample.shelf import put

OWNER = a_requester(POST)


def a_permit(*compartments: int, custodian: int = OWNER.custodian) -> Permit:
    return Permit(
        compartments=compartments or None, custodian=custodian, actors=(), purpose="TREAT", decided_at=0, types=None,
        audit=False, reason="",
    )  # fmt: skip


@pytest.fixture
def record(transaction) -> int:
    put(transaction, OWNER, a_patient("p1"), an_observation("o1", "p1"))
    return transaction.crypto.blind_index.patient_compartment("p1")


def test_what_came_in_goes_out(transaction, record):
    strange = json.loads(
        '{"resourceType":"Observation","id":"o2","status":"final","_status":{"extension":[{"url":"urn:x","valueCode":"y"}]},'
        '"code":{"text":"ñ \\ud83e\\ude7a"},"subject":{"reference":"Patient/p1"},"issued":"2026-05-31T08:30:00.000-05:00",'
        '"extension":[{"url":"https://example.org/unknown","valueString":"kept"}]}'
    )
    text = b'{"v":1.50}'
    from decimal import Decimal

    strange["valueQuantity"] = {"value": parse(b'{"resourceType":"Basic","v":1.50}')["v"]}
    put(transaction, OWNER, strange)
    version = read_current(transaction, a_permit(record), "Observation", "o2")
    assert version is not None
    assert b'"value":1.50' in version.text
    assert text not in version.text
    stored = parse(version.text)
    assert {name: value for name, value in stored.items() if name != "meta"} == strange
    assert stored["valueQuantity"]["value"] == Decimal("1.50")
    assert stored["meta"]["versionId"] == "1"


def test_versions_follow_each_other(transaction, record):
    for status in ("amended", "corrected"):
        put(transaction, OWNER, an_observation("o1", "p1", status=status))
    permit, told = a_permit(record), Asked(("Observation",), "o1")
    assert [
        each.version.version_id for each in of_one(transaction, permit, told, before=2**31 - 1, limit=10)
    ] == [3, 2, 1]
    assert [each.version.version_id for each in of_one(transaction, permit, told, before=3, limit=1)] == [2]
    for number, status in enumerate(("final", "amended", "corrected"), start=1):
        version = read_version(transaction, permit, "Observation", "o1", number)
        assert version is not None
        assert parse(version.text)["status"] == status
    assert read_version(transaction, permit, "Observation", "o1", 4) is None
    [(current, past)] = transaction.rows(
        "SELECT (SELECT count(*) FROM resource WHERE id = 'o1'), (SELECT count(*) FROM resource_history)"
    )
    assert (current, past) == (1, 2)


def test_nothing_is_read_outside_of_a_permit(transaction, record):
    stranger = a_permit(record + 1, custodian=a_requester(HOSPITAL).custodian)
    assert read_current(transaction, stranger, "Observation", "o1") is None
    assert read_version(transaction, stranger, "Observation", "o1", 1) is None
    assert of_one(transaction, stranger, Asked(("Observation",), "o1"), before=9, limit=9) == []


def test_an_old_version_obeys_today_s_permit(transaction, record):
    put(transaction, OWNER, an_observation("o1", "p1", status="amended"))
    stranger = a_permit(custodian=a_requester(HOSPITAL).custodian)
    for number in (1, 2):
        assert read_version(transaction, stranger, "Observation", "o1", number) is None


def test_nothing_readable_lies_in_a_row(transaction, record):
    words = (b"Quispe", b"Rosa", b"40000001", b"8480-6", b"1984-03-09", b"loinc")
    for table in ("resource", "resource_history", "token_entry", "identity_key"):
        for (row,) in transaction.rows(f"SELECT t::text FROM {table} t"):
            assert not any(word.decode() in row for word in words), table
            assert not any(word.hex() in row for word in words), table


TAMPERING = {
    "swapped with another row": "UPDATE resource SET body = (SELECT body FROM resource WHERE id = 'p1') WHERE id = 'o1'",
    "moved to another id": "UPDATE resource SET id = 'o9' WHERE id = 'o1'",
    "given another version": "UPDATE resource SET version_id = 7 WHERE id = 'o1'",
    "an altered byte": "UPDATE resource SET body = set_byte(body, 40, get_byte(body, 40) # 1) WHERE id = 'o1'",
    "cut off": "UPDATE resource SET body = substr(body, 1, 20) WHERE id = 'o1'",
    "emptied": "UPDATE resource SET body = '' WHERE id = 'o1'",
    "rolled back": "UPDATE resource SET body = (SELECT body FROM resource_history WHERE id = 'o1') WHERE id = 'o1'",
}


@pytest.mark.parametrize("what", TAMPERING)
def test_a_row_that_was_tampered_with_does_not_open(transaction, record, what):
    put(transaction, OWNER, an_observation("o1", "p1", status="amended"))
    transaction.run(TAMPERING[what])
    resource_id = "o9" if "another id" in what else "o1"
    with pytest.raises(SealBroken):
        read_current(transaction, a_permit(record), "Observation", resource_id)


def test_a_row_moved_into_another_record_does_not_open(transaction, record):
    put(transaction, OWNER, a_patient("p2", dni="40000002"))
    other = transaction.crypto.blind_index.patient_compartment("p2")
    transaction.run("UPDATE resource SET compartment = %s WHERE id = 'o1'", (other,))
    with pytest.raises(SealBroken):
        read_current(transaction, a_permit(other), "Observation", "o1")


def test_a_destroyed_key_erases_a_record(store):
    with store.transaction() as transaction:
        put(transaction, OWNER, a_patient("p1"))
        transaction.commit()
    compartment = store.crypto.blind_index.patient_compartment("p1")
    with store.transaction() as transaction:
        transaction.run("DELETE FROM data_key WHERE compartment = %s", (compartment,))
        store.data_keys._kept.clear()
        with pytest.raises(KeyDestroyed):
            read_current(transaction, a_permit(compartment), "Patient", "p1")


def test_a_key_that_was_rolled_back_is_not_used_again(store):
    """A transaction that made a key, read with it and failed leaves no key behind: nothing would open what it seals."""
    compartment = store.crypto.blind_index.patient_compartment("p1")
    permit = a_permit(compartment)
    with store.transaction() as transaction:
        put(transaction, OWNER, a_patient("p1"))
        assert read_current(transaction, permit, "Patient", "p1") is not None
    with store.transaction() as transaction:
        put(transaction, OWNER, a_patient("p1"))
        transaction.commit()
    store.data_keys._kept.clear()
    with store.transaction() as transaction:
        assert read_current(transaction, permit, "Patient", "p1") is not None


def test_writers_of_one_id_wait_for_each_other(store):
    """The second one sees what the first one left."""
    seen: list[Any] = []
    first_has_it, may_commit = threading.Event(), threading.Event()

    def first():
        with store.transaction() as transaction:
            seen.append(occupied(transaction, [("Patient", "p1")]))
            first_has_it.set()
            may_commit.wait(5)
            put(transaction, OWNER, a_patient("p1"))
            transaction.commit()

    def second():
        first_has_it.wait(5)
        with store.transaction() as transaction:
            seen.append(occupied(transaction, [("Patient", "p1")]))

    threads = [threading.Thread(target=each) for each in (first, second)]
    for thread in threads:
        thread.start()
    first_has_it.wait(5)
    may_commit.set()
    for thread in threads:
        thread.join(10)
    assert seen[0] == {}
    assert seen[1][("Patient", "p1")].version_id == 1


def test_eight_writers_of_one_id_make_eight_versions(store):
    failures: list[Exception] = []

    def writer(number: int):
        try:
            with store.transaction() as transaction:
                put(transaction, OWNER, a_patient("p1", gender="male" if number % 2 else "female"))
                transaction.commit()
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    with store.transaction() as transaction:
        put(transaction, OWNER, a_patient("p1"))
        transaction.commit()
    threads = [threading.Thread(target=writer, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not failures
    with store.transaction() as transaction:
        [(current, past)] = transaction.rows(
            "SELECT (SELECT version_id FROM resource WHERE id = 'p1'), (SELECT count(*) FROM resource_history)"
        )
    assert (current, past) == (4, 3)
