"""Values of FHIRPath: elements of a resource with their types, and how they compare.

Spec:    http://hl7.org/fhirpath/N1/#equality, http://hl7.org/fhirpath/N1/#comparison
Leaves:  navigation and functions to compile.py and functions.py.
"""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from exchange.fhir.fhirpath.grammar import Measure, Moment


class Item(NamedTuple):
    """One value: its FHIR type (or `System.` type), its JSON, and for a primitive the object beside it."""

    type: str
    value: Any
    beside: Any = None


Items = list[Item]
TRUE: Final = Item("System.Boolean", True)
FALSE: Final = Item("System.Boolean", False)
_MOMENTS: Final = frozenset({"date", "dateTime", "instant"})
_DAY: Final = 10


class EvaluationError(Exception):
    """An expression that has no answer here: a wrong kind of value, or something that is not supported."""


def truth(items: Items) -> bool | None:
    """A collection as a condition: empty is None, one value that is no boolean is true."""
    if not items:
        return None
    if len(items) > 1:
        raise EvaluationError("a condition has several values")
    value = items[0].value
    return value if type(value) is bool else True


def boolean(answer: bool | None) -> Items:  # noqa: FBT001 - the value itself, not a switch
    """A condition as a collection."""
    return [] if answer is None else [TRUE if answer else FALSE]


def single(items: Items) -> Item | None:
    """The one value, or None. Raises: EvaluationError - several."""
    if len(items) > 1:
        raise EvaluationError("one value is expected, and there are several")
    return items[0] if items else None


def text_of(items: Items) -> str | None:
    """The one text, or None. Raises: EvaluationError - several values, or no text."""
    item = single(items)
    if item is None or item.value is None:
        return None
    if type(item.value) is not str:
        raise EvaluationError("a text is expected")
    return item.value


def number_of(items: Items) -> Decimal | int | None:
    """The one number, or None."""
    item = single(items)
    if item is None or item.value is None:
        return None
    return as_number(item.value)


def integer_of(items: Items) -> int | None:
    """The one integer, or None."""
    number = number_of(items)
    if number is not None and number != int(number):
        raise EvaluationError("an integer is expected")
    return None if number is None else int(number)


def system_type(value: Any) -> str:
    """The System type of a literal or a computed value."""
    if type(value) is bool:
        return "System.Boolean"
    if type(value) is int:
        return "System.Integer"
    return "System.String" if type(value) is str else "System.Decimal"


def made(value: Any) -> Items:
    """A computed value as a collection."""
    return [] if value is None else [Item(system_type(value), value)]


def as_number(value: Any) -> Decimal | int:
    """A JSON number. Raises: EvaluationError."""
    if type(value) is float:
        return Decimal(str(value))
    if type(value) is int or type(value) is Decimal:
        return value
    raise EvaluationError("a number is expected")


def is_number(value: Any) -> bool:
    """Whether a value is a number; true is none."""
    return type(value) in (int, float, Decimal)


def equal(left: Item, right: Item) -> bool | None:
    """Whether two values are equal; None where their precisions forbid an answer."""
    one, other = left.value, right.value
    if is_number(one) and is_number(other):
        return bool(as_number(one) == as_number(other))
    if is_quantity(left) and is_quantity(right):
        return compare(left, right) == 0 if _unit(left) == _unit(right) else None
    if _is_moment(left) or _is_moment(right):
        return _equal_moments(left, right)
    if type(one) is dict and type(other) is dict:
        return _same(one, other)
    return type(one) is type(other) and bool(one == other)


def equivalent(left: Item, right: Item) -> bool:
    """Whether two values say the same, space and case of texts aside."""
    one, other = left.value, right.value
    if type(one) is str and type(other) is str and not _is_moment(left):
        return " ".join(one.casefold().split()) == " ".join(other.casefold().split())
    return equal(left, right) is True


def compare(left: Item, right: Item) -> int | None:
    """-1, 0 or 1; None where precisions or units forbid an answer. Raises: EvaluationError - they do not compare."""
    one, other = left.value, right.value
    if one is None or other is None:
        return None
    if is_number(one) and is_number(other):
        return _sign(as_number(one), as_number(other))
    if is_quantity(left) and is_quantity(right):
        if _unit(left) != _unit(right):
            return None
        values = _amount(left), _amount(right)
        return None if None in values else _sign(*values)
    if _is_moment(left) or _is_moment(right):
        return _compare_moments(_text(left), _text(right))
    if type(one) is str and type(other) is str:
        return _sign(one, other)
    raise EvaluationError("these values do not compare")


def is_quantity(item: Item) -> bool:
    """Whether a value is a quantity, of a resource or a literal."""
    return isinstance(item.value, Measure) or (type(item.value) is dict and "value" in item.value
                                               and item.type in QUANTITIES)  # fmt: skip


QUANTITIES: Final = frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "Money", "SimpleQuantity"})


def _sign(one: Any, other: Any) -> int:
    return int(one > other) - int(one < other)


def _amount(item: Item) -> Any:
    value = item.value.value if isinstance(item.value, Measure) else item.value.get("value")
    return as_number(value) if value is not None else None


def _unit(item: Item) -> str:
    value = item.value
    if isinstance(value, Measure):
        return value.unit
    return str(value.get("code") or value.get("unit") or value.get("currency") or "1")


def _is_moment(item: Item) -> bool:
    return item.type in _MOMENTS or item.type == "time" or isinstance(item.value, Moment)


def _text(item: Item) -> str:
    value = item.value.text if isinstance(item.value, Moment) else item.value
    if type(value) is not str:
        raise EvaluationError("these values do not compare")
    return value


def _equal_moments(left: Item, right: Item) -> bool | None:
    if type(left.value) is dict or type(right.value) is dict or left.value is None or right.value is None:
        return False
    try:
        answer = _compare_moments(_text(left), _text(right))
    except EvaluationError:
        return False
    return None if answer is None else answer == 0


def _compare_moments(one: str, other: str) -> int | None:
    """Two dates or times, part by part as far as both go. With and without a zone do not compare."""
    if one == other:
        return 0
    try:
        if ":" in one[:_DAY] or ":" in other[:_DAY]:
            return _sign(time.fromisoformat(one), time.fromisoformat(other))
        if len(one) > _DAY and len(other) > _DAY:
            first, second = datetime.fromisoformat(one), datetime.fromisoformat(other)
            if (first.tzinfo is None) != (second.tzinfo is None):
                return None
            return _sign(first, second)
        length = min(len(one), len(other), _DAY)
        if one[:length] != other[:length]:
            return _sign(one[:length], other[:length])
        if length == _DAY == len(one) == len(other):
            return _sign(date.fromisoformat(one), date.fromisoformat(other))
    except (ValueError, TypeError):
        raise EvaluationError("these values do not compare") from None
    return None


def _same(one: Any, other: Any) -> bool:
    """Two JSON values, numbers by their worth."""
    if type(one) is dict and type(other) is dict:
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if type(one) is list and type(other) is list:
        return len(one) == len(other) and all(_same(*pair) for pair in zip(one, other, strict=True))
    if is_number(one) and is_number(other):
        try:
            return bool(as_number(one) == as_number(other))
        except InvalidOperation:
            return False
    return type(one) is type(other) and bool(one == other)


def key_of(item: Item) -> Any:
    """What two equal values share, for counting many of them; texts and numbers only, else None."""
    if is_number(item.value):
        return as_number(item.value)
    return (item.value,) if type(item.value) is str and not _is_moment(item) else None
