"""Indexing what the hub holds by a parameter that has been posted to it, batch by batch, while it serves.

Spec:    docs/decisions/0017-search-parameters-of-its-own.md.
Leaves:  being called again and again to the worker.

1. noted     Every act begins with a knowledge of parameters that is at most a second old. So a transaction that begins a
             few seconds later writes the new values by itself.
2. waiting   Until every transaction that may have begun before is over.
3. filling   Rows in the order of their ids: opened, their tokens added where they still are the same version.
4. ready     Searches use the tokens.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.fhir.definitions import SearchParameter, type_name
from exchange.fhir.path import compile_expression
from exchange.search.index import hashed_forms
from exchange.search.population import is_population_form
from exchange.store.index_rotation import know
from exchange.store.session import Transaction
from exchange.store.transaction_numbers import OLDEST_RUNNING, OWN_NUMBER
from exchange.store.versions import COLUMNS, enter_tokens, opened

SETTLED_MICROSECONDS: Final = 3_000_000
BATCH_ROWS: Final = 500

NEXT: Final = """
SELECT type, code, kind, expression, targets, url, state, noted_at, barrier, done FROM custom_parameter
WHERE state IN ('noted', 'waiting', 'filling') ORDER BY noted_at, type, code LIMIT 1 FOR UPDATE SKIP LOCKED"""
STATE: Final = """
UPDATE custom_parameter SET state = %(state)s, barrier = %(barrier)s, done = %(done)s
WHERE type = %(type)s AND code = %(code)s"""
# In one order, and only rows that nobody writes just now: a writer brings the new values himself.
ROWS: Final = f"""
SELECT {COLUMNS} FROM resource r WHERE r.type = %(type)s AND r.id > %(done)s ORDER BY r.id LIMIT %(limit)s
FOR UPDATE"""  # noqa: S608
ADD: Final = """
UPDATE resource SET tokens = tokens || %(tokens)s::bigint[]
WHERE id = %(id)s AND type = %(type)s AND compartment = %(compartment)s AND version_id = %(version)s"""


def index_step(transaction: Transaction) -> bool:
    """One step of the oldest parameter that is not indexed; whether more is to do at once. The caller commits."""
    know(transaction)
    rows = transaction.rows(NEXT)
    if not rows:
        return False
    code, name, kind, expression, targets, url, state, noted_at, barrier, done = rows[0]
    row: dict[str, Any] = {"type": code, "code": name, "state": state, "barrier": barrier, "done": done}
    # 1.
    if state == "noted":
        if transaction.now - noted_at < SETTLED_MICROSECONDS:
            return False
        row |= {"state": "waiting", "barrier": transaction.rows(OWN_NUMBER)[0][0]}
        transaction.run(STATE, row)
        return True
    # 2.
    if state == "waiting":
        if transaction.rows(OLDEST_RUNNING)[0][0] < barrier:
            return False
        transaction.run(STATE, row | {"state": "filling"})
        return True
    # 3.
    parameter = SearchParameter(name, kind, expression, tuple(targets), url)
    last, count = _fill(transaction, code, parameter, done)
    # 4.
    is_done = count < BATCH_ROWS
    transaction.run(STATE, row | {"done": last, "state": "ready" if is_done else "filling"})
    return True


def _fill(transaction: Transaction, code: int, parameter: SearchParameter, done: str) -> tuple[str, int]:
    """Index one batch; the id of its last row and how many there were."""
    resource_type = type_name(code)
    select = compile_expression(parameter.expression, resource_type)
    blind = transaction.crypto.blind_index
    versions = opened(transaction, transaction.rows(ROWS, {"type": code, "done": done, "limit": BATCH_ROWS}))
    entries: set[tuple[int, int]] = set()
    for each in versions:
        elements = select(each.parsed()) if not each.is_deleted else []
        hashed = hashed_forms(resource_type, parameter, elements, (), blind, each.compartment)
        if not hashed:
            continue
        place = {
            "id": each.resource_id,
            "type": code,
            "compartment": each.compartment,
            "version": each.version_id,
        }
        transaction.run(
            ADD, place | {"tokens": sorted({token for made in hashed.values() for token in made})}
        )
        found = [
            token
            for form, made in hashed.items()
            if is_population_form(parameter.name, form)
            for token in made
        ]
        entries |= {(token, each.compartment) for token in found}
    enter_tokens(transaction, entries)
    return (versions[-1].resource_id if versions else done), len(versions)
