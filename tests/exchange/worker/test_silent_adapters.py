"""An adapter that says nothing is noticed once, told of until it is heard, and noticed again when it is back."""

from __future__ import annotations

import threading

import pytest

from exchange.settings import Settings
from exchange.worker import silent_adapters as worker
from exchange.worker.silent_adapters import watch_adapters, watch_adapters_until
from tests.exchange.worker.test_notices import until
from tests.sample.adapter import a_report, encoded, enter_adapter
from tests.sample.requester import HOSPITAL, POST, a_requester
from tests.simulators.notice_receiver import notice_receiver

MINUTE = 60


@pytest.fixture
def world(empty):
    enter_adapter(empty.spine, "posta-a")
    enter_adapter(empty.spine, "hospital-a", HOSPITAL)
    tell(empty, "posta-a")
    return empty


@pytest.fixture
def receiver():
    with notice_receiver() as made:
        yield made


@pytest.fixture
def lines(caplog):
    """What was logged since the last time."""

    def told() -> list[str]:
        found = [each.getMessage() for each in caplog.records]
        caplog.clear()
        return found

    return told


def tell(world, client: str, number: int = 1, **more) -> None:
    world.spine.fleet.report(
        a_requester(POST, "system/*.cu", client=client), encoded(a_report(number, **more))
    )


def quiet_for(world, seconds: int) -> None:
    """Let every contact be so long ago."""
    with world.sql() as cursor:
        cursor.execute(
            "UPDATE adapter_state SET contact_at = (extract(epoch FROM now()) - %s)::bigint * 1000000",
            (seconds,),
        )


def due(world) -> None:
    with world.sql() as cursor:
        cursor.execute("UPDATE adapter_state SET notice_due_at = 0")


def test_a_silence_is_one_line_and_its_end_another(world, lines):
    watch_adapters(world.spine, "")
    quiet_for(world, 14 * MINUTE)
    watch_adapters(world.spine, "")
    assert lines() == []
    quiet_for(world, 16 * MINUTE)
    for _ in range(3):
        watch_adapters(world.spine, "")
    [line] = lines()
    assert line.startswith(f"E-610 adapter posta-a of {POST} is silent since 20")
    tell(world, "posta-a", 2)
    for _ in range(3):
        watch_adapters(world.spine, "")
    [line] = lines()
    assert line.startswith(f"W-611 adapter posta-a of {POST} is back; silent since 20")
    quiet_for(world, 16 * MINUTE)
    watch_adapters(world.spine, "")
    assert [each[:5] for each in lines()] == ["E-610"]


def test_one_that_said_that_it_stops_may_rest(world, lines):
    tell(world, "posta-a", 2, phase="stopped")
    quiet_for(world, 71 * 60 * MINUTE)
    watch_adapters(world.spine, "")
    assert lines() == []
    quiet_for(world, 73 * 60 * MINUTE)
    watch_adapters(world.spine, "")
    assert [each[:5] for each in lines()] == ["E-610"]


def test_a_suspended_adapter_and_one_that_never_came_are_not_missed(world, lines):
    quiet_for(world, 60 * MINUTE)
    with world.sql() as cursor:
        cursor.execute("UPDATE client SET is_active = false WHERE client_id = 'posta-a'")
    watch_adapters(world.spine, "")
    assert lines() == []


def test_a_silence_ends_when_its_adapter_is_suspended_or_gone(world, lines, receiver):
    quiet_for(world, 60 * MINUTE)
    watch_adapters(world.spine, "")
    lines()
    with world.sql() as cursor:
        cursor.execute("UPDATE client SET is_adapter = false WHERE client_id = 'posta-a'")
    watch_adapters(world.spine, "")
    assert [each[:5] for each in lines()] == ["W-611"]


def test_the_operators_are_told_once_of_each(world, receiver):
    quiet_for(world, 16 * MINUTE)
    for _ in range(3):
        watch_adapters(world.spine, receiver.url)
    [notice] = receiver.taken
    assert (notice["kind"], notice["client"], notice["facility"]) == ("adapter-silent", "posta-a", POST)
    assert set(notice) == {"kind", "client", "facility", "since"}
    tell(world, "posta-a", 2)
    for _ in range(3):
        watch_adapters(world.spine, receiver.url)
    assert [each["kind"] for each in receiver.taken] == ["adapter-silent", "adapter-back"]


def test_a_notice_that_is_not_taken_is_sent_again(world, receiver, lines):
    receiver.behaviour = "refuses"
    quiet_for(world, 16 * MINUTE)
    watch_adapters(world.spine, receiver.url)
    assert [each[:5] for each in lines()] == ["E-610", "W-612"]
    watch_adapters(world.spine, receiver.url)
    assert lines() == [], "not before the pause is over"
    receiver.behaviour = "good"
    due(world)
    watch_adapters(world.spine, receiver.url)
    assert [each["kind"] for each in receiver.taken] == ["adapter-silent"]


def test_the_worker_looks_by_itself(world, receiver, monkeypatch, lines):
    monkeypatch.setattr(worker, "settings", lambda: Settings(adapter_notice_url=receiver.url))
    monkeypatch.setattr(worker, "is_fetchable", lambda _url: True)
    stopped = threading.Event()
    thread = threading.Thread(target=watch_adapters_until, args=(stopped, world.spine, 0.02))
    thread.start()
    try:
        quiet_for(world, 16 * MINUTE)
        until(lambda: receiver.taken)
    finally:
        stopped.set()
        thread.join()
    assert receiver.taken[0]["client"] == "posta-a"


def test_an_address_that_is_none_is_not_asked(world, monkeypatch, lines):
    monkeypatch.setattr(worker, "settings", lambda: Settings(adapter_notice_url="http://10.0.0.1/x"))
    stopped = threading.Event()
    stopped.set()
    watch_adapters_until(stopped, world.spine, 0.02)
    assert [each[:5] for each in lines()] == ["E-614"]
