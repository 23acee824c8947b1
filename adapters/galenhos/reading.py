"""Rows by ranges of keys: an attention with everything that hangs under it, in pieces of a bounded size.

Spec:    docs/adapters.md, "GalenHos".
Leaves:  how far was read to the outbox; meaning to the mappers.

Keys come first, then the rows of these keys, then what hangs under them: no join, no temporary table, and each
statement ends. All of a piece is read in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, and_, column, func, or_, select, table
from sqlalchemy.sql import quoted_name
from sqlalchemy.sql.elements import ColumnClause, ColumnElement
from sqlalchemy.sql.expression import TableClause

from adapters.galenhos.column_map import ColumnMap, Entity
from adapters.galenhos.values import as_text

Key = Any
_KEYS_A_STATEMENT: Final = 200
_MAX_ROWS_UNDER_A_PIECE: Final = 20_000


class Branch(msgspec.Struct, forbid_unknown_fields=True):
    """A row that has rows under it: an order with its items, a dispense with its products."""

    fields: dict[str, str]
    items: list[dict[str, str]] = []


class Case(msgspec.Struct, forbid_unknown_fields=True):
    """Everything that the hospital says of one attention, or of one patient alone, as text."""

    attention: dict[str, str] = {}
    patient: dict[str, str] = {}
    allergies: list[dict[str, str]] = []
    diagnoses: list[dict[str, str]] = []
    orders: list[Branch] = []
    dispenses: list[Branch] = []
    is_repeated: bool = False
    """Whether the attention's mapped key names several rows: then nobody can say which of them it is."""
    is_patient_repeated: bool = False


@dataclass(slots=True)
class Piece:
    """What one transaction read. `rows` counts every row of it; `last` is the mark to go on from."""

    cases: list[Case]
    rows: int
    last: Any


class TooMuch(Exception):  # noqa: N818 - a reason to read less at once
    """More rows hang under a piece than are held at once."""


def keys_after(
    entity: Entity, after: Key | None, size: int, *, start: Key | None = None, until: Key | None = None
) -> Select[Any]:
    """The next keys of an entity, in their order: `after` excluded, `start` and `until` included."""
    rows, key = _table(entity.table), _column(entity.key)
    bounds = [*_only(entity)]
    if start is not None:
        bounds.append(key >= start)
    if after is not None:
        bounds.append(key > after)
    if until is not None:
        bounds.append(key <= until)
    return select(key).select_from(rows).where(*bounds).group_by(key).order_by(key).limit(size)


def keys_changed(entity: Entity, since: Any, last: Key | None, size: int) -> Select[Any]:
    """The next keys by their last change and then by themselves; without a last key, all of that very moment."""
    rows, key, changed = _table(entity.table), _column(entity.key), _column(entity.changed_at)
    at_once = changed >= since if last is None else or_(changed > since, and_(changed == since, key > last))
    bounds = [*_only(entity), changed.is_not(None), at_once]
    return select(changed, key).select_from(rows).where(*bounds).order_by(changed, key).limit(size)


def latest_change(entity: Entity) -> Select[Any]:
    """When an entity last changed."""
    return select(func.max(_column(entity.changed_at))).select_from(_table(entity.table))


def last_keys(entity: Entity, size: int) -> Select[Any]:
    """The greatest keys."""
    rows, key = _table(entity.table), _column(entity.key)
    return select(key).select_from(rows).where(*_only(entity)).group_by(key).order_by(key.desc()).limit(size)


def first_key_since(entity: Entity, day: str, since: Any) -> Select[Any]:
    """The lowest key of the rows that are dated since a day."""
    rows, key = _table(entity.table), _column(entity.key)
    return (
        select(func.min(key)).select_from(rows).where(*_only(entity), _column(entity.columns[day]) >= since)
    )


def read_cases(connection: Connection, column_map: ColumnMap, keys: Sequence[Key]) -> tuple[list[Case], int]:
    """The attentions of these keys with everything under them, in the order of the keys; and how many rows it took.

    Raises: TooMuch.
    """
    reader = _Reader(connection, column_map)
    found = reader.under("attention", keys, own=True)
    names = [name for name in map(as_text, keys) if found.get(name)]
    cases = {name: Case(found[name][0], is_repeated=len(found[name]) > 1) for name in names}
    attentions = [case.attention for case in cases.values()]
    patients = reader.by_field("patient", attentions, "patient")
    allergies = reader.children("allergy", [row for rows in patients.values() for row in rows])
    diagnoses = reader.children("diagnosis", attentions)
    orders, dispenses = (reader.branches(name, attentions) for name in ("order", "dispense"))
    for case in cases.values():
        own = patients.get(case.attention.get("patient", ""), [])
        case.patient = own[0] if own else {}
        case.is_patient_repeated = len(own) > 1
        case.allergies = allergies.get(id(case.patient), [])
        case.diagnoses = diagnoses.get(id(case.attention), [])
        case.orders = orders.get(id(case.attention), [])
        case.dispenses = dispenses.get(id(case.attention), [])
    return list(cases.values()), reader.rows


def read_patients(
    connection: Connection, column_map: ColumnMap, keys: Sequence[Key]
) -> tuple[list[Case], int]:
    """The patients of these keys with what is known of them whatever the attention."""
    reader = _Reader(connection, column_map)
    found = reader.under("patient", keys, own=True)
    allergies = reader.children("allergy", [row for rows in found.values() for row in rows])
    cases = [
        Case(patient=rows[0], allergies=allergies.get(id(rows[0]), []), is_patient_repeated=len(rows) > 1)
        for rows in found.values()
    ]
    return cases, reader.rows


class _Reader:
    """One transaction's statements, and how many rows they gave."""

    def __init__(self, connection: Connection, column_map: ColumnMap) -> None:
        self.rows = 0
        self._connection = connection
        self._map = column_map
        self._raw: dict[int, dict[str, Any]] = {}

    def children(self, name: str, parents: Iterable[dict[str, str]]) -> dict[int, list[dict[str, str]]]:
        """The rows of an entity under each parent, by the parent's identity here."""
        entity = self._map.get(name)
        if entity is None:
            return {}
        links = {id(parent): self._raw[id(parent)].get(entity.parent_field) for parent in parents}
        found = self.under(name, [link for link in dict.fromkeys(links.values()) if link is not None])
        return {place: found.get(as_text(link), []) for place, link in links.items() if link is not None}

    def branches(self, name: str, parents: Iterable[dict[str, str]]) -> dict[int, list[Branch]]:
        """The rows of an entity under each parent, each with the rows under itself."""
        heads = self.children(name, parents)
        items = self.children(f"{name}_item", [row for rows in heads.values() for row in rows])
        return {place: [Branch(row, items.get(id(row), [])) for row in rows] for place, rows in heads.items()}

    def by_field(
        self, name: str, rows: Iterable[dict[str, str]], field: str
    ) -> dict[str, list[dict[str, str]]]:
        """The rows of an entity whose key stands in a field of others, by that field's text."""
        links = {self._raw[id(row)].get(field) for row in rows} - {None}
        return self.under(name, list(links), own=True)

    def under(self, name: str, links: Sequence[Key], *, own: bool = False) -> dict[str, list[dict[str, str]]]:
        """The rows whose parent, or whose own key, is one of these, with what their joins add.

        They stand under the text of the link: a key that one table pads and another does not is one key.
        """
        entity = self._map[name]
        linked = entity.key if own else entity.parent
        fields = {"key": entity.key, "changed_at": entity.changed_at, **entity.columns}
        fields = {field: written for field, written in fields.items() if written}
        found: dict[str, list[dict[str, str]]] = {}
        raws: list[dict[str, Any]] = []
        for raw, link in self._select(entity.table, linked, fields, links, _only(entity), entity.key):
            raws.append(raw)
            row: dict[str, str] = {}
            found.setdefault(as_text(link), []).append(row)
            self._raw[id(row)] = raw
        for join in entity.joins:
            wanted = list(dict.fromkeys(raw[join.on] for raw in raws if raw.get(join.on) is not None))
            others = {
                as_text(link): other
                for other, link in self._select(join.table, join.key, join.columns, wanted, [], join.key)
            }
            for raw in raws:
                raw.update(dict.fromkeys(join.columns) | others.get(as_text(raw.get(join.on)), {}))
        for rows in found.values():
            for row in rows:
                row.update(
                    {field: text for field, value in self._raw[id(row)].items() if (text := as_text(value))}
                )
        return found

    def _select(
        self,
        name: str,
        linked: str,
        fields: Any,
        links: Sequence[Key],
        only: list[ColumnElement[bool]],
        order: str,
    ) -> Iterator[tuple[dict[str, Any], Key]]:
        labelled = [_column(written).label(f"f{number}") for number, written in enumerate(fields.values())]
        link = _column(linked)
        for first in range(0, len(links), _KEYS_A_STATEMENT):
            some = list(links[first : first + _KEYS_A_STATEMENT])
            statement = (
                select(link.label("link"), *labelled)
                .select_from(_table(name))
                .where(link.in_(some), *only)
                .order_by(link, _column(order))
                .limit(_MAX_ROWS_UNDER_A_PIECE + 1)
            )
            for row in self._connection.execute(statement):
                self.rows += 1
                if self.rows > _MAX_ROWS_UNDER_A_PIECE:
                    raise TooMuch
                yield dict(zip(fields, row[1:], strict=True)), row[0]


def _table(name: str) -> TableClause:
    schema, _, bare = name.rpartition(".")
    return table(quoted_name(bare, quote=True), schema=quoted_name(schema, quote=None) if schema else None)


def _column(name: str) -> ColumnClause[Any]:
    return column(quoted_name(name, quote=True))


def _only(entity: Entity) -> list[ColumnElement[bool]]:
    return [_column(name) == value for name, value in entity.only.items()]
