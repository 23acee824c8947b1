"""Extensions against their own definitions, wherever in a resource they stand.

Spec:    https://hl7.org/fhir/R4/extensibility.html
Leaves:  holding one against its definition to profile_check.py.

A modifier extension changes what its element means: one that nobody here knows is an error. Another extension that is not
known may be read past, and that it was not checked is said.
"""

from __future__ import annotations

from typing import Any

from exchange.fhir.fhirpath import Item
from exchange.fhir.profile_check import Check, Place


def check_extensions(check: Check) -> None:
    """Hold every extension of a resource against its definition."""
    waiting: list[tuple[Any, str]] = [(check.root.value, check.root.type)]
    while waiting:
        value, expression = waiting.pop()
        if isinstance(value, list):
            waiting += [(each, f"{expression}[{index}]") for index, each in enumerate(value)]
        elif isinstance(value, dict):
            for name, child in value.items():
                place = f"{expression}.{name.lstrip('_')}"
                if name in ("extension", "modifierExtension"):
                    _hold(check, child, place, is_modifier=name == "modifierExtension")
                else:
                    waiting.append((child, place))


def _hold(check: Check, extensions: list[dict[str, Any]], expression: str, *, is_modifier: bool) -> None:
    for index, extension in enumerate(extensions):
        place = f"{expression}[{index}]"
        url = str(extension.get("url", ""))
        profile = check.profile(url)
        if not isinstance(profile, str) and profile.type == "Extension":
            check.against(url, Place(Item("Extension", extension), place, check.root, check.root))
        elif is_modifier:
            check.report(
                "extension", "The modifier extension is not known here, so its element cannot be read", place
            )
        else:
            check.report("informational", "The extension was not checked: its definition is not known here", place,
                         "information")  # fmt: skip
