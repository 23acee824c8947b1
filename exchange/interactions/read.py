"""read: the current version of one resource, or the part of it that `_summary` or `_elements` asks for.

Spec:    https://hl7.org/fhir/R4/http.html#read, https://hl7.org/fhir/R4/http.html#summary
Leaves:  conditional headers to rest.
"""

from __future__ import annotations

from typing import Final

from exchange.fhir.resource import dump, parse
from exchange.fhir.subset import subset
from exchange.permit import Permit
from exchange.problems import Gone, NotFound, NotSupported
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.search import grammar
from exchange.search.tree import Query
from exchange.store.session import Transaction
from exchange.store.versions import Version, read_current

_TAKEN: Final = ("_summary", "_elements", "_format", "_pretty")


class Read:
    """GET [base]/[type]/[id].

    Raises: NotFound - absent or hidden; Gone - deleted, and the caller may know; NotSupported - other parameters.
    """

    def __init__(self, request: Request, _requester: Requester) -> None:
        self.request = request
        self.part = part_of(request)
        self.need = Need(((request.resource_type, "r"),), target=(request.resource_type, request.resource_id))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """The resource as it is stored."""
        version = read_current(transaction, permit, self.request.resource_type, self.request.resource_id)
        return narrowed(answer_with(self.request.resource_type, version), self.part)


def part_of(request: Request) -> Query | None:
    """The part of a resource that is asked for, or None for all of it. Raises: NotSupported."""
    told = tuple(pair for pair in request.query if pair[0] in _TAKEN)
    if len(told) < len(request.query) and not request.is_lenient:
        raise NotSupported("a read takes _summary and _elements", "http.query")
    query = grammar.parse(request.resource_type, told) if told else None
    if query is not None and query.is_count_only:
        raise NotSupported("'_summary' of one resource is true, text, data or false", "http._summary")
    return query


def narrowed(answer: Answer, part: Query | None) -> Answer:
    """An answer with the part that is asked for; its `meta` says that it is one."""
    if part is not None and (part.summary or part.elements):
        answer.body = dump(subset(parse(answer.body), part.summary, part.elements))
    return answer


def answer_with(resource_type: str, version: Version | None) -> Answer:
    """The answer that one version makes."""
    if version is None:
        raise NotFound(f"no such {resource_type}")
    if version.is_deleted:
        raise Gone(f"this {resource_type} was deleted")
    return Answer(
        body=version.text,
        resource_type=resource_type,
        resource_id=version.resource_id,
        version_id=version.version_id,
        last_updated=version.last_updated,
        touched=[
            Touched(compartment, (f"{resource_type}/{version.resource_id}/_history/{version.version_id}",))
            for compartment in version.compartments
        ],
    )
