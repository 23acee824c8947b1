"""What a token search leaves to the definitions: the system of a code element, and case where a token is a text.

Spec:    https://hl7.org/fhir/R4/search.html#token
Leaves:  the forms of values to token.

A code says no system: the value set that it is bound to does. So `gender=http://hl7.org/fhir/administrative-gender|female`
asks for `female`, and a system that the value set does not have asks for nothing.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from exchange.fhir.definitions import Element, SearchParameter, shape, value_set_codings
from exchange.search.escape import split_escaped, unescape
from exchange.search.tree import Criterion

SPECIAL_VALUES: Final = frozenset(
    {"http://hl7.org/fhir/special-values", "http://terminology.hl7.org/CodeSystem/special-values"}
)
_PATH: Final = re.compile(r"([A-Z][A-Za-z]+)((?:\.[a-z][A-Za-z0-9]*)+)", re.ASCII)
_MATCHED: Final = ("", "not", "ne")


def told(criterion: Criterion, resource_type: str) -> Criterion:
    """A token criterion with nothing left unsaid."""
    if criterion.parameter.kind != "token" or criterion.modifier not in _MATCHED:
        return criterion
    types, systems = _held(criterion.parameter, resource_type)
    if types == {"string"}:
        return Criterion(
            criterion.parameter, criterion.modifier, tuple(each.lower() for each in criterion.values)
        )
    if not systems or not any("|" in each for each in criterion.values):
        return criterion
    values: list[str] = []
    for text in criterion.values:
        parts = split_escaped(text, "|")
        is_implied = len(parts) == 2 and unescape(parts[0]) in systems  # noqa: PLR2004 - a system and a code
        if is_implied and not parts[1] and criterion.modifier != "ne":  # any code of the system: any at all
            return Criterion(
                criterion.parameter, "missing", ("true" if criterion.modifier == "not" else "false",)
            )
        values.append(parts[1] if is_implied and parts[1] else text)
    return Criterion(criterion.parameter, criterion.modifier, tuple(values))


@cache
def _held(parameter: SearchParameter, resource_type: str) -> tuple[frozenset[str], frozenset[str]]:
    """The types that a parameter selects in a resource type, and the systems that all of them imply."""
    elements: list[Element] = []
    for branch in parameter.expression.split("|"):
        match = _PATH.fullmatch(branch.strip())
        if match is not None and match[1] not in (resource_type, "Resource", "DomainResource"):
            continue
        found = _element(resource_type, match[2][1:].split(".")) if match is not None else None
        if found is None:
            return frozenset(), frozenset()
        elements.append(found)
    types = frozenset(name for each in elements for name in each.types)
    implied = [_systems(each) for each in elements]
    return types, frozenset.intersection(*implied) if implied else frozenset()


def _element(resource_type: str, names: list[str]) -> Element | None:
    owner, found = resource_type, None
    for name in names:
        try:
            found = shape(owner).elements.get(name)
        except KeyError:  # a primitive has no shape
            return None
        if found is None:
            return None
        owner = found.types[0]
    return found


def _systems(element: Element) -> frozenset[str]:
    if element.types == ("boolean",):
        return SPECIAL_VALUES
    if element.types != ("code",) or not element.value_set:
        return frozenset()
    try:
        return frozenset(system for system, _ in value_set_codings(element.value_set))
    except KeyError:  # a value set that nobody can list, such as that of languages
        return frozenset()
