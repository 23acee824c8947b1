"""UCUM units in canonical form: what a unit measures, and how to get to the base unit of that.

Spec:    https://ucum.org/ucum; https://hl7.org/fhir/R4/search.html#quantity
Leaves:  the grammar and the table of units to ucumvert and pint (MIT, BSD), loaded at the first question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from math import isfinite
from typing import Any, Final

UCUM: Final = "http://unitsofmeasure.org"
MAX_LETTERS: Final = 100
_PRECISION: Final = "{:.13g}"
# A power of three digits and more measures nothing, and 10*1000000000 would be worked out to its last digit.
_POWER: Final = re.compile(r"[A-Za-z*^\])'%\"][+-]?\d{3}", re.ASCII)
_ANNOTATION: Final = re.compile(r"\{[^{}]*\}")
_ARBITRARY: Final = re.compile(
    r"\[(?:[A-Za-z0-9']*'U|[iI]U|[CTE]*CID_50|EID_50|PFU|FFU|CFU|IR|BAU|AU|PNU|Lf|FEU|ELU|EU)\]", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit in canonical form: base value = value · factor + offset.

    `measure` names the dimension; units of one measure are comparable. Arbitrary units (international units and their
    like) measure nothing but themselves.
    """

    measure: str
    factor: Decimal
    offset: Decimal


@lru_cache(maxsize=4096)
def unit(code: str) -> Unit | None:
    """A UCUM code in canonical form; None where the code is none, or its scale is not linear."""
    if not code or len(code) > MAX_LETTERS or _POWER.search(_ANNOTATION.sub("", code)):
        return None
    try:
        registry = _registry()
        # An annotation alone is the number one; beside a unit it says nothing.
        units = registry.from_ucum(_ANNOTATION.sub("", code).removesuffix(".") or "1")
        if not hasattr(units, "units"):
            units = registry.Quantity(units, "")
        zero = registry.Quantity(0.0, units.units).to_base_units()
        one = registry.Quantity(float(units.magnitude), units.units).to_base_units()
        two = registry.Quantity(2 * float(units.magnitude), units.units).to_base_units()
    except Exception:  # noqa: BLE001 - the parser and the registry have errors of a dozen kinds: it is no unit to us
        return None
    factor, offset = one.magnitude - zero.magnitude, zero.magnitude
    is_linear = abs(two.magnitude - offset - 2 * factor) <= abs(factor) * 1e-9
    if not is_linear or not factor or not isfinite(factor):
        return None
    arbitrary = "".join(sorted(_ARBITRARY.findall(code)))
    return Unit(f"{one.dimensionality}{arbitrary}", _decimal(factor), _decimal(offset))


def _decimal(value: float) -> Decimal:
    return Decimal(_PRECISION.format(value))


@cache
def _registry() -> Any:
    from ucumvert import PintUcumRegistry  # noqa: PLC0415 - a second and 30 MB, for those who compare units

    return PintUcumRegistry()
