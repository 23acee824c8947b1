"""Moving the index to a new version of its key, step by step, while the hub serves.

Spec:    docs/blind-indexes.md, "Rotating the index key".
Leaves:  what each state means to store/index_rotation; being called again and again to worker/steps.

1. A newer active version of the key begins a rotation.
2. A state that changes what processes do has settled when every process has heard of it.
3. What began before that has to be over, reading or writing.
4. Old rows are opened and indexed under both versions.
5. The former version's tokens, which their lowest bit tells, are taken out unopened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from exchange.fhir.definitions import type_name
from exchange.identity.cross_reference import add_keys
from exchange.search.custom import read_custom
from exchange.search.index import index
from exchange.search.parameter import install
from exchange.store.index_rotation import NEWEST, know
from exchange.store.session import Row, Transaction
from exchange.store.versions import COLUMNS, array_text, enter_tokens, opened

SETTLED_MICROSECONDS: Final = 5_000_000
BATCH_ROWS: Final = 500
BATCH_ENTRIES: Final = 5_000
_LOCK: Final = 0x72656B6579
_LEAST: Final = -(2**63)

LOCK: Final = "SELECT pg_try_advisory_xact_lock(%(lock)s)"
# By the database's clock: the processes of one hub may run on several machines.
BEGIN: Final = """
INSERT INTO index_rotation (version, former, state, since)
SELECT max(k.version), max(k.version) - 1, 'noted', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
FROM hub_key k WHERE k.purpose = 'index' AND k.state = 'active'
HAVING max(k.version) > coalesce((SELECT max(r.version) FROM index_rotation r), 1) RETURNING version"""
GO_ON: Final = """
UPDATE index_rotation SET state = %(state)s, done = %(done)s, done_type = %(done_type)s, moved = %(moved)s,
  since = CASE WHEN state = %(state)s THEN since ELSE (extract(epoch FROM clock_timestamp()) * 1000000)::bigint END
WHERE version = %(version)s"""
AGE: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - %(since)s"
# A search takes no transaction number before its audit event: what runs is told by when it began.
IS_QUIET: Final = """
SELECT NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND a.backend_type = 'client backend' AND a.xact_start < to_timestamp(%(since)s / 1000000.0))"""

ROWS: Final = f"""
SELECT {COLUMNS} FROM resource r WHERE (r.id, r.type) > (%(done)s, %(done_type)s)
ORDER BY r.id, r.type LIMIT %(limit)s FOR UPDATE"""  # noqa: S608 - constants only
ADD: Final = """
UPDATE resource SET tokens = ARRAY(SELECT DISTINCT t FROM unnest(tokens || %(tokens)s::bigint[]) t ORDER BY 1)
WHERE id = %(id)s AND type = %(type)s AND compartment = %(compartment)s"""
PLACES: Final = """
SELECT r.id, r.type, r.compartment FROM resource r WHERE (r.id, r.type) > (%(done)s, %(done_type)s)
ORDER BY r.id, r.type LIMIT %(limit)s FOR UPDATE"""
REMOVE: Final = """
UPDATE resource r SET tokens = ARRAY(SELECT t FROM unnest(r.tokens) t WHERE t & 1 <> %(bit)s)
FROM unnest(%(ids)s::text[], %(types)s::smallint[], %(compartments)s::bigint[]) AS g(id, type, compartment)
WHERE r.id = g.id AND r.type = g.type AND r.compartment = g.compartment"""
ENTRIES: Final = """
SELECT t.hash, t.compartment FROM token_entry t WHERE (t.hash, t.compartment) > (%(hash)s, %(place)s)
ORDER BY 1, 2 LIMIT %(limit)s"""
REMOVE_ENTRIES: Final = """
DELETE FROM token_entry t USING unnest(%(hashes)s::bigint[], %(places)s::bigint[]) AS g(hash, compartment)
WHERE t.hash = g.hash AND t.compartment = g.compartment AND t.hash & 1 = %(bit)s"""
REMOVE_KEYS: Final = """
DELETE FROM identity_key WHERE ctid = ANY(ARRAY(
  SELECT k.ctid FROM identity_key k WHERE k.hash & 1 = %(bit)s LIMIT %(limit)s FOR UPDATE SKIP LOCKED))"""

SETTLING: Final = {"noted": "both", "switched": "switching", "alone": "leaving"}
WAITING: Final = {"both": "filling", "switching": "alone", "leaving": "removing"}

Rotation = dict[str, Any]
"""A row of the table index_rotation."""


def rekey_step(transaction: Transaction) -> bool:
    """One step; whether more is to do at once. The caller commits. Of several processes one works, the others wait."""
    if not transaction.rows(LOCK, {"lock": _LOCK})[0][0]:
        return False
    # 1.
    found = transaction.rows(NEWEST)
    if not found or found[0][2] == "done":
        return bool(transaction.rows(BEGIN))
    names = ("version", "former", "state", "since", "done", "done_type", "moved")
    rotation: Rotation = dict(zip(names, found[0], strict=True))
    know(transaction)
    state = rotation["state"]
    # 2.
    if state in SETTLING:
        if transaction.rows(AGE, rotation)[0][0] < SETTLED_MICROSECONDS:
            return False
        return _go_on(transaction, rotation, SETTLING[state])
    # 3.
    if state in WAITING:
        if not transaction.rows(IS_QUIET, rotation)[0][0]:
            return False
        return _go_on(transaction, rotation, WAITING[state])
    # 4. and 5.
    is_last = WORK[state](transaction, rotation)
    return _go_on(transaction, rotation, AFTER[state] if is_last else state, is_new=is_last)


def _go_on(transaction: Transaction, rotation: Rotation, state: str, *, is_new: bool = True) -> bool:
    fresh = {"done": "", "done_type": 0, "moved": 0} if is_new else {}
    transaction.run(GO_ON, rotation | fresh | {"state": state})
    return True


def _fill(transaction: Transaction, rotation: Rotation) -> bool:
    """Give one batch of rows the tokens of both versions; whether it was the last."""
    install(read_custom(transaction))
    rows = transaction.rows(ROWS, rotation | {"limit": BATCH_ROWS})
    blind = transaction.crypto.blind_index
    own = transaction.store.patient_ids.of(transaction, sorted({row[0] for row in rows if row[0] > 0}))
    entries: set[tuple[int, int]] = set()
    for each in opened(transaction, [row for row in rows if not row[5]]):
        resource, patient = each.parsed(), own.get(each.compartment)
        made = index(resource, (patient,) if patient else (), blind, each.compartment)
        place = {"id": each.resource_id, "type": each.type_code, "compartment": each.compartment}
        transaction.run(ADD, place | {"tokens": array_text(made.tokens)})
        entries |= {(token, each.compartment) for token in made.population_tokens}
        if type_name(each.type_code) == "Patient":
            add_keys(transaction, each.compartment, resource)
    enter_tokens(transaction, entries)
    return _gone_through(rotation, [(row[2], row[1]) for row in rows])


def _remove_tokens(transaction: Transaction, rotation: Rotation) -> bool:
    rows = transaction.rows(PLACES, rotation | {"limit": BATCH_ROWS})
    ids, types, compartments = ([row[number] for row in rows] for number in range(3))
    named = {"ids": ids, "types": types, "compartments": compartments}
    transaction.run(REMOVE, named | {"bit": rotation["former"] & 1})
    return _gone_through(rotation, rows)


def _gone_through(rotation: Rotation, rows: list[Row]) -> bool:
    if rows:
        rotation |= {"done": rows[-1][0], "done_type": rows[-1][1], "moved": rotation["moved"] + len(rows)}
    return len(rows) < BATCH_ROWS


def _remove_entries(transaction: Transaction, rotation: Rotation) -> bool:
    value, place = map(int, rotation["done"].split()) if rotation["done"] else (_LEAST, _LEAST)
    rows = transaction.rows(ENTRIES, {"hash": value, "place": place, "limit": BATCH_ENTRIES})
    hashes, places = [row[0] for row in rows], [row[1] for row in rows]
    transaction.run(REMOVE_ENTRIES, {"hashes": hashes, "places": places, "bit": rotation["former"] & 1})
    if rows:
        rotation |= {"done": f"{rows[-1][0]} {rows[-1][1]}", "moved": rotation["moved"] + len(rows)}
    return len(rows) < BATCH_ENTRIES


def _remove_keys(transaction: Transaction, rotation: Rotation) -> bool:
    number = transaction.run(REMOVE_KEYS, {"bit": rotation["former"] & 1, "limit": BATCH_ENTRIES})
    rotation["moved"] += number
    return number == 0


WORK: Final[dict[str, Callable[[Transaction, Rotation], bool]]] = {
    "filling": _fill,
    "removing": _remove_tokens,
    "entries": _remove_entries,
    "keys": _remove_keys,
}
AFTER: Final = {"filling": "switched", "removing": "entries", "entries": "keys", "keys": "done"}
