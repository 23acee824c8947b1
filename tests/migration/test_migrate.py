"""From nothing to the newest tables, and to what the code expects of them."""

from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from exchange.problems import Unavailable
from exchange.store import migrate as room
from exchange.store.migrate import head, migrate
from exchange.store.tables import metadata

SEALED = {"access_signal", "resource", "resource_history", "audit_event", "emergency_case"}


@pytest.fixture
def empty(server):
    url = server.empty()
    yield url
    server.drop(url.rsplit("/", 1)[1].partition("?")[0])


def query(url: str, sql: str) -> list[tuple]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        found = connection.execute(text(sql))
        return [tuple(row) for row in found] if found.returns_rows else []


def test_the_migrations_build_what_the_metadata_says(database):
    engine = create_engine(database, poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_empty_to_head_and_again(empty):
    migrate(empty)
    before = query(empty, "SELECT count(*) FROM pg_class")
    migrate(empty)
    assert query(empty, "SELECT version_num FROM alembic_version") == [(head(),)]
    assert query(empty, "SELECT count(*) FROM pg_class") == before


def test_processes_that_start_together_do_not_meet(empty):
    failures = []

    def run():
        try:
            migrate(empty)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert query(empty, "SELECT version_num FROM alembic_version") == [(head(),)]


def test_sealed_bodies_are_not_compressed_again(database):
    found = query(
        database,
        "SELECT c.relname, a.attstorage::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "WHERE a.attname = 'body' AND c.relkind = 'r'",
    )
    assert dict(found) == dict.fromkeys(SEALED, "e")


def test_a_version_knows_its_transaction(database):
    query(
        database,
        "INSERT INTO resource (compartment, custodian, last_updated, version_id, type, id, clinical_at, tokens, "
        "ranges, body) VALUES (1, 1, 1, 1, 1, 'a', 1, '{}', '{}', '')",
    )
    [(number, newest)] = query(
        database, "SELECT transaction, pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM resource"
    )
    assert 0 < number < newest


def test_a_database_of_a_newer_release_is_left_alone(database):
    query(database, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unavailable, match="newer"):
        migrate(database)


def test_a_database_that_is_not_there_is_said_so(server):
    with pytest.raises(Unavailable, match="does not answer"):
        migrate(server.url_of("chasqui_nowhere"))


def test_an_installation_without_migrations_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "FOLDER", tmp_path)
    with pytest.raises(Unavailable, match="no migrations"):
        head()
