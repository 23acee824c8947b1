"""Running a search: SQL finds candidates in order, what SQL cannot decide is decided on the opened resource.

Spec:    https://hl7.org/fhir/R4/search.html; docs/decisions/0009-two-kinds-of-search.md.
Leaves:  includes to include; bundles to interactions/search.

Three plans. A search that names a patient reads that person's slice, record by record, in index order. One that the
population index knows, or a chain leads to records of, reads there. Any other reads what the caller may see.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from exchange.crypto.blind_index import DERIVED, EVERYWHERE
from exchange.fhir.definitions import type_code
from exchange.permit import Permit
from exchange.problems import TooCostly
from exchange.search.check import Check, check
from exchange.search.order import NEWEST, PLACE, MemoryOrder, Order, Placed, dated, order_of
from exchange.search.predicate import Predicate, ToSql, conjunction
from exchange.search.resolution import Resolution
from exchange.search.steady import CHANGED, NOW, SEEN, UNCHANGED, named, versions_then
from exchange.search.tree import Criterion, HasInRecord, Node, Query
from exchange.settings import settings
from exchange.store.session import Row, Transaction
from exchange.store.versions import COLUMNS, Version, opened_for, table_of
from exchange.store.visibility import visible

CHUNK_ROWS: Final = 500
CHUNK_PLACES: Final = 1_000
MOST_KEPT_CRITERIA: Final = 2

SLICE: Final = """
SELECT r.* FROM unnest(%(records)s::bigint[]) AS k(record) CROSS JOIN LATERAL (
  SELECT {columns} FROM {table} r
  WHERE r.compartment = k.record AND r.type = %(type)s AND NOT r.is_deleted AND {where}
  ORDER BY {order} LIMIT %(limit)s) r
ORDER BY {order} LIMIT %(limit)s"""

# Where the other plans read.
RECORDS: Final = "{table} r WHERE r.compartment = ANY(%(records)s::bigint[]) AND r.type = %(type)s"
PLACES: Final = "{table} r WHERE r.compartment = ANY(%(places)s::bigint[]) AND r.type = %(type)s"
ONE_HASH: Final = """token_entry t
JOIN {table} r ON r.compartment = t.compartment AND r.type = %(type)s
WHERE t.hash = %(one)s"""
HASHES: Final = """(
  SELECT t.compartment FROM token_entry t WHERE t.hash = ANY(%(driver)s::bigint[])
  UNION SELECT unnest(%(more)s::bigint[])) t
JOIN {table} r ON r.compartment = t.compartment AND r.type = %(type)s
WHERE true"""
# A value that has another token in each record is looked for record by record, and beside that where it is nobody's.
_IN_RECORD: Final = DERIVED.format(trapdoor="w", record="p.compartment")
PROBED: Final = f"""{{table}} r WHERE r.type = %(type)s AND r.compartment = ANY(ARRAY(
  SELECT t.compartment FROM token_entry t WHERE t.hash = ANY(%(driver)s::bigint[])
  UNION SELECT unnest(%(more)s::bigint[])
  UNION SELECT p.compartment FROM unnest(%(probes)s::bytea[]) w CROSS JOIN patient_record p CROSS JOIN LATERAL (
    SELECT FROM token_entry t WHERE t.compartment = p.compartment AND t.hash = {_IN_RECORD} OFFSET 0) known))"""  # noqa: S608 - constants only
SCAN: Final = "{table} r WHERE r.type = %(type)s"

# An inner search of a search within records: those records, and what belongs to nobody's.
INNER: Final = "(r.compartment = ANY(%(records)s::bigint[]) OR r.compartment < 0)"
# What lies in the compartment of one patient, where criteria name others beside.
WITHIN: Final = "(r.compartment = ANY(%(within)s::bigint[]) OR r.members && %(within)s::bigint[])"


@dataclass(slots=True)
class Found:
    """One page of matches. `next_position` is empty on the last page; `total` is exact or absent."""

    matches: list[Version] = field(default_factory=list)
    next_position: list[Any] = field(default_factory=list)
    total: int | None = None


def find(
    transaction: Transaction,
    permit: Permit,
    query: Query,
    scoping: Mapping[Criterion, int],
    position: list[Any],
    *,
    within: int | None = None,
) -> Found:
    """The matches of a query after a position.

    `scoping` are the criteria that named the patients whose records the permit lists, each with its place in
    `permit.named`: there they ask for resources of those patients. `within` is the place there of the patient in whose
    compartment the search stays.
    Raises: TooCostly - more rows to compare in memory than the hub allows.
    """
    plan = _Plan(transaction, permit, query.resource_type, query.nodes, scoping, within=within)
    if not permit.reads(query.resource_type):
        return Found(total=0)
    # An absent patient is searched for as a hidden one is: an answer that came sooner would tell them apart.
    if query.is_count_only:
        return Found(total=plan.count())
    order = order_of(query, is_slice=plan.is_slice)
    if order is None:
        found = plan.arranged(MemoryOrder(query), query.count, position)
    else:
        found = plan.in_order(order, query.count, position)
    if query.total == "accurate" and found.total is None:
        found.total = plan.count()
    return found


class _Plan:
    """One search: its SQL, its parameters and what is left to compare in memory."""

    def __init__(
        self,
        transaction: Transaction,
        permit: Permit,
        resource_type: str,
        nodes: Sequence[Node],
        scoping: Mapping[Criterion, int] = MappingProxyType({}),
        *,
        is_inner: bool = False,
        within: int | None = None,
    ) -> None:
        self._transaction = transaction
        self._permit = permit
        self._type = resource_type
        self.is_slice = permit.compartments is not None and not is_inner
        where, parameters = visible(permit)
        if is_inner and permit.compartments is not None:
            where = f"{where} AND {INNER}"
        if (
            within is not None and len(permit.named) > 1
        ):  # other criteria name others: those share what is found
            where, parameters = f"{where} AND {WITHIN}", parameters | {"within": list(permit.named[within])}
        self._records: frozenset[int] | None = None
        if permit.compartments is not None:
            nobodys = {EVERYWHERE} if is_inner else set()
            self._records = frozenset({*permit.compartments, *permit.beside} | nobodys)
        sql = ToSql(resource_type, transaction.crypto.blind_index, transaction.now, where, self._records)
        resolution = Resolution(
            transaction, resource_type, self._places_of, self._resources_of, self._is_exact
        )
        parts: list[Predicate] = []
        shapes: list[Node] = []
        self._rest: list[Check] = []
        for node in nodes:
            if isinstance(node, Criterion) and node in scoping and permit.compartments is not None:
                records = permit.named[scoping[node]]
                is_alone = not permit.beside and len(records) == len(permit.compartments)
                parts.append(sql.own_patient(node, records, is_alone=is_alone))
                continue
            resolved = resolution.of(node)
            shapes.append(resolved)
            part = sql.of(resolved)
            parts.append(part)
            if not part.is_exact:
                self._rest.append(check(resolved, resource_type, transaction.now))
        joined = conjunction(parts)
        self._where = f"{where} AND {joined.sql}"
        self._driver, self._probes = joined.hashes, joined.probes
        self._more = sorted(joined.more)
        self._places = sorted(joined.places) if joined.places is not None else None
        self._parameters = parameters | joined.parameters | {"type": type_code(resource_type)}
        self._varies = len(nodes) > MOST_KEPT_CRITERIA or not all(_is_single(each) for each in shapes)
        if permit.compartments is not None:
            reached = {*permit.compartments, *permit.beside} if permit.compartments else set()
            if self._places is not None and not is_inner:
                reached &= {*self._places, *permit.beside}
            self._parameters["records"] = sorted(reached)

    def in_order(self, order: Order, count: int, position: list[Any]) -> Found:
        """A page in an order that SQL gives."""
        wanted, is_first, read = count + 1, not position, 0
        is_steady = order.moves and self._type != "AuditEvent"  # an event never changes
        placed: list[Placed] = []
        seen = ""
        if is_steady and position:
            *position, seen = position
        while True:
            limit = wanted if not self._rest else max(wanted, CHUNK_ROWS)
            moved: list[Placed] = []
            if is_steady and not position:
                rows, seen = self._first_rows(order, limit)
            else:
                rows = self._rows(order, position, limit, seen)
                moved = self._moved(lambda then: order.position(dated(then, self._type)), seen, rows)
            read += len(rows)
            is_last = len(rows) < limit
            end = [] if is_last else order.position(rows[-1])
            kept = [(order.position(each), each) for each in rows if self._holds(each)]
            placed += order.merged(kept, moved, position, end)
            if len(placed) >= wanted or is_last:
                break
            _require_affordable(read)
            position = end
        page = [version for _, version in placed[:count]]
        if len(placed) < wanted:
            return Found(page, total=len(placed) if is_first else None)
        return Found(page, [*placed[count - 1][0], *([seen] if is_steady else [])])

    def arranged(self, order: MemoryOrder, count: int, position: list[Any]) -> Found:
        """A page in the order of values that are sealed: every match is opened."""
        if position:
            *position, seen = position
        else:
            seen = self._transaction.rows(NOW)[0][0]
        everything = list(self._all(seen))
        keyed = [(order.key(version), version) for version in everything]
        keyed += self._moved(order.key, seen, everything)
        after = order.arranged(keyed, position)
        page = after[:count]
        more = [*order.position(page[-1][0]), seen] if len(after) > count else []
        return Found([version for _, version in page], more, len(keyed))

    def count(self) -> int:
        """How many resources match, exactly."""
        if self._rest:
            return sum(1 for _ in self._all())
        counted = f"SELECT count(*) FROM {self._source()}"  # noqa: S608 - texts of this file
        number: int = self._run(counted, self._named())[0][0]
        return number

    def places(self) -> dict[str, int]:
        """Type/id and compartment of every match. Raises: TooCostly - there are too many."""
        if self._rest:
            return {f"{self._type}/{each.resource_id}": each.compartment for each in self._all()}
        most = settings().max_scan_rows
        found = self._fetch(PLACE, [], most + 1, columns="r.id, r.compartment")
        _require_affordable(len(found))
        return {f"{self._type}/{row[0]}": row[1] for row in found}

    def resources(self) -> list[dict[str, Any]]:
        """Every match, opened. Raises: TooCostly - there are too many."""
        return [each.parsed() for each in self._all()]

    def _all(self, seen: str = "") -> Iterator[Version]:
        order, position, read = (NEWEST if self.is_slice else PLACE), list[Any](), 0
        while True:
            rows = self._rows(order, position, CHUNK_ROWS, seen)
            read += len(rows)
            _require_affordable(read)
            yield from (each for each in rows if self._holds(each))
            if len(rows) < CHUNK_ROWS:
                return
            position = order.position(rows[-1])

    def _rows(self, order: Order, position: list[Any], limit: int, seen: str) -> list[Version]:
        """Rows after a position; of what a snapshot saw and nobody has changed since, where one is given."""
        found = self._fetch(order, position, limit, columns=f"{COLUMNS}, r.clinical_at", seen=seen)
        return opened_for(self._transaction, self._permit, found)

    def _first_rows(self, order: Order, limit: int) -> tuple[list[Version], str]:
        """The first rows, and the snapshot that they were read in."""
        found = self._fetch(order, [], limit, columns=f"{COLUMNS}, r.clinical_at, {SEEN}")
        return opened_for(self._transaction, self._permit, [row[:-1] for row in found]), found[0][
            -1
        ] if found else ""

    def _moved(
        self, place: Callable[[Version], list[Any]], seen: str, here: Sequence[Version]
    ) -> list[Placed]:
        """What has changed since a snapshot and matches now, each at the place that it had then."""
        if not seen:
            return []
        most = settings().max_scan_rows
        sql = self._sql(NEWEST, CHANGED, columns=f"{COLUMNS}, r.clinical_at")
        found = self._run(sql, self._named() | named(seen) | {"limit": most + 1})
        _require_affordable(len(found))
        present = {each.resource_id for each in here}
        changed = [row for row in found if row[2] not in present]
        ids = [row[2] for row in changed]
        then = versions_then(self._transaction, self._permit, self._type, seen, ids)
        current = (
            each for each in opened_for(self._transaction, self._permit, changed) if each.resource_id in then
        )
        return [(place(then[each.resource_id]), each) for each in current if self._holds(each)]

    def _fetch(
        self, order: Order, position: list[Any], limit: int, *, columns: str, seen: str = ""
    ) -> list[Row]:
        keys = {f"k{number}": value for number, value in enumerate(position)}
        after = order.after if position else "true"
        sql = self._sql(order, f"{after} AND {UNCHANGED}" if seen else after, columns=columns)
        keys |= named(seen) if seen else {}
        named_all = self._named() | keys | {"limit": limit}
        if self._is_placed and order is PLACE and self._places is not None:
            start = bisect_left(self._places, position[0]) if position else 0
            return self._by_places(sql, named_all, start)
        return self._run(sql, named_all)

    def _run(self, sql: str, named: dict[str, Any]) -> list[Row]:
        """Run a search's SQL. Within records, and by one hash, shapes are few: their plans are kept."""
        is_kept = self.is_slice or (len(self._driver) == 1 and not self._is_placed)
        fetch = self._transaction.prepared if is_kept and not self._varies else self._transaction.rows
        return fetch(sql, named)

    def _by_places(self, sql: str, named: dict[str, Any], start: int) -> list[Row]:
        """The first rows in the order of places: a bounded number of records is looked at in one statement."""
        found: list[Row] = []
        places = self._places or []
        while start < len(places) and len(found) < named["limit"]:
            more = {"places": places[start : start + CHUNK_PLACES], "limit": named["limit"] - len(found)}
            found += self._transaction.rows(sql, named | more)
            start += CHUNK_PLACES
        return found

    @property
    def _is_placed(self) -> bool:
        return not self.is_slice and self._places is not None

    def _named(self) -> dict[str, Any]:
        one = self._driver[0] if self._driver else None
        driven = {"driver": self._driver, "one": one, "probes": self._probes, "more": self._more}
        return self._parameters | driven | {"places": self._places}

    def _sql(self, order: Order, after: str, *, columns: str) -> str:
        if not self.is_slice:
            source = self._source()
            return f"SELECT {columns} FROM {source} AND {after} ORDER BY {order.columns} LIMIT %(limit)s"  # noqa: S608
        where = f"{self._where} AND {after}"
        return SLICE.format(columns=columns, table=table_of(self._type), where=where, order=order.columns)

    def _source(self) -> str:
        if self.is_slice:
            template = RECORDS
        elif self._is_placed:
            template = PLACES
        elif self._driver:
            is_one = len(self._driver) == 1 and not self._more
            template = PROBED if self._probes else ONE_HASH if is_one else HASHES
        else:
            template = SCAN
        return f"{template.format(table=table_of(self._type))} AND NOT r.is_deleted AND {self._where}"

    def _holds(self, version: Version) -> bool:
        if not self._rest:
            return True
        resource = version.parsed()
        return all(each(resource, version.last_updated) for each in self._rest)

    # What inner searches are asked, under the same permit.

    def _inner(self, resource_type: str, nodes: Sequence[Node]) -> _Plan | None:
        if not self._permit.reads(resource_type):
            return None
        return _Plan(self._transaction, self._permit, resource_type, nodes, is_inner=True)

    def _places_of(self, resource_type: str, nodes: tuple[Node, ...]) -> Mapping[str, int]:
        plan = self._inner(resource_type, nodes)
        return {} if plan is None else plan.places()

    def _resources_of(self, resource_type: str, nodes: tuple[Node, ...]) -> list[dict[str, Any]]:
        plan = self._inner(resource_type, nodes)
        return [] if plan is None else plan.resources()

    def _is_exact(self, resource_type: str, node: Node) -> bool:
        """Whether SQL alone decides a node, of a type whose resources may be in the answer at all."""
        blind, now = self._transaction.crypto.blind_index, self._transaction.now
        sql = ToSql(resource_type, blind, now, "true", self._records)
        return self._permit.reads(resource_type) and sql.of(node).is_exact


def _require_affordable(rows: int) -> None:
    if rows > settings().max_scan_rows:
        raise TooCostly("too many resources to compare; name a patient or a narrower value", "http.query")


def _is_single(node: Node) -> bool:
    if isinstance(node, HasInRecord):
        return all(_is_single(each) for each in node.nodes)
    return isinstance(node, Criterion) and len(node.values) == 1
