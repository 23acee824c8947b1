"""Finding a code system, and what is under and over its codes.

Spec:    https://hl7.org/fhir/R4/codesystem.html, https://hl7.org/fhir/R4/terminologies-systems.html
Leaves:  value sets to value_set.py.

FHIR's own systems come first and cannot be redefined by a resource; then loaded catalogues; then CodeSystem resources
whose content is complete. Supplements and fragments are no systems. UCUM is a grammar: a unit is right when it parses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from typing import Any, Final

from exchange.fhir.definitions import official_code_systems
from exchange.fhir.peru import UCUM_SYSTEM
from exchange.problems import NotSupported
from exchange.store.canonical import find_canonical, memory
from exchange.store.session import Transaction
from exchange.terminology.catalogue import find_catalogue
from exchange.terminology.concept import CodeSystem, Concept, MemorySystem
from exchange.terminology.units import UnitSystem

_INACTIVE: Final = 1
_ABSTRACT: Final = 2
_RETIRED: Final = frozenset({"retired", "deprecated", "withdrawn", "inactive"})
_PARENTS: Final = frozenset({"parent", "subsumedBy"})


def below(transaction: Transaction, system: str, code: str, *, named: str = "system") -> frozenset[str]:
    """A code and everything that it subsumes. Raises: NotSupported - no such system here; TooCostly."""
    return require_system(transaction, system, named).below(code)


def above(transaction: Transaction, system: str, code: str, *, named: str = "system") -> frozenset[str]:
    """A code and everything that subsumes it. Raises: NotSupported - no such system here; TooCostly."""
    return require_system(transaction, system, named).above(code)


def require_system(transaction: Transaction, url: str, named: str) -> CodeSystem:
    """A code system. Raises: NotSupported - it is not known here."""
    system = find_system(transaction, url)
    if system is None:
        raise NotSupported("the code system is not known here", named, code="not-found")
    return system


def find_system(transaction: Transaction, url: str, version: str = "") -> CodeSystem | None:
    """A code system by its URL, or `url|version`; None when this hub does not have it."""
    url, _, told = url.partition("|")
    version = version or told
    own = official_system(url)
    if own is not None and version in ("", own.version):
        return own
    catalogue = find_catalogue(transaction, url, version)
    if url == UCUM_SYSTEM:
        return UnitSystem(catalogue)
    return catalogue or _stored(transaction, url, version)


@cache
def official_system(url: str) -> MemorySystem | None:
    """A code system that FHIR R4 itself defines."""
    row = official_code_systems().get(url)
    if row is None:
        return None
    version, name, is_case_sensitive, concepts = row
    return MemorySystem(
        url, version, name, (_official(*each) for each in concepts), is_case_sensitive=is_case_sensitive
    )


def system_of_resource(resource: dict[str, Any]) -> MemorySystem:
    """A CodeSystem resource as a system."""
    found: dict[str, Concept] = {}
    children: dict[str, set[str]] = {}
    _gather(resource.get("concept", ()), (), found, children)
    for code, over in children.items():
        if code in found:
            known = found[code]
            found[code] = _with_parents(known, (*known.parents, *sorted(over - {*known.parents, code})))
    return MemorySystem(
        resource.get("url", ""),
        resource.get("version", ""),
        resource.get("title") or resource.get("name", ""),
        found.values(),
        is_case_sensitive=resource.get("caseSensitive", True),
        is_complete=resource.get("content") == "complete",
    )


def _stored(transaction: Transaction, url: str, version: str) -> MemorySystem | None:
    known = memory(transaction)
    key = ("system", url, version)
    if key not in known:
        resource = find_canonical(transaction, "CodeSystem", f"{url}|{version}" if version else url)
        is_whole = resource is not None and resource.get("content") == "complete"
        known[key] = system_of_resource(resource) if resource is not None and is_whole else None
    found: MemorySystem | None = known[key]
    return found


def _official(code: str, display: str = "", parents: Collection[str] = (), flags: int = 0) -> Concept:
    return Concept(code, display, tuple(parents), bool(flags & _INACTIVE), bool(flags & _ABSTRACT))


def _gather(
    listed: Iterable[dict[str, Any]], above_it: tuple[str, ...],
    found: dict[str, Concept], children: dict[str, set[str]],
) -> None:  # fmt: skip
    for each in listed:
        code = each["code"]
        properties = tuple(
            (told["code"], key, value)
            for told in each.get("property", ())
            for key, value in told.items()
            if key.startswith("value")
        )
        told_parents = tuple(str(v) for name, _, v in properties if name in _PARENTS and v not in above_it)
        for name, _, value in properties:
            if name == "child":
                children.setdefault(str(value), set()).add(code)
        known = found.get(code)
        parents = tuple(dict.fromkeys((*(known.parents if known else ()), *above_it, *told_parents)))
        found[code] = Concept(
            code, each.get("display", ""), parents, _is_inactive(properties), _is_abstract(properties),
            properties, tuple(each.get("designation", ())), each.get("definition", ""),
        )  # fmt: skip
        _gather(each.get("concept", ()), (code,), found, children)


def _with_parents(concept: Concept, parents: tuple[str, ...]) -> Concept:
    return Concept(
        concept.code, concept.display, parents, concept.is_inactive, concept.is_abstract,
        concept.properties, concept.designations, concept.definition,
    )  # fmt: skip


def _is_inactive(properties: Iterable[tuple[str, str, Any]]) -> bool:
    return any(
        (name == "inactive" and value is True) or (name == "status" and value in _RETIRED)
        for name, _, value in properties
    )


def _is_abstract(properties: Iterable[tuple[str, str, Any]]) -> bool:
    return any(name in ("notSelectable", "abstract") and value is True for name, _, value in properties)
