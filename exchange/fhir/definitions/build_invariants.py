"""Write invariants.json: the rules that R4's datatypes and resources carry beside their structure.

Source:  the snapshots of profiles-types.json and profiles-resources.json (CC0).
Leaves:  running it to build.py, evaluating the rules to ../invariants.py.

A rule stands once, where it was made. What the structure itself says is left out: no empty object (ele-1), narrative
of the allowed kind (txt-1, txt-2). A Quantity that is said to be simple gets the rule of SimpleQuantity where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

Json = dict[str, Any]
STRUCTURAL: Final = frozenset({"ele-1", "txt-1", "txt-2"})
SIMPLE: Final = "http://hl7.org/fhir/StructureDefinition/SimpleQuantity"
SIMPLE_RULE: Final = [
    "sqt-1",
    "error",
    "comparator.empty()",
    "The comparator is not used on a SimpleQuantity",
]


def invariants(definitions: Iterable[Json], reshaped: Iterable[str] = ()) -> Json:
    """Rules as {element path: [[key, severity, expression, text]]}; `reshaped` types keep those of their root alone."""
    found: Json = {}
    for definition in definitions:
        name = definition["type"]
        if definition["kind"] == "primitive-type":
            continue
        for element in definition["snapshot"]["element"]:
            path = element["path"]
            if path != name and name in reshaped:
                continue
            rows = [row for row in _rules(element, name) if row not in found.get(name, ())]
            if any(SIMPLE in each.get("profile", ()) for each in element.get("type", ())):
                rows.append(_where_a_quantity(SIMPLE_RULE, path))
            if rows:
                found.setdefault(path, []).extend(rows)
    return dict(sorted(found.items()))


def _rules(element: Json, type_name: str) -> list[list[str]]:
    return [
        [rule["key"], rule["severity"], rule["expression"], rule["human"]]
        for rule in element.get("constraint", ())
        if rule["key"] not in STRUCTURAL
        and "expression" in rule
        and rule.get("source", "").rpartition("/")[2] in ("", type_name)
    ]


def _where_a_quantity(rule: list[str], path: str) -> list[str]:
    key, severity, expression, text = rule
    return [key, severity, f"is(Quantity) implies {expression}" if path.endswith("[x]") else expression, text]
