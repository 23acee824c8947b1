"""Search type quantity: a number and its unit, compared in UCUM's canonical units.

Spec:    https://hl7.org/fhir/R4/search.html#quantity
Leaves:  prefixes to number; units to fhir/ucum. Quantities are never indexed: docs/decisions/0009.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final

from exchange.fhir.ucum import UCUM, Unit, unit
from exchange.problems import NotSupported
from exchange.search import number
from exchange.search.escape import split_escaped, unescape
from exchange.search.number import INFINITE, Wanted, is_in

CURRENCY: Final = "urn:iso:std:iso:4217"
PARTS: Final = (1, 3)
EXACT: Final = Context(prec=11)


@dataclass(frozen=True, slots=True)
class Held:
    """What an element covers, both ends included, and in which unit."""

    low: Decimal
    high: Decimal
    system: str
    code: str
    shown: str


def held(fhir_type: str, value: Any) -> Held | None:
    """The number and unit of an element; None where it says no number."""
    match fhir_type:
        case "Range":
            span = number.span(fhir_type, value)
            end = value.get("low") or value.get("high") or {}
            return None if span is None else Held(*span, *_unit(end))
        case "Money":
            amount = number.decimal(value.get("value"))
            code = value.get("currency", "")
            return None if amount is None else Held(amount, amount, CURRENCY, code, code)
        case "SampledData":
            return _sampled(value)
        case _ if isinstance(value, dict):
            amount = number.decimal(value.get("value"))
            if amount is None:
                return None
            comparator = value.get("comparator", "")
            low = -INFINITE if comparator.startswith("<") else amount
            high = INFINITE if comparator.startswith(">") else amount
            return Held(low, high, *_unit(value))
    return None


def _sampled(value: dict[str, Any]) -> Held | None:
    """A series covers what lies between its limits."""
    origin = value.get("origin") or {}
    ends = [number.decimal(value.get(name)) for name in ("lowerLimit", "upperLimit")]
    start, factor = number.decimal(origin.get("value")), number.decimal(value.get("factor")) or Decimal(1)
    if start is None or None in ends:
        return None
    low, high = sorted(start + (end or Decimal()) * factor for end in ends)
    return Held(low, high, *_unit(origin))


def _unit(value: dict[str, Any]) -> tuple[str, str, str]:
    return value.get("system", ""), value.get("code", ""), value.get("unit", "")


def test(text: str, name: str) -> Callable[[str, Any], bool]:
    """Whether an element is what a search value asks for. Raises: NotSupported - no quantity."""
    parts = split_escaped(text, "|")
    if len(parts) not in PARTS:
        raise NotSupported(
            f"'{name}' takes [number], [number]|[system]|[code] or [number]||[code]", f"http.{name}"
        )
    wanted = number.parse(parts[0], name)
    system, code = (unescape(part) for part in parts[1:]) if len(parts) > 1 else ("", "")
    asked = unit(code) if system == UCUM else None
    canonical = wanted.times(asked.factor, asked.offset) if asked else None

    def is_wanted(fhir_type: str, value: Any) -> bool:
        has = held(fhir_type, value)
        if has is None:
            return False
        if not system:
            return (not code or code in (has.code, has.shown)) and is_in(has.low, has.high, wanted)
        if has.system != system:
            return False
        if has.code == code or not code:
            return is_in(has.low, has.high, wanted)
        return asked is not None and canonical is not None and _is_in_canonical(has, asked, canonical)

    return is_wanted


def _is_in_canonical(has: Held, asked: Unit, wanted: Wanted) -> bool:
    own = unit(has.code)
    if own is None or own.measure != asked.measure:
        return False
    low, high = (_rounded(each * own.factor + own.offset) for each in (has.low, has.high))
    ends = (_rounded(each) for each in (wanted.value, wanted.low, wanted.high))
    return is_in(low, high, Wanted(wanted.prefix, *ends))


def _rounded(value: Decimal) -> Decimal:
    """To what factors are exact to: 37 Cel are 98.6 [degF], and not a hair less."""
    return EXACT.plus(value)


def sort_value(fhir_type: str, value: Any) -> Decimal | None:
    """What an element sorts by: its lower end in the canonical unit where it has one."""
    has = held(fhir_type, value)
    if has is None:
        return None
    own = unit(has.code) if has.system == UCUM else None
    low = has.low if has.low.is_finite() else has.high
    return low * own.factor + own.offset if own else low
