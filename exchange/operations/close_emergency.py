"""$close-emergency: a privacy officer judges a case that somebody else opened; what it showed ends at once.

Spec:    https://hl7.org/fhir/R4/operations.html; Ley 30024 (Peru); docs/emergency.md.
Leaves:  who may judge to consent/decision; keeping the verdict to consent/emergency_cases.
"""

from __future__ import annotations

from typing import Final

from exchange.consent.break_glass import user_key
from exchange.consent.emergency_cases import VERDICTS, Case, find_case, judge_case, told_of
from exchange.interactions.bundle_text import instant
from exchange.operations.open_emergency import letters_of, require_posted
from exchange.operations.parameters import TEXT, Given, parameters
from exchange.permit import Permit
from exchange.problems import Conflict, Denied, Invalid, NotFound, NotSupported
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.store.session import Transaction

LONGEST_COMMENT: Final = 1_000
LONGEST_NUMBER: Final = 64
_KNOWN: Final = {"number": TEXT, "verdict": TEXT, "comment": TEXT}


class CloseEmergency:
    """POST $close-emergency.

    Raises: NotFound - no such case, or one of another facility; Denied - one's own; Conflict - judged already.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        require_posted(request, "$close-emergency")
        if request.resource_type:
            raise NotSupported("$close-emergency is asked of the whole hub", "http.url")
        given = Given(request, _KNOWN)
        self.requester = requester
        self.number = given.text("number").strip().upper()
        if not 0 < len(self.number) <= LONGEST_NUMBER:
            raise Invalid("the number of a case is told", "http.number", code="required")
        told = given.text("verdict")
        if told not in VERDICTS:
            words = f"a verdict is one of {', '.join(VERDICTS)}"
            raise Invalid(words, "http.verdict", code="code-invalid")
        self.verdict = told
        self.comment = " ".join(given.text("comment").split())
        if len(self.comment) > LONGEST_COMMENT:
            raise Invalid(f"a comment has up to {LONGEST_COMMENT} letters", "http.comment", code="too-long")
        if self.verdict != "justified" and not letters_of(self.comment):
            raise Invalid("a verdict other than justified has a comment", "http.comment", code="required")
        self.need = Need((("AuditEvent", "r"),), cases="close")

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Judge it. One that needs review is judged again; any other verdict is the last."""
        # 1. A case of this officer's facility, or none.
        case = find_case(transaction, permit, self.number)
        if case is None:
            raise NotFound("no such emergency case")
        # 2. Never one's own, by whichever account.
        if self._is_own(transaction, case):
            raise Denied("nobody judges a case of their own", reason="emergency case judged by its opener")
        if case.is_judged:
            raise Conflict("this emergency case was judged already")
        # 3. The verdict; whatever the case still showed, it shows no longer.
        judge_case(transaction, self.requester, case, self.verdict, self.comment)
        answer = parameters(
            ("number", "valueString", case.number),
            ("verdict", "valueCode", self.verdict),
            ("closed-at", "valueInstant", instant(case.closed_at or transaction.now)),
        )
        # The comment is an officer's note, sealed in the case: the event lies in the patient's log.
        answer.noted = f"emergency case {case.number} judged {self.verdict}"
        answer.touched = [Touched(case.compartment)]
        return answer

    def _is_own(self, transaction: Transaction, case: Case) -> bool:
        user = self.requester.user
        if user is None or case.user == user_key(transaction.crypto.blind_index, self.requester):
            return True
        opener = told_of(transaction, case)[0].get("user", {})
        return bool(user.reference) and user.reference == opener.get("reference")
