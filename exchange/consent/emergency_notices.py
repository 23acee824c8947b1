"""Telling of emergency cases: the privacy officer by number and facility alone, the patient by the own log.

Spec:    docs/emergency.md, "Notices"; the regional policy, emergency.
Leaves:  sending to worker/notices; being called again and again, too.

Of an officer who is told at an address the stamp says that the address took the notice; of one who is not, that the case
stands in the list that the officer asks for. Of a patient it says that the event of the opening stands in the own log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchange.fhir.definitions import type_code
from exchange.policy.adopted import policy
from exchange.store.session import Store

MOST_AT_ONCE: Final = 8
LONGEST_PAUSE_SECONDS: Final = 300
_SECOND: Final = 1_000_000
_AUDIT: Final = type_code("AuditEvent")

# New ones first: an address that does not answer for some must not hold up the others. Several workers take turns.
CLAIM: Final = """
UPDATE emergency_case e SET notice_tries = least(e.notice_tries + 1, 1000),
  notice_due_at = %(now)s + least(power(2, least(e.notice_tries, 20)), %(longest)s)::bigint * 1000000
FROM (SELECT compartment, number FROM emergency_case
  WHERE officer_told_at IS NULL AND notice_due_at <= %(now)s
  ORDER BY notice_tries, opened_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED) due
WHERE e.compartment = due.compartment AND e.number = due.number
RETURNING e.number, e.facility, e.opened_at, e.notice_tries"""
TOLD: Final = """
UPDATE emergency_case SET officer_told_at = %(now)s WHERE officer_told_at IS NULL AND number = ANY(%(numbers)s::text[])
RETURNING number, opened_at"""
LISTED: Final = """
UPDATE emergency_case SET officer_told_at = %(now)s WHERE officer_told_at IS NULL RETURNING number, opened_at"""
# The event was written with the case, in one transaction and at one instant.
LOGGED: Final = """
UPDATE emergency_case e SET patient_told_at = %(now)s WHERE e.patient_told_at IS NULL AND EXISTS (
  SELECT 1 FROM audit_event a WHERE a.compartment = e.compartment AND a.type = %(audit)s
    AND a.clinical_at BETWEEN e.opened_at - 1000 AND e.opened_at AND a.last_updated = e.opened_at)
RETURNING e.number, e.opened_at"""


@dataclass(frozen=True, slots=True)
class Notice:
    """What an officer is told: nothing of the patient, nothing of the person who opened it."""

    number: str
    facility: str
    opened_at: int
    tries: int


@dataclass(frozen=True, slots=True)
class Stamped:
    """How many were told of now, and the numbers of those who should have been told earlier."""

    count: int
    late: tuple[str, ...]


class Notices:
    """The notices of one hub; each step is a transaction of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def claim(self) -> list[Notice]:
        """Notices that are to be sent now; nobody else sends them before the next pause is over."""
        with self._store.transaction() as transaction:
            told = {"now": transaction.now, "longest": LONGEST_PAUSE_SECONDS, "limit": MOST_AT_ONCE}
            found = [Notice(*row) for row in transaction.rows(CLAIM, told)]
            transaction.commit()
        return sorted(found, key=lambda each: each.opened_at)

    def taken(self, numbers: list[str]) -> Stamped:
        """Stamp cases of which the officer's address took the notice."""
        return self._stamped(TOLD, policy().emergency.privacy_officer_notice_seconds, numbers)

    def listed(self) -> Stamped:
        """Stamp new cases as told by the list alone: nobody has an address."""
        return self._stamped(LISTED, policy().emergency.privacy_officer_notice_seconds, [])

    def logged(self) -> Stamped:
        """Stamp new cases whose opening the patient can read in the own log."""
        return self._stamped(LOGGED, policy().emergency.patient_notice_hours * 3600, [])

    def is_late(self, notice: Notice, now: int) -> bool:
        """Whether the officer should have been told by now."""
        return now - notice.opened_at > policy().emergency.privacy_officer_notice_seconds * _SECOND

    def _stamped(self, sql: str, within_seconds: int, numbers: list[str]) -> Stamped:
        with self._store.transaction() as transaction:
            told = {"now": transaction.now, "numbers": numbers, "audit": _AUDIT}
            rows = transaction.rows(sql, told)
            transaction.commit()
            latest = transaction.now - within_seconds * _SECOND
        return Stamped(len(rows), tuple(sorted(number for number, opened_at in rows if opened_at < latest)))
