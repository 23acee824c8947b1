"""$question-access: a patient asks why somebody looked; the facility that asked finds it first in its list.

Spec:    https://hl7.org/fhir/R4/auditevent.html; Ley 29733 (Peru), the right to be informed;
         docs/audit.md, "The patient's log".
Leaves:  the list to access_signals; what the facility answers to the facility.
"""

from __future__ import annotations

from typing import Final

from exchange.audit.agent import client_key, user_key
from exchange.audit.signals.kept import keep
from exchange.audit.signals.signal import KINDS, Signal
from exchange.operations.access_log import own_event, require_reached
from exchange.operations.open_emergency import require_posted
from exchange.operations.parameters import TEXT, Given, parameters
from exchange.permit import Permit
from exchange.problems import Conflict, Denied, Invalid, NotSupported
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester, custodian_key
from exchange.store.session import Transaction

LONGEST_WORDS: Final = 1_000
_KNOWN: Final = {"event": TEXT, "words": TEXT}


class QuestionAccess:
    """POST Patient/[id]/$question-access, by the patient, or by a privacy officer for a patient at the desk.

    Raises: Denied - another role; NotFound - no such access of this patient; Conflict - questioned already, or by nobody.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        require_posted(request, "$question-access")
        if request.resource_type != "Patient" or not request.resource_id or request.version_id:
            raise NotSupported("$question-access is asked of a Patient", "http.url")
        if requester.role not in ("patient", "privacy-officer"):
            raise Denied("an access is questioned by the patient, or for the patient", reason="role")
        given = Given(request, _KNOWN)
        self.requester = requester
        self.event = given.text("event").removeprefix("AuditEvent/")
        if not self.event:
            raise Invalid("the access is named by its event", "http.event", code="required")
        self.words = " ".join(given.text("words").split())
        if len(self.words) > LONGEST_WORDS:
            raise Invalid(f"up to {LONGEST_WORDS} letters are written", "http.words", code="too-long")
        self.need = Need((("AuditEvent", "r"),), patients=((request.resource_id,),))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Note it for whoever answers for the facility that asked; the number is what the patient keeps."""
        # 1. One's own record, and an event of it.
        require_reached(transaction, permit, self.requester)
        version, access = own_event(transaction, permit, self.event)
        # 2. The facility that asked: nobody answers for what the hub did by itself.
        facility = access.facility.removeprefix("Organization/")
        if not facility:
            raise Conflict("the hub did this by itself: there is nobody to ask")
        blind = transaction.crypto.blind_index
        agent = user_key(blind, facility, access.user) if access.user else client_key(blind, access.client)
        signal = Signal(
            "questioned", KINDS["questioned"].weight, custodian_key(facility), agent, version.last_updated,
            once=version.resource_id, events=(version.resource_id,), facility=facility, user=access.user,
            user_name=access.user_name, client=access.client,
        )  # fmt: skip
        number = keep(transaction, signal, record=version.compartment, words=self.words)
        if not number:
            raise Conflict("this access was questioned already")
        answer = parameters(("number", "valueString", number))
        answer.noted = f"access {version.resource_id} questioned: {number}"
        answer.touched = [Touched(version.compartment, (f"AuditEvent/{version.resource_id}",))]
        return answer
