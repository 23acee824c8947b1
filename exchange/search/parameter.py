"""The search parameters that this hub knows: the official ones, and those that have been posted to it.

Spec:    https://hl7.org/fhir/R4/searchparameter-registry.html
Leaves:  expressions to fhir/path; posted definitions to custom.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from exchange.fhir.definitions import RESOURCE_TYPES, SearchParameter, search_parameters


def known_parameters(resource_type: str) -> Mapping[str, SearchParameter]:
    """Every search parameter of a type by name."""
    return search_parameters(resource_type)


@cache
def by_url(url: str) -> SearchParameter | None:
    """The official parameter that a composite's component names."""
    return _official().get(url)


@cache
def _official() -> Mapping[str, SearchParameter]:
    return {each.url: each for name in RESOURCE_TYPES for each in search_parameters(name).values()}
