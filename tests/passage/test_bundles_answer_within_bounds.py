"""What the entries of one bundle answer is gathered in memory: there is an end to it, and it is told and audited."""

from __future__ import annotations

import pytest

from exchange import perform
from tests.passage.world import entry, patient_of
from tests.sample.requester import POST

READS = [
    entry("GET", "Patient/posta-p1"),
    entry("GET", "Patient/posta-p1/$everything"),
    entry("GET", "Patient/posta-p1"),
]


@pytest.fixture
def world(empty, monkeypatch):
    empty.post.store(patient_of(POST, 1))
    monkeypatch.setattr(perform, "MOST_ENTRY_BYTES", 1_000)
    return empty


def statuses(said) -> list[str]:
    return [each["response"]["status"] for each in said.body["entry"]]


def test_a_batch_answers_what_has_room_and_refuses_the_rest(world):
    said = world.post.bundle("batch", [*READS, entry("DELETE", "Patient/posta-p1")])
    assert said.status == 200
    assert statuses(said)[0] == "200"
    assert statuses(said)[-2:] == ["413", "413"]
    assert world.post.get("Patient/posta-p1").status == 200


def test_a_transaction_that_answers_too_much_does_nothing(world):
    said = world.post.bundle("transaction", [entry("PUT", "Patient/posta-p2", patient_of(POST, 2)), *READS])
    assert said.status == 413
    assert said.body["issue"][0]["expression"] == ["Bundle.entry[3].request"]
    assert world.post.get("Patient/posta-p2").status == 404


def test_bundles_with_room_are_answered_whole(empty):
    empty.post.store(patient_of(POST, 1))
    assert statuses(empty.post.bundle("batch", READS)) == ["200"] * 3
    assert statuses(empty.post.bundle("transaction", READS)) == ["200"] * 3
