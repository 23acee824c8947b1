"""What was erased stays erased: no backup from before opens once its root is gone, sealed or raw, with all that is live."""

from __future__ import annotations

import subprocess

import psycopg2
import pytest
from sqlalchemy import make_url

from exchange.backup.making import make
from exchange.backup.programs import _program, dump, load
from exchange.backup.restoring import restore, verify
from exchange.problems import Problem, SealBroken
from exchange.store import backups, key_rotation
from exchange.store.erasure import erase
from exchange.store.hub import open_store
from exchange.store.rewrapping import Rewrapping
from exchange.store.versions import COLUMNS, opened
from tests.exchange.backup.conftest import *  # noqa: F403 - the same hubs
from tests.passage.world import World, patient_of
from tests.sample.requester import POST


def libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def raw_dump(url: str) -> bytes:
    """What somebody takes who holds the database: pg_dump, sealed by nobody."""
    done = subprocess.run(
        [_program("pg_dump"), "--format=custom", "--no-owner", f"--dbname={libpq(url)}"], capture_output=True, check=True
    )  # fmt: skip
    return done.stdout


def with_live_keys(one, url: str) -> None:
    """Give what was loaded the live hub's keys, and its dictionaries, which were sealed anew under them."""
    with one.world.sql() as cursor:
        cursor.execute("SELECT * FROM hub_key")
        rows = cursor.fetchall()
        cursor.execute("SELECT sealed, number FROM dictionary")
        dictionaries = cursor.fetchall()
    connection = psycopg2.connect(libpq(url))
    with connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM hub_key")
        for row in rows:
            cursor.execute(f"INSERT INTO hub_key VALUES ({','.join(['%s'] * len(row))})", row)
        cursor.executemany("UPDATE dictionary SET sealed = %s WHERE number = %s", dictionaries)
    connection.close()


def opening(url: str, one) -> tuple[int, int]:
    """How many versions lie there, and how many of them open with the root and the live keys."""
    store = open_store(url, one.settings, one.root)
    rows, good = [], 0
    with store.transaction() as transaction:
        for table in ("resource", "resource_history", "audit_event"):
            rows += transaction.rows(f"SELECT {COLUMNS} FROM {table} r WHERE NOT r.is_deleted")
    for row in rows:
        try:
            with store.transaction() as transaction:
                good += len(opened(transaction, [row]))
        except Problem:
            continue
    store.close()
    return len(rows), good


def erased_and_rotated(one) -> None:
    spine, store = one.world.spine, one.world.database_store
    spine.operate("erase --order EXP-1", lambda tx: erase(tx, "posta-p1", linked=False))
    spine.operate("keys rotate record", lambda tx: key_rotation.rotate(tx, "record") and None)
    store.crypto.look()
    walk = Rewrapping(store)
    while walk.step():
        pass
    spine.operate("keys retire record 1", lambda tx: key_rotation.retire(tx, "record", 1))
    spine.operate("keys destroy record 1", lambda tx: key_rotation.destroy(tx, "record", 1))
    spine.operate("keys rotate root", lambda tx: key_rotation.rotate_root(tx) and None)
    store.crypto.look()


def test_an_erased_record_opens_for_nobody_from_any_backup(one, server, empty_database):
    sealed, raw = one.make("old.backup"), raw_dump(one.world.url)
    assert verify(sealed, one.settings, server=server.url_of("postgres")).findings == []
    erased_and_rotated(one)
    newer = one.make("new.backup")
    assert verify(newer, one.settings, server=server.url_of("postgres")).findings == []
    # As long as the old version of the root is there, the old backup opens: that is why it is destroyed.
    assert verify(sealed, one.settings, server=server.url_of("postgres")).findings == []
    one.world.spine.operate("keys destroy root 1", lambda tx: key_rotation.destroy_root(tx, 1))
    # 1. The sealed backup: refused, and nothing of it reaches a database.
    with pytest.raises(SealBroken, match="no version 1"):
        restore(sealed, one.settings.model_copy(update={"database_url": empty_database}))
    # 2. The raw dump with its own keys: the root opens none of them.
    load(empty_database, [raw])
    with pytest.raises(SealBroken):
        open_store(empty_database, one.settings, one.root)
    # 3. The raw dump with the live hub's keys and the live root: nothing of that age opens, erased or not.
    with_live_keys(one, empty_database)
    there, good = opening(empty_database, one)
    assert there > 8
    assert good == 0


def test_the_same_dump_opens_whole_before_the_keys_are_gone(one, empty_database):
    """What the test above would find if destroying did nothing."""
    load(empty_database, [raw_dump(one.world.url)])
    there, good = opening(empty_database, one)
    assert there == good > 8


def test_the_newer_backup_is_restored_and_the_erased_record_is_not_in_it(one, empty_database):
    erased_and_rotated(one)
    newer = one.make("new.backup")
    one.world.spine.operate("keys destroy root 1", lambda tx: key_rotation.destroy_root(tx, 1))
    restore(newer, one.settings.model_copy(update={"database_url": empty_database}))
    store = open_store(empty_database, one.settings, one.root)
    world = World(store, empty_database)
    assert world.post.get("Patient/posta-p1").status == 404
    assert world.post.get("Patient/posta-p2").status == 200
    assert world.post.put(patient_of(POST, 1)).status == 410
    store.close()


def test_erasures_wait_until_the_root_of_older_backups_is_gone(one):
    def waiting() -> int:
        with one.world.database_store.transaction() as transaction:
            return backups.waiting_erasures(transaction, one.root.versions()[0])

    assert waiting() == 0
    erased_and_rotated(one)
    assert waiting() == 1
    one.world.spine.operate("keys destroy root 1", lambda tx: key_rotation.destroy_root(tx, 1))
    assert waiting() == 0
    one.world.spine.operate("erase --order EXP-2", lambda tx: erase(tx, "posta-p2", linked=False))
    assert waiting() == 1


def test_a_backup_is_consistent_while_others_write(one, server):
    """What is being written is in it whole or not at all, and its log verifies; the hub seals on meanwhile."""
    import threading

    stopped, failures = threading.Event(), []

    def write(start: int) -> None:
        number = start
        while not stopped.is_set():
            number += 1
            said = one.world.post.put(patient_of(POST, number))
            if said.status not in (200, 201):
                failures.append(said.text)
            if number % 10 == 0:
                one.world.spine.seal_audit_log()

    threads = [threading.Thread(target=write, args=(start,)) for start in (1000, 5000)]
    for each in threads:
        each.start()
    try:
        paths = []
        for number in range(3):
            paths.append(one.folder / f"{number}.backup")
            make(one.hub, one.world.url, one.settings, paths[-1])
    finally:
        stopped.set()
        for each in threads:
            each.join()
    assert failures == []
    sizes = []
    for path in paths:
        found = verify(path, one.settings, server=server.url_of("postgres"))
        assert found.findings == []
        sizes.append(found.rows["public.resource"])
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_reading_a_snapshot_holds_no_sealing_up(one):
    parts = dump(one.world.url, _exported(one))
    next(parts)
    one.world.post.store(patient_of(POST, 8))
    one.world.settle()
    assert one.world.spine.seal_audit_log().placed > 0
    parts.close()


def _exported(one) -> str:
    connection = psycopg2.connect(libpq(one.world.url))
    one.kept = connection  # the snapshot lasts as long as its transaction
    cursor = connection.cursor()
    cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot()")
    return cursor.fetchone()[0]
