"""Labelling anew: after the policy changed, whatever has no label, step by step, by one process at a time."""

from __future__ import annotations

import threading
import time

import pytest

from exchange.perform import Spine
from exchange.policy import adopted, labelling, relabelling
from exchange.policy.adopted import shipped
from exchange.settings import Settings
from exchange.worker.steps import relabel_until
from tests.exchange.policy.episodes import a_condition, a_determination, an_episode, levels
from tests.passage.world import patient_of
from tests.sample.requester import POST

TEXT = shipped().read_text()


@pytest.fixture
def world(empty, tmp_path, monkeypatch):
    """A hub with an episode, whose policy the test may change at once."""
    path = tmp_path / "policy.toml"
    path.write_text(TEXT)
    monkeypatch.setattr(adopted, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(adopted, "settings", lambda: Settings(policy_file=path))
    monkeypatch.setattr("exchange.perform.PARAMETERS_SECONDS", 0.0)
    monkeypatch.setattr(relabelling, "SETTLED_MICROSECONDS", 0)
    with empty.sql() as cursor:
        cursor.execute("DELETE FROM policy_version")
    an_episode(empty)
    empty.policy_path = path
    return empty


def change(world, old='"B20-B24", "F02.4"', new='"B20-B24", "I10", "F02.4"'):
    temporary = world.policy_path.with_suffix(".new")
    temporary.write_text(world.policy_path.read_text().replace(old, new))
    temporary.replace(world.policy_path)


def finish(spine: Spine) -> int:
    """Step until nothing is left; how many steps did something."""
    deadline = time.monotonic() + 30
    steps = 0
    while time.monotonic() < deadline:
        if spine.rollout.relabel():
            steps += 1
        elif state(spine) == "done":
            return steps
        else:
            time.sleep(0.02)
    raise AssertionError("it never ends")


def state(spine: Spine) -> str:
    with spine._store.transaction() as transaction:
        rows = transaction.rows("SELECT state FROM policy_version ORDER BY adopted_at DESC LIMIT 1")
    return rows[0][0] if rows else ""


def test_what_the_hub_holds_is_labelled_by_the_new_policy(world):
    finish(world.spine)
    assert levels(world)["posta-c1"] == "N"
    change(world)
    finish(world.spine)
    found = levels(world)
    assert (found["posta-c1"], found["posta-x1"], found["posta-h1"], found["posta-o1"]) == (
        "R",
        "R",
        "R",
        "N",
    )
    change(world, '"B20-B24", "I10", "F02.4"', '"F02.4"')
    finish(world.spine)
    found = levels(world)
    assert (found["posta-c1"], found["posta-h1"]) == ("N", "N")


def test_rows_without_a_label_are_labelled(world):
    finish(world.spine)
    with world.sql() as cursor:
        cursor.execute("UPDATE resource SET facets = NULL")
    assert set(levels(world).values()) == {""}
    world.spine.rollout.relabel()
    assert levels(world) == {
        "posta-c1": "N", "posta-e1": "N", "posta-h1": "R", "posta-o1": "N", "posta-p1": "N", "posta-x1": "N",
    }  # fmt: skip


def test_it_gives_what_admission_gives(world):
    world.post.store(a_condition("posta-c1", "J06.9"), a_condition("posta-c1", "I10", note=[{"text": "x"}]))
    with world.sql() as cursor:
        cursor.execute("SELECT id, facets FROM resource ORDER BY id")
        before = {row[0]: (row[1][:1], sorted(row[1])) if row[1] else row[1] for row in cursor.fetchall()}
    finish(world.spine)
    with world.sql() as cursor:
        cursor.execute("SELECT id, facets FROM resource ORDER BY id")
        after = {row[0]: (row[1][:1], sorted(row[1])) if row[1] else row[1] for row in cursor.fetchall()}
    assert after == before


def test_determinations_outlive_a_change_of_the_policy(world):
    world.post.operate(
        "Encounter/posta-e1/$determine-sensitivity", a_determination("V", "2099-01-01T00:00:00Z")
    )
    from datetime import UTC, datetime

    world.post.operate(
        "Encounter/posta-e1/$determine-sensitivity", a_determination("V", datetime.now(UTC).isoformat())
    )
    change(world)
    finish(world.spine)
    found = levels(world)
    assert (found["posta-c1"], found["posta-o1"], found["posta-x1"]) == ("V", "V", "R")


def test_it_goes_on_where_it_stopped(world, monkeypatch):
    monkeypatch.setattr(labelling, "BATCH_ROWS", 2)
    monkeypatch.setattr(relabelling, "BATCH_ROWS", 2)
    finish(world.spine)
    change(world)
    for _ in range(20):
        world.spine.rollout.relabel()
        with world.sql() as cursor:
            cursor.execute("SELECT done FROM policy_version WHERE state = 'filling' AND done <> ''")
            if cursor.fetchall():
                break
    half = levels(world)
    assert sorted(half.values()).count("R") < 3
    finish(Spine(world.database_store))
    assert levels(world)["posta-x1"] == "R"


def test_past_versions_and_deletions_share_the_label(world):
    world.post.store(a_condition("posta-c1", "J06.9"))
    world.post.delete("Condition/posta-x1")
    finish(world.spine)
    change(world)
    finish(world.spine)
    found = levels(world)
    assert (found["posta-c1"], found["posta-x1"]) == ("R", "R")


def test_a_document_is_labelled_by_its_binary(world):
    import base64
    import json

    content = {
        "resourceType": "Condition",
        "id": "c",
        "subject": {"reference": "Patient/posta-p1"},
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "I10"}]},
    }
    binary = {
        "resourceType": "Binary", "id": "posta-b1", "contentType": "application/fhir+json",
        "securityContext": {"reference": "Patient/posta-p1"}, "data": base64.b64encode(json.dumps(content).encode()).decode(),
    }  # fmt: skip
    reference = {
        "resourceType": "DocumentReference", "id": "posta-d1", "status": "current", "subject": {"reference": "Patient/posta-p1"},
        "content": [{"attachment": {"contentType": "application/fhir+json", "url": "Binary/posta-b1"}}],
    }  # fmt: skip
    said = world.post.bundle("transaction", [
        {"request": {"method": "PUT", "url": "DocumentReference/posta-d1"}, "resource": reference},
        {"request": {"method": "PUT", "url": "Binary/posta-b1"}, "resource": binary},
    ])  # fmt: skip
    assert said.status == 200, said.text
    found = levels(world)
    assert (found["posta-d1"], found["posta-b1"]) == ("N", "N")
    change(world)
    finish(world.spine)
    found = levels(world)
    assert (found["posta-d1"], found["posta-b1"]) == ("R", "R")


def test_nothing_is_labelled_by_a_policy_before_every_writer_knows_it(world, monkeypatch):
    finish(world.spine)
    monkeypatch.setattr(relabelling, "SETTLED_MICROSECONDS", 60_000_000)
    change(world)
    for _ in range(3):
        assert not world.spine.rollout.relabel()
    assert state(world.spine) == "noted"
    monkeypatch.setattr(relabelling, "SETTLED_MICROSECONDS", 0)
    with world.sql() as slow:
        slow.execute("BEGIN; SELECT pg_current_xact_id()")
        world.spine.rollout.relabel()
        for _ in range(3):
            assert not world.spine.rollout.relabel()
        assert state(world.spine) == "waiting"
        slow.execute("COMMIT")
    finish(world.spine)


def test_of_several_workers_one_works_at_a_time(world):
    finish(world.spine)
    change(world)
    stopped = threading.Event()
    workers = [
        threading.Thread(target=relabel_until, args=(stopped, Spine(world.database_store), 0.01))
        for _ in range(3)
    ]
    for each in workers:
        each.start()
    world.post.store(*(patient_of(POST, number) for number in range(2, 6)))
    deadline = time.monotonic() + 30
    while state(world.spine) != "done" and time.monotonic() < deadline:
        time.sleep(0.05)
    stopped.set()
    for each in workers:
        each.join(10)
    assert levels(world)["posta-c1"] == "R"


def test_a_step_that_fails_is_tried_again(world):
    stopped = threading.Event()
    with world.sql() as cursor:
        cursor.execute("ALTER TABLE policy_version RENAME TO away")
        worker = threading.Thread(target=relabel_until, args=(stopped, Spine(world.database_store), 0.05))
        worker.start()
        time.sleep(0.3)
        assert worker.is_alive()
        cursor.execute("ALTER TABLE away RENAME TO policy_version")
    deadline = time.monotonic() + 30
    while state(world.spine) != "done" and time.monotonic() < deadline:
        time.sleep(0.05)
    stopped.set()
    worker.join(10)
    assert state(world.spine) == "done"


def test_a_record_that_was_erased_or_altered_holds_nothing_up(world):
    finish(world.spine)
    world.post.store(patient_of(POST, 2), a_condition("posta-a1", encounter="", patient="posta-p2"))
    world.post.store(patient_of(POST, 3), a_condition("posta-z1", encounter="", patient="posta-p3"))
    with world.sql() as cursor:
        cursor.execute("SELECT compartment FROM resource WHERE id = 'posta-a1'")
        [(erased,)] = cursor.fetchall()
        cursor.execute("DELETE FROM data_key WHERE compartment = %s", (erased,))
        cursor.execute(
            "UPDATE resource SET body = set_byte(body, 30, get_byte(body, 30) # 1) WHERE id = 'posta-z1'"
        )
    world.database_store.data_keys._kept.clear()
    world.spine._store.data_keys._kept.clear()
    change(world)
    finish(world.spine)
    found = levels(world)
    assert (found["posta-a1"], found["posta-c1"], found["posta-z1"]) == ("", "R", "N")
