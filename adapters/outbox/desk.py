"""What the IT desk asks of the outbox: quarantine, files taken, counts. Nothing here sends.

Spec:    docs/adapters.md, "Commands".
Leaves:  accepting and sending to the outbox itself.
"""

from __future__ import annotations

import hashlib
import shutil
from typing import Any, Final

import msgspec

from adapters.outbox.departure import Departure
from adapters.outbox.versions import Versions
from adapters.source_record import SourceRecord
from adapters.source_record.moment import now_instant

_CLOCK_STEP_SECONDS: Final = 5


class Desk(Departure, Versions):
    """The outbox as seen from a desk."""

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

    def corrected(self, sequence: int) -> bytes | None:
        """The bytes by which somebody at the desk replaced those of the source."""
        with self._lock:
            row = self._row("SELECT message_id, corrected FROM record WHERE sequence = ?", sequence)
        return self._seals.open(row[0], "corrected", row[1]) if row and row[1] is not None else None

    def correct(self, sequence: int, content: bytes, *, by: str) -> bool:
        """Let other bytes stand for those of a quarantined record; both are kept, and whose hand it was."""
        with self._transaction():
            row = self._row(
                "SELECT message_id FROM record WHERE sequence = ? AND state = 'quarantined'", sequence
            )
            if row is None:
                return False
            self._run(
                "UPDATE record SET corrected = ?, decision = ? WHERE sequence = ?",
                self._seals.seal(row[0], "corrected", content),
                self._sealed_decision(row[0], by, "corrected"),
                sequence,
            )
            return True

    def decision(self, sequence: int) -> dict[str, str] | None:
        """Who decided what on a record, when and why."""
        with self._lock:
            row = self._row("SELECT message_id, decision FROM record WHERE sequence = ?", sequence)
        if row is None or row[1] is None:
            return None
        found: dict[str, str] = msgspec.json.decode(self._seals.open(row[0], "decision", row[1]))
        return found

    def _sealed_decision(self, message_id: str, by: str, reason: str) -> bytes:
        told = {"by": by, "at": now_instant(), "reason": reason}
        return self._seals.seal(message_id, "decision", msgspec.json.encode(told))

    def source_record(self, sequence: int, state: str = "quarantined") -> SourceRecord | None:
        """A record as it came, or as it was corrected, to be mapped again."""
        with self._lock:
            row = self._row(
                "SELECT message_id, received_at, detail, original, corrected FROM record"
                " WHERE sequence = ? AND state = ?",
                sequence,
                state,
            )
        if row is None or row[3] is None:
            return None
        detail = self._open_detail(row[0], row[2])
        column, sealed = ("original", row[3]) if row[4] is None else ("corrected", row[4])
        return SourceRecord(
            facility=detail.facility,
            system=detail.system,
            natural_key=detail.natural_key,
            patient_key=detail.patient_key,
            original=self._seals.open(row[0], column, sealed),
            received_at=row[1],
            location=detail.location,
            source_time=detail.source_time,
            merged_patient_key=detail.merged_patient_key,
            context=detail.context,
            thing_key=detail.thing_key,
        )

    def discard(self, sequence: int, *, by: str = "", reason: str = "") -> bool:
        """Give a quarantined record up: its bytes are destroyed; the fact stays, and who decided it and why."""
        with self._transaction():
            row = self._row(
                "SELECT message_id FROM record WHERE sequence = ? AND state = 'quarantined'", sequence
            )
            if row is None:
                return False
            if by:
                sealed = self._sealed_decision(row[0], by, reason)
                self._run("UPDATE record SET decision = ? WHERE sequence = ?", sealed, sequence)
            self._discard(sequence, "A-402")
            return True

    def _discard(self, sequence: int, code: str) -> None:
        row = self._row("SELECT group_hash FROM record WHERE sequence = ?", sequence)
        self._run(
            "UPDATE record SET state = 'discarded', parks = 0, reason_code = ?, original = NULL,"
            " payload = NULL, corrected = NULL"
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
        self._restate(group)

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

    def note_trouble(self, code: str | None) -> None:
        """Keep for `status` what bars the way to the hub since when; None once it is open."""
        with self._transaction():
            if code is None:
                self._run("DELETE FROM site WHERE name = 'trouble'")
            else:
                self._run(
                    "INSERT INTO site VALUES ('trouble', ?) ON CONFLICT (name) DO UPDATE SET"
                    " value = excluded.value WHERE substr(value, 1, 5) != substr(excluded.value, 1, 5)",
                    f"{code} {now_instant()}",
                )

    def note_clock(self, skew_seconds: int) -> None:
        """Keep for `status` how far this computer's clock is from the hub's, where that is another than before."""
        with self._lock:
            known = self._row("SELECT value FROM site WHERE name = 'clock_skew'")
        if known is None or abs(int(known[0]) - skew_seconds) > _CLOCK_STEP_SECONDS:
            with self._transaction():
                self._run("INSERT OR REPLACE INTO site VALUES ('clock_skew', ?)", str(skew_seconds))

    def unmapped(self) -> list[tuple[str, str, int]]:
        """Every code that no table translates, the most frequent first: table, code, times."""
        with self._lock:
            return self._rows(
                "SELECT code_table, code, times FROM unmapped ORDER BY times DESC, code_table, code"
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
            noted = self._row("SELECT value FROM site WHERE name = 'trouble'")
            clock = self._row("SELECT value FROM site WHERE name = 'clock_skew'")
        trouble, _, trouble_since = (noted[0] if noted else "").partition(" ")
        usage = shutil.disk_usage(self._folder)
        return {
            "pending": states.get("pending", 0),
            "applied": states.get("applied", 0),
            "quarantined": states.get("quarantined", 0),
            "parked": states.get("parked", 0),
            "waiting_consent": states.get("waiting_consent", 0),
            "discarded": states.get("discarded", 0),
            "trouble": trouble or None,
            "trouble_since": trouble_since or None,
            "oldest": oldest[0] if oldest else None,
            "last_received_at": latest[0] if latest else None,
            "last_applied_at": latest[1] if latest else None,
            "quarantine_reasons": [{"reason_class": a, "code": b, "times": c} for a, b, c in reasons],
            "unmapped_codes": [{"table": a, "code": b, "times": c} for a, b, c in unmapped],
            "skipped": skipped,
            "disk_used_percent": round(100 * usage.used / usage.total),
            "clock_skew_seconds": int(clock[0]) if clock else None,
            **self.consents(),
        }
