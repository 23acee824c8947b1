"""Running a search: SQL finds candidates in order, what SQL cannot decide is decided on the opened resource.

Spec:    https://hl7.org/fhir/R4/search.html; docs/decisions/0009-two-kinds-of-search.md.
Leaves:  includes to include; bundles to interactions/search.

Two plans. A search that names a patient reads that person's slice, record by record, in index order. Any other is
driven by the population index where a criterion is in it, else it reads what the caller may see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.fhir.definitions import type_code
from exchange.fhir.path import extractor
from exchange.fhir.resource import parse as parse_resource
from exchange.permit import Permit
from exchange.problems import TooCostly
from exchange.search import predicate, reference, string, token
from exchange.search.date import ranges
from exchange.search.grammar import Criterion, Query
from exchange.search.index import hash_text
from exchange.search.population import clinical_parameter
from exchange.search.predicate import Predicate
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, Version, opened, table_of
from exchange.store.visibility import visible

CHUNK_ROWS: Final = 500
MOST_KEPT_CRITERIA: Final = 2


@dataclass(frozen=True, slots=True)
class Order:
    """An order that SQL can give: its ORDER BY and the condition of what comes after a position."""

    columns: str
    after: str
    names: tuple[str, ...]

    def position(self, version: Version) -> list[Any]:
        """Where a version stands in this order."""
        return [getattr(version, name) for name in self.names]


NEWEST: Final = Order(
    "r.clinical_at DESC, r.id",
    "r.clinical_at <= %(k0)s AND (r.clinical_at < %(k0)s OR r.id > %(k1)s)",
    ("clinical_at", "resource_id"),
)
OLDEST: Final = Order(
    "r.clinical_at, r.id DESC",
    "r.clinical_at >= %(k0)s AND (r.clinical_at > %(k0)s OR r.id < %(k1)s)",
    ("clinical_at", "resource_id"),
)
PLACE: Final = Order(
    "r.compartment, r.id",
    "r.compartment >= %(k0)s AND (r.compartment > %(k0)s OR r.id > %(k1)s)",
    ("compartment", "resource_id"),
)
BY_ID: Final = {
    False: Order("r.id", "r.id > %(k0)s", ("resource_id",)),
    True: Order("r.id DESC", "r.id < %(k0)s", ("resource_id",)),
}
BY_UPDATE: Final = {
    False: Order(
        "r.last_updated, r.id", "(r.last_updated, r.id) > (%(k0)s, %(k1)s)", ("last_updated", "resource_id")
    ),
    True: Order(
        "r.last_updated DESC, r.id",
        "r.last_updated <= %(k0)s AND (r.last_updated < %(k0)s OR r.id > %(k1)s)",
        ("last_updated", "resource_id"),
    ),
}

SLICE: Final = """
SELECT r.* FROM unnest(%(compartments)s::bigint[]) AS k(record) CROSS JOIN LATERAL (
  SELECT {columns}, r.clinical_at FROM {table} r
  WHERE r.compartment = k.record AND r.type = %(type)s AND NOT r.is_deleted AND {where}
  ORDER BY {order} LIMIT %(limit)s) r
ORDER BY {order} LIMIT %(limit)s"""

POPULATION: Final = """
SELECT {columns}, r.clinical_at FROM (
  SELECT DISTINCT t.compartment FROM token_entry t WHERE t.hash = ANY(%(driver)s::bigint[])) t
JOIN {table} r ON r.compartment = t.compartment AND r.type = %(type)s
WHERE NOT r.is_deleted AND {where} ORDER BY {order} LIMIT %(limit)s"""

ONE_HASH: Final = """
SELECT {columns}, r.clinical_at FROM token_entry t
JOIN {table} r ON r.compartment = t.compartment AND r.type = %(type)s
WHERE t.hash = %(one)s AND NOT r.is_deleted AND {where} ORDER BY {order} LIMIT %(limit)s"""

SCAN: Final = """
SELECT {columns}, r.clinical_at FROM {table} r
WHERE r.type = %(type)s AND NOT r.is_deleted AND {where} ORDER BY {order} LIMIT %(limit)s"""

COUNT_SLICE: Final = """
SELECT count(*) FROM {table} r
WHERE r.compartment = ANY(%(compartments)s::bigint[]) AND r.type = %(type)s AND NOT r.is_deleted AND {where}"""

COUNT: Final = "SELECT count(*) FROM {table} r WHERE r.type = %(type)s AND NOT r.is_deleted AND {where}"


@dataclass(slots=True)
class Found:
    """One page of matches. `next_position` is empty on the last page; `total` is exact or absent."""

    matches: list[Version] = field(default_factory=list)
    next_position: list[Any] = field(default_factory=list)
    total: int | None = None


def find(
    transaction: Transaction, permit: Permit, query: Query, scoping: Sequence[Criterion], position: list[Any]
) -> Found:
    """The matches of a query after a position.

    `scoping` are the criteria that named the patients whose records the permit lists: within those records they ask
    for references to the record's own patient.
    Raises: TooCostly - more rows to compare in memory than the hub allows.
    """
    if not permit.reads(query.resource_type) or permit.compartments == ():
        return Found(total=0)
    plan = _Plan(transaction, permit, query, scoping)
    if query.is_count_only:
        return Found(total=plan.count())
    order = _order(query, is_slice=plan.is_slice)
    found = plan.sorted_in_memory(position) if order is None else plan.in_order(order, position)
    if query.total == "accurate" and found.total is None:
        found.total = plan.count()
    return found


def _order(query: Query, *, is_slice: bool) -> Order | None:
    """The order that SQL can give; None when values must be compared in memory."""
    if not query.sort:
        return NEWEST if is_slice else PLACE
    name, falls = query.sort[0]
    if len(query.sort) == 1:
        if name == "_id":
            return BY_ID[falls]
        if name == "_lastUpdated":
            return BY_UPDATE[falls]
        if name == clinical_parameter(query.resource_type):
            return NEWEST if falls else OLDEST
    return None


class _Plan:
    """One search: its SQL, its parameters and what is left to compare in memory."""

    def __init__(
        self, transaction: Transaction, permit: Permit, query: Query, scoping: Sequence[Criterion]
    ) -> None:
        self.transaction = transaction
        self.query = query
        self.is_slice = permit.compartments is not None
        where, parameters = visible(permit)
        parts = [where]
        self.rest: list[Criterion] = []
        self.varies = len(query.criteria) > MOST_KEPT_CRITERIA or any(
            len(criterion.values) > 1 for criterion in query.criteria
        )
        driver: list[int] = []
        blind = transaction.crypto.blind_index
        for number, criterion in enumerate(query.criteria):
            if criterion in scoping:
                own = blind.value(hash_text(query.resource_type, criterion.name, reference.OWN_PATIENT))
                sql = Predicate(f"r.tokens @> %(p{number})s::bigint[]", {f"p{number}": [own]})
            else:
                sql = predicate.to_sql(criterion, number, query.resource_type, blind, transaction.now)
            parts.append(sql.sql)
            parameters |= sql.parameters
            if not sql.is_exact:
                self.rest.append(criterion)
            if sql.hashes and (not driver or len(sql.hashes) < len(driver)):
                driver = sql.hashes
        self.where = " AND ".join(parts)
        self.parameters = parameters | {"type": type_code(query.resource_type)}
        self.driver = driver
        if permit.compartments is not None:
            self.parameters["compartments"] = list(permit.compartments)

    def in_order(self, order: Order, position: list[Any]) -> Found:
        """A page in an order that SQL gives."""
        wanted = self.query.count + 1
        matches: list[Version] = []
        seen = 0
        first = position
        while True:
            limit = wanted if not self.rest else max(wanted, CHUNK_ROWS)
            rows = self._rows(order, position, limit)
            seen += len(rows)
            matches += rows if not self.rest else filter(self._holds, rows)
            if len(matches) >= wanted or len(rows) < limit:
                break
            if seen > settings().max_scan_rows:
                raise TooCostly(
                    "too many resources to compare; name a patient or a narrower value", "http.query"
                )
            position = order.position(rows[-1])
        if len(matches) < wanted:
            return Found(matches, total=None if first else len(matches))
        page = matches[: self.query.count]
        return Found(page, order.position(page[-1]))

    def sorted_in_memory(self, position: list[Any]) -> Found:
        """A page in the order of values that are sealed: every match is opened."""
        matches = list(self._all())
        for name, falls in reversed(self.query.sort):
            matches.sort(
                key=lambda version: _sort_value(version, self.query.resource_type, name), reverse=falls
            )
        start = position[0] if position else 0
        page = matches[start : start + self.query.count]
        more = [start + len(page)] if start + len(page) < len(matches) else []
        return Found(page, more, len(matches))

    def count(self) -> int:
        """How many resources match, exactly."""
        if self.rest:
            return sum(1 for _ in self._all())
        sql = (COUNT_SLICE if self.is_slice else COUNT).format(
            table=table_of(self.query.resource_type), where=self.where
        )
        if self.driver and not self.is_slice:
            counted = self._sql(PLACE, "true").replace("LIMIT %(limit)s", "")
            sql = f"SELECT count(*) FROM ({counted}) counted"  # noqa: S608
        number: int = self.transaction.rows(sql, self._named())[0][0]
        return number

    def _all(self) -> Iterator[Version]:
        most = settings().max_scan_rows
        order, position, seen = (NEWEST if self.is_slice else PLACE), list[Any](), 0
        while True:
            rows = self._rows(order, position, CHUNK_ROWS)
            seen += len(rows)
            if seen > most:
                raise TooCostly(
                    "too many resources to compare; name a patient or a narrower value", "http.query"
                )
            yield from (each for each in rows if self._holds(each))
            if len(rows) < CHUNK_ROWS:
                return
            position = order.position(rows[-1])

    def _rows(self, order: Order, position: list[Any], limit: int) -> list[Version]:
        keys = {f"k{number}": value for number, value in enumerate(position)}
        sql = self._sql(order, order.after if position else "true")
        # The shapes of searches within a record are few, so their plans are kept.
        fetch = self.transaction.prepared if self.is_slice and not self.varies else self.transaction.rows
        return opened(self.transaction, fetch(sql, self._named() | keys | {"limit": limit}))

    def _named(self) -> dict[str, Any]:
        return self.parameters | {"driver": self.driver, "one": self.driver[0] if self.driver else None}

    def _sql(self, order: Order, after: str) -> str:
        if self.is_slice:
            template = SLICE
        elif not self.driver:
            template = SCAN
        else:
            template = ONE_HASH if len(self.driver) == 1 else POPULATION
        return template.format(
            columns=COLUMNS,
            table=table_of(self.query.resource_type),
            where=f"{self.where} AND {after}",
            order=order.columns,
        )

    def _holds(self, version: Version) -> bool:
        if not self.rest:
            return True
        resource = parse_resource(version.text)
        now = self.transaction.now
        return all(predicate.holds(each, resource, version.last_updated, (), now) for each in self.rest)


def _sort_value(version: Version, resource_type: str, name: str) -> tuple[int, Any]:
    """What a version sorts by; resources without a value come last in a rising order."""
    if name == "_id":
        return (0, version.resource_id)
    if name == "_lastUpdated":
        return (0, version.last_updated)
    resource = parse_resource(version.text)
    for parameter, elements in extractor(resource_type)(resource):
        if parameter.name != name:
            continue
        values: list[Any] = []
        for fhir_type, value in elements:
            match parameter.kind:
                case "date":
                    values += [low for low, _ in ranges(fhir_type, value, settings().zone)]
                case "string":
                    values += string.texts(fhir_type, value)
                case "token":
                    values += [code for _, code in token.codings(fhir_type, value)]
                case _:
                    values += [str(value.get("reference", "")) if isinstance(value, dict) else str(value)]
        if values:
            return (0, min(values))
    return (1, "")
