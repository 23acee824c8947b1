"""$emergency-cases: the emergency cases that wait for a verdict, and then those that have one, in pages.

Spec:    https://hl7.org/fhir/R4/operations.html; docs/emergency.md.
Leaves:  who may ask, and about which facilities, to consent/decision.

A privacy officer follows the facility's own cases and reads what was typed; who oversees the region reads numbers, states
and times, and of whom and by whom a case was opened nothing.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode

from exchange.consent.emergency_cases import BEGINNING, Case, cases, number_waiting, told_of
from exchange.crypto.page_token import open_token, seal_token
from exchange.interactions.bundle_text import fhir_url, instant
from exchange.interactions.page_binding import holder
from exchange.operations.parameters import INTEGER, TEXT, Given, parameters, part
from exchange.permit import Permit
from exchange.policy.adopted import policy
from exchange.problems import Malformed, NotSupported
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.store.session import Transaction

USUAL_PAGE: Final = 20
LARGEST_PAGE: Final = 50
_MICROSECONDS: Final = 1_000_000
_KNOWN: Final = {"_count": INTEGER, "_page": TEXT}


class EmergencyCases:
    """GET or POST $emergency-cases."""

    def __init__(self, request: Request, requester: Requester) -> None:
        if request.resource_type:
            raise NotSupported("$emergency-cases is asked of the whole hub", "http.url")
        given = Given(request, _KNOWN)
        self.requester = requester
        counted = given.one("_count")
        if counted == 0:
            raise Malformed("'_count' is a page's size, from 1 on", "http._count")
        self.count = min(counted or USUAL_PAGE, LARGEST_PAGE)
        self.page = given.text("_page")
        self.need = Need((("AuditEvent", "r"),), cases="follow")

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """One page, and where the next one begins."""
        bound: list[Any] = [holder(self.requester), "emergency-cases"]
        after = BEGINNING
        if self.page:
            judged, opened, number = open_token(transaction.crypto, bound, self.page)
            after = bool(judged), int(opened), str(number)
        found = cases(transaction, permit, after, self.count + 1)
        shown = found[: self.count]
        is_officer = permit.audit_of == "facility"
        patients: dict[int, str] = {}
        if is_officer:
            patients = transaction.store.patient_ids.of(transaction, {each.compartment for each in shown})
        parts: list[tuple[str, str, Any]] = [
            ("waiting", "valueUnsignedInt", number_waiting(transaction, permit))
        ]
        parts += [
            ("case", "part", _shown(each, transaction.now) + (_known(transaction, each, patients) if is_officer else []))
            for each in shown
        ]  # fmt: skip
        if len(found) > self.count:
            token = seal_token(transaction.crypto, bound, list(shown[-1].position))
            told = urlencode({"_count": self.count, "_page": token}, quote_via=quote)
            parts.append(("next", "valueUrl", f"{fhir_url()}/$emergency-cases?{told}"))
        answer = parameters(*parts)
        if is_officer:
            answer.touched = [Touched(each) for each in sorted({each.compartment for each in shown})]
        answer.noted = f"emergency cases followed: {len(shown)}"
        return answer


def _shown(case: Case, now: int) -> list[dict[str, Any]]:
    """What everybody who may follow cases reads: nothing of the patient, nothing of the person."""
    emergency = policy().emergency
    officer_late = _is_late(case, case.officer_told_at, emergency.privacy_officer_notice_seconds, now)
    patient_late = _is_late(case, case.patient_told_at, emergency.patient_notice_hours * 3600, now)
    return part(
        ("number", "valueString", case.number),
        ("state", "valueCode", case.state(now)),
        ("verdict", "valueCode", case.verdict),
        ("overdue", "valueBoolean", case.is_overdue(now)),
        ("facility", "valueReference", {"reference": f"Organization/{case.facility}"}),
        ("opened-at", "valueInstant", instant(case.opened_at)),
        ("expires-at", "valueInstant", instant(case.expires_at)),
        ("closed-at", "valueInstant", case.closed_at and instant(case.closed_at)),
        ("officer-told-at", "valueInstant", case.officer_told_at and instant(case.officer_told_at)),
        ("officer-told-late", "valueBoolean", officer_late),
        ("patient-told-at", "valueInstant", case.patient_told_at and instant(case.patient_told_at)),
        ("patient-told-late", "valueBoolean", patient_late),
    )


def _known(transaction: Transaction, case: Case, patients: dict[int, str]) -> list[dict[str, Any]]:
    """What the officer of the facility reads to judge it."""
    told, judgement = told_of(transaction, case)
    user = told.get("user", {})
    patient = patients.get(case.compartment)
    by = judgement.get("by", {})
    return part(
        ("patient", "valueReference", patient and {"reference": f"Patient/{patient}"}),
        ("user", "valueString", user.get("id")),
        ("user-name", "valueString", user.get("name")),
        ("user-role", "valueCode", user.get("role")),
        ("client", "valueString", told.get("client")),
        ("attested", "valueString", ", ".join(told.get("attested", ()))),
        ("reason", "valueString", told.get("reason")),
        ("reason-repeated", "valueBoolean", told.get("repeated")),
        ("judged-by", "valueString", by.get("name") or by.get("id")),
        ("comment", "valueString", judgement.get("comment")),
    )


def _is_late(case: Case, told_at: int | None, seconds: int, now: int) -> bool:
    return (told_at or now) - case.opened_at > seconds * _MICROSECONDS
