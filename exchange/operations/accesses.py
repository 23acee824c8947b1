"""$accesses: the auditor's questions to the log in one call - who saw this patient, whom did this user see.

Spec:    https://hl7.org/fhir/R4/auditevent.html; RFC 4180; docs/audit.md, "Asking the log".
Leaves:  whose events may be read to consent/decision; what an access is to audit/access.

One of patient, user, client or facility finds the events; without one, the hours asked for are read, newest first. The
rest is compared once an event is open. A page may be shorter than was asked for and still have a next one.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final
from urllib.parse import quote, urlencode

from exchange.audit.access import sheet
from exchange.audit.agent import client_key, user_key
from exchange.audit.question import BY_AGENT, BY_FACILITY, BY_HOURS, BY_RECORDS, HOUR, Asked, Walk
from exchange.crypto.page_token import open_token, seal_token
from exchange.fhir.datatype import date_range
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import dump
from exchange.interactions.bundle_text import bundle, entry, fhir_url
from exchange.interactions.page_binding import holder
from exchange.interactions.search import touched
from exchange.operations.parameters import INTEGER, TEXT, Given
from exchange.permit import Permit
from exchange.problems import Invalid, Malformed, NotSupported, TooCostly
from exchange.request import Answer, Need, Request
from exchange.requester import Requester, custodian_key
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import array_text

MOST_EXPORTED: Final = 20_000
USUAL_HOURS: Final = 24
CSV, NDJSON = "text/csv", "application/fhir+ndjson"
_AUDIT: Final = type_code("AuditEvent")
_END: Final = 2**62
_HOURS_OF_A_DAY: Final = frozenset(map(str, range(24)))
_KNOWN: Final = {
    "patient": TEXT, "user": TEXT, "client": TEXT, "facility": TEXT, "purpose": TEXT, "type": TEXT, "act": TEXT,
    "outcome": TEXT, "consent": TEXT, "case": TEXT, "hours": TEXT, "since": TEXT, "until": TEXT,
    "_outputFormat": TEXT, "_count": INTEGER, "_page": TEXT,
}  # fmt: skip


class Accesses:
    """GET or POST AuditEvent/$accesses.

    Raises: Invalid - a value that is none; TooCostly - more than an export holds.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        if request.resource_type != "AuditEvent" or request.resource_id:
            raise NotSupported("$accesses is asked of AuditEvent", "http.url")
        given = Given(request, _KNOWN)
        self.requester = requester
        self.given = {name: given.text(name) for name in _KNOWN if _KNOWN[name] == TEXT and name != "_page"}
        self.asked = _asked(self.given)
        if self.asked.user and not self.asked.facility:
            words = "a user is named together with the facility, whose accounts these are"
            raise Invalid(words, "http.facility", code="required")
        self.since, self.until = period(self.given)
        self.format = self.given["_outputFormat"]
        if self.format not in ("", CSV, NDJSON):
            raise NotSupported(f"_outputFormat is {CSV} or {NDJSON}", "http._outputFormat")
        counted = given.one("_count")
        if counted == 0:
            raise Malformed("'_count' is a page's size, from 1 on", "http._count")
        self.count = min(counted or settings().default_page_size, settings().max_page_size)
        self.counted = counted
        self.page = given.text("_page")
        patient = self.given["patient"].removeprefix("Patient/")
        self.need = Need((("AuditEvent", "s"),), patients=((patient,),) if patient else ())

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """One page of events, or all of them as a sheet or as lines of JSON."""
        if self.format:
            return self._exported(transaction, permit)
        bound: list[Any] = [holder(self.requester), "accesses", sorted(self.given.items())]
        since, until, at, name = self.since, self.until or transaction.now + 1, _END, ""
        if self.page:
            since, until, at, name = open_token(transaction.crypto, bound, self.page)
        elif not since:
            since = 0 if self._is_indexed else until - USUAL_HOURS * HOUR
        walk = Walk(transaction, permit, self.asked, self._found_by(transaction, permit), since, until)
        found = walk.take(self.count, at, name, settings().max_scan_rows)
        links = [("self", self._url(""))]
        if walk.position:
            token = seal_token(transaction.crypto, bound, [since, until, *walk.position])
            links.append(("next", self._url(token)))
        answer = Answer(body=bundle("searchset", links, [entry(each, "match") for each, _ in found]))
        answer.touched = touched(version for version, _ in found)
        answer.noted = f"accesses asked for: {len(found)} shown"
        return answer

    def _exported(self, transaction: Transaction, permit: Permit) -> Answer:
        if self.page:
            raise NotSupported("an export is one answer: a period makes it shorter", "http._page")
        until = self.until or transaction.now + 1
        since = self.since or (0 if self._is_indexed else until - USUAL_HOURS * HOUR)
        walk = Walk(transaction, permit, self.asked, self._found_by(transaction, permit), since, until)
        found = walk.take(MOST_EXPORTED, _END, "", settings().max_scan_rows)
        if walk.position:
            raise TooCostly("the period holds more than one export: ask for a shorter one", "http.since")
        text = (
            sheet(access for _, access in found).encode()
            if self.format == CSV
            else b"".join(version.text + b"\n" for version, _ in found)
        )
        binary = {
            "resourceType": "Binary",
            "contentType": f"{self.format}; charset=utf-8",
            "data": b64encode(text).decode(),
        }
        answer = Answer(body=dump(binary), resource_type="Binary")
        answer.touched = touched(version for version, _ in found)
        answer.noted = f"accesses exported as {self.format}: {len(found)}"
        return answer

    @property
    def _is_indexed(self) -> bool:
        return bool(self.need.patients or self.asked.client or self.asked.facility)

    def _found_by(self, transaction: Transaction, permit: Permit) -> tuple[str, dict[str, Any]]:
        """The narrowest index: a patient's own events, those of a person or client, those of a facility, hours."""
        blind = transaction.crypto.blind_index
        if self.need.patients:
            return BY_RECORDS, {"records": array_text(permit.compartments or ()), "type": _AUDIT}
        if self.asked.user:
            return BY_AGENT, {"agent": user_key(blind, self.asked.facility, self.asked.user)}
        if self.asked.client and not self.asked.facility:
            return BY_AGENT, {"agent": client_key(blind, self.asked.client)}
        if self.asked.facility:
            return BY_FACILITY, {"facility": custodian_key(self.asked.facility)}
        return BY_HOURS, {}

    def _url(self, page: str) -> str:
        told = [(name, value) for name, value in self.given.items() if value]
        told += [("_count", str(self.counted))] if self.counted else []
        told += [("_page", page)] if page else []
        query = urlencode(told, quote_via=quote, safe=":,/")
        return f"{fhir_url()}/AuditEvent/$accesses" + (f"?{query}" if query else "")


def _asked(given: dict[str, str]) -> Asked:
    if given["outcome"] not in ("", "granted", "refused"):
        raise Invalid("an outcome is granted or refused", "http.outcome", code="code-invalid")
    return Asked(
        purpose=given["purpose"],
        type=given["type"],
        act=given["act"],
        outcome=given["outcome"],
        consent=given["consent"].removeprefix("Consent/"),
        case=given["case"],
        facility=given["facility"].removeprefix("Organization/"),
        user=given["user"],
        client=given["client"],
        hours=_hours(given["hours"]),
    )


def _hours(told: str) -> frozenset[int]:
    """`22-6` are the hours from 22:00 to 05:59 on the region's clocks."""
    if not told:
        return frozenset()
    first, _, last = told.partition("-")
    if not (first in _HOURS_OF_A_DAY and last in _HOURS_OF_A_DAY):
        raise Invalid("hours are told as 22-6: from, and until", "http.hours")
    start, end = int(first), int(last)
    return frozenset(range(start, end) if start < end else [*range(start, 24), *range(end)])


def period(given: dict[str, str]) -> tuple[int, int]:
    """From and until, in microseconds; 0 where it is not told. Raises: Invalid."""
    found = []
    for name in ("since", "until"):
        try:
            found.append(
                date_range(given[name].replace(" ", "+"), settings().zone) if given[name] else (0, 0)
            )
        except ValueError:
            raise Invalid(f"{name} is a date or an instant", f"http.{name}") from None
    return found[0][0], found[1][1] + 1 if given["until"] else 0
