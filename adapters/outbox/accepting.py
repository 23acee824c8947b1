"""Takes what was read: durable in one commit, once, in its patient's order, with what it withdraws.

Spec:    docs/adapters.md, "Outbox" and "Withdrawal".
Leaves:  whether a record may leave to departure; sending to the outbox itself.
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
from adapters.outbox.withdrawal import is_item, is_withdrawn, pack, unpack, withdrawn
from adapters.source_record import Mapped, Outcome, Refused, SourceRecord
from adapters.source_record.bundle import encode, with_targets
from adapters.source_record.moment import is_older

_LAST_SEQUENCE: Final = 2**63 - 1


class Accepting(Erasing, Desk):
    """The outbox as seen by whoever reads a source."""

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
        if self._is_erased(outcome.record):
            return "erased"
        known, message_id = self._enter(outcome.record)
        if known:
            return known
        key_hash = self._key_of(outcome.record)
        self._supersede(key_hash)
        record = outcome.record
        if record.thing_key:  # what could not be read of it yet, so that nobody knew whose it is
            self._supersede(self._seals.hash("key", f"{record.system}|{record.thing_key}"))
        return self._insert(outcome, message_id, key_hash, self._group(record))

    def _enter(self, record: SourceRecord) -> tuple[str, str]:
        """Note in the ledger what is taken: why it is not, or nothing, and the name of its message."""
        key_hash = self._key_of(record)
        content_hash = self._seals.hash("content", record.content_hash)
        known = self._row(
            "SELECT content_hash, source_time, stated_at, revision FROM ledger WHERE key_hash = ?", key_hash
        )
        if known is not None and known[0] == content_hash:
            return "duplicate", ""
        if known is not None and is_older((record.stated_at, record.source_time), (known[2], known[1])):
            return "stale", ""
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
        return "", f"{message_id}-{revision}" if revision else message_id

    def _key_of(self, record: SourceRecord) -> str:
        return self._seals.hash("key", f"{record.system}|{record.natural_key}")

    def _take_free(self, mapped: Mapped, group: str) -> bool:
        """Queue what the adapter itself has to say of a patient: no queue holds it up."""
        known, message_id = self._enter(mapped.record)
        if not known:
            self._insert(mapped, message_id, self._key_of(mapped.record), group, is_free=True)
        return not known

    def _insert(
        self, outcome: Outcome, message_id: str, key_hash: str, group: str, *, is_free: bool = False
    ) -> str:
        record = outcome.record
        outcome = outcome if is_free else self._identified(outcome, group)
        refusal = outcome.refusal if isinstance(outcome, Refused) else None
        payload = self._payload(outcome, key_hash, group) if isinstance(outcome, Mapped) else None
        self._run(
            "INSERT INTO record (message_id, key_hash, group_hash, state, parks, reason_class, reason_code,"
            " received_at, states_all, is_free, detail, original, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            message_id,
            key_hash,
            group,
            "quarantined" if refusal else "parked" if self._is_parked(group) else "pending",
            int(bool(refusal and refusal.parks and record.patient_key)),
            refusal.reason_class if refusal else None,
            refusal.code if refusal else None,
            record.received_at,
            int(record.states_all),
            int(is_free),
            self._seal_detail(message_id, record, refusal),
            self._seals.seal(message_id, "original", record.original),
            self._seals.seal(message_id, "payload", payload) if payload is not None else None,
        )
        if isinstance(outcome, Mapped):
            self._count_unmapped(outcome.unmapped)
            self._note_close(key_hash, outcome.entries)
            self._keep_owner(record, group)
        if isinstance(outcome, Mapped) and not is_free:
            self._learn(outcome, group)
            if self._consent_mode != "all":
                self._restate(group)
        return "refused" if refusal else "new"

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
                for table in ("record", "known_by", "version", "thing", "notice"):
                    self._run(f"UPDATE {table} SET group_hash = ? WHERE group_hash = ?", group, old)  # noqa: S608
                self._join_names(old, group)
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
