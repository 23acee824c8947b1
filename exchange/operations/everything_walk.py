"""Walking through a record for $everything: what belongs to it, and what that refers to.

Spec:    https://hl7.org/fhir/R4/patient-operation-everything.html
Leaves:  parameters and bundles to everything.

The whole of a record is listed once, by version, and then opened in pieces: each version comes exactly once, whatever is
written meanwhile, and each piece obeys what is decided when it is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from exchange.fhir.definitions import is_resource_type, type_code, type_name
from exchange.interactions.bundle_text import NOTICE, entry, fhir_url
from exchange.permit import Permit
from exchange.request import Answer
from exchange.search.reference import local
from exchange.store.session import Transaction
from exchange.store.versions import BEGINNING, COLUMNS, Version, array_text, opened_for
from exchange.store.visibility import visible

PIECE_ROWS: Final = 500
_MEMBER: Final = re.compile(rb'"(reference|url)":"([^"\\]*)"')
_LOCAL: Final = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})", re.ASCII)

KEYS: Final = """
SELECT r.compartment, r.type, r.id, r.version_id, r.members FROM resource r
WHERE {where} ORDER BY r.type <> %(patient)s, r.compartment, r.type, r.id"""

# A version that was listed is opened from wherever it stands now: where it stood, or among the superseded.
OPENED: Final = """
SELECT {columns} FROM unnest(%(ids)s::text[], %(types)s::smallint[], %(versions)s::int[], %(places)s::bigint[])
  AS k(id, type, version_id, compartment)
JOIN {table} r ON r.id = k.id AND r.type = k.type AND r.version_id = k.version_id AND r.compartment = k.compartment
WHERE {visible}"""

# Neither a type, nor an id nor a compartment ever changes: each resource stands on one page.
OF_ONE: Final = ("(r.type <> %(patient)s)", "r.compartment", "r.type", "r.id")
OF_ALL: Final = OF_ONE[1:]
PAGE: Final = "SELECT {columns} FROM resource r WHERE {where} ORDER BY {order} LIMIT %(limit)s"

SEEN: Final = "SELECT 1 FROM resource r WHERE r.id = %(id)s AND r.type = %(type)s AND "

REFERENCED: Final = """
SELECT {columns} FROM unnest(%(asked_types)s::smallint[], %(asked_ids)s::text[]) AS asked(type, id)
JOIN resource r ON r.id = asked.id AND r.type = asked.type
WHERE NOT r.is_deleted AND {where} ORDER BY r.type, r.id"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. `since` and `dated` are microseconds since 1970 UTC, `encounter` an id or ""."""

    types: frozenset[str]
    since: int | None = None
    dated: tuple[int, int] | None = None
    encounter: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether less than everything is asked for."""
        return bool(self.types) or self.since is not None or self.dated is not None

    def is_match(self, version: Version) -> bool:
        """Whether a resource of the record is what was asked for: of an encounter, it and what refers to it."""
        if not self.encounter:
            return True
        place = f"Encounter/{self.encounter}"
        if f"{type_name(version.type_code)}/{version.resource_id}" == place:
            return True
        return place.encode() in version.text and place in references(version.text)


class Key(msgspec.Struct, frozen=True):
    """One version, by name."""

    compartment: int
    type_code: int
    resource_id: str
    version_id: int
    members: tuple[int, ...]

    @property
    def compartments(self) -> tuple[int, ...]:
        """Every record that it lies in."""
        return (self.compartment, *self.members)

    @property
    def place(self) -> str:
        """Type/id."""
        return f"{type_name(self.type_code)}/{self.resource_id}"


@dataclass(frozen=True, slots=True)
class Page:
    """Some resources and where the next page begins; that is empty on the last."""

    versions: list[Version]
    next_position: list[Any]


def is_seen(transaction: Transaction, permit: Permit, resource_type: str, resource_id: str) -> bool:
    """Whether a permit reaches a resource: what hangs on a hidden one must not answer in its place."""
    where, parameters = visible(permit)
    asked = parameters | {"id": resource_id, "type": type_code(resource_type)}
    return bool(transaction.prepared(SEEN + where, asked))


def keys_of(transaction: Transaction, permit: Permit, wanted: Wanted) -> list[Key]:
    """Every version of the records that a permit reaches, Patients first."""
    where, parameters = _within(permit, wanted)
    rows = transaction.rows(KEYS.format(where=where), parameters)
    return [
        Key(place, code, name, version, tuple(members or ())) for place, code, name, version, members in rows
    ]


def page_of(
    transaction: Transaction, permit: Permit, wanted: Wanted, position: list[Any], count: int
) -> Page:
    """The resources after a position. Of an encounter, a page may hold fewer than it could."""
    where, parameters = _within(permit, wanted)
    columns = OF_ALL if permit.compartments is None else OF_ONE
    if position:
        marks = ", ".join(f"%(k{number})s" for number in range(len(columns)))
        where += f" AND ({', '.join(columns)}) > ({marks})"
        parameters |= {f"k{number}": value for number, value in enumerate(position)}
    sql = PAGE.format(columns=COLUMNS, where=where, order=", ".join(columns))
    versions = opened_for(transaction, permit, transaction.rows(sql, parameters | {"limit": count + 1}))
    follows = len(versions) > count
    versions = versions[:count]
    last = [versions[-1].compartment, versions[-1].type_code, versions[-1].resource_id] if follows else []
    if last and columns is OF_ONE:
        last.insert(0, versions[-1].type_code != type_code("Patient"))
    return Page([each for each in versions if wanted.is_match(each)], last)


def referenced(
    transaction: Transaction, permit: Permit, wanted: Wanted, versions: Sequence[Version]
) -> list[Version]:
    """What resources refer to outside of any record, and what that refers to: practitioners, places, medication."""
    known = places_of(versions)
    asked = references(*(each.text for each in versions)) - known
    found: list[Version] = []
    while asked:
        added = _resolved(transaction, permit, wanted, asked, frozenset())
        found += added
        known |= asked
        asked = references(*(each.text for each in added)) - known
    return found


@dataclass(slots=True)
class Walk:
    """A walk in progress. `records` are those that the audit event names: nothing of another one is opened."""

    wanted: Wanted
    keys: list[Key]
    records: frozenset[int]
    place: int = 0
    asked: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    is_done: bool = False

    def piece(self, transaction: Transaction, permit: Permit) -> Answer | None:
        """The next entries of the bundle, then its end, then None."""
        if self.is_done:
            return None
        if self.place < len(self.keys):
            keys = self.keys[self.place : self.place + PIECE_ROWS]
            self.place += len(keys)
            found = [each for each in _opened(transaction, permit, keys) if self.wanted.is_match(each)]
            return self._entries(found, "match")
        asked = sorted(self.asked - self.known)[:PIECE_ROWS]
        if asked:
            self.known |= set(asked)
            found = _resolved(
                transaction,
                permit,
                self.wanted,
                asked,
                self.records if self.wanted.encounter else frozenset(),
            )
            return self._entries(found, "include")
        self.is_done = True
        return Answer(body=NOTICE + b"]}")

    def _entries(self, versions: list[Version], mode: str) -> Answer:
        self.known |= places_of(versions)
        # Of an encounter's neighbours only what they are is wanted, not what they again refer to in the record.
        self.asked |= references(*(each.text for each in versions if mode == "match" or each.compartment < 0))
        return Answer(body=b"".join(entry(each, mode) + b"," for each in versions))


def places_of(versions: Iterable[Version]) -> set[str]:
    """Versions by name, as Type/id."""
    return {f"{type_name(each.type_code)}/{each.resource_id}" for each in versions}


def references(*texts: bytes) -> set[str]:
    """The resources of this hub that resources' texts refer to, as Type/id.

    They are read from the texts as they are stored: parsing would cost ten times as much. A quotation mark inside of a
    value stands behind a backslash there, so no value can look like a member.
    """
    found: set[str] = set()
    url = fhir_url()
    for name, told in {member for text in texts for member in _MEMBER.findall(text)}:
        if name == b"reference" or b"Binary/" in told:
            match = _LOCAL.fullmatch(local(told.decode(), url))
            if match is not None and is_resource_type(match[1]):
                found.add(match[0])
    return found


def _within(permit: Permit, wanted: Wanted) -> tuple[str, dict[str, Any]]:
    predicate, parameters = visible(permit)
    where = [predicate, "NOT r.is_deleted"]
    if permit.compartments is None:
        where.append("r.compartment > 0")
    else:
        where.append("r.compartment = ANY(%(places)s::bigint[])")
        parameters["places"] = [*permit.compartments, *permit.beside]
    types = _types(permit, wanted)
    if types is not None:
        where.append("r.type = ANY(%(types)s::smallint[])")
        parameters["types"] = types
    if wanted.since is not None:
        where.append("r.last_updated >= %(since)s")
        parameters["since"] = wanted.since
    if wanted.dated is not None:
        where.append("(r.clinical_at = %(undated)s OR r.clinical_at BETWEEN %(low)s AND %(high)s)")
        parameters |= {"undated": BEGINNING, "low": wanted.dated[0], "high": wanted.dated[1]}
    return " AND ".join(where), parameters | {"patient": type_code("Patient")}


def _types(permit: Permit, wanted: Wanted) -> list[int] | None:
    """The types that may be in the answer; None is every type."""
    if permit.types is None and not wanted.types:
        return None
    names = wanted.types or permit.types or frozenset()
    return sorted(type_code(each) for each in names if permit.reads(each))


def _opened(transaction: Transaction, permit: Permit, keys: Sequence[Key]) -> list[Version]:
    """Versions by their keys, in the order of the keys."""
    found: dict[tuple[int, str], Version] = {}
    for table in ("resource", "resource_history"):
        rest = [key for key in keys if (key.type_code, key.resource_id) not in found]
        if rest:
            predicate, parameters = visible(permit, table)
            parameters |= {
                "ids": array_text(key.resource_id for key in rest),
                "types": array_text(key.type_code for key in rest),
                "versions": array_text(key.version_id for key in rest),
                "places": array_text(key.compartment for key in rest),
            }
            sql = OPENED.format(columns=COLUMNS, table=table, visible=predicate)
            versions = opened_for(transaction, permit, transaction.rows(sql, parameters))
            found |= {(each.type_code, each.resource_id): each for each in versions}
    ordered = (found.get((key.type_code, key.resource_id)) for key in keys)
    return [each for each in ordered if each is not None]


def _resolved(
    transaction: Transaction, permit: Permit, wanted: Wanted, asked: Iterable[str], records: frozenset[int]
) -> list[Version]:
    """Resources by Type/id: those of no record, and those of the given records."""
    predicate, parameters = visible(permit)
    pairs = sorted(tuple(place.split("/")) for place in asked)
    where = [predicate, "(r.compartment < 0 OR r.compartment = ANY(%(records)s::bigint[]))"]
    types = _types(permit, wanted)
    if types is not None:
        where.append("r.type = ANY(%(types)s::smallint[])")
        parameters["types"] = types
    parameters |= {
        "asked_types": [type_code(pair[0]) for pair in pairs],
        "asked_ids": [pair[1] for pair in pairs],
        "records": sorted(records),
    }
    sql = REFERENCED.format(columns=COLUMNS, where=" AND ".join(where))
    return opened_for(transaction, permit, transaction.rows(sql, parameters))
