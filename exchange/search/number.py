"""Search type number: values compared with R4's prefixes and implicit precision.

Spec:    https://hl7.org/fhir/R4/search.html#number, https://hl7.org/fhir/R4/search.html#prefix
Leaves:  units to quantity. Numbers are never indexed: they are compared on the opened resource.

eq and ne take a written number as the range of what rounds to it; every other prefix takes it as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from exchange.problems import NotSupported
from exchange.search.date import PREFIX_LETTERS, PREFIXES

_NUMBER: Final = re.compile(r"([+-]?)(\d{1,30})(?:\.(\d{1,30}))?(?:[eE]([+-]?\d{1,3}))?", re.ASCII)
_APPROXIMATE: Final = Decimal("0.1")
INFINITE: Final = Decimal("Infinity")
HALF: Final = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search value: prefix, number as written, and the range [low, high) that rounds to it."""

    prefix: str
    value: Decimal
    low: Decimal
    high: Decimal

    def times(self, factor: Decimal, offset: Decimal = Decimal()) -> Wanted:
        """The same in another unit."""
        return Wanted(
            self.prefix, self.value * factor + offset, self.low * factor + offset, self.high * factor + offset
        )


def parse(text: str, name: str) -> Wanted:
    """A search value. Raises: NotSupported - no number."""
    prefix = text[:PREFIX_LETTERS]
    prefix, rest = (prefix, text[PREFIX_LETTERS:]) if prefix in PREFIXES else ("eq", text)
    match = _NUMBER.fullmatch(rest)
    if match is None:
        raise NotSupported(f"'{name}' takes a number such as 5.4 or gt100", f"http.{name}")
    value = Decimal(rest)
    exponent = int(match[4] or 0) - len(match[3] or "")
    # The specification's example reads 1e2 as [95, 105): one figure more than is written.
    exponent -= 1 if match[4] and not match[3] else 0
    half = HALF.scaleb(exponent)
    return Wanted(prefix, value, value - half, value + half)


def is_in(low: Decimal, high: Decimal, wanted: Wanted) -> bool:
    """Whether a value or range of a resource, both ends included, stands to a search value as its prefix asks."""
    value = wanted.value
    is_equal = wanted.low <= low and high < wanted.high
    match wanted.prefix:
        case "eq":
            return is_equal
        case "ne":
            return not is_equal
        case "gt":
            return high > value
        case "lt":
            return low < value
        case "ge":
            return high >= value
        case "le":
            return low <= value
        case "sa":
            return low > value
        case "eb":
            return high < value
        case _:
            gap = abs(value) * _APPROXIMATE
            return low <= value + gap and high >= value - gap


def decimal(value: Any) -> Decimal | None:
    """A JSON number as a decimal; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return value if isinstance(value, Decimal) else Decimal(str(value))


def span(fhir_type: str, value: Any) -> tuple[Decimal, Decimal] | None:
    """What an element covers: a number itself, a Range its ends; None where it says no number."""
    if fhir_type == "Range":
        low, high = (decimal((value.get(end) or {}).get("value")) for end in ("low", "high"))
        if low is None and high is None:
            return None
        return (-INFINITE if low is None else low, INFINITE if high is None else high)
    number = decimal(value)
    return None if number is None else (number, number)


def test(text: str, name: str) -> Callable[[str, Any], bool]:
    """Whether an element is what a search value asks for."""
    wanted = parse(text, name)

    def is_wanted(fhir_type: str, value: Any) -> bool:
        covered = span(fhir_type, value)
        return covered is not None and is_in(*covered, wanted)

    return is_wanted
