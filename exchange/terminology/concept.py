"""A concept, and a code system as everything else here sees it, wherever it lies.

Spec:    https://hl7.org/fhir/R4/codesystem.html
Leaves:  finding a system to code_system.py; systems too large for memory to catalogue.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol
from unicodedata import combining, normalize

from exchange.fhir.regular import Regular
from exchange.problems import NotSupported, TooCostly

MOST_CODES: Final = 20_000
"""How many codes are listed at most, wherever codes are listed."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept. `properties` are (code, value[x] property, value)."""

    code: str
    display: str = ""
    parents: tuple[str, ...] = ()
    is_inactive: bool = False
    is_abstract: bool = False
    properties: tuple[tuple[str, str, Any], ...] = ()
    designations: tuple[dict[str, Any], ...] = ()
    definition: str = ""

    def values(self, name: str) -> list[str]:
        """The values of a property as text; `code`, `display` and `parent` are properties of every concept."""
        match name:
            case "code" | "concept":
                return [self.code]
            case "display":
                return [self.display]
            case "parent" | "subsumedBy":
                return list(self.parents)
            case "inactive":
                return [str(self.is_inactive).lower()]
            case "notSelectable" | "abstract":
                return [str(self.is_abstract).lower()]
        return [_text(value) for code, _, value in self.properties if code == name]


class CodeSystem(Protocol):
    """A code system: FHIR's own, a stored resource, or a loaded catalogue."""

    url: str
    version: str
    name: str
    is_complete: bool

    @property
    def count(self) -> int:
        """How many concepts there are."""
        ...

    def get(self, codes: Collection[str]) -> dict[str, Concept]:
        """Those of the codes that exist, under the code as asked."""
        ...

    def page(self, words: str, offset: int, limit: int, *, active_only: bool) -> tuple[int, list[Concept]]:
        """Concepts whose display or code has the words: how many, and some of them in the system's order."""
        ...

    def below(self, code: str) -> frozenset[str]:
        """A code and everything under it. Raises: TooCostly."""
        ...

    def above(self, code: str) -> frozenset[str]:
        """A code and everything over it."""
        ...

    def children(self, code: str) -> list[str]:
        """The codes directly under a code."""
        ...

    def select(self, name: str, operator: str, value: str, named: str) -> list[Concept]:
        """The concepts that a filter lets through. Raises: NotSupported, TooCostly."""
        ...


class MemorySystem:
    """A code system whose concepts are all in memory."""

    def __init__(
        self, url: str, version: str, name: str, concepts: Iterable[Concept], *,
        is_case_sensitive: bool = True, is_complete: bool = True,
    ) -> None:  # fmt: skip
        self.url, self.version, self.name, self.is_complete = url, version, name, is_complete
        self._folded: Callable[[str], str] = str if is_case_sensitive else str.casefold
        self.concepts = {self._folded(each.code): each for each in concepts}

    @property
    def count(self) -> int:
        """How many concepts there are."""
        return len(self.concepts)

    def get(self, codes: Collection[str]) -> dict[str, Concept]:
        """Those of the codes that exist, under the code as asked."""
        found = ((code, self.concepts.get(self._folded(code))) for code in codes)
        return {code: concept for code, concept in found if concept is not None}

    def page(self, words: str, offset: int, limit: int, *, active_only: bool) -> tuple[int, list[Concept]]:
        """Concepts whose display or code has the words."""
        found = [
            each
            for each in self.concepts.values()
            if has_words(each, words) and not (active_only and each.is_inactive)
        ]
        return len(found), found[offset : offset + limit]

    def below(self, code: str) -> frozenset[str]:
        """A code and everything under it; a code that is not in the system has nothing under it."""
        return self._reach(code, lambda each: self._children.get(each, ()))

    def above(self, code: str) -> frozenset[str]:
        """A code and everything over it."""
        return self._reach(code, lambda each: self.concepts[each].parents if each in self.concepts else ())

    def children(self, code: str) -> list[str]:
        """The codes directly under a code."""
        return self._children.get(self._folded(code), [])

    def select(self, name: str, operator: str, value: str, named: str) -> list[Concept]:
        """The concepts that a filter lets through."""
        holds = filter_test(self, name, operator, value, named)
        found = [each for each in self.concepts.values() if holds(each)]
        return require_listable(found)

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for concept in self.concepts.values():
            for parent in concept.parents:
                children.setdefault(self._folded(parent), []).append(concept.code)
        return children

    def _reach(self, code: str, following: Callable[[str], Iterable[str]]) -> frozenset[str]:
        start = self.concepts.get(self._folded(code))
        reached = {start.code if start else code}
        waiting = list(reached)
        while waiting:
            for each in following(self._folded(waiting.pop())):
                if each not in reached:
                    reached.add(each)
                    waiting.append(each)
        return frozenset(reached)


def filter_test(
    system: CodeSystem, name: str, operator: str, value: str, named: str
) -> Callable[[Concept], bool]:
    """A filter of ValueSet.compose as a test of one concept.

    Raises: NotSupported - an operator that is unknown or does not go with the property; Malformed - the pattern.
    Spec:   https://hl7.org/fhir/R4/valueset-filter-operator.html
    """
    if operator in ("is-a", "descendent-of", "is-not-a", "generalizes"):
        if name not in ("concept", "code"):
            raise NotSupported("a hierarchy filter goes with the property `concept`", named)
        reached = system.above(value) if operator == "generalizes" else system.below(value)
        if operator == "descendent-of":
            reached -= {value}
        is_wanted = operator != "is-not-a"
        return lambda concept: (concept.code in reached) == is_wanted
    if operator in ("in", "not-in"):
        listed = frozenset(part.strip() for part in value.split(","))
        is_wanted = operator == "in"
        return lambda concept: any(each in listed for each in concept.values(name)) == is_wanted
    if operator == "=":
        return lambda concept: value in concept.values(name)
    if operator == "exists":
        return lambda concept: bool(concept.values(name)) == (value == "true")
    if operator == "regex":
        try:
            pattern = Regular(value)
        except ValueError:
            raise NotSupported("the regular expression of a filter is not supported", named) from None
        return lambda concept: any(pattern.matches_whole(each) for each in concept.values(name))
    raise NotSupported("the operator of a filter is not supported", named)


def has_words(concept: Concept, words: str) -> bool:
    """Whether each word stands in the display, or the text begins the code; accents and case aside."""
    if not words:
        return True
    display, wanted = folded(concept.display), folded(words)
    return folded(concept.code).startswith(wanted) or all(word in display for word in wanted.split())


def folded(text: str) -> str:
    """Text as it is compared: small letters without accents."""
    decomposed = normalize("NFD", text.casefold())
    return "".join(each for each in decomposed if not combining(each))


def require_listable(concepts: list[Concept]) -> list[Concept]:
    """The same concepts. Raises: TooCostly - more of them than are listed anywhere."""
    if len(concepts) > MOST_CODES:
        raise TooCostly(f"the value set has more than {MOST_CODES} codes")
    return concepts


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.get("code", "")) if isinstance(value, dict) else str(value)
