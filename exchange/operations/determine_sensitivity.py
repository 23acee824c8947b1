"""$determine-sensitivity: a named clinician says how sensitive an episode is; the latest word counts.

Spec:    https://hl7.org/fhir/R4/security-labels.html; Directiva 373-MINSA/OGTI-2025 (Peru), N0AUTE02.02 and .03;
         docs/policy.md, "Determination of an episode".
Leaves:  what follows for the resources of the episode to policy/determination and policy/labelling.

The facility that produced the episode determines about it, and nobody else: to others it looks absent.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.fhir.datatype import date_range, parse_reference
from exchange.interactions.bundle_text import instant
from exchange.operations.parameters import TEXT, Given, parameters
from exchange.permit import Permit
from exchange.policy.adopted import policy
from exchange.policy.agreement import sensitivity_codes
from exchange.policy.determination import Determination, record_determination
from exchange.policy.labelling import relabel
from exchange.policy.sensitivity import Label
from exchange.problems import Denied, Gone, Invalid, Malformed, NotFound, NotSupported, WrongMethod
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.search.reference import local
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import occupied

CONFIDENTIALITIES: Final = ("N", "R", "V")
"""Basic information is normal, sensitive information restricted or very restricted."""
MOST_CATEGORIES: Final = 20
LONGEST_REASON: Final = 1_000
_CLINICIANS: Final = frozenset({"Practitioner", "PractitionerRole"})
_KNOWN: Final = {
    "confidentiality": TEXT,
    "category": TEXT,
    "determined-by": "valueReference",
    "determined-at": "valueInstant",
    "reason": TEXT,
}


class DetermineSensitivity:
    """POST Encounter/[id]/$determine-sensitivity.

    Raises: NotFound - absent, hidden or another facility's; Invalid - a code that there is not, no clinician, an instant
            in the future; Denied - the user is another than the one who is said to have determined it, or may not.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        if request.is_safe:
            raise WrongMethod("$determine-sensitivity changes an episode: it is posted", "http.method")
        if request.resource_type != "Encounter" or not request.resource_id or request.version_id:
            raise NotSupported("$determine-sensitivity is asked of an Encounter", "http.url")
        given = Given(request, _KNOWN, repeating=("category",))
        self.request = request
        self.requester = requester
        self.label = _label(given)
        self.determined_by = _clinician(given.one("determined-by"))
        self.determined_at = _instant(given.text("determined-at"))
        self.reason = given.text("reason").strip()
        if not 0 < len(self.reason) <= LONGEST_REASON:
            raise Invalid(
                f"a reason of up to {LONGEST_REASON} letters is told", "http.reason", code="required"
            )
        self.need = Need((("Encounter", "u"), ("Encounter", "r")), is_write=True)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:  # noqa: ARG002 - the facility's own, or absent
        """Record it, and label the rows of the episode anew."""
        # 1. Whose episode.
        key = ("Encounter", self.request.resource_id)
        standing = occupied(transaction, [key]).get(key)
        if standing is None or standing.custodian != self.requester.custodian:
            raise NotFound("no such Encounter")
        if standing.is_deleted:
            raise Gone("this Encounter was deleted")
        # 2. By whom, and when.
        self._require_clinician()
        if self.determined_at > transaction.now + settings().clock_skew_seconds * 1_000_000:
            raise Invalid("nothing is determined in the future", "http.determined-at")
        # 3. The determination itself, and what follows for the episode.
        determination = Determination(self.label, self.determined_at)
        user = self.requester.user
        told = {
            "determined-by": self.determined_by,
            "reason": self.reason,
            "user": user.id if user is not None else "",
            "client": self.requester.client_id,
            "recorded-at": instant(transaction.now),
        }
        record_determination(transaction, standing.compartment, self.request.resource_id, determination, told)
        relabel(transaction, standing.compartment, self.request.resource_id, policy())
        answer = self._answer()
        answer.touched = [
            Touched(each, (f"Encounter/{self.request.resource_id}",))
            for each in (standing.compartment, *standing.members)
            if each > 0
        ]
        return answer

    def _require_clinician(self) -> None:
        """Hold a user who is known against the clinician who is told. Raises: Denied."""
        user = self.requester.user
        if user is None:
            return
        known = policy().users.get(user.role)
        if known is None or not known.determines_sensitivity:
            raise Denied("the user's function does not determine sensitivity", reason="user role")
        if user.reference != self.determined_by:
            raise Denied(
                "a user determines in their own name", "http.determined-by", reason="determined by another"
            )

    def _answer(self) -> Answer:
        parts: list[tuple[str, str, Any]] = [("confidentiality", "valueCode", self.label.confidentiality)]
        parts += [("category", "valueCode", each) for each in sorted(self.label.categories)]
        parts += [
            ("determined-by", "valueReference", {"reference": self.determined_by}),
            ("determined-at", "valueInstant", instant(self.determined_at)),
        ]
        return parameters(*parts)


def _label(given: Given) -> Label:
    confidentiality = given.text("confidentiality")
    if confidentiality not in CONFIDENTIALITIES:
        words = f"a confidentiality is one of {', '.join(CONFIDENTIALITIES)}"
        raise Invalid(words, "http.confidentiality", code="code-invalid")
    categories = [str(each) for each in given.all("category")]
    if len(categories) > MOST_CATEGORIES or not set(categories) <= sensitivity_codes():
        raise Invalid("a category is a sensitivity of v3 ActCode", "http.category", code="code-invalid")
    if categories and confidentiality == "N":
        raise Invalid("what is of a sensitive category is restricted", "http.confidentiality")
    return Label(confidentiality, frozenset(categories))


def _clinician(reference: Any) -> str:
    """`Practitioner/[id]`. Raises: Invalid - nobody, or nobody who treats."""
    text = reference.get("reference") if isinstance(reference, dict) else None
    place = local(text, settings().fhir_url) if isinstance(text, str) else ""
    named = parse_reference(place)
    if named.type not in _CLINICIANS or not named.id or named.base is not None:
        raise Invalid("a Practitioner of this hub determines it", "http.determined-by", code="required")
    return f"{named.type}/{named.id}"


def _instant(text: str) -> int:
    """The last microsecond of an instant. Raises: Malformed - none is told."""
    try:
        return date_range(text)[1]
    except ValueError:
        raise Malformed("it is told when it was determined", "http.determined-at") from None
