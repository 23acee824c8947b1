"""Twenty points of what `make crash` does two hundred times: nothing acknowledged is lost, no answer is without its event."""

from __future__ import annotations

import psycopg2
import pytest

from exchange.problems import Unavailable
from exchange.store.session import _problem
from tests.crash.__main__ import crash
from tests.crash.asking import Note, _is_whole
from tests.crash.checks import Checks, Told
from tests.passage.world import patient_of, seal_all
from tests.sample.observation import an_observation
from tests.sample.requester import POST


def test_nothing_is_lost_doubled_or_half_written():
    told = crash(20, longest_seconds=0.6, seed=3)
    assert told.wrong == []
    assert told.points == sum(told.kills.values()) == 20
    assert len(told.kills) >= 4
    assert told.acknowledged > 50
    assert (told.lost, told.without_event, told.doubled) == (0, 0, 0)


def test_a_server_that_dies_in_mid_statement_is_away_and_refuses_nothing():
    assert isinstance(_problem(psycopg2.DatabaseError("server closed the connection")), Unavailable)
    assert not isinstance(_problem(psycopg2.ProgrammingError("no such table")), Unavailable)


# --- the checks themselves would notice


@pytest.fixture
def noted(empty):
    """A hub with one acknowledged version whose event is there, and the checks of it."""
    empty.post.store(patient_of(POST, 1))
    said = empty.post.put(an_observation("posta-c0n0", "posta-p1"), request_id="one")
    assert said.status == 201
    note = Note("one", "PUT", "Observation/posta-c0n0", 1, 201, is_whole=True)
    return empty, note


def found(world, *notes: Note) -> Told:
    told = Told()
    checks = Checks(world, told)
    checks.after(notes)
    checks.whole()
    return told


def test_a_hub_that_lost_nothing_is_good(noted):
    world, note = noted
    told = found(world, note)
    assert told.is_good, told.wrong
    assert (told.acknowledged, told.events) == (1, 2)


@pytest.mark.parametrize(
    ("statement", "figure"),
    [
        ("DELETE FROM resource WHERE id = 'posta-c0n0'", "lost"),
        ("DELETE FROM audit_event WHERE clinical_at = (SELECT max(clinical_at) FROM audit_event)", "without_event"),
    ],
)  # fmt: skip
def test_what_is_gone_is_counted(noted, statement, figure):
    world, note = noted
    with world.sql() as cursor:
        cursor.execute(statement)
    told = found(world, note)
    assert getattr(told, figure) == 1
    assert not told.is_good


def test_a_version_without_an_event_a_gap_and_a_head_that_went_back_are_found(noted):
    world, note = noted
    told = Told()
    checks = Checks(world, told)
    seal_all(world)
    checks.after([note])
    assert told.wrong == []
    with world.sql() as cursor:
        cursor.execute("UPDATE resource SET version_id = 2 WHERE id = 'posta-c0n0'")
        cursor.execute("DELETE FROM audit_leaf WHERE leaf_index = 0; DELETE FROM audit_checkpoint")
    checks.after([note])
    checks.whole()
    assert any("half written" in each for each in told.wrong)
    assert any("gaps" in each for each in told.wrong)


def test_two_events_of_one_request_are_doubled(noted):
    world, note = noted
    world.post.get("Observation/posta-c0n0", request_id="one")
    assert found(world, note).doubled == 1


@pytest.mark.parametrize(
    ("data", "is_whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", False),
        (b"HTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", False),
    ],
)  # fmt: skip
def test_answers_in_part_are_told_from_whole_ones(data, is_whole):
    assert _is_whole(data) is is_whole
