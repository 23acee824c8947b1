"""Transactions: what is not committed is undone, and time-outs become problems."""

from __future__ import annotations

import pytest

from exchange.problems import SealBroken, TooCostly, Unavailable
from exchange.settings import Settings
from exchange.store.hub import open_store, prepare_keys
from tests.sample.root import RootInMemory

INSERT = "INSERT INTO client (client_id, name, organization_id, role, scopes, purposes, id_prefix, jwks) VALUES ('c', '', '', '', '', '{}', 'x', '{}')"
COUNT = "SELECT count(*) FROM client"


def count(store) -> int:
    with store.transaction() as transaction:
        return transaction.rows(COUNT)[0][0]


def test_what_is_not_committed_is_undone(store):
    with store.transaction() as transaction:
        transaction.run(INSERT)
    assert count(store) == 0


def test_what_fails_is_undone(store):
    def fail():
        with store.transaction() as transaction:
            transaction.run(INSERT)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert count(store) == 0


def test_finish_commits_in_one_statement(store):
    with store.transaction() as transaction:
        transaction.finish(INSERT)
    assert count(store) == 1


def test_a_statement_that_takes_too_long_is_too_costly(database, root_key):
    chosen = Settings(statement_timeout_ms=100)
    prepare_keys(database, chosen, root_key)
    store = open_store(database, chosen, root_key)
    try:
        with pytest.raises(TooCostly), store.transaction() as transaction:
            transaction.rows("SELECT pg_sleep(5)")
        assert count(store) == 0
    finally:
        store.close()


def test_an_error_s_text_is_not_passed_on(database, root_key):
    with pytest.raises(Unavailable) as caught:
        open_store(database.replace("chasqui_test", "absent"), Settings(), root_key)
    assert "absent" not in str(caught.value)


def test_a_hub_is_prepared_once(database, hub_settings, root_key):
    assert prepare_keys(database, hub_settings, root_key)
    assert not prepare_keys(database, hub_settings, root_key)


def test_a_hub_is_given_the_keys_that_it_lacks(store, database, hub_settings, root_key):
    with store.transaction() as transaction:
        before = transaction.rows("SELECT * FROM hub_key WHERE purpose <> 'place' ORDER BY purpose")
        transaction.run("DELETE FROM hub_key WHERE purpose = 'place'")
        transaction.commit()
    assert not prepare_keys(database, hub_settings, root_key)
    with store.transaction() as transaction:
        rows = transaction.rows("SELECT * FROM hub_key ORDER BY purpose")
    assert [row for row in rows if row[0] != "place"] == before
    assert len(rows) == len(before) + 1


def test_a_database_without_keys_and_another_root_are_refused(database, hub_settings, root_key):
    with pytest.raises(SealBroken, match="migrate"):
        open_store(database, hub_settings, root_key)
    prepare_keys(database, hub_settings, root_key)
    with pytest.raises(SealBroken, match="does not open"):
        open_store(database, hub_settings, RootInMemory())


def test_prepared_statements_survive_a_rollback(store):
    sql = "SELECT %(a)s::integer + %(b)s::integer + %(a)s::integer"
    for _ in range(12):
        with store.transaction() as transaction:
            assert transaction.prepared(sql, {"a": 1, "b": 2}) == [(4,)]
