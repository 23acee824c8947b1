"""The orders of a search's matches: those that SQL gives, and those of values that are sealed.

Spec:    https://hl7.org/fhir/R4/search.html#sort
Leaves:  reading rows to matches.

Every order ends with something unique, so a page can start after the last match of the page before it, wherever
others have been written in the meantime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cmp_to_key
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from exchange.fhir.datatype import MAX_INSTANT, MIN_INSTANT, fold
from exchange.fhir.definitions import SearchParameter
from exchange.fhir.path import Element, compile_expression
from exchange.search import date, number, quantity, string, token
from exchange.search.parameter import known_parameters
from exchange.search.population import clinical_parameter
from exchange.search.tree import Query
from exchange.settings import settings
from exchange.store.versions import BEGINNING, Version

SortKey: TypeAlias = list[Any]
"""One value for each sort parameter - None where a resource has none - and the resource's id."""


Placed: TypeAlias = tuple[list[Any], Version]
"""A version and its place in an order."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order that SQL can give: its ORDER BY and the condition of what comes after a position.

    names   what a version is compared by; `falls` says for each whether the greatest comes first
    """

    columns: str
    after: str
    names: tuple[str, ...]
    falls: tuple[bool, ...]

    def position(self, version: Version) -> list[Any]:
        """Where a version stands in this order."""
        return [getattr(version, name) for name in self.names]

    @property
    def moves(self) -> bool:
        """Whether a change can give a resource another place."""
        return self.names[0] in ("clinical_at", "last_updated")

    def compare(self, one: list[Any], other: list[Any]) -> int:
        """Which of two positions comes first, as SQL says it: negative, 0 or positive."""
        for falls, left, right in zip(self.falls, one, other, strict=True):
            if left == right:
                continue
            if not falls and BEGINNING in (left, right):  # no date: last
                return 1 if left == BEGINNING else -1
            return 1 if (left > right) != falls else -1
        return 0

    def merged(
        self, placed: list[Placed], moved: list[Placed], after: list[Any], until: list[Any]
    ) -> list[Placed]:
        """Versions with their places, and those of some others that lie after one position and up to another."""
        between = [
            each
            for each in moved
            if (not after or self.compare(each[0], after) > 0)
            and (not until or self.compare(each[0], until) <= 0)
        ]
        if not between:
            return placed
        place = cmp_to_key(self.compare)
        return sorted([*placed, *between], key=lambda each: place(each[0]))


NEWEST: Final = Order(
    "r.clinical_at DESC, r.id",
    "r.clinical_at <= %(k0)s AND (r.clinical_at < %(k0)s OR r.id > %(k1)s)",
    ("clinical_at", "resource_id"),
    (True, False),
)
# What has no date comes last, whichever way the dates go.
OLDEST: Final = Order(
    f"NULLIF(r.clinical_at, {BEGINNING}), r.id DESC",
    f"CASE WHEN %(k0)s = {BEGINNING} THEN r.clinical_at = {BEGINNING} AND r.id < %(k1)s"
    f" ELSE r.clinical_at > %(k0)s OR (r.clinical_at = %(k0)s AND r.id < %(k1)s) OR r.clinical_at = {BEGINNING} END",
    ("clinical_at", "resource_id"),
    (False, True),
)
PLACE: Final = Order(
    "r.compartment, r.id",
    "r.compartment >= %(k0)s AND (r.compartment > %(k0)s OR r.id > %(k1)s)",
    ("compartment", "resource_id"),
    (False, False),
)
BY_ID: Final = {
    False: Order("r.id", "r.id > %(k0)s", ("resource_id",), (False,)),
    True: Order("r.id DESC", "r.id < %(k0)s", ("resource_id",), (True,)),
}
BY_UPDATE: Final = {
    False: Order(
        "r.last_updated, r.id",
        "(r.last_updated, r.id) > (%(k0)s, %(k1)s)",
        ("last_updated", "resource_id"),
        (False, False),
    ),
    True: Order(
        "r.last_updated DESC, r.id",
        "r.last_updated <= %(k0)s AND (r.last_updated < %(k0)s OR r.id > %(k1)s)",
        ("last_updated", "resource_id"),
        (True, False),
    ),
}


def order_of(query: Query, *, is_slice: bool) -> Order | None:
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


def dated(version: Version, resource_type: str) -> Version:
    """A past version with its place in its record, which is kept of current ones alone."""
    name = clinical_parameter(resource_type)
    if not name:
        return version
    read = _value_of(known_parameters(resource_type)[name], resource_type, falls=False)
    start = read(version, version.parsed())
    return replace(version, clinical_at=BEGINNING if start is None else start)


class MemoryOrder:
    """The order of values that no index holds. A resource without a value comes last, whichever way the sort goes."""

    def __init__(self, query: Query) -> None:
        known = known_parameters(query.resource_type)
        self._falls = [falls for _, falls in query.sort]
        self._kinds = [known[name].kind for name, _ in query.sort]
        self._values = [_value_of(known[name], query.resource_type, falls) for name, falls in query.sort]

    def key(self, version: Version) -> SortKey:
        """What a version sorts by."""
        resource = version.parsed()
        return [*(value(version, resource) for value in self._values), version.resource_id]

    def arranged(self, keyed: list[tuple[SortKey, Version]], after: SortKey) -> list[tuple[SortKey, Version]]:
        """The versions in this order, those only that come after a key where one is given."""
        if after:
            start = self._read(after)
            keyed = [each for each in keyed if self._compare(each[0], start) > 0]
        place = cmp_to_key(self._compare)
        return sorted(keyed, key=lambda each: place(each[0]))

    @staticmethod
    def position(key: SortKey) -> list[Any]:
        """A key as a page token holds it."""
        return [str(each) if isinstance(each, Decimal) else each for each in key]

    def _read(self, position: SortKey) -> SortKey:
        read: SortKey = [
            Decimal(each) if kind in ("number", "quantity") and each is not None else each
            for kind, each in zip(self._kinds, position, strict=False)
        ]
        return [*read, position[-1]]

    def _compare(self, one: SortKey, other: SortKey) -> int:
        for falls, left, right in zip(self._falls, one, other, strict=False):
            if left == right:
                continue
            if left is None or right is None:
                return 1 if left is None else -1
            return 1 if (left > right) != falls else -1
        return int(one[-1] > other[-1]) - int(one[-1] < other[-1])


def _value_of(
    parameter: SearchParameter,
    resource_type: str,
    falls: bool,  # noqa: FBT001 - a direction
) -> Callable[[Version, dict[str, Any]], Any]:
    if parameter.name == "_id":
        return lambda version, _resource: version.resource_id
    if parameter.name == "_lastUpdated":
        return lambda version, _resource: version.last_updated
    try:
        elements = compile_expression(parameter.expression, resource_type)
    except ValueError:  # nothing can ever be selected in this type
        return lambda _version, _resource: None
    # One date places a resource in its record: where there are several, the first of them, in both directions.
    is_placed = parameter.name == clinical_parameter(resource_type)
    outermost: Callable[[list[Any]], Any] = max if falls and not is_placed else min

    def value(_version: Version, resource: dict[str, Any]) -> Any:
        found = _comparable(parameter.kind, elements(resource))
        return outermost(found) if found else None

    return value


def _comparable(kind: str, elements: Sequence[Element]) -> list[Any]:
    """The values by which elements are compared: of a range, its start."""
    match kind:
        case "date":
            zone = settings().zone
            lows = [low for element in elements for low, _ in date.ranges(*element, zone)]
            return [low for low in lows if MIN_INSTANT < low < MAX_INSTANT]
        case "string":
            return [fold(text) for element in elements for text in string.texts(*element)]
        case "token":
            return [code for element in elements for _, code in token.codings(*element)]
        case "number":
            held = [number.span(*element) for element in elements]
            return [low if low.is_finite() else high for low, high in filter(None, held)]
        case "quantity":
            return [each for element in elements if (each := quantity.sort_value(*element)) is not None]
        case _:
            found = [value.get("reference") if isinstance(value, dict) else value for _, value in elements]
            return [each for each in found if isinstance(each, str)]
