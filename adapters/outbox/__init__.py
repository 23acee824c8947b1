"""The durable, sealed spool: what was accepted is on disk before anybody is told so, and leaves once.

Spec:    docs/adapters.md, "Outbox"; SQLite WAL, https://www.sqlite.org/wal.html; NIST SP 800-38D, 8.2.
Leaves:  when to send, and what an answer of the hub means, to the sender.

The file holds keyed hashes and sealed bytes: without the key file beside it nothing in it can be read.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.outbox.schema import SCHEMA
from adapters.outbox.sealing import (
    OutboxDamaged,
    OutboxFull,
    Seals,
    make_data_folder,
    make_private,
    read_or_make_key,
)
from adapters.source_record import Mapped, Outcome, Refusal, Refused, SourceRecord
from adapters.source_record.bundle import encode, without_targets
from adapters.source_record.moment import now_instant

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


class _Detail(msgspec.Struct, frozen=True):
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


class Outbox:
    """One SQLite file, one writer process, any number of threads of it."""

    def __init__(self, folder: Path, *, min_free_megabytes: int = 0) -> None:
        make_data_folder(folder)
        self._folder = folder
        self._min_free_bytes = min_free_megabytes * _MEGABYTE
        self._lock = threading.RLock()
        self._seals = Seals(read_or_make_key(folder / "outbox.key", folder / "outbox.sqlite"))
        path = folder / "outbox.sqlite"
        if not path.exists():
            make_private(path, b"")
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            raise _as_problem(error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    # --- accepting -------------------------------------------------------------------------------

    def accept(self, outcomes: Iterable[Outcome]) -> list[str]:
        """Make outcomes durable in one commit; each answers `new`, `duplicate`, `stale` or `refused`.

        Raises: OutboxFull - nothing of it was taken; do not acknowledge.
        """
        if shutil.disk_usage(self._folder).free < self._min_free_bytes:
            raise OutboxFull
        with self._transaction():
            return [self._accept_one(outcome) for outcome in outcomes]

    def _accept_one(self, outcome: Outcome) -> str:
        record = outcome.record
        key_hash = self._seals.hash("key", f"{record.system}|{record.natural_key}")
        content_hash = self._seals.hash("content", record.content_hash)
        known = self._row(
            "SELECT content_hash, source_time, revision FROM ledger WHERE key_hash = ?", key_hash
        )
        if known is not None and known[0] == content_hash:
            return "duplicate"
        if known is not None and record.source_time and known[1] and record.source_time < known[1]:
            return "stale"
        revision = known[2] + 1 if known is not None else 0
        self._run(
            "INSERT INTO ledger VALUES (?, ?, ?, ?) ON CONFLICT (key_hash) DO UPDATE SET"
            " content_hash = excluded.content_hash, source_time = excluded.source_time,"
            " revision = excluded.revision",
            key_hash,
            content_hash,
            record.source_time,
            revision,
        )
        message_id = record.message_id if revision == 0 else f"{record.message_id}-{revision}"
        self._supersede(key_hash)
        group = self._group(record)
        self._insert(outcome, message_id, key_hash, group)
        return "refused" if isinstance(outcome, Refused) else "new"

    def _insert(self, outcome: Outcome, message_id: str, key_hash: str, group: str) -> None:
        record = outcome.record
        refusal = outcome.refusal if isinstance(outcome, Refused) else None
        payload = self._payload(outcome) if isinstance(outcome, Mapped) else None
        state = "quarantined" if refusal else ("parked" if self._is_parked(group) else "pending")
        self._run(
            "INSERT INTO record (message_id, key_hash, group_hash, state, parks, reason_class, reason_code,"
            " received_at, detail, original, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            message_id,
            key_hash,
            group,
            state,
            int(bool(refusal and refusal.parks and record.patient_key)),
            refusal.reason_class if refusal else None,
            refusal.code if refusal else None,
            record.received_at,
            self._seal_detail(message_id, record, refusal),
            self._seals.seal(message_id, "original", record.original),
            self._seals.seal(message_id, "payload", payload) if payload is not None else None,
        )
        if isinstance(outcome, Mapped):
            self._count_unmapped(outcome.unmapped)

    def _payload(self, mapped: Mapped) -> bytes:
        """The entries that travel: those that must not replace a richer version only the first time."""
        kept: list[WireEntry] = []
        left_out: set[str] = set()
        for entry in mapped.entries:
            url = f"{entry.resource['resourceType']}/{entry.resource['id']}"
            resource_hash = self._seals.hash("resource", entry.known_as or url)
            if entry.only_if_absent and self._row(
                "SELECT 1 FROM known WHERE resource_hash = ?", resource_hash
            ):
                left_out.add(url)
                continue
            self._run("INSERT OR IGNORE INTO known VALUES (?)", resource_hash)
            kept.append(WireEntry(url, msgspec.Raw(encode(without_targets(entry.resource, left_out)))))
        return msgspec.json.encode(kept)

    def _group(self, record: SourceRecord) -> str:
        """The queue of this record: its patient's, or its own where no patient is known."""
        name = record.patient_key or f"alone|{record.natural_key}"
        group = self._leader(self._seals.hash("patient", f"{record.system}|{name}"))
        if record.merged_patient_key:
            old = self._leader(self._seals.hash("patient", f"{record.system}|{record.merged_patient_key}"))
            if old != group:
                self._run("INSERT OR REPLACE INTO merged VALUES (?, ?)", old, group)
                self._run("UPDATE merged SET into_hash = ? WHERE into_hash = ?", group, old)
                self._run("UPDATE record SET group_hash = ? WHERE group_hash = ?", group, old)
        return group

    def _leader(self, group: str) -> str:
        found = self._row("SELECT into_hash FROM merged WHERE group_hash = ?", group)
        return str(found[0]) if found else group

    def _supersede(self, key_hash: str) -> None:
        """A corrected record replaces its quarantined older self."""
        for (sequence,) in self._rows(
            "SELECT sequence FROM record WHERE key_hash = ? AND state = 'quarantined'", key_hash
        ):
            self._discard(sequence, "A-401")

    # --- sending ---------------------------------------------------------------------------------

    def waiting_groups(self, limit: int, *, busy: Iterable[str] = ()) -> list[str]:
        """The patients whose oldest waiting records come first, without those in `busy`."""
        excluded = set(busy)
        with self._lock:
            rows = self._rows(
                "SELECT group_hash FROM record WHERE state = 'pending' GROUP BY group_hash"
                " ORDER BY MIN(sequence) LIMIT ?",
                limit + len(excluded),
            )
        return [group for (group,) in rows if group not in excluded][:limit]

    def batch(self, group: str, limit: int) -> list[Waiting]:
        """A patient's next records, in the order in which they came."""
        with self._lock:
            rows = self._rows(
                "SELECT sequence, message_id, payload FROM record WHERE group_hash = ? AND state = 'pending'"
                " ORDER BY sequence LIMIT ?",
                group,
                limit,
            )
        return [
            Waiting(sequence, message_id, group, tuple(self._open_payload(message_id, payload)))
            for sequence, message_id, payload in rows
        ]

    def mark_applied(self, sent: Sequence[Waiting], versions: Sequence[str]) -> None:
        """Keep the receipt: the hub applied these; what was needed only to send them is dropped."""
        with self._transaction():
            for waiting, version in zip(sent, versions, strict=True):
                self._run(
                    "UPDATE record SET state = 'applied', applied_at = ?, hub_version = ?, payload = NULL,"
                    " reason_class = NULL, reason_code = NULL WHERE sequence = ?",
                    now_instant(),
                    version,
                    waiting.sequence,
                )

    def quarantine(self, waiting: Waiting, refusal: Refusal) -> None:
        """The hub refused this record: set it aside, and let the patient's later ones wait for it."""
        with self._transaction():
            detail = self._detail(waiting.message_id, waiting.sequence)
            text = f"{refusal.text} {refusal.location}".strip()
            sealed = self._seals.seal(
                waiting.message_id, "detail", msgspec.json.encode(msgspec.structs.replace(detail, text=text))
            )
            self._run(
                "UPDATE record SET state = 'quarantined', parks = ?, reason_class = ?, reason_code = ?,"
                " detail = ?"
                " WHERE sequence = ?",
                int(refusal.parks),
                refusal.reason_class,
                refusal.code,
                sealed,
                waiting.sequence,
            )
            if refusal.parks:
                self._run(
                    "UPDATE record SET state = 'parked'"
                    " WHERE group_hash = ? AND state = 'pending' AND sequence > ?",
                    waiting.group,
                    waiting.sequence,
                )

    # --- quarantine ------------------------------------------------------------------------------

    def quarantined(self) -> list[dict[str, Any]]:
        """What waits for a person, oldest first, without anything of its content."""
        with self._lock:
            rows = self._rows(
                "SELECT sequence, message_id, reason_class, reason_code, received_at, detail, parks"
                " FROM record"
                " WHERE state = 'quarantined' ORDER BY sequence"
            )
            return [
                {
                    "number": sequence,
                    "message_id": message_id,
                    "reason_class": reason_class,
                    "code": code,
                    "text": detail.text,
                    "location": detail.location,
                    "received_at": received_at,
                    "parks": bool(parks),
                }
                for sequence, message_id, reason_class, code, received_at, sealed, parks in rows
                for detail in [self._open_detail(message_id, sealed)]
            ]

    def original(self, sequence: int) -> bytes | None:
        """The bytes that the source wrote, opened for the person who repairs them."""
        with self._lock:
            row = self._row("SELECT message_id, original FROM record WHERE sequence = ?", sequence)
        if row is None or row[1] is None:
            return None
        return self._seals.open(row[0], "original", row[1])

    def source_record(self, sequence: int) -> SourceRecord | None:
        """A quarantined record as it came, to be mapped again."""
        with self._lock:
            row = self._row(
                "SELECT message_id, received_at, detail, original FROM record"
                " WHERE sequence = ? AND state = 'quarantined'",
                sequence,
            )
        if row is None or row[3] is None:
            return None
        detail = self._open_detail(row[0], row[2])
        return SourceRecord(
            facility=detail.facility,
            system=detail.system,
            natural_key=detail.natural_key,
            patient_key=detail.patient_key,
            original=self._seals.open(row[0], "original", row[3]),
            received_at=row[1],
            location=detail.location,
            source_time=detail.source_time,
            merged_patient_key=detail.merged_patient_key,
            context=detail.context,
        )

    def requeue(self, sequence: int, outcome: Outcome) -> bool:
        """Put a quarantined record back with what mapping it again gave; True where it waits to be sent."""
        with self._transaction():
            row = self._row(
                "SELECT message_id, key_hash, group_hash FROM record WHERE sequence = ?", sequence
            )
            if row is None:
                return False
            message_id, _, group = row
            refusal = outcome.refusal if isinstance(outcome, Refused) else None
            detail = self._seal_detail(message_id, outcome.record, refusal)
            if refusal is not None or not isinstance(outcome, Mapped):
                self._run(
                    "UPDATE record SET reason_class = ?, reason_code = ?, detail = ? WHERE sequence = ?",
                    refusal and refusal.reason_class,
                    refusal and refusal.code,
                    detail,
                    sequence,
                )
                return False
            new_group = self._group(outcome.record)
            self._run(
                "UPDATE record SET state = 'pending', parks = 0, group_hash = ?, payload = ?, detail = ?"
                " WHERE sequence = ?",
                new_group,
                self._seals.seal(message_id, "payload", self._payload(outcome)),
                detail,
                sequence,
            )
            self._count_unmapped(outcome.unmapped)
            self._release(group)
            return True

    def discard(self, sequence: int) -> bool:
        """Give a quarantined record up: its bytes are destroyed, the fact stays."""
        with self._transaction():
            row = self._row("SELECT 1 FROM record WHERE sequence = ? AND state = 'quarantined'", sequence)
            if row is None:
                return False
            self._discard(sequence, "A-402")
            return True

    def _discard(self, sequence: int, code: str) -> None:
        row = self._row("SELECT group_hash FROM record WHERE sequence = ?", sequence)
        self._run(
            "UPDATE record SET state = 'discarded', parks = 0, reason_code = ?, original = NULL,"
            " payload = NULL"
            " WHERE sequence = ?",
            code,
            sequence,
        )
        if row:
            self._release(str(row[0]))

    def _is_parked(self, group: str) -> bool:
        row = self._row(
            "SELECT 1 FROM record WHERE group_hash = ? AND state = 'quarantined' AND parks LIMIT 1", group
        )
        return row is not None

    def _release(self, group: str) -> None:
        if not self._is_parked(group):
            self._run("UPDATE record SET state = 'pending' WHERE group_hash = ? AND state = 'parked'", group)

    # --- files -----------------------------------------------------------------------------------

    def file_state(self, path: str) -> tuple[str, str] | None:
        """The stamp and content hash with which a file was last taken whole."""
        with self._lock:
            row = self._row(
                "SELECT stamp, content_hash FROM file WHERE path_hash = ?", self._seals.hash("path", path)
            )
        return (str(row[0]), str(row[1])) if row else None

    def file_taken(self, path: str, stamp: str, content_hash: str) -> None:
        """Remember that every record of a file is in the outbox."""
        with self._transaction():
            self._run(
                "INSERT OR REPLACE INTO file VALUES (?, ?, ?)",
                self._seals.hash("path", path),
                stamp,
                content_hash,
            )

    def forget_files(self) -> None:
        """Let every file be read again: the ledger still knows what in them was taken."""
        with self._transaction():
            self._run("DELETE FROM file")

    def content_mark(self, content: bytes) -> str:
        """A keyed hash of a file's content."""
        return self._seals.hash("file", hashlib.sha256(content).hexdigest())

    # --- status ----------------------------------------------------------------------------------

    def tally(self, name: str, times: int = 1) -> None:
        """Count something that was skipped on purpose."""
        if times:
            with self._transaction():
                self._run(
                    "INSERT INTO tally VALUES (?, ?)"
                    " ON CONFLICT (name) DO UPDATE SET times = times + excluded.times",
                    name,
                    times,
                )

    def pending(self) -> int:
        """How many records wait to be sent."""
        with self._lock:
            row = self._row("SELECT COUNT(*) FROM record WHERE state = 'pending'")
        return int(row[0]) if row else 0

    def status(self) -> dict[str, Any]:
        """Depth, age and counts: everything that the IT desk asks first."""
        with self._lock:
            states = dict(self._rows("SELECT state, COUNT(*) FROM record GROUP BY state"))
            oldest = self._row("SELECT MIN(received_at) FROM record WHERE state IN ('pending', 'parked')")
            latest = self._row("SELECT MAX(received_at), MAX(applied_at) FROM record")
            reasons = self._rows(
                "SELECT reason_class, reason_code, COUNT(*) FROM record"
                " WHERE state = 'quarantined' GROUP BY 1, 2 ORDER BY 3 DESC"
            )
            unmapped = self._rows(
                "SELECT code_table, code, times FROM unmapped ORDER BY times DESC, code LIMIT 50"
            )
            skipped = dict(self._rows("SELECT name, times FROM tally"))
        usage = shutil.disk_usage(self._folder)
        return {
            "pending": states.get("pending", 0),
            "applied": states.get("applied", 0),
            "quarantined": states.get("quarantined", 0),
            "parked": states.get("parked", 0),
            "discarded": states.get("discarded", 0),
            "oldest": oldest[0] if oldest else None,
            "last_received_at": latest[0] if latest else None,
            "last_applied_at": latest[1] if latest else None,
            "quarantine_reasons": [{"reason_class": a, "code": b, "times": c} for a, b, c in reasons],
            "unmapped_codes": [{"table": a, "code": b, "times": c} for a, b, c in unmapped],
            "skipped": skipped,
            "disk_used_percent": round(100 * usage.used / usage.total),
        }

    # --- ground ----------------------------------------------------------------------------------

    def _count_unmapped(self, pairs: Sequence[tuple[str, str]]) -> None:
        for table, code in pairs:
            self._run(
                "INSERT INTO unmapped VALUES (?, ?, 1)"
                " ON CONFLICT (code_table, code) DO UPDATE SET times = times + 1",
                table,
                code[:64],
            )

    def _seal_detail(self, message_id: str, record: SourceRecord, refusal: Refusal | None) -> bytes:
        location = refusal.location if refusal and refusal.location else record.location
        detail = _Detail(
            record.facility,
            record.system,
            record.natural_key,
            record.patient_key,
            location,
            record.source_time,
            record.merged_patient_key,
            record.context,
            refusal.text if refusal else "",
        )
        return self._seals.seal(message_id, "detail", msgspec.json.encode(detail))

    def _detail(self, message_id: str, sequence: int) -> _Detail:
        row = self._row("SELECT detail FROM record WHERE sequence = ?", sequence)
        if row is None:
            raise OutboxDamaged
        return self._open_detail(message_id, row[0])

    def _open_detail(self, message_id: str, sealed: bytes) -> _Detail:
        return msgspec.json.decode(self._seals.open(message_id, "detail", sealed), type=_Detail)

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
