"""Making a backup: one snapshot of the database, dumped, sealed, and under its name only when it is whole.

Spec:    docs/backup.md; https://www.postgresql.org/docs/18/functions-admin.html (snapshot synchronization).
Leaves:  whether it opens again to checking; when it is made to the operator's timer.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from exchange.backup.new_file import new_file
from exchange.backup.programs import connect, dump
from exchange.backup.sealed_file import KEY_BYTES, LENGTH_BYTES, Header, SealingStream, key_bound
from exchange.crypto.hub_crypto import sealed_version
from exchange.crypto.hub_key import HubKey
from exchange.hub import Hub
from exchange.problems import Unavailable
from exchange.settings import Settings
from exchange.store import backups
from exchange.store.hub_keys import READ, hub_key_of

BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
STATE: Final = """
SELECT pg_export_snapshot(), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
  (SELECT version_num FROM alembic_version), current_setting('server_version'), pg_database_size(current_database())"""
HEAD: Final = "SELECT size, note FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
TABLES: Final = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1"""


class Contents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands sealed before the dump: how many rows each table has in its snapshot."""

    rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The database as one transaction sees it, and as pg_dump will."""

    name: str
    header: Header
    key: bytes
    record_version: int
    contents: Contents


def make(hub: Hub, url: str, settings: Settings, to: Path) -> backups.Finished:
    """Make a backup into a new file.

    1. The log says so before the first byte is written.
    2. One snapshot is read and dumped, and sealed as it comes.
    3. The file has its name when it is whole and durable; then the hub notes it.

    Raises: Conflict - the file is there; Unavailable - database, root or disk does not do its part.
    """
    number = secrets.token_hex(16)
    with new_file(to) as file:
        # 1.
        hub.spine.operate(f"backup {number}", lambda tx: backups.begin(tx, number))
        hub.spine.seal_audit_log()  # the head in the header covers what is in the snapshot
        # 2.
        with _snapshot(hub, url, settings, number) as seen:
            stream = SealingStream(file, seen.key, seen.header)
            contents = msgspec.json.encode(seen.contents)
            stream.write(len(contents).to_bytes(LENGTH_BYTES, "big") + contents)
            for part in dump(url, seen.name):
                stream.write(part)
            stream.finish()
    # 3.
    header = seen.header
    made = backups.Finished(
        number, header.root_version, header.key_version, seen.record_version, header.log_size, file.size, file.digest
    )  # fmt: skip
    hub.spine.operate(f"backup {number} made", lambda tx: backups.finish(tx, made))
    return made


@contextmanager
def _snapshot(hub: Hub, url: str, settings: Settings, number: str) -> Iterator[Snapshot]:
    """Hold one snapshot while it is dumped. It has no number of its own: nothing waits for it."""
    connection = connect(url, options="-c statement_timeout=0 -c idle_in_transaction_session_timeout=0")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(BEGIN)
            yield _seen(cursor, hub, settings, number)
    finally:
        connection.close()


def _seen(cursor: Any, hub: Hub, settings: Settings, number: str) -> Snapshot:
    cursor.execute(STATE)
    name, made_at, revision, server, size = cursor.fetchone()
    cursor.execute(HEAD)
    log_size, note = cursor.fetchone() or (0, "")
    cursor.execute(READ)
    keys = [hub_key_of(row) for row in cursor.fetchall()]
    file_key = secrets.token_bytes(KEY_BYTES)
    hub.store.crypto.look()
    wrapped = hub.store.crypto.wrap_backup_key(file_key, key_bound(number))
    under = _version(keys, "backup", sealed_version(wrapped))
    header = Header(
        hub=settings.audit_origin, number=number, made_at=made_at, revision=revision, server=server, database_bytes=size,
        log_size=log_size, log_head=note, root_version=under.root_version, key_version=under.version,
        wrapped_backup_key=under.wrapped, fingerprint=under.fingerprint, wrapped_file_key=wrapped,
    )  # fmt: skip
    record_version = max(key.version for key in keys if key.purpose == "record")
    return Snapshot(name, header, file_key, record_version, Contents(counted(cursor)))


def _version(keys: list[HubKey], purpose: str, version: int) -> HubKey:
    for key in keys:
        if (key.purpose, key.version) == (purpose, version) and key.wrapped:
            return key
    raise Unavailable("a key of backups was rotated just now: try again")


def counted(cursor: Any) -> dict[str, int]:
    """How many rows each table has."""
    cursor.execute(TABLES)
    tables = [row[0] for row in cursor.fetchall()]
    found = {}
    for table in tables:
        cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - quoted by the server
        found[table] = cursor.fetchone()[0]
    return found
