"""The file of the outbox: one connection, one lock, one transaction at a time, and what is sealed in it.

Spec:    SQLite WAL, https://www.sqlite.org/wal.html; docs/adapters.md, "Outbox".
Leaves:  keys to `sealing`, tables to `schema`; what the rows mean to `desk` and to the outbox itself.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.outbox.schema import SCHEMA
from adapters.outbox.sealing import (
    ID_KEY_FILE,
    IdKeyLost,
    OutboxDamaged,
    OutboxFull,
    Seals,
    make_data_folder,
    make_key,
    make_private,
    read_key,
    read_or_make_outbox_key,
)
from adapters.source_record import Refusal, SourceRecord

_MEGABYTE: Final = 1_000_000


class WireEntry(msgspec.Struct, frozen=True):
    """A resource ready to travel, its JSON untouched."""

    url: str
    resource: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record that waits to be sent."""

    sequence: int
    message_id: str
    group: str
    entries: tuple[WireEntry, ...]


class Detail(msgspec.Struct, frozen=True):
    """What is needed to map a record again or to show it; always sealed."""

    facility: str
    system: str
    natural_key: str
    patient_key: str
    location: str
    source_time: str | None
    merged_patient_key: str | None
    context: str
    text: str = ""
    thing_key: str = ""


class Spool:
    """The open file."""

    def __init__(self, folder: Path, *, min_free_megabytes: int = 0) -> None:
        make_data_folder(folder)
        self._folder = folder
        self._min_free_bytes = min_free_megabytes * _MEGABYTE
        self._lock = threading.RLock()
        path = folder / "outbox.sqlite"
        self._seals = Seals(read_or_make_outbox_key(folder, path))
        if not path.exists():
            make_private(path, b"")
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute("PRAGMA secure_delete=ON")
            self._database.executescript(SCHEMA)
            self.id_key = self._read_or_make_id_key(folder / ID_KEY_FILE)
        except sqlite3.DatabaseError as error:
            raise _as_problem(error) from error
        except (IdKeyLost, OutboxDamaged):
            self._database.close()
            raise

    def _read_or_make_id_key(self, path: Path) -> bytes:
        """The key under which this site names everything.

        1. Where nothing was ever taken, it may be made, or be another one.
        2. Where something was, it must be the one with which that was named: the same patient under a
           second id would be a second patient.
        """
        with self._transaction():
            key = read_key(path)
            # 1.
            if self._row("SELECT 1 FROM ledger LIMIT 1") is None:
                key = key or make_key(path)
                self._run("INSERT OR REPLACE INTO site VALUES ('id_key', ?)", self._mark_of(key))
                return key
            # 2.
            known = self._row("SELECT value FROM site WHERE name = 'id_key'")
            if key is None or known is None or known[0] != self._mark_of(key):
                raise IdKeyLost
            return key

    def _mark_of(self, key: bytes) -> str:
        return self._seals.hash("id key", key.hex())

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _seal_detail(self, message_id: str, record: SourceRecord, refusal: Refusal | None) -> bytes:
        location = refusal.location if refusal and refusal.location else record.location
        detail = Detail(
            record.facility,
            record.system,
            record.natural_key,
            record.patient_key,
            location,
            record.source_time,
            record.merged_patient_key,
            record.context,
            refusal.text if refusal else "",
            record.thing_key,
        )
        return self._seals.seal(message_id, "detail", msgspec.json.encode(detail))

    def _detail(self, message_id: str, sequence: int) -> Detail:
        row = self._row("SELECT detail FROM record WHERE sequence = ?", sequence)
        if row is None:
            raise OutboxDamaged
        return self._open_detail(message_id, row[0])

    def _open_detail(self, message_id: str, sealed: bytes) -> Detail:
        return msgspec.json.decode(self._seals.open(message_id, "detail", sealed), type=Detail)

    def _open_payload(self, message_id: str, sealed: bytes) -> list[WireEntry]:
        return msgspec.json.decode(self._seals.open(message_id, "payload", sealed), type=list[WireEntry])

    def _run(self, sql: str, *values: Any) -> None:
        self._database.execute(sql, values)

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        return self._database.execute(sql, values).fetchall()

    def _row(self, sql: str, *values: Any) -> Any:
        return self._database.execute(sql, values).fetchone()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield
                self._database.execute("COMMIT")
            except BaseException as error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                if isinstance(error, sqlite3.DatabaseError):
                    raise _as_problem(error) from error
                raise


def _as_problem(error: sqlite3.DatabaseError) -> Exception:
    """Whether SQLite's complaint means a full disk or a damaged file."""
    text = str(error)
    if "full" in text or "disk I/O" in text:
        return OutboxFull(text)
    if isinstance(error, sqlite3.OperationalError):
        return error
    return OutboxDamaged(text)
