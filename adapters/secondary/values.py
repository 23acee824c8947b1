"""The value of an OBX by its data type, with the digits that were written.

Spec:    HL7 v2.5.1, table 0125; https://hl7.org/fhir/R4/observation-definitions.html#Observation.value_x_.
Leaves:  which observation it belongs to, to `results`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from adapters.code_map import ucum
from adapters.hl7v2.message import Field, Segment
from adapters.secondary.gather import Gathered
from adapters.source_record import Resource
from adapters.source_record.moment import compact_moment
from exchange.fhir.peru import UCUM_SYSTEM

_NUMBER: Final = re.compile(r"^([<>]=?)?\s*([+-]?\d{1,20}(?:[.,]\d{1,20})?|[.,]\d{1,20})$")
_BETWEEN: Final = re.compile(r"^[\[(]?\s*(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)\s*[\])]?$")
_BOUND: Final = re.compile(r"^[\[(]?\s*([<>])=?\s*(\d+(?:\.\d+)?)\s*[\])]?$")
_TIME: Final = re.compile(r"^([01]\d|2[0-3])([0-5]\d)([0-5]\d)?(?:\.\d+)?$")
_NAMED: Final = frozenset({"CX", "CK", "XPN", "PN", "XCN", "CN", "XON", "XAD", "AD", "XTN"})
_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def number(text: str) -> Decimal | None:
    """A number as it was written, decimal comma or point; None where it is none."""
    found = _NUMBER.match(text.strip())
    return Decimal(found.group(2).replace(",", ".")) if found else None


def set_value(gathered: Gathered, observation: Resource, segment: Segment) -> None:
    """Put the value of an OBX into an Observation; a value that is not what its type says stays text."""
    kind = segment.text(2).upper()
    source, text = segment.field(5), "\n".join(item.text for item in segment.repetitions(5))
    if not text:
        reason = "not-asked" if segment.text(11).upper() == "N" else "unknown"
        observation["dataAbsentReason"] = {"coding": [{"system": _ABSENT, "code": reason}]}
        return
    if kind in {"ED", "RP"}:  # a document of no report: an Observation has no place for it
        observation["dataAbsentReason"] = {"coding": [{"system": _ABSENT, "code": "unsupported"}]}
        return
    if kind in _NAMED:
        text = "\n".join(_named(item, kind) for item in segment.repetitions(5))
    if kind in {"NM", ""} and (value := quantity(gathered, text, segment)):
        observation["valueQuantity"] = value
    elif kind == "SN" and _set_structured(gathered, observation, segment):
        pass
    elif kind in {"CE", "CWE", "CNE", "CF"} and (source.component(1) or source.component(2)):
        observation["valueCodeableConcept"] = gathered.coded(observation, source, "lab-value")
    elif kind in {"DT", "TS", "DTM"} and (moment := compact_moment(text, gathered.zone)):
        observation["valueDateTime"] = moment
    elif kind == "TM" and (found := _TIME.match(text)):
        observation["valueTime"] = f"{found.group(1)}:{found.group(2)}:{found.group(3) or '00'}"
    else:
        observation["valueString"] = text


def _named(source: Field, kind: str) -> str:
    """An identifier with who gave it, or a name in the order in which it is said."""
    parts = source.parts()
    if kind == "CX":
        authority = source.component(4)
        return f"{parts[0]} ({authority})" if authority else parts[0]
    if kind in {"XPN", "PN"}:
        parts = [*parts[1:3], *source.subcomponents(1), *parts[3:4]]
    elif kind in {"XCN", "CN"}:
        parts = [*parts[2:4], *source.subcomponents(2)]
    return " ".join(part for part in parts if part)


def _set_structured(gathered: Gathered, observation: Resource, segment: Segment) -> bool:
    """SN: `>^100`, `1^-^2`, `1^:^128`; a titre is a ratio, a dash a range."""
    comparator, first, separator, second = (segment.field(5).component(part) for part in (1, 2, 3, 4))
    low = quantity(gathered, comparator + first, segment)
    if low is None:
        return False
    high = quantity(gathered, second, segment) if second else None
    if not separator:
        observation["valueQuantity"] = low
    elif separator == "-" and high:
        observation["valueRange"] = {"low": low, "high": high}
    elif separator in {":", "/"} and high:
        observation["valueRatio"] = {"numerator": low, "denominator": high}
    else:
        return False
    return True


def quantity(gathered: Gathered, text: str, segment: Segment) -> Resource | None:
    """A Quantity with OBX-6's unit: UCUM where it is UCUM or the site's table says so, else as text."""
    found, value = _NUMBER.match(text.strip()), number(text)
    if not found or value is None:
        return None
    result: Resource = {"value": value}
    if found.group(1):
        result["comparator"] = found.group(1)
    unit = segment.text(6, 1) or segment.text(6, 2)
    if unit:
        result["unit"] = segment.text(6, 2) or unit
        code = unit if segment.text(6, 3).upper() == "UCUM" else ucum(gathered.codes, unit)
        if code:
            result |= {"system": UCUM_SYSTEM, "code": code}
        else:
            gathered.unmapped.append(("units", unit))
    return result


def reference_range(gathered: Gathered, segment: Segment) -> Resource | None:
    """OBX-7 as limits where it says limits, and always as it was written."""
    text = segment.text(7)
    if not text:
        return None
    result: Resource = {}
    if found := _BETWEEN.match(text):
        for name, digits in zip(("low", "high"), found.groups(), strict=True):
            if limit := quantity(gathered, digits, segment):
                result[name] = limit
    elif (found := _BOUND.match(text)) and (limit := quantity(gathered, found.group(2), segment)):
        result["high" if found.group(1) == "<" else "low"] = limit
    return {**result, "text": text}
