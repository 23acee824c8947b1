"""Values that a profile fixes, gives a pattern for, or bounds.

Spec:    https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.pattern_x_
Leaves:  where they stand to profile_check.py.
"""

from __future__ import annotations

from typing import Any

from exchange.fhir.fhirpath import EvaluationError, Item
from exchange.fhir.fhirpath.values import compare, is_number


def is_fixed(value: Any, fixed: Any) -> bool:
    """Whether a value is exactly a fixed one; numbers by their worth."""
    if type(value) is dict and type(fixed) is dict:
        return value.keys() == fixed.keys() and all(is_fixed(value[key], fixed[key]) for key in fixed)
    if type(value) is list and type(fixed) is list:
        return len(value) == len(fixed) and all(is_fixed(*pair) for pair in zip(value, fixed, strict=True))
    if is_number(value) and is_number(fixed):
        return bool(value == fixed)
    return type(value) is type(fixed) and bool(value == fixed)


def has_pattern(value: Any, pattern: Any) -> bool:
    """Whether a value has at least what a pattern has: every property, and of an array every item in any place."""
    if type(pattern) is dict:
        return type(value) is dict and all(
            key in value and has_pattern(value[key], told) for key, told in pattern.items()
        )
    if type(pattern) is list:
        return type(value) is list and all(any(has_pattern(each, told) for each in value) for told in pattern)
    return is_fixed(value, pattern)


def is_beyond(item: Item, bound: Any, sign: int) -> bool | None:
    """Whether a value lies below (sign -1) or above (1) a bound; None where the two do not compare."""
    try:
        found = compare(item, Item(item.type, bound))
    except EvaluationError:
        return None
    return None if found is None else found == sign
