"""How long care had been over when the hub had it: the rule of 24 hours, counted by day.

Spec:    docs/region.md, "The rule of 24 hours"; https://hl7.org/fhir/R4/encounter.html.
Leaves:  telling the region to sender/state_report.

A visit counts when it is first told, whatever is corrected later. Until then the instant at which it closed stands in the
open beside a keyed hash, as the time of reception does; afterwards the day's numbers are all that is left.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapters.outbox.spool import Spool
from adapters.source_record import Entry

DAY_SECONDS: Final = 86_400
KEPT_DAYS: Final = 60
TOLD_DAYS: Final = 31
_DATE_LETTERS: Final = 10
_DOCUMENTS: Final = ("Composition", "DocumentReference")


class Timeliness(Spool):
    """The outbox as seen by the rule of 24 hours."""

    zone: ZoneInfo = ZoneInfo("America/Lima")
    """In which a date without a time ends, and days are counted."""

    def _note_close(self, key_hash: str, entries: Sequence[Entry]) -> None:
        """Remember when the care that a record tells of was over, unless it was told before."""
        for resource, closed_at in closed(entries, self.zone):
            self._run(
                "INSERT INTO care VALUES (?, ?, ?) ON CONFLICT (resource_hash) DO UPDATE SET"
                " key_hash = excluded.key_hash, closed_at = excluded.closed_at WHERE closed_at > 0",
                self._seals.hash("resource", resource),
                key_hash,
                closed_at,
            )

    def _count_sent(self, sequence: int) -> None:
        """The hub has a record: count its visit, once."""
        rows = self._rows(
            "SELECT c.resource_hash, c.closed_at FROM care c JOIN record r ON r.key_hash = c.key_hash"
            " WHERE r.sequence = ? AND c.closed_at > 0",
            sequence,
        )
        now = int(time.time())
        today = datetime.fromtimestamp(now, UTC).astimezone(self.zone).date()
        for resource_hash, closed_at in rows:
            seconds = max(0, now - closed_at)
            is_late = seconds > DAY_SECONDS
            self._run("UPDATE care SET closed_at = 0, key_hash = '' WHERE resource_hash = ?", resource_hash)
            self._run(
                "INSERT INTO sent_day VALUES (?, ?, ?, ?) ON CONFLICT (day) DO UPDATE SET"
                " on_time = on_time + excluded.on_time, late = late + excluded.late,"
                " worst_seconds = max(worst_seconds, excluded.worst_seconds)",
                today.isoformat(),
                int(not is_late),
                int(is_late),
                seconds,
            )
        if rows:
            self._run("DELETE FROM sent_day WHERE day < ?", (today - timedelta(days=KEPT_DAYS)).isoformat())

    def timeliness(self) -> dict[str, Any]:
        """The last days' numbers, and how many visits wait although their care closed more than 24 hours ago."""
        with self._lock:
            days = self._rows(
                "SELECT day, on_time, late, worst_seconds FROM sent_day ORDER BY day DESC LIMIT ?", TOLD_DAYS
            )
            late = self._row(
                "SELECT COUNT(*) FROM care c WHERE c.closed_at BETWEEN 1 AND ? AND EXISTS (SELECT 1 FROM record r"
                " WHERE r.key_hash = c.key_hash AND r.state IN ('pending', 'parked', 'quarantined'))",
                int(time.time()) - DAY_SECONDS,
            )
        return {
            "days": [
                {"day": day, "on_time": on_time, "late": is_late, "worst_seconds": worst}
                for day, on_time, is_late, worst in days
            ],
            "waiting_late": int(late[0]),
        }

    def standing(self) -> dict[str, Any]:
        """What the region is told of besides `status`: what waits by patient, and for whose word."""
        with self._lock:
            oldest = self._row("SELECT MIN(received_at) FROM record WHERE state = 'pending'")
            parked = self._row("SELECT COUNT(DISTINCT group_hash) FROM record WHERE state = 'parked'")
        return {"oldest_pending_at": oldest[0], "parked_patients": int(parked[0])}

    def next_report_number(self) -> int:
        """A number that grows with each report, over restarts and whatever the clock does."""
        with self._transaction():
            known = self._row("SELECT value FROM site WHERE name = 'report_number'")
            number = max(int(known[0]) + 1 if known else 1, int(time.time() * 1000))
            self._run("INSERT OR REPLACE INTO site VALUES ('report_number', ?)", str(number))
        return number


def closed(entries: Sequence[Entry], zone: ZoneInfo) -> list[tuple[str, int]]:
    """The visits of a record that are over, or its documents where it has no visit, and when: seconds since 1970.

    A visit that is told without its end, as first-level posts do, was over on the day on which it began.
    """
    found: list[tuple[str, str]] = []
    documents: list[tuple[str, str]] = []
    for resource in (entry.resource for entry in entries):
        kind, url = resource["resourceType"], f"{resource['resourceType']}/{resource['id']}"
        if kind == "Encounter" and resource.get("status") == "finished":
            period = resource.get("period", {})
            found.append((url, period.get("end") or str(period.get("start", ""))[:_DATE_LETTERS]))
        elif kind in _DOCUMENTS:
            documents.append((url, resource.get("date", "")))
    moments = [(url, _end_of(told, zone)) for url, told in found or documents[:1]]
    return [(url, moment) for url, moment in moments if moment is not None]


def _end_of(told: str, zone: ZoneInfo) -> int | None:
    """The end of what a dateTime says: of a date the last second of the day; None where it is less exact."""
    try:
        if len(told) == _DATE_LETTERS:
            day = date.fromisoformat(told)
            end = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=zone)
        else:
            end = datetime.fromisoformat(told)
        return int(end.timestamp()) if end.tzinfo is not None and end.timestamp() > 0 else None
    except (ValueError, OverflowError, OSError):
        return None
