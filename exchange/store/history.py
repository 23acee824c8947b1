"""Past and current versions together: of one resource by version, of many in the order of their commits.

Spec:    https://hl7.org/fhir/R4/http.html#history; docs/decisions/0014-history-in-commit-order.md.
Leaves:  pages and parameters to interactions/history.

An old version obeys what is decided for the record today: both tables carry the same predicate in every statement.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from exchange.fhir.definitions import type_code
from exchange.permit import Permit
from exchange.store.session import Transaction
from exchange.store.transaction_numbers import HORIZON
from exchange.store.versions import BEGINNING, COLUMNS, Version, opened_for
from exchange.store.visibility import visible

MOST_COUNTED: Final = 10_000
TABLES: Final = ("resource", "resource_history")

# What is newer than the oldest running transaction waits: a place in this order is never given below one that was read.
SETTLED: Final = f"r.transaction < {HORIZON}"

# Whether the version before it was a deletion: then this one brought the resource back.
REVIVES: Final = """EXISTS (SELECT 1 FROM resource_history p WHERE p.id = r.id AND p.type = r.type
  AND p.compartment = r.compartment AND p.version_id = r.version_id - 1 AND p.is_deleted)"""

# A version is current from its instant until its successor's; a deletion at its instant alone.
AT: Final = """r.last_updated <= %(high)s AND (NOT r.is_deleted OR r.last_updated >= %(low)s)
  AND NOT EXISTS (SELECT 1 FROM resource s WHERE s.id = r.id AND s.type = r.type
    AND s.compartment = r.compartment AND s.version_id = r.version_id + 1 AND s.last_updated <= %(low)s)
  AND NOT EXISTS (SELECT 1 FROM resource_history s WHERE s.id = r.id AND s.type = r.type
    AND s.compartment = r.compartment AND s.version_id = r.version_id + 1 AND s.last_updated <= %(low)s)"""

# Each half is ordered and cut on its own, so that its index gives the newest without reading the rest.
HALF: Final = """(SELECT {columns}, {revives}, r.transaction FROM {table} r
  WHERE {where} ORDER BY {order} LIMIT %(limit)s)"""

BY_VERSION: Final = "version_id DESC"
BY_COMMIT: Final = "transaction DESC, type DESC, id DESC"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which versions are asked for. `since` and the ends of `at` are microseconds since 1970 UTC.

    types       resource types; None is every type
    resource_id the one resource, or "" for all of a type
    """

    types: Collection[str] | None
    resource_id: str = ""
    since: int | None = None
    at: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A version in a history: whether it brought a deleted resource back, and its place in the order of commits."""

    version: Version
    revives: bool
    transaction: int

    @property
    def position(self) -> list[Any]:
        """Where it stands among the versions of many resources."""
        return [self.transaction, self.version.type_code, self.version.resource_id]


def of_one(
    transaction: Transaction, permit: Permit, asked: Asked, *, before: int, limit: int
) -> list[Listed]:
    """The versions of one resource older than version `before`, newest first."""
    where, parameters = _where(asked)
    where.append("r.version_id < %(before)s")
    if asked.since is not None:
        where.append("r.last_updated >= %(since)s")
    parameters |= {"before": before, "limit": limit}
    return _listed(transaction, permit, where, BY_VERSION, parameters)


def of_many(
    transaction: Transaction, permit: Permit, asked: Asked, *, floor: int, before: list[Any], limit: int
) -> list[Listed]:
    """The versions from a floor on and before a position, newest commit first."""
    where, parameters = _where(asked)
    where += [SETTLED, "r.transaction >= %(floor)s"]
    parameters |= {"floor": floor, "limit": limit}
    if before:
        where.append("r.transaction <= %(b0)s AND (r.transaction, r.type, r.id) < (%(b0)s, %(b1)s, %(b2)s)")
        parameters |= {f"b{number}": value for number, value in enumerate(before)}
    return _listed(transaction, permit, where, BY_COMMIT, parameters)


def floor_of(transaction: Transaction, permit: Permit, asked: Asked) -> int | None:
    """Where an instant lies in the order of commits: at the first version in reach that bears it or a later one.

    None: no version does. From there on everything counts, also what bears an earlier instant and was committed later.
    """
    where, parameters = _where(asked)
    where += [SETTLED, "r.last_updated >= %(since)s"]
    halves = []
    for table in TABLES:
        predicate, more = visible(permit, table)
        parameters |= more
        halves.append(
            f"SELECT min(r.transaction) AS place FROM {table} r WHERE {' AND '.join([*where, predicate])}"  # noqa: S608
        )
    rows = transaction.rows(f"SELECT min(place) FROM ({' UNION ALL '.join(halves)}) first", parameters)  # noqa: S608
    found: int | None = rows[0][0]
    return found


def count(transaction: Transaction, permit: Permit, asked: Asked, *, floor: int) -> int | None:
    """How many versions there are from a floor on; None where they are too many to count for a page."""
    where, parameters = _where(asked)
    if asked.resource_id:
        where += ["r.last_updated >= %(since)s"] if asked.since is not None else []
    else:
        where += [SETTLED, "r.transaction >= %(floor)s"]
    parameters |= {"floor": floor, "limit": MOST_COUNTED + 1}
    halves = []
    for table in TABLES:
        predicate, more = visible(permit, table)
        parameters |= more
        halves.append(
            f"(SELECT 1 FROM {table} r WHERE {' AND '.join([*where, predicate])} LIMIT %(limit)s)"  # noqa: S608
        )
    number: int = transaction.rows(
        f"SELECT count(*) FROM ({' UNION ALL '.join(halves)}) versions",  # noqa: S608
        parameters,
    )[0][0]
    return number if number <= MOST_COUNTED else None


def _where(asked: Asked) -> tuple[list[str], dict[str, Any]]:
    where: list[str] = []
    parameters: dict[str, Any] = {}
    if asked.types is not None:
        where.append("r.type = ANY(%(types)s::smallint[])")
        parameters["types"] = sorted(type_code(each) for each in asked.types)
    if asked.resource_id:
        where.append("r.id = %(id)s")
        parameters["id"] = asked.resource_id
    if asked.since is not None:
        parameters["since"] = asked.since
    if asked.at is not None:
        where.append(AT)
        parameters |= {"low": asked.at[0], "high": asked.at[1]}
    return where, parameters


def _listed(
    transaction: Transaction, permit: Permit, where: list[str], order: str, parameters: dict[str, Any]
) -> list[Listed]:
    halves = []
    for table in TABLES:
        predicate, more = visible(permit, table)
        parameters |= more
        halves.append(
            HALF.format(
                columns=COLUMNS, revives=f"{REVIVES} AS revives", table=table, where=" AND ".join([*where, predicate]),
                order=", ".join(f"r.{each}" for each in order.split(", ")),
            )
        )  # fmt: skip
    sql = f"{' UNION ALL '.join(halves)} ORDER BY {order} LIMIT %(limit)s"
    rows = transaction.rows(sql, parameters)
    versions = opened_for(transaction, permit, [(*row[:-2], BEGINNING) for row in rows])
    return [
        Listed(version, revives=row[-2], transaction=row[-1])
        for version, row in zip(versions, rows, strict=True)
    ]
