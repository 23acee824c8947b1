"""Nothing is acknowledged that is not durable: a request whose database dies is answered 503, and never as done."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest

from exchange.embedded import EmbeddedPostgres
from exchange.settings import settings
from exchange.store.hub import open_store, prepare_keys
from exchange.store.migrate import migrate
from tests.passage.world import World, a_world, entry, patient_of, seal_all
from tests.sample.observation import an_observation
from tests.sample.requester import POST
from tests.sample.root import RootInMemory


@pytest.fixture
def world(server):
    with a_world(server) as made:
        made.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
        yield made


ACTS = {
    "read": lambda w: w.post.get("Patient/posta-p1"),
    "search": lambda w: w.post.get("Observation?patient=Patient/posta-p1"),
    "refused read": lambda w: w.hospital.get("Patient/posta-p1"),
    "create": lambda w: w.post.post({"resourceType": "Basic", "code": {"text": "x"}}),
    "update": lambda w: w.post.put(an_observation("posta-o1", "posta-p1", status="amended")),
    "delete": lambda w: w.post.delete("Observation/posta-o1"),
    "transaction": lambda w: w.post.bundle("transaction", [entry("PUT", "Observation/posta-o2", an_observation("posta-o2", "posta-p1"))]),
}  # fmt: skip


def _stored(world) -> list:
    with world.sql() as cursor:
        cursor.execute(
            "SELECT id, version_id, is_deleted FROM resource UNION ALL SELECT id, version_id, is_deleted FROM resource_history ORDER BY 1, 2"
        )
        return cursor.fetchall()


@pytest.mark.parametrize("name", ACTS)
def test_the_backend_killed_in_mid_request_is_a_503(world, name):
    before = _stored(world)
    said = []
    with world.sql() as blocker, world.sql() as killer:
        # The request stops where it would write its audit event; there its backend dies.
        blocker.execute("BEGIN; LOCK TABLE audit_event IN ACCESS EXCLUSIVE MODE")
        asking = threading.Thread(target=lambda: said.append(ACTS[name](world)))
        asking.start()
        killed = 0
        while not killed:
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'chasqui' AND wait_event_type = 'Lock'"
            )
            killed = killer.rowcount
            time.sleep(0.01)
        asking.join(10)
        blocker.execute("ROLLBACK")
    assert said[0].status == 503
    assert said[0].headers["retry-after"]
    assert b"Quispe" not in said[0].text
    assert _stored(world) == before
    assert world.post.get("Patient/posta-p1").status == 200  # and the hub goes on


@pytest.mark.parametrize("name", ACTS)
def test_a_commit_that_fails_is_not_answered_as_done(world, name):
    before = _stored(world)
    with world.sql() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'disk full'; END $$;"
            "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON audit_event DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    said = ACTS[name](world)
    assert said.status >= 500
    assert b"disk full" not in said.text
    with world.sql() as cursor:
        cursor.execute("DROP TRIGGER late ON audit_event")
    assert _stored(world) == before


def test_connections_that_died_in_the_pool_are_replaced(world):
    with world.sql() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'chasqui'"
        )
    statuses = [world.post.get("Patient/posta-p1").status for _ in range(8)]
    assert set(statuses) <= {200, 503}
    assert statuses[-1] == 200


def test_a_database_that_is_not_there_is_a_503(server):
    with a_world(server) as world:
        world.post.store(patient_of(POST, 1))
        world.database_store.engine.dispose()
        with server.clone() as other:  # a name that will be gone
            gone = other
        from exchange.store.session import Store, make_engine

        store = Store(make_engine(gone, settings()), world.database_store.crypto)
        dead = World(store, world.url)
        try:
            assert dead.post.get("Patient/posta-p1").status == 503
            assert not dead.spine.is_ready()
        finally:
            store.close()


@pytest.fixture
def cluster():
    """A PostgreSQL of this test's own with the durability that a hub's has."""
    folder = Path(tempfile.mkdtemp(prefix="ch"))
    made = EmbeddedPostgres(folder, settings={"shared_buffers": "32MB"})
    try:
        made.start()
        yield made
    finally:
        made.stop("immediate")
        shutil.rmtree(made.folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def test_what_was_acknowledged_stands_after_a_crash(cluster):
    migrate(cluster.url)
    root = RootInMemory(b"k" * 32)
    prepare_keys(cluster.url, settings(), root)
    store = open_store(cluster.url, settings(), root)
    world = World(store, cluster.url)
    world.post.store(patient_of(POST, 1))
    acknowledged: list[int] = []
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            if world.post.put(an_observation(f"posta-o{number}", "posta-p1")).status == 201:
                acknowledged.append(number)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    while len(acknowledged) < 40:
        time.sleep(0.01)
    cluster.stop("immediate")  # a crash, in the middle of writing
    stop.set()
    writer.join(20)
    cluster.start()
    while world.post.get("Patient/posta-p1").status == 503:
        time.sleep(0.05)
    assert len(acknowledged) >= 40
    for number in acknowledged:
        assert world.post.get(f"Observation/posta-o{number}").status == 200, number
    seal_all(world)
    with store.transaction() as transaction:
        from exchange.audit.verify import verify_log

        assert verify_log(transaction).findings == []
    store.close()
