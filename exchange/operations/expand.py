"""$expand: the codes of a value set, a page at a time.

Spec:    https://hl7.org/fhir/R4/valueset-operation-expand.html
Leaves:  which codes those are to terminology.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from exchange.fhir.resource import dump
from exchange.operations.lookup import display_in
from exchange.operations.parameters import BOOLEAN, INTEGER, RESOURCE, TEXT, Given
from exchange.operations.terminology_target import rules_of
from exchange.permit import Permit
from exchange.problems import NotSupported, TooCostly
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.terminology.code_system import require_system
from exchange.terminology.concept import Concept, has_words
from exchange.terminology.value_set import Expansion, Rules, expansion_of

TAKEN: Final = {
    "url": TEXT, "valueSet": RESOURCE, "valueSetVersion": TEXT, "filter": TEXT, "offset": INTEGER, "count": INTEGER,
    "includeDesignations": BOOLEAN, "activeOnly": BOOLEAN, "excludeNested": BOOLEAN, "displayLanguage": TEXT,
}  # fmt: skip
MOST_AT_ONCE: Final = 1_000
MAX_FILTER: Final = 200
_KEPT: Final = ("id", "url", "identifier", "version", "name", "title", "status", "experimental", "publisher")


class Expand:
    """ValueSet/$expand and ValueSet/[id]/$expand. Raises: NotFound - no such value set; TooCostly - too many at once."""

    def __init__(self, request: Request, _requester: Requester) -> None:
        if request.resource_type != "ValueSet":
            raise NotSupported("$expand is asked of ValueSet", "http.url")
        self.given = Given(request, TAKEN, body="valueSet")
        self.words = self.given.text("filter")
        if len(self.words) > MAX_FILTER:
            raise NotSupported(f"a filter has at most {MAX_FILTER} characters", "http.filter")
        self.offset = self.given.one("offset") or 0
        self.count = self.given.one("count")
        self.resource_id = request.resource_id
        self.need = Need(
            (("ValueSet", "r"),), target=("ValueSet", self.resource_id) if self.resource_id else None
        )

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Codes listed by the rules first, then those of whole systems."""
        rules, known_as, resource = rules_of(
            transaction, permit, self.resource_id, self.given.text("url"), self.given.text("valueSetVersion"),
            self.given.one("valueSet"),
        )  # fmt: skip
        expansion = expansion_of(transaction, rules, "http.url", known_as=known_as)
        total, contains = self._page(transaction, expansion)
        told: dict[str, Any] = {
            "identifier": f"urn:uuid:{uuid4()}",
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "total": total,
        }
        if self.count is not None or self.offset:
            told["offset"] = self.offset
        used = [f"{url}|{version}" if version else url for url, version in sorted(expansion.versions.items())]
        asked = [("filter", "valueString", self.words), ("count", "valueInteger", self.count),
                 ("activeOnly", "valueBoolean", self.given.one("activeOnly")),
                 *(("used-codesystem", "valueUri", each) for each in used)]  # fmt: skip
        listed = [{"name": name, key: value} for name, key, value in asked if value not in (None, "")]
        if listed:
            told["parameter"] = listed
        if contains:
            told["contains"] = contains
        return Answer(body=dump(_described(rules, resource) | {"expansion": told}))

    def _page(self, transaction: Transaction, expansion: Expansion) -> tuple[int, list[dict[str, Any]]]:
        active_only = self.given.flag("activeOnly")
        listed = [
            (system, concept)
            for (system, _), concept in expansion.members.items()
            if has_words(concept, self.words) and not (active_only and concept.is_inactive)
        ]
        total, start = len(listed), self.offset
        limit = min(self.count if self.count is not None else MOST_AT_ONCE, MOST_AT_ONCE)
        chosen = listed[start : start + limit]
        start = max(0, start - len(listed))
        for url in sorted(expansion.systems):
            system = require_system(transaction, url, "http.url")
            count, concepts = system.page(self.words, start, limit - len(chosen), active_only=active_only)
            chosen += [(url, each) for each in concepts]
            start = max(0, start - count)
            total += count
        if self.count is None and total - self.offset > MOST_AT_ONCE:
            raise TooCostly(
                f"the expansion has more than {MOST_AT_ONCE} codes: ask for pages by count and offset"
            )
        return total, [self._row(system, concept) for system, concept in chosen]

    def _row(self, system: str, concept: Concept) -> dict[str, Any]:
        row: dict[str, Any] = {"system": system} if system else {}
        if concept.is_abstract:
            row["abstract"] = True
        if concept.is_inactive:
            row["inactive"] = True
        row["code"] = concept.code
        display = display_in(concept, self.given.text("displayLanguage"))
        if display:
            row["display"] = display
        if concept.designations and self.given.flag("includeDesignations"):
            row["designation"] = list(concept.designations)
        return row


def _described(rules: Rules, resource: dict[str, Any]) -> dict[str, Any]:
    """What the answer says of the value set, without its rules."""
    told: dict[str, Any] = {"resourceType": "ValueSet"}
    told |= {name: resource[name] for name in _KEPT if name in resource}
    own = {"url": rules.url, "version": rules.version, "title": rules.name}
    told |= {name: value for name, value in own.items() if value and name not in told}
    return told | {"status": told.get("status", "active")}
