"""The durable, sealed spool: what was accepted is on disk before anybody is told so, and leaves once.

Spec:    docs/adapters.md, "Outbox".
Leaves:  when to send, and what an answer of the hub means, to the sender.

The file holds keyed hashes and sealed bytes: without the key file beside it nothing in it can be read.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from adapters.outbox.desk import Desk
from adapters.outbox.erasing import Erasing
from adapters.outbox.sealing import OutboxFull
from adapters.outbox.spool import Waiting, WireEntry
from adapters.outbox.timeliness import Timeliness
from adapters.outbox.versions import Builds, Condition
from adapters.outbox.withdrawal import is_item, is_withdrawn, pack, unpack, withdrawn
from adapters.source_record import Mapped, Outcome, Refusal, Refused, SourceRecord
from adapters.source_record.bundle import encode, with_targets
from adapters.source_record.moment import is_older, now_instant

__all__ = ["Builds", "Condition", "Outbox", "Waiting", "WireEntry"]
_LAST_SEQUENCE: Final = 2**63 - 1


class Outbox(Erasing, Timeliness, Desk):
    """One SQLite file, one writer process, any number of threads of it."""

    # --- accepting -------------------------------------------------------------------------------

    def accept(self, outcomes: Iterable[Outcome], checkpoints: Mapping[str, str] | None = None) -> list[str]:
        """Make outcomes durable in one commit; each answers `new`, `duplicate`, `stale`, `refused` or `erased`.

        `checkpoints` say how far a source was read with them: both are there after a power cut, or neither.
        Raises: OutboxFull - nothing of it was taken; do not acknowledge.
        """
        if shutil.disk_usage(self._folder).free < self._min_free_bytes:
            raise OutboxFull
        with self._transaction():
            answers = [self._accept_one(outcome) for outcome in outcomes]
            for name, value in (checkpoints or {}).items():
                sealed = self._seals.seal(name, "checkpoint", value.encode())
                self._run("INSERT OR REPLACE INTO checkpoint VALUES (?, ?)", name, sealed)
            return answers

    def checkpoint(self, name: str) -> str | None:
        """How far a source was read."""
        with self._lock:
            row = self._row("SELECT value FROM checkpoint WHERE name = ?", name)
        return self._seals.open(name, "checkpoint", row[0]).decode() if row else None

    def owner(self, system: str, thing_key: str) -> str | None:
        """The key of the patient of whom a thing was last told."""
        name = self._seals.hash("thing", f"{system}|{thing_key}")
        with self._lock:
            row = self._row("SELECT owner FROM thing WHERE thing_hash = ?", name)
        return self._seals.open(name, "owner", row[0]).decode() if row else None

    def _keep_owner(self, record: SourceRecord, group: str) -> None:
        if record.thing_key:
            name = self._seals.hash("thing", f"{record.system}|{record.thing_key}")
            sealed = self._seals.seal(name, "owner", record.patient_key.encode())
            self._run("INSERT OR REPLACE INTO thing VALUES (?, ?, ?)", name, group, sealed)

    def _accept_one(self, outcome: Outcome) -> str:
        record = outcome.record
        if self._is_erased(record):
            return "erased"
        key_hash = self._seals.hash("key", f"{record.system}|{record.natural_key}")
        content_hash = self._seals.hash("content", record.content_hash)
        known = self._row(
            "SELECT content_hash, source_time, stated_at, revision FROM ledger WHERE key_hash = ?", key_hash
        )
        if known is not None and known[0] == content_hash:
            return "duplicate"
        if known is not None and is_older((record.stated_at, record.source_time), (known[2], known[1])):
            return "stale"
        revision = known[3] + 1 if known is not None else 0
        self._run(
            "INSERT INTO ledger (key_hash, content_hash, source_time, stated_at, revision)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (key_hash) DO UPDATE SET"
            " content_hash = excluded.content_hash, source_time = excluded.source_time,"
            " stated_at = excluded.stated_at, revision = excluded.revision",
            key_hash,
            content_hash,
            record.source_time,
            record.stated_at,
            revision,
        )
        message_id = record.message_id(self.id_key)
        if revision:
            message_id = f"{message_id}-{revision}"
        self._supersede(key_hash)
        if record.thing_key:  # what could not be read of it yet, so that nobody knew whose it is
            self._supersede(self._seals.hash("key", f"{record.system}|{record.thing_key}"))
        group = self._group(record)
        self._insert(outcome, message_id, key_hash, group)
        return "refused" if isinstance(outcome, Refused) else "new"

    def _insert(self, outcome: Outcome, message_id: str, key_hash: str, group: str) -> None:
        record = outcome.record
        refusal = outcome.refusal if isinstance(outcome, Refused) else None
        payload = self._payload(outcome, key_hash, group) if isinstance(outcome, Mapped) else None
        state = "quarantined" if refusal else ("parked" if self._is_parked(group) else "pending")
        self._run(
            "INSERT INTO record (message_id, key_hash, group_hash, state, parks, reason_class, reason_code,"
            " received_at, states_all, detail, original, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            message_id,
            key_hash,
            group,
            state,
            int(bool(refusal and refusal.parks and record.patient_key)),
            refusal.reason_class if refusal else None,
            refusal.code if refusal else None,
            record.received_at,
            int(record.states_all),
            self._seal_detail(message_id, record, refusal),
            self._seals.seal(message_id, "original", record.original),
            self._seals.seal(message_id, "payload", payload) if payload is not None else None,
        )
        if isinstance(outcome, Mapped):
            self._count_unmapped(outcome.unmapped)
            self._note_close(key_hash, outcome.entries)
            self._keep_owner(record, group)

    def _payload(self, mapped: Mapped, key_hash: str, group: str, before: int | None = None) -> bytes:
        """The entries that travel, withdrawals among them.

        What must not replace a richer version, or repeat a fact, is left out where another record told it.
        """
        kept: list[WireEntry] = []
        left_out: set[str] = set()
        gone = self._no_longer_said(mapped, key_hash, before)
        if mapped.record.states_all:
            self._run("DELETE FROM known_by WHERE key_hash = ? AND key_hash != ''", key_hash)
        for entry in mapped.entries:
            url = f"{entry.resource['resourceType']}/{entry.resource['id']}"
            resource_hash = self._seals.hash("resource", entry.known_as or url)
            if entry.only_if_absent and self._row(
                "SELECT 1 FROM known_by WHERE resource_hash = ?", resource_hash
            ):
                left_out.add(url)
                continue
            told_by = key_hash if entry.known_as else ""
            self._run("INSERT OR IGNORE INTO known_by VALUES (?, ?, ?)", resource_hash, told_by, group)
            kept.append(WireEntry(url, msgspec.Raw(encode(with_targets(entry.resource, left_out, gone)))))
        kept.extend(WireEntry(url, msgspec.Raw(withdrawn(raw))) for url, raw in gone.items())
        return msgspec.json.encode(kept)

    # --- withdrawing -----------------------------------------------------------------------------

    def _no_longer_said(self, mapped: Mapped, key_hash: str, before: int | None) -> dict[str, bytes]:
        """The items that stand on the hub for this record, or soon will, and that it no longer has.

        1. What was applied.
        2. What earlier versions that still wait to be applied will add or withdraw.
        3. Without what this version has, even where it leaves it out because it is known.
        """
        if not mapped.record.states_all:
            return {}
        # 1.
        standing = self._told(key_hash)
        # 2.
        rows = self._rows(
            # The sign keeps SQLite from walking all records by sequence.
            "SELECT message_id, payload FROM record WHERE key_hash = ? AND state IN ('pending', 'parked')"
            " AND +sequence < ? ORDER BY +sequence",
            key_hash,
            _LAST_SEQUENCE if before is None else before,
        )
        for message_id, payload in rows:
            _apply(standing, self._open_payload(message_id, payload))
        # 3.
        for entry in mapped.entries:
            standing.pop(f"{entry.resource['resourceType']}/{entry.resource['id']}", None)
        return standing

    def _told(self, key_hash: str) -> dict[str, bytes]:
        row = self._row("SELECT items FROM told WHERE key_hash = ?", key_hash)
        return unpack(self._seals.open(key_hash, "told", row[0])) if row else {}

    def _remember_told(self, waiting: Waiting) -> None:
        """Keep what a record's items are now that the hub has applied it."""
        row = self._row("SELECT key_hash, states_all FROM record WHERE sequence = ?", waiting.sequence)
        if row is None or not row[1]:
            return
        items = self._told(row[0])
        _apply(items, waiting.entries)
        if items:
            sealed = self._seals.seal(row[0], "told", pack(items))
            self._run("INSERT OR REPLACE INTO told VALUES (?, ?)", row[0], sealed)
        else:
            self._run("DELETE FROM told WHERE key_hash = ?", row[0])

    def _group(self, record: SourceRecord) -> str:
        """The queue of this record: its patient's, or its own where no patient is known."""
        name = record.patient_key or f"alone|{record.natural_key}"
        group = self._leader(self._seals.hash("patient", f"{record.system}|{name}"))
        if record.merged_patient_key:
            old = self._leader(self._seals.hash("patient", f"{record.system}|{record.merged_patient_key}"))
            if old != group:
                self._run("INSERT OR REPLACE INTO merged VALUES (?, ?)", old, group)
                self._run("UPDATE merged SET into_hash = ? WHERE into_hash = ?", group, old)
                for table in ("record", "known_by", "version", "thing"):
                    self._run(f"UPDATE {table} SET group_hash = ? WHERE group_hash = ?", group, old)  # noqa: S608
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

    def mark_applied(self, sent: Sequence[Waiting], etags: Mapping[str, str]) -> None:
        """Keep the receipt: the hub applied these; what was needed only to send them is dropped."""
        with self._transaction():
            for waiting in sent:
                self._remember_told(waiting)
                self._count_sent(waiting.sequence)
                self._remember_versions(waiting, etags)
                self._run(
                    "UPDATE record SET state = 'applied', applied_at = ?, hub_version = ?, payload = NULL,"
                    " reason_class = NULL, reason_code = NULL WHERE sequence = ?",
                    now_instant(),
                    etags.get(waiting.entries[0].url, "") if waiting.entries else "",
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

    def requeue(self, sequence: int, outcome: Outcome) -> bool:
        """Put a quarantined record back with what mapping it again gave; True where it waits to be sent."""
        with self._transaction():
            row = self._row(
                "SELECT message_id, key_hash, group_hash FROM record WHERE sequence = ?", sequence
            )
            if row is None:
                return False
            message_id, key_hash, group = row
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
                "UPDATE record SET state = 'pending', parks = 0, group_hash = ?, states_all = ?, payload = ?,"
                " detail = ? WHERE sequence = ?",
                new_group,
                int(outcome.record.states_all),
                self._seals.seal(
                    message_id, "payload", self._payload(outcome, key_hash, new_group, sequence)
                ),
                detail,
                sequence,
            )
            self._count_unmapped(outcome.unmapped)
            self._note_close(key_hash, outcome.entries)
            self._keep_owner(outcome.record, new_group)
            self._release(group)
            return True

    def _count_unmapped(self, pairs: Sequence[tuple[str, str]]) -> None:
        for table, code in pairs:
            self._run(
                "INSERT INTO unmapped VALUES (?, ?, 1)"
                " ON CONFLICT (code_table, code) DO UPDATE SET times = times + 1",
                table,
                code[:64],
            )


def _apply(items: dict[str, bytes], entries: Sequence[WireEntry]) -> None:
    """What a record's items are after these entries."""
    for entry in entries:
        raw = bytes(entry.resource)
        if is_item(entry.url):
            if is_withdrawn(raw):
                items.pop(entry.url, None)
            else:
                items[entry.url] = raw
