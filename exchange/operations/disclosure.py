"""$disclosure: what exactly an access showed - the versions, one by one - for a case that somebody answers for.

Spec:    https://hl7.org/fhir/R4/operations.html; docs/audit.md, "What exactly was shown".
Leaves:  whose events may be read to consent/decision; what a manifest is to audit/manifest.
"""

from __future__ import annotations

import re
from typing import Any, Final

from exchange.audit.manifest import MANIFEST_VERSION, shown_in
from exchange.crypto.envelope import associated_data, open_sealed
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import load
from exchange.operations.parameters import TEXT, Given, parameters
from exchange.permit import Permit
from exchange.problems import Invalid, NotFound, NotSupported
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.store.data_keys import key_place
from exchange.store.session import Transaction
from exchange.store.versions import read_current

_CASE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{2,63}", re.ASCII)
_AUDIT: Final = type_code("AuditEvent")
MANIFEST: Final = "SELECT manifest FROM audit_event WHERE id = %s AND compartment = %s"


class Disclosure:
    """GET or POST AuditEvent/[id]/$disclosure?case=NUMBER. A patient needs no number for the own record.

    Raises: Invalid - no case number; NotFound - no such event, or out of the caller's sight.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        if request.resource_type != "AuditEvent" or not request.resource_id or request.version_id:
            raise NotSupported("$disclosure is asked of an AuditEvent", "http.url")
        self.request = request
        self.case = Given(request, {"case": TEXT}).text("case")
        if requester.role != "patient" and not _CASE.fullmatch(self.case):
            raise Invalid(
                "the number of the case is told: 3 to 64 letters and digits", "http.case", code="required"
            )
        self.need = Need((("AuditEvent", "r"),))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """The versions that the event's access showed, of the event's one patient."""
        # 1. An event that cannot be seen looks absent, as by a read.
        event = read_current(transaction, permit, "AuditEvent", self.request.resource_id)
        if event is None:
            raise NotFound("no such AuditEvent")
        # 2. What it names itself, or the list that was sealed beside it.
        sealed = transaction.rows(MANIFEST, (event.resource_id, event.compartment))[0][0]
        shown = _named(load(event.text))
        if sealed is not None:
            cipher = transaction.store.data_keys.ciphers(transaction, (event.compartment,))[
                key_place(event.compartment)
            ]
            bound_to = associated_data(event.compartment, _AUDIT, event.resource_id, MANIFEST_VERSION)
            shown = shown_in(open_sealed(cipher, transaction.crypto.dictionaries, bytes(sealed), bound_to))
        answer = parameters(
            ("event", "valueReference", {"reference": f"AuditEvent/{event.resource_id}"}),
            *(("shown", "valueReference", {"reference": each}) for each in shown),
        )
        # 3. Opening it is an access to the record, under its case.
        answer.noted = (
            f"disclosure opened for case {self.case}" if self.case else "disclosure opened by the patient"
        )
        if event.compartment > 0:
            answer.touched = [Touched(event.compartment, (f"AuditEvent/{event.resource_id}",))]
        return answer


def _named(event: dict[str, Any]) -> list[str]:
    """The one version that an event names."""
    return [
        f"{each['what']['reference']}/_history/{detail['valueString']}"
        for each in event.get("entity", ())
        for detail in each.get("detail", ())
        if detail["type"] == "version"
    ]
