"""$lookup: what a code means.

Spec:    https://hl7.org/fhir/R4/codesystem-operation-lookup.html
Leaves:  finding the code system to terminology.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.operations.parameters import CODING, TEXT, Given, parameters, part
from exchange.permit import Permit
from exchange.problems import Malformed, NotFound, NotSupported
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.terminology.code_system import find_system
from exchange.terminology.concept import CodeSystem, Concept

TAKEN: Final = {"code": TEXT, "system": TEXT, "version": TEXT, "coding": CODING, "displayLanguage": TEXT,
                "property": TEXT}  # fmt: skip


class Lookup:
    """CodeSystem/$lookup by code and system, or by coding. Raises: NotFound - no such system, or no such code in it."""

    def __init__(self, request: Request, _requester: Requester) -> None:
        if request.resource_type != "CodeSystem" or request.resource_id:
            raise NotSupported("$lookup is asked of CodeSystem", "http.url")
        given = Given(request, TAKEN, repeating=("property",))
        coding = given.one("coding") or {
            "system": given.text("system"), "code": given.text("code"), "version": given.text("version"),
        }  # fmt: skip
        if not coding.get("system") or not coding.get("code"):
            raise Malformed("$lookup needs a code with its system", "http.code", code="required")
        self.coding = coding
        self.language = given.text("displayLanguage")
        self.wanted = frozenset(given.all("property"))
        self.need = Need((("CodeSystem", "r"),))

    def run(self, transaction: Transaction, _permit: Permit) -> Answer:
        """Name, version, display, designations and properties of the concept."""
        system = find_system(transaction, self.coding["system"], self.coding.get("version", ""))
        if system is None:
            raise NotFound("the code system is not known here", "http.system")
        concept = system.get([self.coding["code"]]).get(self.coding["code"])
        if concept is None:
            raise NotFound("the code system has no such code", "http.code")
        return parameters(
            ("name", "valueString", system.name or system.url),
            ("version", "valueString", system.version),
            ("display", "valueString", display_in(concept, self.language) or concept.code),
            *(("designation", "part", _designation(each)) for each in concept.designations),
            *(("property", "part", each) for each in self._properties(system, concept)),
        )

    def _properties(self, system: CodeSystem, concept: Concept) -> list[list[dict[str, Any]]]:
        told: list[tuple[str, str, Any]] = [
            ("inactive", "valueBoolean", concept.is_inactive),
            *(("parent", "valueCode", each) for each in concept.parents),
            *(("child", "valueCode", each) for each in system.children(concept.code)),
        ]
        if concept.is_abstract:
            told.append(("notSelectable", "valueBoolean", True))
        if concept.definition:
            told.append(("definition", "valueString", concept.definition))
        own = {name for name, _, _ in told}
        told += [each for each in concept.properties if each[0] not in own]
        return [
            part(("code", "valueCode", name), ("value", key, value))
            for name, key, value in told
            if not self.wanted or name in self.wanted
        ]


def display_in(concept: Concept, language: str) -> str:
    """The display in a language, where there is a designation in it."""
    for each in concept.designations:
        if language and str(each.get("language", "")).partition("-")[0] == language.partition("-")[0]:
            return str(each.get("value", ""))
    return concept.display


def _designation(told: dict[str, Any]) -> list[dict[str, Any]]:
    return part(
        ("language", "valueCode", told.get("language")),
        ("use", "valueCoding", told.get("use")),
        ("value", "valueString", told.get("value")),
    )
