"""A question to the log: which events can hold the answer, and which of them do once they are open.

Spec:    https://hl7.org/fhir/R4/auditevent.html; docs/audit.md, "Asking the log".
Leaves:  whose events may be read to the permit; what an access is to access.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from exchange.audit.access import Access, access_of
from exchange.fhir.resource import load
from exchange.permit import Permit
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, Version, opened_for
from exchange.store.visibility import visible

BATCH_ROWS: Final = 500
HOUR: Final = 3_600_000_000

PART: Final = """
SELECT {columns}, r.clinical_at FROM audit_event r
WHERE {visible} AND {found_by} AND NOT r.is_deleted
  AND r.clinical_at >= %(since)s AND r.clinical_at < %(until)s AND (r.clinical_at, r.id) < (%(at)s, %(id)s)
ORDER BY r.clinical_at DESC, r.id DESC LIMIT %(limit)s"""
BY_RECORDS: Final = "r.compartment = ANY(%(records)s::bigint[]) AND r.type = %(type)s"
BY_AGENT: Final = "r.agent = %(agent)s"
BY_FACILITY: Final = "r.custodian = %(facility)s"
# Rows are written in about the order of their instants: the coarse index finds the hours.
BY_HOURS: Final = "r.last_updated >= %(since)s - 3600000000 AND r.last_updated < %(until)s + 3600000000"


@dataclass(slots=True)
class Asked:
    """What the accesses are compared with once they are open; "" is anything."""

    purpose: str = ""
    type: str = ""
    act: str = ""
    outcome: str = ""
    consent: str = ""
    case: str = ""
    facility: str = ""
    user: str = ""
    client: str = ""
    hours: frozenset[int] = field(default_factory=frozenset)

    def takes(self, access: Access) -> bool:
        """Whether an access is one that was asked for."""
        return (
            self.purpose in ("", *access.purpose.split())
            and self.type in ("", access.resource_type)
            and self.act in ("", access.act, access.operation)
            and self.outcome in ("", access.outcome)
            and (not self.consent or f"Consent/{self.consent}#" in f"{access.reason}#")
            and (not self.case or self.case in access.reason.split())
            and self.facility in ("", access.facility.removeprefix("Organization/"))
            and self.user in ("", access.user)
            and self.client in ("", access.client)
            and (not self.hours or _hour(access.recorded) in self.hours)
        )


class Walk:
    """Going back in time through events until enough are found, or enough were looked at.

    Where nothing but time finds them, an hour is read first, and each further part twice as many: a page needs few.
    """

    def __init__(
        self,
        transaction: Transaction,
        permit: Permit,
        asked: Asked,
        found_by: tuple[str, dict[str, Any]],
        since: int,
        until: int,
    ) -> None:
        self._transaction = transaction
        self._permit = permit
        self._asked = asked
        self._since, self._until = since, until
        self._is_hourly = found_by[0] == BY_HOURS
        where, parameters = visible(permit)
        self._sql = PART.format(columns=COLUMNS, visible=where, found_by=found_by[0])
        self._parameters = parameters | found_by[1]
        self.position: list[Any] = []
        """Where a next page begins; empty: nowhere."""

    def take(self, count: int, at: int, name: str, most_rows: int) -> list[tuple[Version, Access]]:
        """Up to `count` accesses before a position."""
        found: list[tuple[Version, Access]] = []
        rows_left, part = most_rows, HOUR
        end = min(self._until, at + 1)
        while end > self._since:
            start = max(self._since, end - part) if self._is_hourly else self._since
            rows = self._rows(start, end, at, name, min(BATCH_ROWS, rows_left))
            for version in opened_for(self._transaction, self._permit, rows):
                access = access_of(load(version.text))
                at, name = version.clinical_at, version.resource_id
                if self._asked.takes(access):
                    found.append((version, access))
                    if len(found) == count:
                        self.position = [at, name]
                        return found
            rows_left -= len(rows)
            if rows_left <= 0:
                self.position = [at, name]
                return found
            if len(rows) < min(BATCH_ROWS, rows_left + len(rows)):
                end, part = start, part * 2
        return found

    def _rows(self, since: int, until: int, at: int, name: str, limit: int) -> list[tuple[Any, ...]]:
        told = {"since": since, "until": until, "at": at, "id": name, "limit": limit}
        return self._transaction.rows(self._sql, self._parameters | told)


def _hour(recorded: str) -> int:
    return datetime.fromisoformat(recorded).astimezone(settings().zone).hour
