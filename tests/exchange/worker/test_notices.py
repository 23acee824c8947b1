"""Notices of emergency cases: in seconds, without identity, again until they are taken, and visible where they are late."""

from __future__ import annotations

import threading
import time

import pytest

from exchange.consent import emergency_notices
from exchange.settings import Settings
from exchange.worker import notices as worker
from exchange.worker.notices import notify_until, tell_officers, tell_patients
from tests.passage.world import patient_of
from tests.sample.emergency import REASON, a_physician, an_officer, listed, opened
from tests.sample.requester import HOSPITAL, POST
from tests.simulators.notice_receiver import notice_receiver


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1))
    empty.hospital.store(patient_of(HOSPITAL, 1))
    return empty


@pytest.fixture
def number(world):
    return opened(a_physician(world))


@pytest.fixture
def receiver():
    with notice_receiver() as made:
        yield made


@pytest.fixture
def lines(caplog):
    """The codes of what was logged."""
    return lambda: [each.getMessage()[:5] for each in caplog.records]


def notify(notices, url: str | None) -> None:
    """One pass of the worker."""
    tell_patients(notices)
    tell_officers(notices, url or "")


def one(world) -> dict:
    [case] = listed(an_officer(world))
    return case


def age(world, seconds: int) -> None:
    """Let a case, with its event, be older than it is."""
    with world.sql() as cursor:
        for table, columns in (
            ("emergency_case", ("opened_at", "notice_due_at")), ("audit_event", ("clinical_at", "last_updated"))
        ):  # fmt: skip
            told = ", ".join(f"{each} = {each} - {seconds}::bigint * 1000000" for each in columns)
            cursor.execute(f"UPDATE {table} SET {told}")


def due(world) -> None:
    """Let the pause between two tries be over."""
    with world.sql() as cursor:
        cursor.execute("UPDATE emergency_case SET notice_due_at = 0")


def until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- without an address


def test_where_nobody_has_an_address_the_list_tells(world, number, lines):
    assert "officer-told-at" not in one(world)
    notify(world.spine.notices, None)
    case = one(world)
    assert case["officer-told-at"] > case["opened-at"]
    assert case["patient-told-at"] > case["opened-at"]
    assert not case["officer-told-late"]
    assert lines() == []


def test_a_stamp_stays(world, number):
    notify(world.spine.notices, None)
    before = one(world)
    notify(world.spine.notices, None)
    assert one(world) == before


def test_the_patients_stamp_says_that_the_event_stands_in_the_own_log(world, number):
    with world.sql() as cursor:
        cursor.execute("UPDATE audit_event SET last_updated = last_updated - 1")
    notify(world.spine.notices, None)
    assert "patient-told-at" not in one(world)
    with world.sql() as cursor:
        cursor.execute("UPDATE audit_event SET last_updated = last_updated + 1")
    notify(world.spine.notices, None)
    assert "patient-told-at" in one(world)


# --- at an address


@pytest.mark.parametrize("behaviour", ["good", "created", "empty", "bomb", "endless"])
def test_a_notice_has_a_number_a_time_and_a_facility_and_no_identity(world, number, receiver, behaviour):
    receiver.behaviour = behaviour
    notify(world.spine.notices, receiver.url)
    [told] = receiver.taken
    assert told.keys() == {"number", "opened_at", "facility"}
    assert (told["number"], told["facility"]) == (number, HOSPITAL)
    assert told["opened_at"][:16] == one(world)["opened-at"][:16]
    for word in ("hospital-p1", "posta", "Flores", "u1", REASON[:10], "Bearer"):
        assert word not in str(told)
        assert word not in str(receiver.headers)
    assert "officer-told-at" in one(world)
    due(world)
    notify(world.spine.notices, receiver.url)
    assert receiver.asked == 1


@pytest.mark.parametrize("behaviour", ["refuses", "fails", "redirect", "hangs-up", "silent", "drip-head"])
def test_a_notice_that_is_not_taken_is_sent_again(world, number, receiver, lines, monkeypatch, behaviour):
    monkeypatch.setattr(worker, "MOST_SECONDS", 0.6)
    receiver.behaviour = behaviour
    began = time.monotonic()
    notify(world.spine.notices, receiver.url)
    assert time.monotonic() - began < 5
    assert "officer-told-at" not in one(world)
    assert lines() == ["E-601"]
    assert (receiver.asked, receiver.redirected, receiver.taken) == (1, 0, [])
    receiver.behaviour = "good"
    notify(world.spine.notices, receiver.url)
    assert receiver.asked == 1, "not before the pause is over"
    due(world)
    notify(world.spine.notices, receiver.url)
    assert [each["number"] for each in receiver.taken] == [number]
    assert "officer-told-at" in one(world)


def test_nobody_at_the_address_harms_nothing(world, number, receiver, lines):
    url = receiver.url
    receiver.close()
    notify(world.spine.notices, url)
    assert "patient-told-at" in one(world)
    assert lines() == ["E-601"]


def test_pauses_grow_to_a_bound(world, number, receiver):
    receiver.behaviour = "fails"
    pauses = []
    for _ in range(12):
        due(world)
        before = time.time_ns() // 1000
        notify(world.spine.notices, receiver.url)
        with world.sql() as cursor:
            cursor.execute("SELECT notice_due_at FROM emergency_case")
            [(due_at,)] = cursor.fetchall()
        pauses.append(round((due_at - before) / 1_000_000))
    assert pauses[:5] == [1, 2, 4, 8, 16]
    assert pauses[-2:] == [300, 300]


def test_what_is_late_is_seen_and_said(world, number, receiver, lines):
    age(world, 61)
    case = one(world)
    assert case["officer-told-late"]
    receiver.behaviour = "fails"
    notify(world.spine.notices, receiver.url)
    assert lines() == ["E-601", "E-602"]
    receiver.behaviour = "good"
    due(world)
    notify(world.spine.notices, receiver.url)
    assert lines() == ["E-601", "E-602", "E-602"]
    case = one(world)
    assert case["officer-told-late"]
    assert not case["patient-told-late"]


def test_a_patients_log_that_is_late_is_said(world, number, lines):
    age(world, 25 * 3600)
    assert one(world)["patient-told-late"]
    notify(world.spine.notices, None)
    assert lines() == ["E-602", "E-602"]


def test_old_ones_that_are_not_taken_hold_up_no_new_one(world, receiver, monkeypatch):
    monkeypatch.setattr(emergency_notices, "MOST_AT_ONCE", 2)
    receiver.behaviour = "fails"
    for number in range(4):
        opened(a_physician(world, user=f"u{number}"))
    notify(world.spine.notices, receiver.url)
    notify(world.spine.notices, receiver.url)
    due(world)
    receiver.behaviour = "good"
    newest = opened(a_physician(world, user="u9"))
    notify(world.spine.notices, receiver.url)
    assert newest in {each["number"] for each in receiver.taken}


def test_of_several_workers_one_sends_each_notice(world, receiver):
    numbers = {opened(a_physician(world, user=f"u{number}")) for number in range(6)}
    passes = [threading.Thread(target=notify, args=(world.spine.notices, receiver.url)) for _ in range(3)]
    for each in passes:
        each.start()
    for each in passes:
        each.join(30)
    assert sorted(each["number"] for each in receiver.taken) == sorted(numbers)


def test_what_another_worker_is_about_to_send_is_left_to_it(world):
    numbers = [opened(a_physician(world, user=f"u{number}")) for number in range(3)]
    with world.sql() as other:
        other.execute(f"BEGIN; SELECT 1 FROM emergency_case WHERE number = '{numbers[0]}' FOR UPDATE")
        began = time.monotonic()
        assert [each.number for each in world.spine.notices.claim()] == numbers[1:]
        assert time.monotonic() - began < 2
        other.execute("COMMIT")
    assert [each.number for each in world.spine.notices.claim()] == numbers[:1]


# --- as it runs


def running(world, monkeypatch, **more):
    monkeypatch.setattr(worker, "settings", lambda: Settings(**more))
    monkeypatch.setattr("exchange.authentication.bounded_fetch.settings", lambda: Settings(**more))
    stopped = threading.Event()
    thread = threading.Thread(target=notify_until, args=(stopped, world.spine, 0.05))
    thread.start()
    return stopped, thread


def test_it_tells_while_it_runs_and_goes_on_through_failures(world, receiver, monkeypatch):
    stopped, thread = running(world, monkeypatch, mode="demo", officer_notice_url=receiver.url)
    with world.sql() as cursor:
        cursor.execute("ALTER TABLE emergency_case RENAME TO away")
        time.sleep(0.3)
        assert thread.is_alive()
        cursor.execute("ALTER TABLE away RENAME TO emergency_case")
    number = opened(a_physician(world))
    until(lambda: receiver.taken)
    stopped.set()
    thread.join(10)
    assert [each["number"] for each in receiver.taken] == [number]


@pytest.mark.parametrize(
    ("mode", "url"),
    [("production", "{}"), ("demo", "http://192.0.2.1/x"), ("production", "ftp://example.org/x"), ("demo", "https://a:b@example.org/"),
     ("production", "https://example.org/#x")],
)  # fmt: skip
def test_no_notice_leaves_for_an_address_that_is_not_safe(
    world, number, receiver, monkeypatch, lines, mode, url
):
    stopped, thread = running(world, monkeypatch, mode=mode, officer_notice_url=url.format(receiver.url))
    until(lambda: "patient-told-at" in one(world))
    stopped.set()
    thread.join(10)
    assert lines() == ["E-604"]
    assert receiver.asked == 0
    assert "officer-told-at" not in one(world)
