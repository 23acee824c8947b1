"""Search type composite: two values that must stand in the same element.

Spec:    https://hl7.org/fhir/R4/search.html#combining
Leaves:  the parts to their own search types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from exchange.fhir.definitions import SearchParameter
from exchange.fhir.path import Element
from exchange.problems import NotSupported
from exchange.search.escape import split_escaped
from exchange.search.parameter import by_url

Test: TypeAlias = Callable[[str, Any], bool]


def parts_of(parameter: SearchParameter, text: str) -> list[tuple[SearchParameter, str]]:
    """The component parameters of a composite with the part of the value that each is to hold.

    Raises: NotSupported - more or fewer parts than components.
    """
    parts = split_escaped(text, "$")
    components = [by_url(url) for url, _ in parameter.components]
    found = [(each, part) for each, part in zip(components, parts, strict=False) if each is not None and part]
    if len(found) != len(parts) or len(parts) != len(components):
        raise NotSupported(
            f"'{parameter.name}' takes {len(components)} values joined by $", f"http.{parameter.name}"
        )
    return found


def holds(tests: Sequence[Test], together: Sequence[Sequence[Element]]) -> bool:
    """Whether the values that one element holds together are what each part asks for."""
    return all(
        any(test(*element) for element in elements) for test, elements in zip(tests, together, strict=True)
    )
