"""A backup is restored into a database that holds nothing, and the hub goes on where it was; whatever is wrong is refused."""

from __future__ import annotations

import pytest

from exchange.audit.verify import verify_log
from exchange.backup.restoring import restore, verify
from exchange.problems import Conflict, SealBroken
from exchange.store.hub import open_store
from exchange.store.transaction_numbers import HIGHEST, go_on
from tests.passage.world import World, patient_of, seal_all
from tests.sample.requester import POST


def served_from(one, url: str) -> World:
    return World(open_store(url, one.settings, one.root), url)


def counts(world: World) -> dict[str, int]:
    with world.sql() as cursor:
        found = {}
        for table in (
            "resource",
            "resource_history",
            "audit_event",
            "data_key",
            "token_entry",
            "patient_record",
        ):
            cursor.execute(f"SELECT count(*) FROM {table}")
            found[table] = cursor.fetchone()[0]
        return found


def test_verifying_finds_a_good_backup_good_and_leaves_nothing(one, server):
    found = verify(one.make(), one.settings, server=server.url_of("postgres"))
    assert found.findings == []
    assert found.events > 0
    assert found.opened["resource"] == 4
    assert found.opened["data_key"] == 4
    with one.world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'chasqui_backup_%'")
        assert cursor.fetchone() == (0,)


def test_verifying_starts_a_server_of_its_own(one, tmp_path):
    found = verify(one.make(), one.settings)
    assert found.findings == []
    assert sum(found.rows.values()) > 20


def test_a_restored_hub_reads_writes_lists_pages_seals_and_verifies(one, empty_database):
    before = counts(one.world)
    path = one.make()
    restore(path, one.settings.model_copy(update={"database_url": empty_database}))
    world = served_from(one, empty_database)
    after = counts(world)
    for table in ("resource", "resource_history", "data_key", "token_entry", "patient_record"):
        assert after[table] == before[table], table
    # Reads.
    assert world.post.get("Observation/posta-o1").body["status"] == "amended"
    assert world.post.get("Observation/posta-o1/_history/1").body["status"] == "final"
    assert world.post.get("Patient?identifier=40000002").ids == ["posta-p2"]
    # Writes, lists in the order of commits, pages.
    with world.sql() as cursor:
        cursor.execute(HIGHEST)
        highest = cursor.fetchone()[0]
    world.post.store(patient_of(POST, 9))
    world.settle()
    with world.sql() as cursor:
        cursor.execute("SELECT transaction >= %s FROM resource WHERE id = 'posta-p9'", (highest,))
        assert cursor.fetchone() == (True,)
    listed = world.post.get("Patient/_history?_count=2")
    assert listed.body["entry"][0]["resource"]["id"] == "posta-p9"
    assert world.post.get(listed.next).body["entry"]
    # Seals and verifies; the log says that it was restored.
    seal_all(world)
    with world.database_store.transaction() as transaction:
        found = verify_log(transaction)
    assert found.findings == []
    assert found.waiting == 0
    world.database_store.close()


def test_rows_that_bear_numbers_of_a_cluster_that_counted_further_hold_nothing_up(one, empty_database):
    with one.world.sql() as cursor:
        for table in ("resource", "resource_history", "audit_event", "audit_leaf", "audit_checkpoint"):
            cursor.execute(f"UPDATE {table} SET transaction = transaction + 5000000")
    with one.world.database_store.transaction() as transaction:
        go_on(transaction)
        transaction.commit()
    restore(one.make(), one.settings.model_copy(update={"database_url": empty_database}))
    world = served_from(one, empty_database)
    world.post.store(patient_of(POST, 9))
    world.settle()
    listed = [each["resource"]["id"] for each in world.post.get("Patient/_history").body["entry"]]
    assert listed[0] == "posta-p9"
    assert {"posta-p1", "posta-p2", "posta-p3"} <= set(listed)
    seal_all(world)
    with world.database_store.transaction() as transaction:
        found = verify_log(transaction)
    assert (found.findings, found.waiting) == ([], 0)
    world.database_store.close()


def test_a_database_that_holds_anything_is_refused_and_left_as_it_is(one, empty_database):
    path = one.make()
    before = counts(one.world)
    with pytest.raises(Conflict, match="holds something"):
        restore(path, one.settings)
    assert counts(one.world) == {**before, "audit_event": counts(one.world)["audit_event"]}
    world = World(one.world.database_store, empty_database)
    for kind in ("TABLE x (a integer)", "SEQUENCE x", "VIEW x AS SELECT 1"):
        with world.sql() as cursor:
            cursor.execute(f"CREATE {kind}")
        with pytest.raises(Conflict, match="holds something"):
            restore(path, one.settings.model_copy(update={"database_url": empty_database}))
        with world.sql() as cursor:
            cursor.execute(f"DROP {kind.split()[0]} x")


def test_another_hub_s_root_and_another_hub_s_backup_open_nothing(hub_of, empty_database):
    one, other = hub_of("one"), hub_of("other")
    path = other.make()
    target = one.settings.model_copy(update={"database_url": empty_database})
    with pytest.raises(SealBroken, match="does not open"):
        restore(path, target)
    with pytest.raises(SealBroken):
        verify(path, one.settings, server=empty_database)
    # Nothing reached the database.
    with World(one.world.database_store, empty_database).sql() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public'"
        )
        assert cursor.fetchone() == (0,)


def test_a_row_that_is_missing_or_does_not_open_is_found(one, server):
    """Whoever altered the database before the backup was made is found when it is verified."""
    with one.world.sql() as cursor:
        cursor.execute(
            "UPDATE resource SET body = set_byte(body, 20, get_byte(body, 20) # 1) WHERE id = 'posta-p1'"
        )
    found = verify(one.make(), one.settings, server=server.url_of("postgres"))
    assert any(each.startswith("resource: ") for each in found.findings)


def test_a_log_that_was_cut_before_the_backup_is_found(one, server):
    with one.world.sql() as cursor:
        cursor.execute("DELETE FROM audit_event WHERE id IN (SELECT id FROM audit_event LIMIT 1)")
    found = verify(one.make(), one.settings, server=server.url_of("postgres"))
    assert any("was deleted" in each for each in found.findings)
