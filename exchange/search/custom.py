"""Search parameters that have been posted to the hub: taken up at once, indexed while it serves.

Spec:    https://hl7.org/fhir/R4/searchparameter.html; docs/decisions/0017-search-parameters-of-its-own.md.
Leaves:  when to look again to perform; walking the rows to custom_index.

A parameter is known to every process within a second. Until its values are in the index of every resource it is compared
on the opened resources: an answer is complete from the first moment, or it is refused as too costly, never partial.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Final

from exchange.fhir.definitions import (
    SearchParameter,
    is_resource_type,
    search_parameters,
    type_code,
    type_name,
)
from exchange.fhir.path import compile_expression
from exchange.problems import Conflict, Invalid
from exchange.request import Written
from exchange.search.parameter import ByName
from exchange.store.session import Transaction

INDEXED_KINDS: Final = frozenset({"token", "string", "reference", "uri"})
KINDS: Final = INDEXED_KINDS | {"date", "number", "quantity"}
MAX_EXPRESSION_LETTERS: Final = 2_000
MAX_PARAMETERS: Final = 500
_CODE: Final = re.compile(r"[a-z][a-z0-9\-]{0,63}", re.ASCII)

ALL: Final = (
    "SELECT type, code, kind, expression, targets, url, state FROM custom_parameter ORDER BY type, code"
)
FORGET: Final = "DELETE FROM custom_parameter WHERE id = %(id)s"
TAKEN: Final = """
SELECT count(*) FILTER (WHERE type = ANY(%(types)s::smallint[]) AND code = %(code)s), count(*) FROM custom_parameter"""
ENTER: Final = """
INSERT INTO custom_parameter (type, code, id, kind, expression, targets, url, state, noted_at)
VALUES (%(type)s, %(code)s, %(id)s, %(kind)s, %(expression)s, %(targets)s, %(url)s, %(state)s, %(noted_at)s)"""


def read_custom(transaction: Transaction) -> MappingProxyType[str, ByName]:
    """Every posted parameter, by type and name."""
    found: dict[str, dict[str, SearchParameter]] = {}
    for code, name, kind, expression, targets, url, state in transaction.rows(ALL):
        one = SearchParameter(name, kind, expression, tuple(targets), url, is_indexed=state == "ready")
        found.setdefault(type_name(code), {})[name] = one
    return MappingProxyType({each: MappingProxyType(known) for each, known in found.items()})


def record_parameters(transaction: Transaction, written: Iterable[Written]) -> None:
    """Take up the SearchParameters that an act wrote, in the same transaction; those that are not active are let go.

    Raises: Invalid - one that cannot be searched by; Conflict - its code has another meaning already.
    """
    for each in written:
        if each.resource_type != "SearchParameter":
            continue
        transaction.run(FORGET, {"id": each.resource_id})
        if each.resource is not None and each.resource.get("status") == "active":
            _enter(transaction, each.resource_id, each.resource)


def _enter(transaction: Transaction, resource_id: str, resource: dict[str, Any]) -> None:
    code, kind = resource["code"], resource["type"]
    expression = resource.get("expression", "")
    bases = list(dict.fromkeys(resource.get("base", ())))
    # 1. What it is.
    if not _CODE.fullmatch(code):
        raise Invalid("a code here is of small letters, digits and hyphens", "SearchParameter.code")
    if kind not in KINDS:
        raise Invalid(
            "parameters of this type cannot be added to this hub",
            "SearchParameter.type",
            code="not-supported",
        )
    if not bases or not all(is_resource_type(base) for base in bases):
        raise Invalid("a base is a resource type", "SearchParameter.base", code="not-supported")
    # 2. Whether it can be evaluated, for each of its types.
    if not expression or len(expression) > MAX_EXPRESSION_LETTERS:
        raise Invalid("a parameter has an expression, and a bounded one", "SearchParameter.expression")
    for base in bases:
        try:
            compile_expression(expression, base)
        except (ValueError, RecursionError):
            words = f"the expression selects nothing in {base}, or uses more than search expressions do"
            raise Invalid(words, "SearchParameter.expression", code="not-supported") from None
    # 3. Whether its code is free: a search must not change its meaning.
    if any(code in search_parameters(base) for base in bases):
        raise Conflict("a search parameter of FHIR has this code")
    taken, total = transaction.rows(TAKEN, {"types": [type_code(base) for base in bases], "code": code})[0]
    if taken or total + len(bases) > MAX_PARAMETERS:
        raise Conflict("another search parameter has this code, or there are too many")
    targets = [each for each in resource.get("target", ()) if is_resource_type(each)]
    for base in bases:
        transaction.run(
            ENTER,
            {
                "type": type_code(base), "code": code, "id": resource_id, "kind": kind, "expression": expression,
                "targets": targets, "url": resource["url"], "noted_at": transaction.now,
                "state": "noted" if kind in INDEXED_KINDS else "unindexed",
            },
        )  # fmt: skip
