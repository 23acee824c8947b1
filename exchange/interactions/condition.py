"""Conditional criteria: If-None-Exist, and references of the form `Type?criteria`.

Spec:    https://hl7.org/fhir/R4/http.html#ccreate, https://hl7.org/fhir/R4/http.html#trules
Leaves:  the grammar to search. Criteria that match something hidden behave as no match.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from exchange.permit import Permit
from exchange.problems import NotSupported, PreconditionFailed, TooCostly
from exchange.search import grammar
from exchange.search.matches import find
from exchange.store.session import Transaction
from exchange.store.versions import Version

MOST_CRITERIA_LETTERS = 2_000


def the_one(transaction: Transaction, permit: Permit, resource_type: str, criteria: str) -> Version | None:
    """The only match of conditional criteria, or None. Racing requests with the same criteria wait for each other.

    Raises: PreconditionFailed - several match; NotSupported - the criteria are not understood, or say nothing.
    """
    if len(criteria) > MOST_CRITERIA_LETTERS:
        raise TooCostly("conditional criteria are too long")
    pairs = tuple(parse_qsl(criteria.removeprefix("?"), keep_blank_values=True))
    query = grammar.parse(resource_type, pairs)
    if not query.criteria or query.includes or query.sort or query.page:
        raise NotSupported("conditional criteria are search criteria, and at least one", "http.query")
    lock = transaction.crypto.blind_index.value(f"condition|{resource_type}?{criteria}")
    transaction.rows("SELECT pg_advisory_xact_lock(%s)", (lock,))
    query.count = 2
    matches = find(transaction, permit, query, (), []).matches
    if len(matches) > 1:
        raise PreconditionFailed("the criteria match more than one resource")
    return matches[0] if matches else None
