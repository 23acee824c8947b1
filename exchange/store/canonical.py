"""Conformance resources by their canonical URL: where they lie, and what is remembered of them.

Spec:    https://hl7.org/fhir/R4/references.html#canonical
Leaves:  what a CodeSystem, ValueSet, ConceptMap or StructureDefinition says to terminology and operations.

They describe the region and no patient, and every client may read them: reading here takes no Permit. What is derived
from them is remembered until the next one is written: `conformance_generation` says when, in the writer's transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, Final
from weakref import WeakKeyDictionary

from exchange.fhir.definitions import type_code, type_name
from exchange.request import Written
from exchange.store.session import Store, Transaction
from exchange.store.versions import COLUMNS, Version, opened

TYPES: Final = frozenset({"CodeSystem", "ConceptMap", "StructureDefinition", "ValueSet"})
MOST_REMEMBERED: Final = 400
MOST_OF_ONE_URL: Final = 50

GENERATION: Final = "SELECT number FROM conformance_generation"
RENEW: Final = "UPDATE conformance_generation SET number = %(number)s"
FORGET: Final = """
DELETE FROM canonical_resource c USING unnest(%(types)s::smallint[], %(ids)s::text[]) AS gone(type, id)
WHERE c.type = gone.type AND c.id = gone.id"""
ENTER: Final = """
INSERT INTO canonical_resource (url, compartment, type, id)
SELECT * FROM unnest(%(urls)s::bigint[], %(compartments)s::bigint[], %(types)s::smallint[], %(ids)s::text[])"""
BY_URL: Final = f"""
SELECT {COLUMNS} FROM canonical_resource c
JOIN resource r ON r.id = c.id AND r.type = c.type AND r.compartment = c.compartment
WHERE c.url = %(url)s AND NOT r.is_deleted ORDER BY r.last_updated DESC, r.id LIMIT %(limit)s"""  # noqa: S608
BY_ID: Final = f"""
SELECT {COLUMNS} FROM resource r WHERE r.id = %(id)s AND r.type = %(type)s AND r.compartment < 0
AND NOT r.is_deleted"""  # noqa: S608
BY_IDS: Final = f"""
SELECT {COLUMNS} FROM unnest(%(types)s::smallint[], %(ids)s::text[]) AS asked(type, id)
JOIN resource r ON r.id = asked.id AND r.type = asked.type
WHERE r.compartment < 0 AND NOT r.is_deleted"""  # noqa: S608
BY_TYPE: Final = f"""
SELECT {COLUMNS} FROM resource r WHERE r.type = %(type)s AND r.compartment < 0 AND NOT r.is_deleted
ORDER BY r.last_updated DESC, r.id LIMIT %(limit)s"""  # noqa: S608


class Memory(dict[tuple[str, ...], Any]):
    """What one process derived from the conformance resources of one generation."""

    generation: int = 0


_MEMORIES: Final[WeakKeyDictionary[Store, Memory]] = WeakKeyDictionary()


def record_canonicals(transaction: Transaction, written: Iterable[Written]) -> None:
    """Note where written conformance resources lie, and that what is remembered of others may be stale."""
    found = [each for each in written if each.resource_type in TYPES]
    if not found:
        return
    transaction.run(
        FORGET,
        {"types": [type_code(e.resource_type) for e in found], "ids": [e.resource_id for e in found]},
    )
    named = [each for each in found if each.resource is not None and each.resource.get("url")]
    transaction.run(
        ENTER,
        {
            "urls": [_place(transaction, e.resource_type, (e.resource or {})["url"]) for e in named],
            "compartments": [each.compartment for each in named],
            "types": [type_code(each.resource_type) for each in named],
            "ids": [each.resource_id for each in named],
        },
    )
    renew(transaction)


def renew(transaction: Transaction) -> None:
    """Have every process forget what it derived. A number drawn by lot: one that was rolled back never comes again."""
    transaction.run(RENEW, {"number": secrets.randbits(62)})


def memory(transaction: Transaction) -> Memory:
    """What this process derived and may still use, for the caller to read and to add to."""
    generation = transaction.rows(GENERATION)[0][0]
    known = _MEMORIES.get(transaction.store)
    if known is None or known.generation != generation or len(known) > MOST_REMEMBERED:
        known = _MEMORIES[transaction.store] = Memory()
        known.generation = generation
    return known


def find_canonical(transaction: Transaction, resource_type: str, canonical: str) -> dict[str, Any] | None:
    """The resource that a canonical names: `url`, `url|version` or `[type]/[id]`; the newest version of several."""
    url, _, version = canonical.partition("|")
    if url.startswith(resource_type + "/") and url.count("/") == 1:
        return _newest(
            transaction, BY_ID, {"id": url.partition("/")[2], "type": type_code(resource_type)}, ""
        )
    place = _place(transaction, resource_type, url)
    found = _newest(transaction, BY_URL, {"url": place, "limit": MOST_OF_ONE_URL}, version)
    return found if found is not None and found.get("url") == url else None


def all_of_type(transaction: Transaction, resource_type: str, limit: int) -> list[dict[str, Any]]:
    """The newest conformance resources of a type, up to a limit."""
    rows = transaction.rows(BY_TYPE, {"type": type_code(resource_type), "limit": limit})
    return [each.parsed() for each in opened(transaction, rows)]


def texts_of(transaction: Transaction, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """The texts of conformance resources by (type, id); those that are not there are left out."""
    asked = sorted(keys)
    told = {"types": [type_code(name) for name, _ in asked], "ids": [logical for _, logical in asked]}
    versions = opened(transaction, transaction.rows(BY_IDS, told))
    return {(type_name(each.type_code), each.resource_id): each.text for each in versions}


def _newest(
    transaction: Transaction, sql: str, parameters: dict[str, Any], version: str
) -> dict[str, Any] | None:
    candidates = [_resource(each) for each in opened(transaction, transaction.rows(sql, parameters))]
    if version:
        candidates = [each for each in candidates if each.get("version") == version]
    return max(candidates, key=lambda each: _version_order(str(each.get("version", ""))), default=None)


def _resource(version: Version) -> dict[str, Any]:
    return version.parsed()


def _version_order(version: str) -> list[tuple[int, int, str]]:
    """Versions by their numbers where they are numbers: 10 comes after 9."""
    return [(1, int(part), "") if part.isdecimal() and len(part) < 16 else (0, 0, part)  # noqa: PLR2004
            for part in version.replace("-", ".").split(".")]  # fmt: skip


def _place(transaction: Transaction, resource_type: str, url: str) -> int:
    return transaction.crypto.blind_index.value(f"canonical|{resource_type}|{url}")
