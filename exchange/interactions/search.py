"""search-type and search-system: matches, includes, and the page they stand on; in a compartment, too.

Spec:    https://hl7.org/fhir/R4/search.html, https://hl7.org/fhir/R4/http.html#search
Leaves:  the grammar, SQL and pages to search.

A search that names a patient covers every record linked to that person, as far as the permit reaches. A search over
several types goes through them in their order; each page says where the next begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, urlencode

from exchange.fhir.compartment import compartment_parameters
from exchange.fhir.definitions import RESOURCE_TYPES, is_resource_type, type_name
from exchange.fhir.resource import dump
from exchange.fhir.subset import subset
from exchange.interactions.bundle_text import NOTICE, bundle, entry
from exchange.interactions.page_binding import holder
from exchange.permit import DIRECTORY_TYPES, Permit
from exchange.problems import NotFound, NotSupported
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.search import grammar, page
from exchange.search.include import included
from exchange.search.matches import Found, find
from exchange.search.parameter import known_parameters
from exchange.search.reference import scoping_parameters
from exchange.search.tree import AnyOf, Criterion, Node, Query
from exchange.search.wanted_forms import own_patient_criterion
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import Version

COMPARTMENTS: Final = ("Patient", "Encounter", "RelatedPerson", "Practitioner", "Device")
_UNSEARCHED: Final = frozenset({"AuditEvent", "Bundle", "Parameters"})
"""Types that a search over several leaves out unless it names them: events are an auditor's own search."""


class Search:
    """GET [base]/[type]?…, POST …/_search, in a compartment or over all types. Raises: NotSupported, TooCostly."""

    def __init__(self, request: Request, requester: Requester) -> None:
        self.requester = requester
        self.request = request
        types = _types(request, requester)
        self.queries = [
            grammar.parse(each, request.query, is_lenient=request.is_lenient, types=types) for each in types
        ]
        patients: list[tuple[str, ...]] = []
        if request.compartment is not None:
            kept = [_in_compartment(query, *request.compartment) for query in self.queries]
            self.queries = [query for query, is_kept in zip(self.queries, kept, strict=True) if is_kept]
            patients = [(request.compartment[1],)] if request.compartment[0] == "Patient" else []
        self.scoping: dict[Criterion, int] = {}
        for query in self.queries:
            scoped = scoping_parameters(query.resource_type)
            named = [(each, own_patient_criterion(each, scoped)) for each in query.criteria]
            found = [(each, tuple(ids)) for each, ids in named if ids]
            if len(types) > 1 and request.compartment is None:
                found = []  # a search over several types has one reach: that of all records
            for each, ids in found:
                if ids not in patients:
                    patients.append(ids)
                self.scoping[each] = patients.index(ids)
        reverse = {each.source for query in self.queries for each in query.includes if each.is_reverse}
        if len(reverse) > grammar.MAX_CRITERIA:  # `_revinclude=*`: what may not be read is left out instead
            reverse = set()
        self.need = Need(
            tuple((each, "s") for each in (*(types if _is_named(request) else ()), *sorted(reverse))),
            patients=tuple(patients),
        )

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """One page."""
        if not self.queries:
            return Answer(body=bundle("searchset", [("self", self._url(()))], [NOTICE], 0))
        first = self.queries[0]
        position = page.open_page(transaction.crypto, holder(self.requester), self._bound_to, first)
        found = self._found(transaction, permit, position)
        includes = list(dict.fromkeys(each for query in self.queries for each in query.includes))
        added = included(transaction, permit, includes, found.matches) if includes else []
        links = [("self", self._url(first.used))]
        if found.next_position:
            token = page.seal_page(
                transaction.crypto, holder(self.requester), self._bound_to, first, found.next_position
            )
            links.append(("next", self._url([*first.used, ("_page", token)])))
        asked = {query.resource_type: query for query in self.queries}
        entries = [entry(_part(each, asked, first), "match") for each in found.matches]
        entries += [entry(_part(each, {}, first), "include") for each in added]
        if not permit.audit and not all(each.resource_type in DIRECTORY_TYPES for each in self.queries):
            entries.append(NOTICE)
        return Answer(
            body=bundle("searchset", links, entries, found.total), touched=touched((*found.matches, *added))
        )

    def _found(self, transaction: Transaction, permit: Permit, position: list[object]) -> Found:
        """One page of matches; over several types, a position begins with the place of its type among them."""
        if len(self.queries) == 1:
            return find(transaction, permit, self.queries[0], self.scoping, position, within=self._within)
        start, inner = (int(str(position[0])), position[1:]) if position else (0, [])
        found = Found(total=0 if not position else None)
        wanted = self.queries[0].count
        for number, query in enumerate(self.queries[start:], start):
            query.count = wanted - len(found.matches)
            after = inner if number == start else []
            part = find(transaction, permit, query, self.scoping, after, within=self._within)
            found.matches += part.matches
            if found.total is not None:
                found.total = None if part.total is None else found.total + part.total
            if query.is_count_only:
                continue
            if part.next_position or (len(found.matches) >= wanted and number + 1 < len(self.queries)):
                found.next_position = [number, *part.next_position] if part.next_position else [number + 1]
                found.total = None
                break
        return found

    @property
    def _within(self) -> int | None:
        """The place of the compartment's patient among those that are named."""
        compartment = self.request.compartment
        return 0 if compartment is not None and compartment[0] == "Patient" else None

    @property
    def _bound_to(self) -> str:
        where = "/".join(self.request.compartment or ())
        return f"{where}|{self.request.resource_type}"

    def _url(self, used: Iterable[tuple[str, str]]) -> str:
        text = urlencode(list(used), quote_via=quote, safe=":,/$")
        parts = [settings().fhir_url, *(self.request.compartment or ())]
        if self.request.resource_type or self.request.compartment:
            parts.append(self.request.resource_type or "*")
        return "/".join(parts) + (f"?{text}" if text else "")


def touched(versions: Iterable[Version]) -> list[Touched]:
    """The records that an answer shows, each with its resources."""
    shown: dict[int, list[str]] = {}
    for each in versions:
        for compartment in each.compartments:
            if compartment > 0:
                references = shown.setdefault(compartment, [])
                references.append(
                    f"{type_name(each.type_code)}/{each.resource_id}/_history/{each.version_id}"
                )
    return [Touched(compartment, tuple(references)) for compartment, references in shown.items()]


def _is_named(request: Request) -> bool:
    """Whether the request says which types it wants; else it gets those that it may have."""
    return bool(request.resource_type) or any(name == "_type" for name, _ in request.query)


def _types(request: Request, requester: Requester) -> tuple[str, ...]:
    """The types that are searched. Raises: NotSupported - `_type` names none, or stands beside a type."""
    if request.compartment is not None and request.compartment[0] not in COMPARTMENTS:
        raise NotFound("there is no such compartment")
    told = [text for name, text in request.query if name == "_type"]
    if request.resource_type:
        if told:
            raise NotSupported("'_type' belongs to a search over several types", "http._type")
        return (request.resource_type,)
    named = tuple(dict.fromkeys(each for text in told for each in text.split(",")))
    if not all(is_resource_type(each) for each in named):
        raise NotSupported("'_type' takes resource types", "http._type")
    if not named and not request.query and request.compartment is None:
        raise NotSupported("a search over all types says what it looks for", "http.query")
    if named:
        return named
    every = RESOURCE_TYPES if requester.sees_charts else sorted(DIRECTORY_TYPES)
    return tuple(each for each in every if each not in _UNSEARCHED)


def _in_compartment(query: Query, compartment_type: str, compartment_id: str) -> bool:
    """Narrow a query to a compartment; whether its type can be in one at all."""
    names = compartment_parameters(compartment_type, query.resource_type)
    if compartment_type == "Patient":
        return bool(names)  # the records that the permit lists are the compartment
    known = known_parameters(query.resource_type)
    place = f"{compartment_type}/{compartment_id}"
    nodes: list[Node] = [Criterion(known["_id"], "", (compartment_id,)) for name in names if name == "{def}"]
    nodes += [Criterion(known[name], "", (place,)) for name in names if name in known]
    if nodes:
        query.nodes.append(AnyOf(tuple(nodes)))
    return bool(nodes)


def _part(version: Version, asked: Mapping[str, Query], first: Query) -> Version:
    """A version with what `_summary` keeps of it or, of a match of the types asked for, `_elements`."""
    query = asked.get(type_name(version.type_code))
    elements = query.elements if query is not None else ()
    if not first.summary and not elements:
        return version
    return version.with_text(dump(subset(version.parsed(), first.summary, elements)))
