"""The search parameters that this hub knows: the official ones, and those that have been posted to it.

Spec:    https://hl7.org/fhir/R4/searchparameter-registry.html
Leaves:  expressions to fhir/path; reading and indexing posted definitions to custom.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final, TypeAlias

from exchange.fhir.definitions import RESOURCE_TYPES, SearchParameter, search_parameters

ByName: TypeAlias = Mapping[str, SearchParameter]

NONE: Final[ByName] = MappingProxyType({})
_custom: Mapping[str, ByName] = MappingProxyType({})
_known: dict[str, ByName] = {}


def known_parameters(resource_type: str) -> ByName:
    """Every search parameter of a type by name."""
    found = _known.get(resource_type)
    if found is None:
        own = custom_parameters(resource_type)
        official = search_parameters(resource_type)
        found = _known[resource_type] = MappingProxyType({**own, **official}) if own else official
    return found


def custom_parameters(resource_type: str) -> ByName:
    """The posted search parameters of a type by name."""
    return _custom.get(resource_type, NONE)


def install(custom: Mapping[str, ByName]) -> None:
    """Know these posted parameters, by type and name, from now on: in this process."""
    global _custom  # noqa: PLW0603 - one registry a process, replaced as a whole
    if custom != _custom:
        _custom = custom
        _known.clear()


@cache
def by_url(url: str) -> SearchParameter | None:
    """The official parameter that a composite's component names."""
    return _official().get(url)


@cache
def _official() -> Mapping[str, SearchParameter]:
    return {each.url: each for name in RESOURCE_TYPES for each in search_parameters(name).values()}
