"""The bytes that the source wrote, kept sealed for a time after they were applied, and what mapping them again makes.

Spec:    docs/adapters.md, "Originals".
Leaves:  mapping to the source; sending to the sender.

Each resource is told again by the record that told it last, and only where it would now be told otherwise: a replay never
lets an older message overwrite a newer one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from adapters.outbox.accepting import Accepting
from adapters.outbox.spool import WireEntry
from adapters.outbox.withdrawal import withdrawn
from adapters.source_record import Mapped
from adapters.source_record.bundle import encode, with_targets

_PIECE: Final = 1000


class Originals(Accepting):
    """The outbox as seen by the one who looks back."""

    def drop_originals(self, days: int, *, is_short: bool = False) -> int:
        """Destroy the originals of what was applied so many days ago; where room is short, the oldest whatever their age.

        Returns how many went: at most some hundred in one go.
        """
        before = datetime.now(UTC) - timedelta(days=0 if is_short else days)
        with self._transaction():
            rows = self._rows(
                "SELECT sequence FROM record WHERE state = 'applied' AND original IS NOT NULL AND applied_at < ?"
                " ORDER BY applied_at LIMIT ?",
                before.isoformat(timespec="seconds").replace("+00:00", "Z"),
                _PIECE,
            )
            for (sequence,) in rows:
                self._run("UPDATE record SET original = NULL, corrected = NULL WHERE sequence = ?", sequence)
        return len(rows)

    def kept_between(self, since: datetime, until: datetime) -> list[int]:
        """The numbers of applied records of a time whose bytes are still here, in their order, newest versions only."""
        with self._lock:
            rows = self._rows(
                "SELECT sequence, received_at FROM record r WHERE state = 'applied' AND original IS NOT NULL"
                " AND is_free = 0 AND NOT EXISTS (SELECT 1 FROM record n WHERE n.key_hash = r.key_hash"
                " AND n.sequence > r.sequence AND n.state != 'discarded') ORDER BY sequence"
            )
        return [sequence for sequence, at in rows if since <= datetime.fromisoformat(at) < until]

    def retell(self, sequence: int, mapped: Mapped, *, is_trial: bool = False) -> bool:
        """Queue what an applied record would now tell otherwise; whether there is anything.

        1. What another record told last is left to that one.
        2. What it would tell as it did is left as it is.
        3. What it would not tell any more is withdrawn, where the record is all that its source says.
        4. It keeps its place in its patient's order.
        """
        with self._transaction():
            row = self._row(
                "SELECT message_id, key_hash, group_hash FROM record WHERE sequence = ? AND state = 'applied'",
                sequence,
            )
            if row is None:
                return False
            message_id, key_hash, group = row
            changed: list[WireEntry] = []
            left_out: set[str] = set()
            for entry in mapped.entries:
                url = f"{entry.resource['resourceType']}/{entry.resource['id']}"
                if url.startswith("Provenance/"):
                    continue
                wire = WireEntry(url, msgspec.Raw(encode(entry.resource)))
                # 1. and 2.
                if self._is_told(wire, sequence, known_as=entry.known_as if entry.only_if_absent else None):
                    left_out.add(url)
                else:
                    changed.append(wire)
            # 3.
            gone = self._no_longer_said(mapped, key_hash, sequence)
            if not (changed or gone) or is_trial:
                return bool(changed or gone)
            for entry in mapped.entries:
                if entry.resource["resourceType"] == "Provenance":
                    url = f"Provenance/{entry.resource['id']}"
                    told = with_targets(entry.resource, left_out, gone)
                    changed.append(WireEntry(url, msgspec.Raw(encode(told))))
            changed.extend(WireEntry(url, msgspec.Raw(withdrawn(raw))) for url, raw in gone.items())
            # 4.
            self._run(
                "UPDATE record SET state = 'pending', payload = ? WHERE sequence = ?",
                self._seals.seal(message_id, "payload", msgspec.json.encode(changed)),
                sequence,
            )
            self._restate(group)
            return True

    def _is_told(self, wire: WireEntry, sequence: int, *, known_as: str | None) -> bool:
        row = self._row(
            "SELECT content_mark, sequence FROM version WHERE resource_hash = ?", self._version_of(wire)
        )
        if row is not None:
            return bool(row[1] != sequence or row[0] == self._mark(wire))
        if known_as is None:
            return False
        resource_hash = self._seals.hash("resource", known_as or wire.url)
        return self._row("SELECT 1 FROM known_by WHERE resource_hash = ?", resource_hash) is not None
