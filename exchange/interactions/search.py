"""search-type: matches, includes, and the page they stand on.

Spec:    https://hl7.org/fhir/R4/search.html, https://hl7.org/fhir/R4/http.html#search
Leaves:  the grammar, SQL and pages to search.

A search that names a patient covers every record linked to that person, as far as the permit reaches.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlencode

from exchange.fhir.definitions import type_name
from exchange.interactions.bundle_text import NOTICE, bundle, entry
from exchange.permit import DIRECTORY_TYPES, Permit
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.search import grammar, page, predicate
from exchange.search.include import included
from exchange.search.matches import find
from exchange.search.reference import scoping_parameters
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import Version


class Search:
    """GET [base]/[type]?… and POST [base]/[type]/_search. Raises: NotSupported, TooCostly - see the grammar."""

    def __init__(self, request: Request, requester: Requester) -> None:
        self.query = grammar.parse(request.resource_type, request.query, is_lenient=request.is_lenient)
        self.requester = requester
        scoped = scoping_parameters(request.resource_type)
        named = [(each, predicate.own_patient_criterion(each, scoped)) for each in self.query.criteria]
        self.scoping = [criterion for criterion, patients in named if patients]
        types = {each.source for each in self.query.includes if each.is_reverse}
        self.need = Need(
            ((request.resource_type, "s"), *((each, "s") for each in sorted(types))),
            patients=tuple(tuple(patients) for _, patients in named if patients),
        )

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """One page."""
        query = self.query
        position = page.open_page(transaction.crypto, self.requester.client_id, query)
        found = find(transaction, permit, query, self.scoping, position)
        added = included(transaction, permit, query.includes, found.matches) if query.includes else []
        links = [("self", _url(query.resource_type, query.used))]
        if found.next_position:
            token = page.seal_page(transaction.crypto, self.requester.client_id, query, found.next_position)
            links.append(("next", _url(query.resource_type, [*query.used, ("_page", token)])))
        entries = [entry(each, "match") for each in found.matches] + [
            entry(each, "include") for each in added
        ]
        if query.resource_type not in DIRECTORY_TYPES and not permit.audit:
            entries.append(NOTICE)
        return Answer(
            body=bundle("searchset", links, entries, found.total), touched=touched((*found.matches, *added))
        )


def touched(versions: Iterable[Version]) -> list[Touched]:
    """The records that an answer shows, each with its resources."""
    shown: dict[int, list[str]] = {}
    for each in versions:
        for compartment in each.compartments:
            if compartment > 0:
                references = shown.setdefault(compartment, [])
                references.append(f"{type_name(each.type_code)}/{each.resource_id}")
    return [Touched(compartment, tuple(references)) for compartment, references in shown.items()]


def _url(resource_type: str, used: Iterable[tuple[str, str]]) -> str:
    text = urlencode(list(used), quote_via=quote, safe=":|,/$")
    return f"{settings().fhir_url}/{resource_type}" + (f"?{text}" if text else "")
