"""$open-emergency: a named person attests an emergency of a patient, and sees the basic information for a few hours.

Spec:    https://hl7.org/fhir/R4/security-labels.html; Ley 27604, Ley 30024 (Peru): in grave risk, of a patient who cannot
         say what he wants; docs/emergency.md.
Leaves:  what an open case shows to consent/break_glass; keeping it to consent/emergency_cases.

A case is opened on a Patient that the person sees already - as a rule the facility's own record of whom it treats - and
never on a hidden one: opening it would tell that the record exists.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from exchange.consent.break_glass import BREAK_THE_GLASS, may_break
from exchange.consent.emergency_cases import open_case
from exchange.interactions.bundle_text import instant
from exchange.interactions.read import answer_with
from exchange.operations.parameters import INTEGER, TEXT, Given, parameters
from exchange.permit import Permit
from exchange.policy.adopted import policy
from exchange.problems import Denied, Invalid, NotSupported, TooCostly, WrongMethod
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.versions import read_current

MOST_BODY_BYTES: Final = 64 * 1024
LONGEST_REASON: Final = 1_000
LEAST_DIFFERENT_LETTERS: Final = 6
USUAL_MINUTES: Final = 60
_KNOWN: Final = {"reason": TEXT, "attested": TEXT, "minutes": INTEGER}
_PASSED_OVER: Final = frozenset({"_format", "_pretty"})


class OpenEmergency:
    """POST Patient/[id]/$open-emergency.

    Raises: Denied - nobody who may open one, or too many within a day; NotFound - absent, or out of the caller's sight;
            Invalid - no reason, a condition that is not attested, too long a time.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        require_posted(request, "$open-emergency")
        if request.resource_type != "Patient" or not request.resource_id or request.version_id:
            raise NotSupported("$open-emergency is asked of a Patient", "http.url")
        _require_person(requester)
        given = Given(request, _KNOWN, repeating=("attested",))
        self.request = request
        self.requester = requester
        self.reason = _reason(given.text("reason"))
        self.attested = _attested([str(each) for each in given.all("attested")])
        self.minutes = _minutes(given.one("minutes"))
        self.need = Need((("Patient", "r"),), target=("Patient", request.resource_id))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Open it on what the permit reaches, and answer its number: that alone goes into notices."""
        # 1. What cannot be seen looks absent, as by a read.
        seen = read_current(transaction, permit, "Patient", self.request.resource_id)
        answer_with("Patient", seen)
        assert seen is not None
        # 2. The case, within the person's bounds.
        opened = open_case(
            transaction, self.requester, seen.compartment, minutes=self.minutes, reason=self.reason,
            attested=self.attested,
        )  # fmt: skip
        # 3. What the patient and the officer read of it.
        expires_at = instant(opened.expires_at)
        answer = parameters(
            ("number", "valueString", opened.number), ("expires-at", "valueInstant", expires_at)
        )
        again = " (the same words as in an earlier case)" if opened.is_repeated else ""
        answer.noted = (
            f"emergency case {opened.number} opened until {expires_at}; "
            f"attested: {', '.join(self.attested)}; reason{again}: {self.reason}"
        )
        answer.touched = [Touched(seen.compartment, (f"Patient/{self.request.resource_id}",))]
        return answer


def require_posted(request: Request, name: str) -> None:
    """Hold an act on a case against its form. Raises: WrongMethod, NotSupported, TooCostly."""
    if request.is_safe:
        raise WrongMethod(f"{name} changes something: it is posted", "http.method")
    if any(key not in _PASSED_OVER for key, _ in request.query):
        raise NotSupported(f"{name} is told everything in its body", "http.query")
    if len(request.body) > MOST_BODY_BYTES:
        raise TooCostly(f"the body of {name} is too large", "http.body")


def letters_of(text: str) -> str:
    """The letters of a typed text, and nothing that only looks like text."""
    return "".join(each for each in unicodedata.normalize("NFKC", text).casefold() if each.isalpha())


def _require_person(requester: Requester) -> None:
    if may_break(requester):
        return
    if requester.purpose_of_use != BREAK_THE_GLASS:
        words, reason = f"an emergency is asked for with the purpose of use {BREAK_THE_GLASS}", "purpose"
    elif requester.user is None:
        words, reason = "an emergency is opened by a named person", "no user"
    else:
        words, reason = "the user's function does not open emergencies", "user role"
    raise Denied(words, reason=f"emergency refused: {reason}")


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    letters = letters_of(reason[: LONGEST_REASON + 1])
    least = policy().emergency.least_reason_letters
    if len(reason) > LONGEST_REASON:
        raise Invalid(f"a reason has up to {LONGEST_REASON} letters", "http.reason", code="too-long")
    if len(letters) < least or len(set(letters)) < min(LEAST_DIFFERENT_LETTERS, least):
        raise Invalid(f"a reason of at least {least} letters is typed", "http.reason", code="required")
    return reason


def _attested(told: list[str]) -> tuple[str, ...]:
    wanted = policy().emergency.attested
    if not set(told) <= set(wanted):
        raise Invalid(f"attested is one of {', '.join(wanted)}", "http.attested", code="code-invalid")
    if set(told) != set(wanted):
        raise Invalid(f"each is attested: {', '.join(wanted)}", "http.attested", code="required")
    return wanted


def _minutes(told: int | None) -> int:
    longest = policy().emergency.longest_minutes
    if told is None:
        return min(USUAL_MINUTES, longest)
    if isinstance(told, bool) or not 1 <= told <= longest:
        raise Invalid(f"an emergency is open for 1 to {longest} minutes", "http.minutes")
    return told
