"""$translate: what a code is in another code system, by concept maps.

Spec:    https://hl7.org/fhir/R4/conceptmap-operation-translate.html
Leaves:  reading maps to terminology.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.operations.parameters import BOOLEAN, CODEABLE, CODING, RESOURCE, TEXT, Given, parameters, part
from exchange.operations.terminology_target import stored, valid
from exchange.permit import Permit
from exchange.problems import Malformed, NotFound, NotSupported
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.store.canonical import all_of_type, find_canonical
from exchange.store.session import Transaction
from exchange.terminology.concept_map import Match, translations

TAKEN: Final = {
    "url": TEXT, "conceptMap": RESOURCE, "conceptMapVersion": TEXT, "code": TEXT, "system": TEXT, "version": TEXT,
    "source": TEXT, "coding": CODING, "codeableConcept": CODEABLE, "target": TEXT, "targetsystem": TEXT,
    "reverse": BOOLEAN,
}  # fmt: skip
MOST_MAPS: Final = 200
MOST_CODINGS: Final = 50
MOST_OTHER_MAPS: Final = 5
NOTHING: Final = "no concept map that this hub has translates the code"


class Translate:
    """ConceptMap/$translate and ConceptMap/[id]/$translate. Raises: NotFound - no such concept map."""

    def __init__(self, request: Request, _requester: Requester) -> None:
        if request.resource_type != "ConceptMap":
            raise NotSupported("$translate is asked of ConceptMap", "http.url")
        self.given = given = Given(request, TAKEN)
        codings = list((given.one("codeableConcept") or {}).get("coding", ()))
        codings += [given.one("coding")] if given.one("coding") else []
        if given.text("code"):
            codings.append({"system": given.text("system"), "code": given.text("code")})
        self.codings = [
            (each.get("system", ""), each.get("code", "")) for each in codings[: MOST_CODINGS + 1]
        ]
        if not self.codings or len(self.codings) > MOST_CODINGS or not all(map(all, self.codings)):
            raise Malformed("$translate needs a code with its system", "http.code", code="required")
        self.resource_id = request.resource_id
        target = ("ConceptMap", self.resource_id) if self.resource_id else None
        self.need = Need((("ConceptMap", "r"),), target=target)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Every translation; `result` says whether one of them is a match."""
        maps = self._maps(transaction, permit)
        matches = [
            match
            for system, code in self.codings
            for each in maps
            for match in self._matches(transaction, each, system, code, MOST_OTHER_MAPS)
        ]
        is_found = any(each.coding is not None for each in matches)
        return parameters(
            ("result", "valueBoolean", is_found),
            ("message", "valueString", "" if is_found else NOTHING),
            *(("match", "part", _shown(each)) for each in matches),
        )

    def _matches(
        self, transaction: Transaction, concept_map: dict[str, Any], system: str, code: str, maps_left: int
    ) -> list[Match]:
        found: list[Match] = []
        reverse = self.given.flag("reverse")
        target = self.given.text("targetsystem")
        for each in translations(concept_map, system, code, target_system=target, is_reverse=reverse):
            other = find_canonical(transaction, "ConceptMap", each.other_map) if each.other_map else None
            if other is None or not maps_left:
                found.append(each)
            else:
                found += self._matches(transaction, other, system, code, maps_left - 1)
        return found

    def _maps(self, transaction: Transaction, permit: Permit) -> list[dict[str, Any]]:
        given = self.given
        if given.one("conceptMap"):
            return [valid(given.one("conceptMap"), "ConceptMap")]
        if self.resource_id:
            return [stored(transaction, permit, "ConceptMap", self.resource_id)]
        if given.text("url"):
            version = given.text("conceptMapVersion")
            found = find_canonical(
                transaction, "ConceptMap", given.text("url") + (f"|{version}" if version else "")
            )
            if found is None:
                raise NotFound("the concept map is not known here", "http.url")
            return [found]
        ends = {"source": given.text("source"), "target": given.text("target")}
        return [
            each
            for each in all_of_type(transaction, "ConceptMap", MOST_MAPS)
            if all(
                not url or url in (each.get(f"{end}Uri"), each.get(f"{end}Canonical"))
                for end, url in ends.items()
            )
        ]


def _shown(match: Match) -> list[dict[str, Any]]:
    products = [
        part(
            ("element", "valueUri", each.get("property")),
            ("concept", "valueCoding", {"system": each.get("system", ""), "code": each.get("value", "")}),
        )
        for each in match.products
    ]
    return part(
        ("equivalence", "valueCode", match.equivalence),
        ("concept", "valueCoding", match.coding),
        *(("product", "part", each) for each in products),
        ("source", "valueUri", match.source),
    )
