"""UCUM as a code system: a grammar, so that a unit is right when it parses; names come from a loaded ucum-essence.

Spec:    https://ucum.org/ucum; https://hl7.org/fhir/R4/ucum.html
Leaves:  arithmetic with units to search.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache, lru_cache
from typing import Any, Final

from exchange.fhir.peru import UCUM_SYSTEM
from exchange.problems import NotSupported
from exchange.terminology.catalogue import CatalogueSystem
from exchange.terminology.concept import Concept

MAX_LENGTH: Final = 100


class UnitSystem:
    """UCUM, with the names of a loaded ucum-essence where there is one. It cannot be listed without it."""

    url = UCUM_SYSTEM
    is_complete = True

    def __init__(self, catalogue: CatalogueSystem | None) -> None:
        self._catalogue = catalogue
        self.version = catalogue.version if catalogue else ""
        self.name = "Unified Code for Units of Measure"

    @property
    def count(self) -> int:
        """More than can be listed: any product of units is a unit."""
        return 2**31

    def get(self, codes: Collection[str]) -> dict[str, Concept]:
        """Those of the codes that are units."""
        found = self._catalogue.get(codes) if self._catalogue else {}
        return found | {code: Concept(code, code) for code in codes if code not in found and is_unit(code)}

    def page(self, words: str, offset: int, limit: int, *, active_only: bool) -> tuple[int, list[Concept]]:
        """The units that have names."""
        if self._catalogue is None:
            raise NotSupported("units can be listed once ucum-essence is loaded", "url")
        return self._catalogue.page(words, offset, limit, active_only=active_only)

    def below(self, code: str) -> frozenset[str]:
        """Units have no hierarchy."""
        return frozenset({code})

    def above(self, code: str) -> frozenset[str]:
        """Units have no hierarchy."""
        return frozenset({code})

    def children(self, code: str) -> list[str]:  # noqa: ARG002 - every system has this question
        """Units have no hierarchy."""
        return []

    def select(self, name: str, operator: str, value: str, named: str) -> list[Concept]:
        """What a filter lets through of the units that have names. Raises: NotSupported."""
        if self._catalogue is None or name == "canonical":
            raise NotSupported("a filter over units is not supported", named)
        return self._catalogue.select(name, operator, value, named)


@lru_cache(maxsize=4096)
def is_unit(code: str) -> bool:
    """Whether a text is a UCUM unit, in UCUM's own (case sensitive) form."""
    if not 0 < len(code) <= MAX_LENGTH or not code.isascii() or " " in code:
        return False
    try:
        _parser().parse(code)
    except Exception:  # noqa: BLE001 - whatever the parser cannot read is no unit
        return False
    return True


@cache
def _parser() -> Any:
    # Building the grammar takes a second, and few requests ask for a unit.
    from ucumvert import get_ucum_parser  # noqa: PLC0415

    return get_ucum_parser()  # type: ignore[no-untyped-call]
