"""$access-statistics: how much each facility asked, day by day, and what was refused, without opening an event.

Spec:    https://hl7.org/fhir/R4/operations.html; docs/audit.md, "Asking the log".
Leaves:  whose events are counted to consent/decision; single accesses to accesses.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final

from exchange.fhir.datatype import date_range
from exchange.operations.parameters import TEXT, Given, parameters, part
from exchange.permit import Permit
from exchange.problems import Invalid, NotSupported
from exchange.request import Answer, Need, Request
from exchange.requester import Requester, custodian_key
from exchange.search.index import hash_text
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.visibility import visible

MOST_DAYS: Final = 31
USUAL_DAYS: Final = 7
HOUR: Final = 3_600_000_000
_OPENED: Final = "*|110127"
_KNOWN: Final = {"since": TEXT, "until": TEXT}

# Events bear tokens of their outcome and kind. Rows are written in about the order of their instants.
COUNTED: Final = """
SELECT r.custodian, (to_timestamp(r.clinical_at / 1000000) AT TIME ZONE %(zone)s)::date, count(*),
  count(*) FILTER (WHERE r.tokens && %(refused)s::bigint[]),
  count(*) FILTER (WHERE r.tokens @> %(opened)s::bigint[])
FROM audit_event r WHERE {visible} AND NOT r.is_deleted
  AND r.last_updated >= %(since)s - 3600000000 AND r.last_updated < %(until)s + 3600000000
  AND r.clinical_at >= %(since)s AND r.clinical_at < %(until)s
GROUP BY 1, 2 ORDER BY 2, 1"""
FACILITIES: Final = "SELECT DISTINCT organization_id FROM client"


class AccessStatistics:
    """GET or POST AuditEvent/$access-statistics. Raises: Invalid - no period, or one of more than 31 days."""

    def __init__(self, request: Request, requester: Requester) -> None:  # noqa: ARG002 - an Act's form
        if request.resource_type != "AuditEvent" or request.resource_id:
            raise NotSupported("$access-statistics is asked of AuditEvent", "http.url")
        given = Given(request, _KNOWN)
        self.since, self.until = _day(given.text("since"), "since"), _day(given.text("until"), "until")
        self.need = Need((("AuditEvent", "s"),))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """A row for each facility and day on which it asked."""
        until = self.until or _today(transaction) + timedelta(days=1)
        since = self.since or until - timedelta(days=USUAL_DAYS)
        if not 0 < (until - since).days <= MOST_DAYS:
            raise Invalid(f"a period of 1 to {MOST_DAYS} days is counted", "http.since")
        where, values = visible(permit)
        value = transaction.crypto.blind_index.value
        refused = [value(hash_text("AuditEvent", "outcome", f"*|{code}")) for code in ("4", "8", "12")]
        rows = transaction.rows(
            COUNTED.format(visible=where),
            values
            | {
                "zone": settings().zone_name,
                "refused": refused,
                "opened": [value(hash_text("AuditEvent", "subtype", _OPENED))],
                "since": _start(since),
                "until": _start(until),
            },
        )
        names = {custodian_key(row[0]): str(row[0]) for row in transaction.rows(FACILITIES)}
        answer = parameters(
            ("since", "valueDate", since.isoformat()),
            ("until", "valueDate", until.isoformat()),
            *(("facility", "part", _told(names, *row)) for row in rows),
        )
        answer.noted = f"accesses counted: {len(rows)} rows"
        return answer


def _told(
    names: dict[int, str], custodian: int, day: date, asked: int, refused: int, opened: int
) -> list[dict[str, Any]]:
    """A row; what nobody known asked, or the hub did by itself, names no facility."""
    facility = names.get(custodian)
    return part(
        ("facility", "valueReference", {"reference": f"Organization/{facility}"} if facility else None),
        ("day", "valueDate", day.isoformat()),
        ("events", "valueUnsignedInt", asked),
        ("refused", "valueUnsignedInt", refused),
        ("emergencies", "valueUnsignedInt", opened),
    )


def _day(text: str, name: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid(f"{name} is a day", f"http.{name}") from None


def _start(day: date) -> int:
    return date_range(day.isoformat(), settings().zone)[0]


def _today(transaction: Transaction) -> date:
    return datetime.fromtimestamp(transaction.now / 1_000_000, settings().zone).date()
