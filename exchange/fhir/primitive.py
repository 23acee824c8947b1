"""Whether a JSON value is a valid FHIR primitive.

Spec:    https://hl7.org/fhir/R4/datatypes.html#primitive
Leaves:  required bindings and where values stand to structure.py.

The official patterns are used, but for those that a hostile text could turn into hours of backtracking.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeAlias

from exchange.fhir.definitions import primitive_patterns
from exchange.fhir.narrative import is_narrative

Test: TypeAlias = Callable[[Any], bool]

MAX_STRING: Final = 1024 * 1024
_LARGEST_INTEGER: Final = 2**31 - 1
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What a FHIR string may not hold, or XML has no way to write."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_SPACE: Final = re.compile(r"[ \t\r\n]+")
_LAST_SAFE_DAY: Final = "28"


def _boolean(value: Any) -> bool:
    return type(value) is bool


def _decimal(value: Any) -> bool:
    return type(value) is Decimal or type(value) is int or type(value) is float


def _between(low: int, high: int) -> Test:
    return lambda value: type(value) is int and low <= value <= high


def _string(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= MAX_STRING and _CONTROL.search(value) is None


def _base64(value: Any) -> bool:
    if type(value) is not str:
        return False
    dense = _SPACE.sub("", value)
    return len(dense) % 4 == 0 and _BASE64.fullmatch(dense) is not None


def _xhtml(value: Any) -> bool:
    return type(value) is str and is_narrative(value)


def _pattern(pattern: str) -> Test:
    matches = re.compile(pattern, re.ASCII).fullmatch
    return lambda value: (
        type(value) is str and value != "" and matches(value) is not None and _CONTROL.search(value) is None
    )


def _calendar(pattern: str) -> Test:
    matches = re.compile(pattern, re.ASCII).fullmatch

    def is_date(value: Any) -> bool:
        if type(value) is not str or matches(value) is None:
            return False
        if value[8:10] <= _LAST_SAFE_DAY:
            return True
        try:
            date.fromisoformat(value[:10])
        except ValueError:
            return False
        return True

    return is_date


@cache
def primitive_test(name: str) -> Test:
    """The test for values of a primitive type.

    Raises: KeyError - no primitive type.
    """
    own: dict[str, Test] = {
        "boolean": _boolean,
        "decimal": _decimal,
        "integer": _between(-_LARGEST_INTEGER - 1, _LARGEST_INTEGER),
        "positiveInt": _between(1, _LARGEST_INTEGER),
        "unsignedInt": _between(0, _LARGEST_INTEGER),
        "string": _string,
        "markdown": _string,
        "base64Binary": _base64,
        "xhtml": _xhtml,
    }
    if name in own:
        return own[name]
    pattern = primitive_patterns()[name]
    return _calendar(pattern) if name in ("date", "dateTime", "instant") else _pattern(pattern)
