"""$report-output: a client tells that what it shows of a patient was printed, captured from the screen, or saved.

Spec:    https://hl7.org/fhir/R4/auditevent.html;
         https://dicom.nema.org/medical/dicom/current/output/chtml/part15/sect_A.5.3.5.html (Data Export, 110106);
         docs/audit.md, "The patient's log".
Leaves:  what the caller may see to consent/decision.

Nothing is answered but that it was noted. What the caller could not read it cannot have printed from here: it is refused
as a read would be.
"""

from __future__ import annotations

import re
from typing import Final

from exchange.fhir.definitions import is_resource_type
from exchange.interactions.read import answer_with
from exchange.operations.open_emergency import require_posted
from exchange.operations.parameters import TEXT, Given, parameters
from exchange.permit import Permit
from exchange.problems import Invalid, NotFound, NotSupported, TooCostly
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.versions import read_current

KINDS: Final = {"print": "printed", "screen-capture": "captured from the screen", "download": "saved"}
MOST_RESOURCES: Final = 50
LONGEST_REASON: Final = 500
_REFERENCE: Final = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9.-]{1,64})", re.ASCII)
_KNOWN: Final = {"kind": TEXT, "resource": TEXT, "reason": TEXT}


class ReportOutput:
    """POST Patient/[id]/$report-output.

    Raises: Invalid - no kind, no reason, no resource; NotFound - one of them is absent, or out of the caller's sight.
    """

    def __init__(self, request: Request, requester: Requester) -> None:  # noqa: ARG002 - an Act's form
        require_posted(request, "$report-output")
        if request.resource_type != "Patient" or not request.resource_id or request.version_id:
            raise NotSupported("$report-output is asked of a Patient", "http.url")
        given = Given(request, _KNOWN, repeating=("resource",))
        self.patient = request.resource_id
        self.kind = given.text("kind")
        if self.kind not in KINDS:
            raise Invalid(f"a kind is one of {', '.join(KINDS)}", "http.kind", code="code-invalid")
        self.reason = " ".join(given.text("reason").split())
        if not 0 < len(self.reason) <= LONGEST_REASON:
            words = f"a reason of up to {LONGEST_REASON} letters is told"
            raise Invalid(words, "http.reason", code="required")
        self.resources = _references([str(each) for each in given.all("resource")])
        types = dict.fromkeys(["Patient", *(each for each, _ in self.resources)])
        self.need = Need(tuple((each, "r") for each in types), target=("Patient", self.patient))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Note it: one event in the log of the record, with the versions that stand now in its manifest."""
        # 1. The patient, as a read sees it.
        seen = read_current(transaction, permit, "Patient", self.patient)
        answer_with("Patient", seen)
        assert seen is not None
        # 2. Each resource, of this person and in the caller's sight.
        shown = []
        for resource_type, resource_id in self.resources:
            version = read_current(transaction, permit, resource_type, resource_id)
            if version is None or not set(version.compartments) & set(permit.compartments or ()):
                raise NotFound(f"no such {resource_type}")
            answer_with(resource_type, version)
            shown.append(f"{resource_type}/{resource_id}/_history/{version.version_id}")
        # 3. One event, in the record that was named.
        answer = parameters(("noted", "valueUnsignedInt", len(shown)))
        answer.noted = f"{KINDS[self.kind]}; reason: {self.reason}; {permit.reason}"
        answer.touched = [Touched(seen.compartment, tuple(shown))]
        return answer


def _references(told: list[str]) -> list[tuple[str, str]]:
    if not told:
        raise Invalid("what was put out is named", "http.resource", code="required")
    if len(told) > MOST_RESOURCES:
        raise TooCostly(f"up to {MOST_RESOURCES} resources are reported at once", "http.resource")
    found = []
    for each in dict.fromkeys(told):
        match = _REFERENCE.fullmatch(each)
        if match is None or not is_resource_type(match.group(1)) or match.group(1) == "AuditEvent":
            raise Invalid("a resource is named as Observation/123", "http.resource", code="value")
        found.append((match.group(1), match.group(2)))
    return found
