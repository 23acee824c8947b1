"""$revoke: a patient withdraws an authorisation, and from that transaction on it permits nothing.

Spec:    https://hl7.org/fhir/R4/operations.html; docs/consent.md.
Leaves:  the rules that end with it to consent/rules_store.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.consent.authorisation import WITHDRAWAL
from exchange.interactions import admission
from exchange.interactions.bundle_text import instant
from exchange.interactions.update import admit_update
from exchange.operations.parameters import TEXT, Given, parameters
from exchange.permit import Permit
from exchange.problems import Gone, Invalid, NotFound, NotSupported, WrongMethod
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.versions import occupied, read_current

LONGEST_REASON: Final = 1_000


class RevokeConsent:
    """POST Consent/[id]/$revoke.

    Raises: NotFound - absent, hidden or another facility's; Gone; Invalid - nobody revokes it, or no reason.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        if request.is_safe:
            raise WrongMethod("$revoke changes a Consent: it is posted", "http.method")
        if request.resource_type != "Consent" or not request.resource_id or request.version_id:
            raise NotSupported("$revoke is asked of a Consent", "http.url")
        given = Given(request, {"reason": TEXT, "revoked-by": "valueReference"})
        self.request = request
        self.requester = requester
        self.reason = given.text("reason").strip()
        self.revoked_by = given.one("revoked-by")
        if not 0 < len(self.reason) <= LONGEST_REASON:
            words = f"a reason of up to {LONGEST_REASON} letters is told"
            raise Invalid(words, "http.reason", code="required")
        if not isinstance(self.revoked_by, dict) or not self.revoked_by.get("reference"):
            words = "the patient or representative who revokes is told"
            raise Invalid(words, "http.revoked-by", code="required")
        self.need = Need((("Consent", "u"), ("Consent", "r")), is_write=True)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Store a version that is not in force, with who withdrew it, when and why."""
        key = ("Consent", self.request.resource_id)
        standing = occupied(transaction, [key]).get(key)
        held = read_current(transaction, permit, *key)
        if standing is None or standing.custodian != self.requester.custodian or held is None:
            raise NotFound("no such Consent")
        if held.is_deleted:
            raise Gone("this Consent was deleted")
        consent = held.parsed()
        if consent.get("status") == "inactive":
            return parameters(("consent", "resource", consent))
        admitted = admit_update(
            transaction, permit, self.requester, self._withdrawn(consent, transaction.now), standing
        )
        admission.require_valid(admitted.resource or {})
        admission.place(transaction, self.requester, [admitted])
        written = admission.store(transaction, self.requester, [admitted])
        answer = parameters(("consent", "resource", admitted.resource))
        answer.touched = admission.touched([admitted])
        answer.written = written
        return answer

    def _withdrawn(self, consent: dict[str, Any], now: int) -> dict[str, Any]:
        told = {
            "url": WITHDRAWAL,
            "extension": [
                {"url": "by", "valueReference": self.revoked_by},
                {"url": "at", "valueInstant": instant(now)},
                {"url": "reason", "valueString": self.reason},
            ],
        }
        return consent | {"status": "inactive", "extension": [*consent.get("extension", ()), told]}
