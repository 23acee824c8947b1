"""One row an adapter: the newest report stays, days only grow, and a contact is whatever was heard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from exchange.fleet.state import states
from exchange.problems import Denied
from exchange.requester import User
from tests.sample.adapter import a_report, encoded, enter_adapter
from tests.sample.requester import HOSPITAL, POST, a_requester


@pytest.fixture
def world(empty):
    enter_adapter(empty.spine, "posta-adapter")
    return empty


def tell(world, number=1, client="posta-adapter", **more) -> bool:
    requester = a_requester(POST, "system/*.cu", client=client)
    return world.spine.fleet.report(requester, encoded(a_report(number, **more)))


def standing(world) -> dict:
    with world.database_store.transaction() as transaction:
        return {each.client_id: each for each in states(transaction)}


def test_a_report_is_kept(world):
    assert standing(world)["posta-adapter"].condition(0) == "not-ready"
    assert tell(world)
    state = standing(world)["posta-adapter"]
    assert (state.report.pending, state.report.trouble, state.on_time, state.late) == (12, None, 30, 2)
    assert state.contact_at == state.reported_at
    assert state.condition(state.contact_at) == "online"


def test_an_older_report_that_arrives_later_changes_nothing(world):
    assert tell(world, 5, pending=5)
    assert not tell(world, 4, pending=4, phase="stopped")
    assert not tell(world, 5, pending=6)
    state = standing(world)["posta-adapter"]
    assert (state.report.pending, state.is_stopped) == (5, False)
    assert tell(world, 6, pending=7)
    assert standing(world)["posta-adapter"].report.pending == 7


def test_a_count_that_began_anew_is_believed_after_a_day(world):
    assert tell(world, 2**50)
    assert not tell(world, 3)
    with world.sql() as cursor:
        cursor.execute("UPDATE adapter_state SET reported_at = reported_at - 86401 * 1000000::bigint")
    assert tell(world, 3)


def test_no_adapter_speaks_for_another(world):
    enter_adapter(world.spine, "hospital-adapter", HOSPITAL)
    assert tell(world, 9, pending=9)
    assert tell(world, 1, client="hospital-adapter", pending=1)
    found = standing(world)
    assert found["posta-adapter"].report.pending == 9
    assert found["hospital-adapter"].report.pending == 1


@pytest.mark.parametrize("client", ["unknown", "plain"])
def test_who_is_no_adapter_reports_nothing(world, client):
    enter_adapter(world.spine, "plain", is_adapter=False)
    with pytest.raises(Denied):
        tell(world, client=client)
    assert "plain" not in standing(world)


def test_a_suspended_adapter_and_a_person_report_nothing(world):
    from dataclasses import replace

    asker = a_requester(POST, "system/*.cu", client="posta-adapter")
    for other in (
        replace(asker, user=User("u-1")),
        a_requester(POST, "user/*.rs", client="posta-adapter"),
        a_requester(POST, "system/*.cu", client="posta-adapter", role="clinician"),
    ):
        with pytest.raises(Denied):
            world.spine.fleet.report(other, encoded(a_report()))
    with world.sql() as cursor:
        cursor.execute("UPDATE client SET is_active = false")
    with pytest.raises(Denied):
        tell(world)


def test_days_grow_and_the_oldest_go(world):
    today = (datetime.now(UTC) - timedelta(hours=5)).date()
    days = [today - timedelta(days=each) for each in (0, 3, 10, 399, 500)]
    rows = [{"day": each.isoformat(), "on_time": 10, "late": 1, "worst_seconds": 90_000} for each in days]
    assert tell(world, 1, days=rows)
    assert tell(world, 2, days=[rows[0] | {"on_time": 12, "late": 0, "worst_seconds": 5}])
    state = standing(world)["posta-adapter"]
    assert (state.on_time, state.late, state.worst_seconds) == (22, 2, 90_000)
    with world.sql() as cursor:
        cursor.execute("SELECT day FROM adapter_day ORDER BY day")
        assert [each[0] for each in cursor.fetchall()] == sorted(days[:4])
        cursor.execute("UPDATE adapter_day SET day = day - 30")
    assert tell(world, 3, days=[])
    with world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM adapter_day")
        assert cursor.fetchone()[0] == 3


def test_trouble_rest_and_silence_are_told_apart(world):
    minute = 60_000_000
    tell(world, 1, trouble="A-313")
    state = standing(world)["posta-adapter"]
    assert state.condition(state.contact_at) == "not-ready"
    tell(world, 2)
    state = standing(world)["posta-adapter"]
    assert state.condition(state.contact_at + 15 * minute) == "online"
    assert state.condition(state.contact_at + 15 * minute + 1) == "offline"
    tell(world, 3, phase="stopped")
    state = standing(world)["posta-adapter"]
    assert state.condition(state.contact_at + 71 * 60 * minute) == "off"
    assert state.condition(state.contact_at + 72 * 60 * minute + 1) == "offline"
