"""Rows that came from another cluster bear its numbers: whoever restores them goes on above, and nothing stands still."""

from __future__ import annotations

from base64 import b64decode

import pytest
from typer.testing import CliRunner

from exchange import cli
from exchange.audit.verify import verify_log
from exchange.commands import running
from exchange.hub import Hub
from exchange.store.transaction_numbers import HIGHEST, IS_BEHIND, functions, go_on, is_behind
from tests.passage.world import World, patient_of, seal_all
from tests.sample.requester import POST

NAMES = ("transaction_number", "transaction_horizon", "transaction_snapshot")
LOADED = ("resource", "resource_history", "audit_event", "audit_leaf", "audit_checkpoint")


def defined(world) -> list[str]:
    with world.sql() as cursor:
        cursor.execute(
            "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = ANY(%s) ORDER BY 1", (list(NAMES),)
        )
        return [row[0] for row in cursor.fetchall()]


def loaded_from_another_cluster(world, ahead: int = 1_000_000) -> None:
    """The rows of a hub whose cluster had counted further."""
    with world.sql() as cursor:
        for table in LOADED:
            cursor.execute(f"UPDATE {table} SET transaction = transaction + %s", (ahead,))


@pytest.fixture
def world(store, database):
    made = World(store, database)
    made.post.store(*(patient_of(POST, number) for number in range(1, 6)))
    seal_all(made)
    return made


def ids(said) -> list[str]:
    assert said.status == 200, said.text
    return [each["resource"]["id"] for each in said.body.get("entry", ())]


def test_the_migration_makes_what_is_written_here(world):
    before = defined(world)
    assert len(before) == len(NAMES)
    with world.sql() as cursor:
        cursor.execute(functions(0))
    assert defined(world) == before


def test_a_hub_that_was_never_restored_is_in_order(world):
    with world.database_store.transaction() as transaction:
        assert not is_behind(transaction)
        go_on(transaction)
        assert transaction.rows("SELECT transaction_number() - pg_current_xact_id()::text::bigint") == [(0,)]


def test_what_was_loaded_holds_everything_up_until_its_numbers_go_on(world):
    loaded_from_another_cluster(world)
    with world.database_store.transaction() as transaction:
        assert is_behind(transaction)
        settled = "SELECT count(*) FROM resource WHERE transaction < transaction_horizon()"
        assert transaction.rows(settled) == [(0,)]
        go_on(transaction)
        transaction.commit()
    with world.database_store.transaction() as transaction:
        assert not is_behind(transaction)
        highest = transaction.rows(HIGHEST)[0][0]
    # Written, listed in the order of commits, found by `_since`.
    world.settle()
    assert sorted(ids(world.post.get("Patient/_history"))) == [f"posta-p{number}" for number in range(1, 6)]
    world.post.store(patient_of(POST, 6))
    world.settle()
    listed = world.post.get("Patient/_history")
    assert ids(listed)[0] == "posta-p6"
    newest = listed.body["entry"][0]["resource"]["meta"]["lastUpdated"]
    assert ids(world.post.get(f"Patient/_history?_since={newest}")) == ["posta-p6"]
    with world.sql() as cursor:
        cursor.execute("SELECT transaction FROM resource WHERE id = 'posta-p6'")
        assert cursor.fetchone()[0] > highest
    # Sealed, and the log verifies.
    seal_all(world)
    with world.database_store.transaction() as transaction:
        found = verify_log(transaction)
    assert found.findings == []
    assert found.waiting == 0


@pytest.mark.parametrize("is_moved", [False, True])
def test_pages_stand_still_while_others_write(world, is_moved):
    if is_moved:
        loaded_from_another_cluster(world)
        with world.database_store.transaction() as transaction:
            go_on(transaction)
            transaction.commit()
    first = world.post.get("Patient?_count=2&_sort=birthdate")
    changed = patient_of(POST, 5, birth_date="1901-01-01")
    world.post.store(changed, patient_of(POST, 6, birth_date="1900-01-01"))
    seen, page = first.ids, first.next
    while page:
        said = world.post.get(page)
        seen, page = seen + said.ids, said.next
    assert seen == [f"posta-p{number}" for number in range(1, 6)]


def test_a_page_that_was_begun_before_is_gone_on_with_after(world):
    first = world.post.get("Patient?_count=2&_sort=birthdate")
    loaded_from_another_cluster(world, 0)
    with world.database_store.transaction() as transaction:
        transaction.run(functions(5_000))
        transaction.commit()
    world.post.store(patient_of(POST, 5, birth_date="1901-01-01"))
    assert first.ids + world.post.get(first.next).ids == [f"posta-p{number}" for number in range(1, 5)]


def test_what_the_snapshot_holds_is_moved_as_a_whole(world):
    """Also the numbers of those that run just now."""
    with world.database_store.transaction() as slow, world.database_store.transaction() as transaction:
        own = int(slow.rows("SELECT pg_current_xact_id()::text::bigint")[0][0])
        with world.sql() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")  # a later one that is over
        transaction.run(functions(700))
        low, high, running_now = transaction.rows("SELECT transaction_snapshot()")[0][0].split(":")
        assert int(low) <= own + 700 < int(high)
        assert str(own + 700) in running_now.split(",")
        assert transaction.rows("SELECT transaction_number() - pg_current_xact_id()::text::bigint") == [
            (700,)
        ]
        assert transaction.rows(IS_BEHIND) == [(False,)]


def test_the_horizon_needs_no_call_of_its_own(world):
    """A function that is not inlined would be called for every row of a history."""
    with world.sql() as cursor:
        cursor.execute("EXPLAIN VERBOSE SELECT 1 FROM resource WHERE transaction < transaction_horizon()")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "pg_current_snapshot" in plan
    assert "transaction_horizon" not in plan


def test_the_doctor_finds_it_and_migrate_mends_it(world, store, monkeypatch):
    monkeypatch.setattr(running, "opened_hub", lambda: Hub(store, world.spine))
    monkeypatch.setattr(running, "open_hub", lambda _: Hub(store, world.spine))
    monkeypatch.setattr(running, "prepare", lambda _: False)

    def run(*words):
        return CliRunner().invoke(cli.app, words, env={"COLUMNS": "200"})

    assert run("doctor").exit_code == 0
    assert "in order" in run("migrate", "--renumber").output
    loaded_from_another_cluster(world)
    told = run("doctor")
    assert told.exit_code == 1
    for words in (("serve",), ("work",)):  # what it wrote would never find its place
        refused = run(*words)
        assert "exchange migrate --renumber" in str(refused.exception)
    assert "exchange migrate --renumber" in told.output
    assert "go on above" in run("migrate", "--renumber").output
    assert run("doctor").exit_code == 0
    told = [entity.get("query", "") for each in world.events() for entity in each.get("entity", ())]
    assert any(b64decode(each) == b"exchange migrate --renumber" for each in told)
