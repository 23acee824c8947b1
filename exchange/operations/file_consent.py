"""$file: an authorisation is filed, and whoever files it learns what it silences and what contradicts it.

Spec:    https://hl7.org/fhir/R4/operations.html; docs/consent.md.
Leaves:  what a form has to tell to consent/authorisation; what every resource passes to interactions/admission.

Only the caller's own Consents are spoken of: another facility's stay as hidden as they are.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from exchange.consent.authorisation import conflicts, require_complete
from exchange.consent.lookup import lookup
from exchange.consent.rules_store import consents_beside
from exchange.consent.superseding import Told, superseded
from exchange.interactions import admission
from exchange.interactions.update import admit_update
from exchange.operations.parameters import RESOURCE, Given, parameters
from exchange.permit import Permit
from exchange.problems import Malformed, NotSupported, WrongMethod
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.versions import occupied

MOST_TOLD: Final = 100


class FileConsent:
    """POST Consent/$file. Raises: Invalid - the form lacks something; Denied - it permits those who file it."""

    def __init__(self, request: Request, requester: Requester) -> None:
        if request.is_safe:
            raise WrongMethod("$file stores a Consent: it is posted", "http.method")
        if request.resource_type != "Consent" or request.resource_id:
            raise NotSupported("$file is asked of Consent", "http.url")
        given = Given(request, {"consent": RESOURCE}, body="consent")
        consent = given.one("consent")
        if not isinstance(consent, dict) or consent.get("resourceType") != "Consent":
            raise Malformed("a Consent is filed", "http.consent")
        self.consent: dict[str, Any] = consent
        self.requester = requester
        self.need = Need((("Consent", "c"), ("Consent", "u")), is_write=True)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Store it, and tell what it does to the others."""
        # 1. A resource like any other, and a form that is complete.
        is_given = "id" in self.consent
        consent = self.consent | {"id": self.consent.get("id") or str(uuid.uuid4())}
        admission.require_valid(consent)
        require_complete(consent)
        # 2. Stored.
        key = ("Consent", consent["id"])
        standing = occupied(transaction, [key]).get(key) if is_given else None
        admitted = admit_update(transaction, permit, self.requester, consent, standing, is_given=is_given)
        admission.place(transaction, self.requester, [admitted])
        written = admission.store(transaction, self.requester, [admitted])
        # 3. What it silences, and what contradicts it.
        place = (admitted.compartment, self.requester.custodian)
        beside = consents_beside(transaction, *place)
        told = [Told(place, each) for each in beside]
        silent = {each for _, each in superseded(told, transaction.now)}
        without = [each for each in told if each.consent["id"] != consent["id"]]
        before = {each for _, each in superseded(without, transaction.now)}
        others = [each for each in beside if each["id"] not in silent | {consent["id"]}]
        seen = lookup(transaction, self.requester.custodian)
        found = conflicts(consent, others, seen, self.requester.custodian, transaction.now)
        answer = parameters(
            ("consent", "resource", admitted.resource),
            ("is-silent", "valueBoolean", consent["id"] in silent),
            *(
                ("supersedes", "valueReference", {"reference": f"Consent/{each}"})
                for each in sorted(silent - before - {consent["id"]})[:MOST_TOLD]
            ),
            *(
                ("conflict", "part", [
                    {"name": "for", "valueString": each.actor},
                    {"name": "permitted", "valueBoolean": each.is_permitted},
                    *({"name": "rule", "valueString": one} for one in each.because[:MOST_TOLD]),
                ])
                for each in found[:MOST_TOLD]
            ),
        )  # fmt: skip
        answer.touched = admission.touched([admitted])
        answer.written = written
        return answer
