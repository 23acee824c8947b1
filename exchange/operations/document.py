"""$document: a document made of a Composition and of all that it refers to.

Spec:    https://hl7.org/fhir/R4/composition-operation-document.html, https://hl7.org/fhir/R4/documents.html
Leaves:  decision to consent; what a stored document must pass to admission.

The Composition stands first, then what it refers to, then what that refers to. A reference of the Composition itself
that nothing in reach answers to makes the document impossible, the same whether its target is hidden or absent; further
away what is out of reach is left out. A document that is stored lies in the records of the patients it is about, so that
only a facility that may write there can store it.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from exchange.fhir.definitions import is_resource_type, type_code, type_name
from exchange.fhir.resource import dump, parse
from exchange.interactions import admission
from exchange.interactions.admission import Admitted
from exchange.interactions.bundle_text import fhir_url, instant
from exchange.interactions.search import touched
from exchange.operations.everything_walk import places_of, references
from exchange.operations.parameters import BOOLEAN, TEXT, Given
from exchange.permit import Permit
from exchange.problems import Gone, Invalid, Malformed, NotFound, NotSupported, TooCostly, WrongMethod
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.search.reference import local
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, Version, opened_for, read_current
from exchange.store.visibility import visible

MOST_RESOURCES: Final = 2_000
_DIRECT: Final = ("subject", "encounter", "author", "custodian")

REFERENCED: Final = """
SELECT {columns} FROM unnest(%(asked_types)s::smallint[], %(asked_ids)s::text[]) AS asked(type, id)
JOIN resource r ON r.id = asked.id AND r.type = asked.type
WHERE NOT r.is_deleted AND {where} {types} ORDER BY r.type, r.id"""


class Document:
    """GET or POST Composition/[id]/$document, and Composition/$document?id=.

    Raises: NotFound - absent or hidden; Invalid - a reference of the Composition leads nowhere;
            WrongMethod - to be stored, and asked for with GET.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        if request.resource_type != "Composition" or request.version_id:
            raise NotSupported("$document is asked of a Composition", "http.url")
        given = Given(
            request, {"persist": BOOLEAN, "graph": TEXT} | ({} if request.resource_id else {"id": TEXT})
        )
        if given.text("graph"):
            raise NotSupported(
                "documents here hold what the Composition refers to, by no graph", "http.graph"
            )
        composition = local(given.text("id"), fhir_url()).removeprefix("Composition/")
        self.composition_id = request.resource_id or composition
        if not self.composition_id or "/" in self.composition_id:
            raise Malformed("the id names a Composition of this hub", "http.id")
        self.requester = requester
        self.persists = given.flag("persist")
        if self.persists and request.is_safe:
            raise WrongMethod("a document that is stored is asked for with POST", "http.method")
        # A permit to write reaches the facility's own records alone: nobody keeps a copy of another's.
        actions = [("Composition", "r"), *([("Bundle", "c")] if self.persists else [])]
        target = None if self.persists else ("Composition", self.composition_id)
        self.need = Need(tuple(actions), target=target, is_write=self.persists)

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """The document."""
        composition = read_current(transaction, permit, "Composition", self.composition_id)
        if composition is None:
            raise NotFound("no such Composition")
        if composition.is_deleted:
            raise Gone("this Composition was deleted")
        versions = self._gathered(transaction, permit, composition)
        document = _document(versions, transaction.now)
        if not self.persists:
            return Answer(body=dump(document), touched=touched(versions))
        return self._stored(transaction, document)

    def _gathered(self, transaction: Transaction, permit: Permit, composition: Version) -> list[Version]:
        """The Composition and what can be reached from it, in rounds."""
        found = [composition]
        known = {f"Composition/{composition.resource_id}"}
        asked = set(_direct(parse(composition.text)))
        is_first = True
        while asked:
            added = _resolved(transaction, permit, sorted(asked))
            reached = places_of(added)
            if is_first and asked - reached:
                raise Invalid(
                    "a reference of the Composition leads to nothing here", "Composition", code="not-found"
                )
            found += added
            if len(found) > MOST_RESOURCES:
                raise TooCostly(f"a document has at most {MOST_RESOURCES} resources", "Composition")
            known |= asked
            asked = {place for each in added for place in references(each.text)} - known
            if is_first:
                asked |= references(composition.text) - known
            is_first = False
        return found

    def _stored(self, transaction: Transaction, document: dict[str, Any]) -> Answer:
        resource_id = str(uuid.uuid4())
        document["id"] = resource_id
        admission.require_valid(document)
        admitted = Admitted("Bundle", resource_id, document, patients=_patients(document))
        admission.place(transaction, self.requester, [admitted])
        written = admission.store(transaction, self.requester, [admitted])
        return Answer(
            outcome="created", body=admitted.text, resource_type="Bundle", resource_id=resource_id, version_id=1,
            last_updated=transaction.now, touched=admission.touched([admitted]), written=written,
        )  # fmt: skip


def _direct(composition: dict[str, Any]) -> list[str]:
    """What the Composition itself refers to, and what a document therefore must hold."""
    found: list[str] = []
    nodes: list[Any] = [composition.get(name) for name in _DIRECT]
    nodes += [each.get("party") for each in composition.get("attester", ())]
    nodes += [each.get("detail") for each in composition.get("event", ())]
    sections = list(composition.get("section", ()))
    while sections:
        section = sections.pop()
        nodes += [section.get(name) for name in ("author", "focus", "entry")]
        sections += section.get("section", ())
    for node in nodes:
        for each in node if isinstance(node, list) else [node]:
            told = each.get("reference") if isinstance(each, dict) else None
            if told is None or told.startswith("#"):
                continue
            place = local(told, fhir_url())
            resource_type, _, resource_id = place.partition("/")
            if not is_resource_type(resource_type) or "/" in resource_id:
                raise Invalid("the Composition refers to a resource of another server", "Composition")
            found.append(place)
    return found


def _resolved(transaction: Transaction, permit: Permit, asked: list[str]) -> list[Version]:
    where, parameters = visible(permit)
    pairs = [place.split("/") for place in asked]
    types = ""
    if permit.types is not None:
        types = "AND r.type = ANY(%(types)s::smallint[])"
        parameters["types"] = sorted(type_code(each) for each in permit.types)
    parameters |= {
        "asked_types": [type_code(pair[0]) for pair in pairs],
        "asked_ids": [pair[1] for pair in pairs],
    }
    sql = REFERENCED.format(columns=COLUMNS, where=where, types=types)
    return opened_for(transaction, permit, transaction.rows(sql, parameters))


def _document(versions: list[Version], now: int) -> dict[str, Any]:
    entries = [
        {
            "fullUrl": f"{fhir_url()}/{type_name(each.type_code)}/{each.resource_id}",
            "resource": each.parsed(),
        }
        for each in versions
    ]
    return {
        "resourceType": "Bundle",
        "type": "document",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid.uuid4()}"},
        "timestamp": instant(now),
        "entry": entries,
    }


def _patients(document: dict[str, Any]) -> tuple[str, ...]:
    """The ids of the patients whom a document is about, the Composition's subject first."""
    found: dict[str, None] = {}
    for each in document["entry"]:
        resource = each["resource"]
        for patient in admission.patients_of(resource["resourceType"], resource["id"], resource):
            found.setdefault(patient)
    return tuple(found)
