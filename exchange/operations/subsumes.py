"""$subsumes: how two codes of one system stand to each other.

Spec:    https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
Leaves:  hierarchies to terminology.
"""

from __future__ import annotations

from typing import Final

from exchange.operations.parameters import CODING, TEXT, Given, parameters
from exchange.operations.terminology_target import code_system_of
from exchange.permit import Permit
from exchange.problems import Malformed, NotFound, NotSupported
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.store.session import Transaction

TAKEN: Final = {
    "codeA": TEXT,
    "codeB": TEXT,
    "system": TEXT,
    "version": TEXT,
    "codingA": CODING,
    "codingB": CODING,
}


class Subsumes:
    """CodeSystem/$subsumes and CodeSystem/[id]/$subsumes. Raises: NotFound - no such system, or not both codes in it."""

    def __init__(self, request: Request, _requester: Requester) -> None:
        if request.resource_type != "CodeSystem":
            raise NotSupported("$subsumes is asked of CodeSystem", "http.url")
        given = Given(request, TAKEN)
        one, other = given.one("codingA") or {}, given.one("codingB") or {}
        systems = {each for each in (given.text("system"), one.get("system"), other.get("system")) if each}
        self.codes = one.get("code") or given.text("codeA"), other.get("code") or given.text("codeB")
        self.resource_id = request.resource_id
        if not all(self.codes) or len(systems) + bool(self.resource_id) < 1:
            raise Malformed("$subsumes needs two codes and their system", "http.codeA", code="required")
        if len(systems) > 1:
            raise Malformed("$subsumes compares codes of one system", "http.codingB")
        self.system = next(iter(systems), "")
        self.version = given.text("version")
        self.need = Need(
            (("CodeSystem", "r"),), target=("CodeSystem", self.resource_id) if self.resource_id else None
        )

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """equivalent, subsumes, subsumed-by or not-subsumed."""
        system = code_system_of(transaction, permit, self.resource_id, self.system, self.version)
        found = system.get(self.codes)
        if any(code not in found for code in self.codes):
            raise NotFound("the code system has not both codes", "http.codeA")
        one, other = (found[code].code for code in self.codes)
        outcome = "not-subsumed"
        if one == other:
            outcome = "equivalent"
        elif one in system.above(other):
            outcome = "subsumes"
        elif other in system.above(one):
            outcome = "subsumed-by"
        return parameters(("outcome", "valueCode", outcome))
