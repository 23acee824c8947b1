"""The functions of FHIRPath on texts, numbers and moments, and arithmetic.

Spec:    http://hl7.org/fhirpath/N1/#string-manipulation, http://hl7.org/fhirpath/N1/#conversion
Leaves:  collections to functions.py. A text has a largest length, and patterns run on the bounded automaton.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from exchange.fhir.fhirpath.grammar import Measure, Moment
from exchange.fhir.fhirpath.scope import Scope, Step
from exchange.fhir.fhirpath.values import (
    EvaluationError,
    Item,
    Items,
    as_number,
    boolean,
    is_number,
    made,
    number_of,
    single,
    text_of,
)
from exchange.fhir.regular import regular

MOST_LETTERS: Final = 200_000
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)
_BOOLEANS: Final = {"true": True, "t": True, "yes": True, "y": True, "1": True, "1.0": True,
                    "false": False, "f": False, "no": False, "n": False, "0": False, "0.0": False}  # fmt: skip
_MOMENT: Final = re.compile(
    r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)
_TIME: Final = re.compile(r"\d\d(:\d\d(:\d\d(\.\d+)?)?)?", re.ASCII)


def _on_text(answer: Callable[..., Any], *, is_pattern: bool = False) -> Callable[..., Step]:
    """A function of one text and further arguments; empty where any is."""

    def built(of: Step, *arguments: Step) -> Step:
        def applied(scope: Scope) -> Items:
            text = text_of(of(scope))
            told = [single(each(scope)) for each in arguments]
            if text is None or any(each is None or each.value is None for each in told):
                return []
            if len(text) > MOST_LETTERS:
                raise EvaluationError("a text is too long")
            scope.world.spend(1 + (len(text) if is_pattern else 0))
            return made(answer(text, *(each.value for each in told if each is not None)))

        return applied

    return built


def _substring(text: str, start: int, length: int | None = None) -> str | None:
    if not 0 <= start < len(text):
        return None
    return text[start:] if length is None else text[start : start + max(0, length)]


def _matches(text: str, pattern: str) -> bool:
    try:
        return regular(pattern).search(text)
    except ValueError:
        raise EvaluationError("the regular expression is not supported") from None


def _matches_full(text: str, pattern: str) -> bool:
    try:
        return regular(pattern).matches_whole(text)
    except ValueError:
        raise EvaluationError("the regular expression is not supported") from None


def _joined(*texts: str) -> str:
    if sum(map(len, texts)) > MOST_LETTERS:
        raise EvaluationError("a text is too long")
    return "".join(texts)


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) * len(new) + len(text) > MOST_LETTERS:
        raise EvaluationError("a text is too long")
    return text.replace(old, new)


def _replace_matches(text: str, pattern: str, new: str) -> str:
    """Only patterns that are plain text followed by anything: what R4's own invariants use."""
    if pattern == "\\..*":
        return text.partition(".")[0] + (new if "." in text else "")
    raise EvaluationError("replacing by a regular expression is not supported")


def _to_chars(of: Step) -> Step:
    return lambda scope: [Item("System.String", each) for each in text_of(of(scope)) or ""]


def _split(of: Step, by: Step) -> Step:
    def parts(scope: Scope) -> Items:
        text, separator = text_of(of(scope)), text_of(by(scope))
        if not text or not separator:
            return made(text)
        found = text.split(separator)
        scope.world.spend(len(found))
        return [Item("System.String", each) for each in found]

    return parts


def _join(of: Step, by: Step | None = None) -> Step:
    def joined(scope: Scope) -> Items:
        texts = [each.value for each in of(scope) if type(each.value) is str]
        separator = (text_of(by(scope)) if by is not None else "") or ""
        if len(separator) * len(texts) + sum(map(len, texts)) > MOST_LETTERS:
            raise EvaluationError("a text is too long")
        return made(separator.join(texts)) if texts else []

    return joined


def _converted(convert: Callable[[Any], Any]) -> tuple[Callable[[Step], Step], Callable[[Step], Step]]:
    """A pair: to the type (empty where it cannot be), and whether it could be."""

    def to(of: Step) -> Step:
        def converted(scope: Scope) -> Items:
            item = single(of(scope))
            return [] if item is None or item.value is None else made(convert(item.value))

        return converted

    def can(of: Step) -> Step:
        def tested(scope: Scope) -> Items:
            item = single(of(scope))
            return [] if item is None else boolean(item.value is not None and convert(item.value) is not None)

        return tested

    return to, can


def _to_integer(value: Any) -> int | None:
    if type(value) is bool:
        return int(value)
    if type(value) is int:
        return value
    return int(value) if type(value) is str and _INTEGER.fullmatch(value) else None


def _to_decimal(value: Any) -> Decimal | None:
    if type(value) is bool:
        return Decimal(value)
    if is_number(value):
        return Decimal(as_number(value))
    return Decimal(value) if type(value) is str and _DECIMAL.fullmatch(value) else None


def _to_boolean(value: Any) -> bool | None:
    if type(value) is bool:
        return value
    return _BOOLEANS.get(str(value).lower()) if is_number(value) or type(value) is str else None


def _to_text(value: Any) -> str | None:
    if type(value) is bool:
        return str(value).lower()
    if isinstance(value, Moment):
        return value.text
    if isinstance(value, Measure):
        return f"{value.value} '{value.unit}'"
    if is_number(value):
        return format(as_number(value), "f") if type(value) is not int else str(value)
    return value if type(value) is str else None


def _as_moment(kind: str, pattern: re.Pattern[str]) -> Callable[[Step], Step]:
    def built(of: Step) -> Step:
        def converted(scope: Scope) -> Items:
            item = single(of(scope))
            text = None if item is None else _to_text(item.value)
            if text is None or not pattern.fullmatch(text):
                return []
            return [Item(kind, Moment(text[:10] if kind == "date" else text, kind))]

        return converted

    return built


def _to_quantity(of: Step) -> Step:
    def converted(scope: Scope) -> Items:
        item = single(of(scope))
        if item is None:
            return []
        if isinstance(item.value, Measure) or type(item.value) is dict:
            return [item]
        number = _to_decimal(item.value)
        return [] if number is None else [Item("Quantity", Measure(number, "1"))]

    return converted


def _on_number(answer: Callable[..., Any]) -> Callable[..., Step]:
    def built(of: Step, *arguments: Step) -> Step:
        def applied(scope: Scope) -> Items:
            told = [number_of(each(scope)) for each in (of, *arguments)]
            return [] if any(each is None for each in told) else made(answer(*told))

        return applied

    return built


def _rounded(value: Any, places: Any = 0) -> Decimal:
    return Decimal(value).quantize(Decimal(1).scaleb(-min(int(places), 20)), rounding=ROUND_HALF_UP)


def _power(value: Any, exponent: Any) -> Any:
    if abs(exponent) > 64 or abs(value) > 10**9:  # noqa: PLR2004 - beyond what any rule of a record needs
        raise EvaluationError("a number is too large")
    return value ** int(exponent) if exponent == int(exponent) else Decimal(value) ** Decimal(exponent)


def negation(of: Step) -> Step:
    """`-x`."""
    return _on_number(lambda value: -value)(of)


def arithmetic(operator: str, left: Step, right: Step) -> Step:
    """+ - * / div mod on numbers, + and & on texts."""
    if operator == "&":
        return lambda scope: made(_joined(text_of(left(scope)) or "", text_of(right(scope)) or ""))
    if operator not in _ARITHMETIC:
        raise ValueError("an operator that is not known")
    answer = _ARITHMETIC[operator]

    def applied(scope: Scope) -> Items:
        one, other = single(left(scope)), single(right(scope))
        if one is None or other is None or one.value is None or other.value is None:
            return []
        if operator == "+" and type(one.value) is str and type(other.value) is str:
            if "date" in one.type.lower():
                raise EvaluationError("arithmetic on dates is not supported")
            return made(_joined(one.value, other.value))
        first, second = as_number(one.value), as_number(other.value)
        if operator in ("/", "div", "mod") and second == 0:
            return []
        return made(answer(first, second))

    return applied


_ARITHMETIC: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: Decimal(a) / Decimal(b),
    "div": lambda a, b: int(Decimal(a) / Decimal(b)), "mod": lambda a, b: a - b * int(Decimal(a) / Decimal(b)),
}  # fmt: skip


def _now(kind: str) -> Callable[[Step], Step]:
    def built(_of: Step) -> Step:
        def moment(_scope: Scope) -> Items:
            text = datetime.now(UTC).isoformat(timespec="seconds")
            told = {"date": text[:10], "time": text[11:19]}.get(kind, text)
            return [Item(kind, Moment(told, kind))]

        return moment

    return built


def _exists(of: Step) -> Step:
    return lambda scope: boolean(bool(of(scope)))


def _absolute(value: Any) -> Any:
    return abs(value)


_INTEGERS, _IS_INTEGER = _converted(_to_integer)
_DECIMALS, _IS_DECIMAL = _converted(_to_decimal)
_TRUTHS, _IS_BOOLEAN = _converted(_to_boolean)
_STRINGS, _IS_STRING = _converted(_to_text)

FUNCTIONS: Final[dict[tuple[str, int], Callable[..., Step]]] = {
    ("indexOf", 1): _on_text(lambda t, s: t.find(s)),
    ("substring", 1): _on_text(_substring),
    ("substring", 2): _on_text(_substring),
    ("startsWith", 1): _on_text(lambda t, s: t.startswith(s)),
    ("endsWith", 1): _on_text(lambda t, s: t.endswith(s)),
    ("contains", 1): _on_text(lambda t, s: s in t),
    ("upper", 0): _on_text(str.upper),
    ("lower", 0): _on_text(str.lower),
    ("trim", 0): _on_text(str.strip),
    ("length", 0): _on_text(len),
    ("replace", 2): _on_text(_replaced),
    ("matches", 1): _on_text(_matches, is_pattern=True),
    ("matchesFull", 1): _on_text(_matches_full, is_pattern=True),
    ("replaceMatches", 2): _on_text(_replace_matches),
    ("toChars", 0): _to_chars,
    ("split", 1): _split,
    ("join", 0): _join,
    ("join", 1): _join,
    ("toInteger", 0): _INTEGERS,
    ("convertsToInteger", 0): _IS_INTEGER,
    ("toDecimal", 0): _DECIMALS,
    ("convertsToDecimal", 0): _IS_DECIMAL,
    ("toBoolean", 0): _TRUTHS,
    ("convertsToBoolean", 0): _IS_BOOLEAN,
    ("toString", 0): _STRINGS,
    ("convertsToString", 0): _IS_STRING,
    ("toDate", 0): _as_moment("date", _MOMENT),
    ("toDateTime", 0): _as_moment("dateTime", _MOMENT),
    ("toTime", 0): _as_moment("time", _TIME),
    ("convertsToDate", 0): lambda of: _exists(_as_moment("date", _MOMENT)(of)),
    ("convertsToDateTime", 0): lambda of: _exists(_as_moment("dateTime", _MOMENT)(of)),
    ("convertsToTime", 0): lambda of: _exists(_as_moment("time", _TIME)(of)),
    ("toQuantity", 0): _to_quantity,
    ("abs", 0): _on_number(_absolute),
    ("ceiling", 0): _on_number(lambda v: -int(-v // 1)),
    ("floor", 0): _on_number(lambda v: int(v // 1)),
    ("truncate", 0): _on_number(int),
    ("round", 0): _on_number(_rounded),
    ("round", 1): _on_number(_rounded),
    ("power", 1): _on_number(_power),
    ("sqrt", 0): _on_number(lambda v: Decimal(v).sqrt() if v >= 0 else None),
    ("now", 0): _now("dateTime"),
    ("today", 0): _now("date"),
    ("timeOfDay", 0): _now("time"),
}
