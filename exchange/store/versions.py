"""Sealed versions: writing them, reading the current and the past ones.

Spec:    https://hl7.org/fhir/R4/http.html#versions; docs/decisions/0002-lossless-storage.md.
Leaves:  what to index to search/index; who may read to visibility.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, Final

import msgspec

from exchange.crypto.envelope import associated_data, open_sealed, seal
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import parse
from exchange.permit import Permit
from exchange.store.data_keys import key_place
from exchange.store.redaction import redacted
from exchange.store.session import Transaction
from exchange.store.visibility import visible

NULL: Final = "\\N"
BEGINNING: Final = -(2**62)
"""`clinical_at` of a resource without a clinical date: last when the newest stand first."""


class Version(msgspec.Struct, frozen=True):
    """One opened version. `text` is the resource's JSON exactly as it is answered; empty when deleted."""

    compartment: int
    type_code: int
    resource_id: str
    version_id: int
    last_updated: int
    is_deleted: bool
    text: bytes
    members: tuple[int, ...] = ()
    custodian: int = 0
    clinical_at: int = BEGINNING

    @property
    def compartments(self) -> tuple[int, ...]:
        """Every patient's record that it lies in."""
        return (self.compartment, *self.members)

    def parsed(self) -> dict[str, Any]:
        """The resource. It was bounded when it was stored: reading it back is never refused for its size."""
        return parse(self.text, max_bytes=len(self.text))

    def with_text(self, text: bytes) -> Version:
        """The same version with another text: a part of it."""
        return msgspec.structs.replace(self, text=text)


@dataclass(frozen=True, slots=True)
class Occupancy:
    """That an id is taken, by whom and where: nothing of the content."""

    compartment: int
    custodian: int
    version_id: int
    is_deleted: bool
    members: tuple[int, ...] = ()
    facets: tuple[int, ...] | None = ()
    """What consents may name of it; None where it was never labelled."""


@dataclass(frozen=True, slots=True)
class Index:
    """What finds a version. Tokens are keyed hashes; ranges are triples of parameter, low, high."""

    clinical_at: int = BEGINNING
    clinical_until: int | None = None
    tokens: Collection[int] = ()
    ranges: Sequence[int] = ()
    population_tokens: Collection[int] = ()
    facets: Sequence[int] | None = ()


@dataclass(frozen=True, slots=True)
class Write:
    """One version to store."""

    compartment: int
    custodian: int
    type_code: int
    resource_id: str
    version_id: int
    last_updated: int
    text: bytes
    index: Index = field(default_factory=Index)
    members: Collection[int] = ()
    is_deleted: bool = False


COLUMNS: Final = (
    "r.compartment, r.type, r.id, r.version_id, r.last_updated, r.is_deleted, r.body, r.members, r.custodian"
)
HISTORY_COLUMNS: Final = (
    "compartment, custodian, last_updated, transaction, version_id, type, is_deleted, id, members, body"
)
RESOURCE_COLUMNS: Final = (
    "compartment, custodian, last_updated, version_id, type, is_deleted, id, members,"
    " clinical_at, clinical_until, facets, tokens, ranges, body"
)

# The locks make two writers of one id wait for each other; they stand in one order in every transaction.
OCCUPIED: Final = """
SELECT pg_advisory_xact_lock(place) FROM (SELECT DISTINCT unnest(%(locks)s::bigint[]) AS place ORDER BY 1) ordered;
SELECT r.type, r.id, r.compartment, r.custodian, r.version_id, r.is_deleted, r.members, r.facets
FROM unnest(%(types)s::smallint[], %(ids)s::text[]) AS asked(type, id)
JOIN resource r ON r.id = asked.id AND r.type = asked.type"""

SUPERSEDE: Final = f"""
WITH old AS (
  DELETE FROM resource r USING unnest(%(compartments)s::bigint[], %(types)s::smallint[], %(ids)s::text[])
    AS gone(compartment, type, id)
  WHERE r.compartment = gone.compartment AND r.type = gone.type AND r.id = gone.id RETURNING r.*)
INSERT INTO resource_history ({HISTORY_COLUMNS}) SELECT {HISTORY_COLUMNS} FROM old"""  # noqa: S608

REFACET: Final = """
UPDATE resource SET facets = %(facets)s::integer[]
WHERE compartment = %(compartment)s AND type = %(type)s AND id = %(id)s"""

ENTER: Final = """
INSERT INTO token_entry (hash, compartment) SELECT * FROM unnest(%s::bigint[], %s::bigint[]) ON CONFLICT DO NOTHING"""

SHARE: Final = """
INSERT INTO shared_record (member, compartment) SELECT * FROM unnest(%s::bigint[], %s::bigint[]) ON CONFLICT DO NOTHING"""

READ_CURRENT: Final = f"SELECT {COLUMNS} FROM resource r WHERE r.id = %(id)s AND r.type = %(type)s AND "  # noqa: S608

READ_VERSION: Final = """
SELECT {columns} FROM resource r WHERE r.id = %(id)s AND r.type = %(type)s AND r.version_id = %(version)s AND {current}
UNION ALL
SELECT {columns} FROM resource_history r
WHERE r.id = %(id)s AND r.type = %(type)s AND r.version_id = %(version)s AND {past}"""


def occupied(transaction: Transaction, ids: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Occupancy]:
    """Which of these (type, id) are taken, locked against other writers until the transaction ends.

    Needs no Permit: it says nothing of content, and its answer never reaches a caller as such.
    """
    asked = sorted(set(ids))
    if not asked:
        return {}
    codes = {name: type_code(name) for name, _ in asked}
    value = transaction.crypto.blind_index.value
    rows = transaction.rows(
        OCCUPIED,
        {
            "locks": sorted({value(f"lock|{name}/{logical}") for name, logical in asked}),
            "types": [codes[name] for name, _ in asked],
            "ids": [logical for _, logical in asked],
        },
    )
    names = {code: name for name, code in codes.items()}
    return {
        (names[row[0]], row[1]): Occupancy(
            row[2], row[3], row[4], row[5], tuple(row[6] or ()), None if row[7] is None else tuple(row[7])
        )
        for row in rows
    }


def write(
    transaction: Transaction, writes: Sequence[Write], superseded: Sequence[tuple[int, str, str]] = ()
) -> None:
    """Store new versions; the ones that they supersede, by (compartment, type, id), move to the history."""
    if superseded:
        transaction.run(
            SUPERSEDE,
            {
                "compartments": [row[0] for row in superseded],
                "types": [type_code(row[1]) for row in superseded],
                "ids": [row[2] for row in superseded],
            },
        )
    if not writes:
        return
    ciphers = transaction.store.data_keys.ciphers_to_write(transaction, {each.compartment for each in writes})
    dictionaries = transaction.crypto.dictionaries
    rows: list[str] = []
    entries: set[tuple[int, int]] = set()
    for each in writes:
        body = ""
        if not each.is_deleted:
            bound_to = associated_data(each.compartment, each.type_code, each.resource_id, each.version_id)
            body = seal(ciphers[key_place(each.compartment)], dictionaries, each.text, bound_to).hex()
        members = "{" + ",".join(map(str, each.members)) + "}" if each.members else NULL
        index = each.index
        rows.append(
            f"{each.compartment}\t{each.custodian}\t{each.last_updated}\t{each.version_id}\t{each.type_code}\t"
            f"{'t' if each.is_deleted else 'f'}\t{each.resource_id}\t{members}\t{index.clinical_at}\t"
            f"{NULL if index.clinical_until is None else index.clinical_until}\t"
            f"{NULL if index.facets is None else array_text(index.facets)}\t"
            f"{{{','.join(map(str, index.tokens))}}}\t{{{','.join(map(str, index.ranges))}}}\t\\\\x{body}\n"
        )
        entries |= {(token, each.compartment) for token in index.population_tokens}
    transaction.copy("resource", RESOURCE_COLUMNS, io.StringIO("".join(rows)))
    pairs = {
        pair for each in writes if each.members for pair in permutations((each.compartment, *each.members), 2)
    }
    if pairs:
        ones, others = zip(*sorted(pairs), strict=True)
        transaction.run(SHARE, (array_text(ones), array_text(others)))
    enter_tokens(transaction, entries)


def refacet(transaction: Transaction, found: Sequence[tuple[int, int, str, Sequence[int]]]) -> None:
    """Give current rows, by (compartment, type code, id), other facets; versions stay as they are."""
    for compartment, code, resource_id, facets in found:
        transaction.run(
            REFACET,
            {"compartment": compartment, "type": code, "id": resource_id, "facets": array_text(facets)},
        )


def enter_tokens(transaction: Transaction, entries: Collection[tuple[int, int]]) -> None:
    """Enter pairs of a keyed hash and a compartment into the population index."""
    if entries:
        ordered = sorted(entries)  # one order for every writer: two bundles cannot deadlock
        hashes, places = zip(*ordered, strict=True)
        transaction.run(ENTER, (array_text(hashes), array_text(places)))


def array_text(values: Iterable[object]) -> str:
    """An array in PostgreSQL's text form: adapting long lists number by number costs more than the insert."""
    return "{" + ",".join(map(str, values)) + "}"


def read_current(
    transaction: Transaction, permit: Permit, resource_type: str, resource_id: str
) -> Version | None:
    """The current version, or None when it is absent or hidden."""
    predicate, parameters = visible(permit)
    parameters |= {"id": resource_id, "type": type_code(resource_type)}
    sql = READ_CURRENT.replace("resource r", f"{table_of(resource_type)} r") + predicate
    rows = transaction.prepared(sql, parameters)
    return opened_for(transaction, permit, rows)[0] if rows else None


def read_version(
    transaction: Transaction, permit: Permit, resource_type: str, resource_id: str, version_id: int
) -> Version | None:
    """One version, or None when it is absent or hidden."""
    predicate, parameters = visible(permit)
    parameters |= {"id": resource_id, "type": type_code(resource_type), "version": version_id}
    past, _ = visible(permit, "resource_history")
    rows = transaction.rows(READ_VERSION.format(columns=COLUMNS, current=predicate, past=past), parameters)
    return opened_for(transaction, permit, rows)[0] if rows else None


def opened(transaction: Transaction, rows: list[tuple]) -> list[Version]:  # type: ignore[type-arg]
    """Rows of COLUMNS, and `clinical_at` where it follows, with their bodies opened.

    Raises: SealBroken - a row was altered or moved; KeyDestroyed - the record was erased.
    """
    ciphers = transaction.store.data_keys.ciphers(transaction, {row[0] for row in rows if not row[5]})
    dictionaries = transaction.crypto.dictionaries
    versions = []
    for row in rows:
        (
            compartment,
            code,
            resource_id,
            version_id,
            last_updated,
            is_deleted,
            body,
            members,
            custodian,
            *rest,
        ) = row
        text = b""
        if not is_deleted:
            bound_to = associated_data(compartment, code, resource_id, version_id)
            text = open_sealed(ciphers[key_place(compartment)], dictionaries, bytes(body), bound_to)
        further = tuple(members) if members else ()
        versions.append(
            Version(
                compartment,
                code,
                resource_id,
                version_id,
                last_updated,
                is_deleted,
                text,
                further,
                custodian,
                *rest,
            )
        )
    return versions


def opened_for(transaction: Transaction, permit: Permit, rows: list[tuple[Any, ...]]) -> list[Version]:
    """Rows opened as a permit may see them. Raises: SealBroken, KeyDestroyed - see opened."""
    return redacted(transaction, permit, opened(transaction, rows))


def table_of(resource_type: str) -> str:
    """The table that holds a type's current rows."""
    return "audit_event" if resource_type == "AuditEvent" else "resource"
