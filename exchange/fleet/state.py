"""How each adapter stands: its last contact and report, its days against the 24 h rule, and what that comes to.

Spec:    http://terminology.hl7.org/CodeSystem/device-status-reason; docs/region.md.
Leaves:  what a report may say to report; noticing silence to silence.

One row a client. Nothing here is about a patient: an adapter counts, it does not name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from exchange.fleet.report import Report, kept_report
from exchange.settings import settings
from exchange.store.session import Transaction

KEPT_DAYS: Final = 400
RECENT_DAYS: Final = 7
MOST_STATES: Final = 5_000
_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND

CONTACT: Final = """
INSERT INTO adapter_state AS s (client_id, contact_at)
SELECT client_id, %(now)s FROM client WHERE client_id = %(client)s AND is_adapter
ON CONFLICT (client_id) DO UPDATE SET contact_at = greatest(s.contact_at, excluded.contact_at)"""
# A report that was overtaken changes nothing; an adapter whose count began anew is believed after a day.
TAKE: Final = """
UPDATE adapter_state SET reported_at = %(now)s, number = %(number)s, is_stopped = %(is_stopped)s, report = %(report)s
WHERE client_id = %(client)s AND (number < %(number)s OR reported_at < %(a_day_ago)s)"""
DAYS: Final = """
INSERT INTO adapter_day AS d (client_id, day, on_time, late, worst_seconds)
SELECT %(client)s, * FROM unnest(%(days)s::date[], %(on_time)s::int[], %(late)s::int[], %(worst)s::int[])
ON CONFLICT (client_id, day) DO UPDATE SET on_time = greatest(d.on_time, excluded.on_time),
  late = greatest(d.late, excluded.late), worst_seconds = greatest(d.worst_seconds, excluded.worst_seconds)"""
FORGET_DAYS: Final = "DELETE FROM adapter_day WHERE client_id = %(client)s AND day < %(first)s"
STATES: Final = """
SELECT c.client_id, c.name, c.organization_id, c.is_active, s.contact_at, s.reported_at, coalesce(s.is_stopped, false),
  s.report::text, s.silent_since, coalesce(d.on_time, 0), coalesce(d.late, 0), coalesce(d.worst, 0)
FROM client c LEFT JOIN adapter_state s ON s.client_id = c.client_id
LEFT JOIN LATERAL (SELECT sum(on_time)::int AS on_time, sum(late)::int AS late, max(worst_seconds) AS worst
  FROM adapter_day WHERE client_id = c.client_id AND day > %(since)s) d ON true
WHERE c.is_adapter AND (%(facility)s = '' OR c.organization_id = %(facility)s)
  AND (c.organization_id, c.client_id) > (%(organization)s, %(client)s)
ORDER BY c.organization_id, c.client_id LIMIT %(limit)s"""

Condition = Literal["online", "offline", "not-ready", "off"]


@dataclass(frozen=True, slots=True)
class State:
    """One adapter. Instants in microseconds since 1970; the three last are of the last seven days."""

    client_id: str
    name: str
    organization_id: str
    is_active: bool
    contact_at: int | None
    reported_at: int | None
    is_stopped: bool
    report: Report | None
    silent_since: int | None
    on_time: int
    late: int
    worst_seconds: int

    def condition(self, now: int) -> Condition:
        """Whether it can be relied on: `not-ready` has never reported or is in trouble, `off` said that it stops."""
        if self.contact_at is None:
            return "not-ready"
        if self.is_silent(now):
            return "offline"
        if self.is_stopped:
            return "off"
        return "not-ready" if self.report is None or self.report.trouble else "online"

    def is_silent(self, now: int) -> bool:
        """Whether it has said nothing for longer than it may."""
        return self.contact_at is not None and now - self.contact_at > quiet_microseconds(
            is_stopped=self.is_stopped
        )


def quiet_microseconds(*, is_stopped: bool) -> int:
    """How long an adapter may be silent: minutes while it runs, days where it said that it stops."""
    chosen = settings()
    seconds = chosen.adapter_rest_hours * 3600 if is_stopped else chosen.adapter_silence_minutes * 60
    return seconds * _SECOND


def note_contact(transaction: Transaction, client_id: str) -> None:
    """Remember that an adapter was heard of; of other systems nothing is remembered."""
    transaction.run(CONTACT, {"now": transaction.now, "client": client_id})


def take_report(transaction: Transaction, client_id: str, report: Report) -> bool:
    """Keep a report of an adapter, and its days; False where a newer one was there. The caller commits."""
    # 1. Whatever it says, it was heard of.
    note_contact(transaction, client_id)
    # 2. The row is locked from here on: of two reports that meet, the newer one stays.
    told = {
        "now": transaction.now, "client": client_id, "number": report.number, "is_stopped": report.phase == "stopped",
        "report": msgspec.json.encode(report).decode(), "a_day_ago": transaction.now - _DAY,
    }  # fmt: skip
    if transaction.run(TAKE, told) != 1:
        return False
    # 3. Its days: each as large as it was ever told, of the last 400.
    today = _today(transaction.now)
    first = today - timedelta(days=KEPT_DAYS)
    days = {each.day: each for each in report.days if first <= each.day <= today + timedelta(days=1)}.values()
    transaction.run(
        DAYS,
        {
            "client": client_id, "days": [each.day for each in days], "on_time": [each.on_time for each in days],
            "late": [each.late for each in days], "worst": [each.worst_seconds for each in days],
        },
    )  # fmt: skip
    transaction.run(FORGET_DAYS, {"client": client_id, "first": first})
    return True


def states(
    transaction: Transaction,
    *,
    facility: str = "",
    after: tuple[str, str] = ("", ""),
    limit: int = MOST_STATES,
) -> Sequence[State]:
    """Adapters by facility and client, after a place in that order."""
    told = {
        "facility": facility, "organization": after[0], "client": after[1], "limit": limit,
        "since": _today(transaction.now) - timedelta(days=RECENT_DAYS),
    }  # fmt: skip
    return [_state(row) for row in transaction.rows(STATES, told)]


def _state(row: tuple[Any, ...]) -> State:
    report = kept_report(row[7]) if row[7] is not None else None
    return State(*(*row[:7], report, *row[8:]))


def _today(now: int) -> Any:
    return datetime.fromtimestamp(now / _SECOND, UTC).astimezone(settings().zone).date()
