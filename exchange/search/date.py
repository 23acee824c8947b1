"""Search type date: ranges compared with R4's prefixes.

Spec:    https://hl7.org/fhir/R4/search.html#date, https://hl7.org/fhir/R4/search.html#prefix
Leaves:  reading dates to fhir/datatype.

Both sides are ranges of microseconds, both ends inclusive: a date of less precision is a wider range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from exchange.fhir.datatype import date_range, period_range, timing_range
from exchange.problems import NotSupported

PREFIXES: Final = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
PREFIX_LETTERS: Final = 2
APPROXIMATE: Final = 0.1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_EQUAL: Final = "({low} >= %(low)s AND {high} <= %(high)s)"
_OVERLAP: Final = "({low} <= %(high)s AND {high} >= %(low)s)"
SQL: Final = {
    "eq": _EQUAL,
    "ne": f"NOT {_EQUAL}",
    "gt": "{high} > %(high)s",
    "lt": "{low} < %(low)s",
    "ge": f"({{high}} > %(high)s OR {_EQUAL})",
    "le": f"({{low}} < %(low)s OR {_EQUAL})",
    "sa": "{low} > %(high)s",
    "eb": "{high} < %(low)s",
    "ap": _OVERLAP,
    "overlaps": _OVERLAP,
}


@dataclass(frozen=True, slots=True)
class DateValue:
    """A search value: its prefix and its range. Units: microseconds since the epoch, both ends inclusive."""

    prefix: str
    low: int
    high: int


def ranges(fhir_type: str, value: Any, zone: ZoneInfo) -> list[tuple[int, int]]:
    """The ranges that an element covers; none where it says no time."""
    try:
        match fhir_type:
            case "Period":
                return [period_range(value, zone)]
            case "Timing":
                covered = timing_range(value, zone)
                return [covered] if covered else []
            case _ if isinstance(value, str):
                return [date_range(value, zone)]
    except ValueError:  # strict admission refuses such dates; an index row never fails on one
        return []
    return []


def local_day(text: str, zone: ZoneInfo) -> str:
    """A date as it stands; of a date with a time, its day in the zone. Empty where it is no date."""
    if "T" not in text:
        return text
    try:
        low = date_range(text, zone)[0]
    except ValueError:
        return ""
    return (_EPOCH + timedelta(microseconds=low)).astimezone(zone).date().isoformat()


def parse(text: str, name: str, zone: ZoneInfo, now: int) -> DateValue:
    """A search value's prefix and range.

    Raises: NotSupported - no FHIR date.
    """
    prefix = text[:PREFIX_LETTERS]
    prefix, rest = (prefix, text[PREFIX_LETTERS:]) if prefix in PREFIXES else ("eq", text)
    try:
        low, high = date_range(rest, zone)
    except ValueError:
        raise NotSupported(f"'{name}' takes a date such as 2026, 2026-05 or ge2026-05-31T08:00:00-05:00",
                           f"http.{name}") from None  # fmt: skip
    if prefix == "ap":
        gap = int(abs(now - low) * APPROXIMATE)
        low, high = low - gap, high + gap
    return DateValue(prefix, low, high)


def test(text: str, name: str, modifier: str, zone: ZoneInfo, now: int) -> Callable[[str, Any], bool]:
    """Whether an element is what a search value asks for; `overlaps` asks for any moment in common."""
    wanted = parse(text, name, zone, now)

    def is_wanted(fhir_type: str, value: Any) -> bool:
        covered = ranges(fhir_type, value, zone)
        if modifier == "overlaps":
            return any(low <= wanted.high and high >= wanted.low for low, high in covered)
        return any(matches(low, high, wanted) for low, high in covered)

    return is_wanted


def matches(low: int, high: int, wanted: DateValue) -> bool:
    """Whether a resource's range stands to the wanted range as the prefix asks."""
    is_inside = low >= wanted.low and high <= wanted.high
    match wanted.prefix:
        case "eq":
            return is_inside
        case "ne":
            return not is_inside
        case "gt":
            return high > wanted.high
        case "lt":
            return low < wanted.low
        case "ge":
            return high > wanted.high or is_inside
        case "le":
            return low < wanted.low or is_inside
        case "sa":
            return low > wanted.high
        case "eb":
            return high < wanted.low
        case _:
            return low <= wanted.high and high >= wanted.low
