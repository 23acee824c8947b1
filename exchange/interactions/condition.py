"""Conditional criteria: If-None-Exist, and references of the form `Type?criteria`.

Spec:    https://hl7.org/fhir/R4/http.html#ccreate, https://hl7.org/fhir/R4/http.html#trules
Leaves:  the grammar to search. Criteria that match something hidden behave as no match.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from exchange.permit import Permit
from exchange.problems import NotSupported, PreconditionFailed, TooCostly
from exchange.request import Request
from exchange.search import grammar
from exchange.search.matches import find
from exchange.store.session import Transaction
from exchange.store.versions import Version

MOST_CRITERIA_LETTERS: Final = 2_000
_PASSED_OVER: Final = ("_format", "_pretty")
LOCK: Final = """
SELECT pg_advisory_xact_lock(place) FROM (SELECT unnest(%s::bigint[]) AS place ORDER BY 1) ordered"""


def criteria_of(request: Request) -> str:
    """The criteria of a conditional update, patch or delete, as query text; "" where an id is named.

    Raises: NotSupported - neither an id nor criteria, or both.
    """
    criteria = [pair for pair in request.query if pair[0] not in _PASSED_OVER]
    if request.resource_id:
        require_no_criteria(request)
        return ""
    if not criteria:
        raise NotSupported("the address names neither an id nor criteria", "http.url")
    return urlencode(criteria, quote_via=quote)


def require_no_criteria(request: Request) -> None:
    """Refuse parameters of an act that takes none: what was meant by them would not be done. Raises: NotSupported."""
    if any(name not in _PASSED_OVER for name, _ in request.query):
        raise NotSupported("this takes no parameters", "http.query")


def plain(criteria: str) -> str:
    """Criteria in one spelling, however they were escaped."""
    return urlencode(_pairs(criteria))


def lock_conditions(transaction: Transaction, conditions: Iterable[tuple[str, str]]) -> None:
    """Make racing requests with the same type and criteria wait for each other, until the transaction ends."""
    value = transaction.crypto.blind_index.value
    # One order for everybody, so that two bundles cannot deadlock.
    locks = sorted({value(f"condition|{type_}?{plain(text)}") for type_, text in conditions})
    if locks:
        transaction.rows(LOCK, (locks,))


def the_one(
    transaction: Transaction, permit: Permit, resource_type: str, criteria: str, *, is_locked: bool = False
) -> Version | None:
    """The only match of conditional criteria, or None. Racing requests with the same criteria wait for each other.

    `is_locked`: they do so already.
    Raises: PreconditionFailed - several match; NotSupported - the criteria are not understood, or say nothing.
    """
    pairs = _pairs(criteria)
    query = grammar.parse(resource_type, pairs)
    if not query.nodes or query.includes or query.sort or query.page:
        raise NotSupported("conditional criteria are search criteria, and at least one", "http.query")
    if not is_locked:
        lock_conditions(transaction, [(resource_type, criteria)])
    query.count = 2
    matches = find(transaction, permit, query, {}, []).matches
    if len(matches) > 1:
        raise PreconditionFailed("the criteria match more than one resource")
    return matches[0] if matches else None


def _pairs(criteria: str) -> tuple[tuple[str, str], ...]:
    if len(criteria) > MOST_CRITERIA_LETTERS:
        raise TooCostly("conditional criteria are too long")
    return tuple(parse_qsl(criteria.removeprefix("?"), keep_blank_values=True))
