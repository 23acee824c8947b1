"""Concept maps: what a code of one system is in another.

Spec:    https://hl7.org/fhir/R4/conceptmap.html
Leaves:  Parameters to operations/translate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

UNMATCHED: Final = frozenset({"unmatched", "disjoint"})
_INVERSE: Final = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}


@dataclass(frozen=True, slots=True)
class Match:
    """One translation: how it stands to what was asked, and the coding; None where it says that there is none."""

    equivalence: str
    coding: dict[str, Any] | None
    source: str
    products: tuple[dict[str, Any], ...] = ()
    other_map: str = ""
    """Where to look on, for a code that this map leaves to another."""


def translations(
    concept_map: Mapping[str, Any],
    system: str,
    code: str,
    *,
    target_system: str = "",
    is_reverse: bool = False,
) -> list[Match]:
    """What a map makes of a code; [] when it says nothing of it."""
    found: list[Match] = []
    canonical = str(concept_map.get("url", ""))
    for group in concept_map.get("group", ()):
        from_system, to_system = group.get("source", ""), group.get("target", "")
        if is_reverse:
            from_system, to_system = to_system, from_system
        if from_system != system or target_system not in ("", to_system):
            continue
        if is_reverse:
            found += _backwards(group, to_system, code, canonical)
            continue
        listed = [each for each in group.get("element", ()) if each.get("code") == code]
        for element in listed:
            found += _targets(element, to_system, group.get("targetVersion", ""), canonical)
        if not listed:
            found += _unmapped(group, to_system, code, canonical)
    return found


def _targets(element: Mapping[str, Any], system: str, version: str, source: str) -> Iterator[Match]:
    for target in element.get("target", ()):
        if target.get("dependsOn"):
            continue  # what it depends on was not told, so it does not apply
        coding = {
            "system": system,
            "version": version,
            "code": target.get("code"),
            "display": target.get("display"),
        }
        told = {name: value for name, value in coding.items() if value}
        is_match = target.get("code") and target["equivalence"] not in UNMATCHED
        yield Match(
            target["equivalence"], told if is_match else None, source, tuple(target.get("product", ()))
        )


def _backwards(group: Mapping[str, Any], system: str, code: str, source: str) -> Iterator[Match]:
    for element in group.get("element", ()):
        for target in element.get("target", ()):
            if target.get("code") == code and not target.get("dependsOn") and element.get("code"):
                if target["equivalence"] in UNMATCHED:
                    continue
                coding = {"system": system, "code": element["code"], "display": element.get("display")}
                equivalence = _INVERSE.get(target["equivalence"], target["equivalence"])
                yield Match(equivalence, {name: value for name, value in coding.items() if value}, source)


def _unmapped(group: Mapping[str, Any], system: str, code: str, source: str) -> Iterable[Match]:
    told = group.get("unmapped", {})
    match told.get("mode"):
        case "provided":
            return [Match("equal", {"system": system, "code": code}, source)]
        case "fixed" if told.get("code"):
            coding = {"system": system, "code": told["code"], "display": told.get("display")}
            return [Match("inexact", {name: value for name, value in coding.items() if value}, source)]
        case "other-map" if told.get("url"):
            return [Match("unmatched", None, source, other_map=told["url"])]
    return []
