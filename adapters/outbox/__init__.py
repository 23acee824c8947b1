"""The durable, sealed spool: what was accepted is on disk before anybody is told so, and leaves once.

Spec:    docs/adapters.md, "Outbox".
Leaves:  when to send, and what an answer of the hub means, to the sender.

The file holds keyed hashes and sealed bytes: without the key file beside it nothing in it can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from adapters.outbox.incomplete import Incomplete
from adapters.outbox.originals import Originals
from adapters.outbox.spool import Waiting, WireEntry
from adapters.outbox.versions import Builds, Condition
from adapters.source_record import Mapped, Outcome, Refusal, Refused
from adapters.source_record.moment import now_instant

__all__ = ["Builds", "Condition", "Outbox", "Waiting", "WireEntry"]


class Outbox(Incomplete, Originals):
    """One SQLite file, one writer process, any number of threads of it."""

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
                self._restate(waiting.group)

    def requeue(self, sequence: int, outcome: Outcome) -> bool:
        """Put a quarantined record back with what mapping it again gave; True where it waits to be sent."""
        with self._transaction():
            row = self._row(
                "SELECT message_id, key_hash, group_hash FROM record WHERE sequence = ?", sequence
            )
            if row is None:
                return False
            message_id, key_hash, group = row
            outcome = self._identified(outcome, group)
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
            self._learn(outcome, new_group)
            for each in {group, new_group}:
                self._restate(each)
            return True
