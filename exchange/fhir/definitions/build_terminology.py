"""Write code_systems.json and value_set_rules.json: the terminology that FHIR R4 itself defines.

Source:  valuesets.json, v3-codesystems.json and v2-tables.json of the official definitions (CC0).
Leaves:  running it to build.py, reading the tables to __init__.py.

Codes of others - SNOMED CT, LOINC, ICD, CPT, DICOM - are left out, even where an official value set lists some:
their includes are marked `withheld`, and work once a site has loaded the value set together with the code system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

Json = dict[str, Any]
FILES: Final = ("valuesets.json", "v3-codesystems.json", "v2-tables.json")
FREE: Final = (
    "http://hl7.org/fhir/", "http://terminology.hl7.org/", "urn:ietf:", "urn:iso:std:iso:4217",
    "urn:iso:std:iso:3166", "urn:iso-astm:E1762", "http://unitsofmeasure.org",
)  # fmt: skip
NOT_FREE: Final = ("http://hl7.org/fhir/sid/",)
INACTIVE: Final = 1
ABSTRACT: Final = 2
_RETIRED: Final = frozenset({"retired", "deprecated", "withdrawn"})


def is_free(system: str) -> bool:
    """Whether the codes of a system may be shipped."""
    return system.startswith(FREE) and not system.startswith(NOT_FREE)


def resources(read: Callable[[str], Json]) -> Iterator[Json]:
    """Every CodeSystem and ValueSet of the definitions."""
    for file in FILES:
        for entry in read(file)["entry"]:
            yield entry["resource"]


def code_systems(read: Callable[[str], Json]) -> Json:
    """Complete code systems as {url: [version, name, is case sensitive, concepts]}."""
    found: Json = {}
    for resource in resources(read):
        if resource["resourceType"] != "CodeSystem" or resource["content"] != "complete":
            continue
        if not is_free(resource["url"]):
            continue
        rows = [_concept_row(concept, parents) for concept, parents in _with_parents(resource)]
        found[resource["url"]] = [
            resource.get("version", ""),
            resource.get("title") or resource.get("name", ""),
            resource.get("caseSensitive", True),
            rows,
        ]
    return dict(sorted(found.items()))


def value_set_rules(read: Callable[[str], Json]) -> Json:
    """Value sets as {url: [version, name, includes, excludes]}, each rule as the resource has it."""
    found: Json = {}
    for resource in resources(read):
        if resource["resourceType"] == "ValueSet":
            compose = resource.get("compose", {})
            found[resource["url"]] = [
                resource.get("version", ""),
                resource.get("title") or resource.get("name", ""),
                [_rule(each) for each in compose.get("include", ())],
                [_rule(each) for each in compose.get("exclude", ())],
            ]
    return dict(sorted(found.items()))


def _with_parents(resource: Json) -> list[tuple[Json, list[str]]]:
    """Each concept once, with all its parents: by nesting, and by the `child` properties of others."""
    concepts: dict[str, Json] = {}
    parents: dict[str, list[str]] = {}

    def walk(listed: Iterable[Json], above: list[str]) -> None:
        for concept in listed:
            code = concept["code"]
            concepts.setdefault(code, concept)
            known = parents.setdefault(code, [])
            known += [each for each in above if each not in known]
            walk(concept.get("concept", ()), [code])

    walk(resource.get("concept", ()), [])
    for code, concept in concepts.items():
        for told in concept.get("property", ()):
            child = told.get("valueCode")
            if told["code"] == "child" and child in parents and code not in parents[child]:
                parents[child].append(code)
    return [(concept, parents[code]) for code, concept in concepts.items()]


def _concept_row(concept: Json, parents: list[str]) -> list[Any]:
    """A concept as [code, display, parents, flags], what is empty at the end left out."""
    flags = 0
    for told in concept.get("property", ()):
        value = next((told[key] for key in told if key.startswith("value")), None)
        if told["code"] == "status" and value in _RETIRED:
            flags |= INACTIVE
        if told["code"] in ("notSelectable", "abstract") and value is True:
            flags |= ABSTRACT
    row: list[Any] = [concept["code"], concept.get("display", ""), parents, flags]
    while len(row) > 1 and not row[-1]:
        row.pop()
    return row


def _rule(rule: Json) -> Json:
    system = rule.get("system", "")
    if system and not is_free(system) and ("concept" in rule or "filter" in rule):
        return {"system": system, "withheld": True}
    kept: Json = {key: rule[key] for key in ("system", "version", "filter", "valueSet") if key in rule}
    if "concept" in rule:
        kept["concept"] = [
            {key: each[key] for key in ("code", "display") if key in each} for each in rule["concept"]
        ]
    return kept
