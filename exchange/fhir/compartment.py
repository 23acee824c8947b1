"""Which patients a resource is about, and which types stand in which compartment.

Spec:    https://hl7.org/fhir/R4/compartmentdefinition-patient.html
Leaves:  turning references into stored compartments to the caller; a Patient's own compartment is its id.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from exchange.fhir.datatype import parse_reference
from exchange.fhir.definitions import patient_compartment, search_parameters
from exchange.fhir.path import Element, compile_expression, reference_type


def patient_parameters(resource_type: str) -> tuple[str, ...]:
    """The search parameters that place a type in the Patient compartment; () when it never belongs there."""
    return patient_compartment().get(resource_type, ())


def patient_references(resource: dict[str, Any]) -> list[str]:
    """The distinct reference texts that put a resource into patients' compartments, in their order.

    1. Only elements of the compartment's parameters count. 2. A reference that says another type is left
    out; one that does not say (urn:uuid:…) is kept, for the caller to resolve. 3. A contained patient is
    nobody's compartment. A Patient gives the patients that it links to.
    """
    found: dict[str, None] = {}
    for select in _selectors(resource["resourceType"]):
        for kind, element in select(resource):
            if kind != "Reference":
                continue
            text = element.get("reference")
            if type(text) is not str or not text or parse_reference(text).is_contained:
                continue
            if reference_type(element, resource) in ("Patient", None):
                found[text] = None
    return list(found)


@cache
def _selectors(resource_type: str) -> tuple[Callable[[dict[str, Any]], list[Element]], ...]:
    parameters = search_parameters(resource_type)
    return tuple(
        compile_expression(_without_resolve(parameters[name].expression), resource_type)
        for name in patient_parameters(resource_type)
    )


def _without_resolve(expression: str) -> str:
    # The condition cannot hold for urn:uuid: references, and patient_references applies its own.
    return expression.replace(".where(resolve() is Patient)", "")


@cache
def compartment_parameters(compartment_type: str, resource_type: str) -> tuple[str, ...]:
    """The parameters that place a type in a compartment; `{def}` stands for the type itself; () when it never is.

    Raises: KeyError - no compartment of FHIR R4.
    Spec:   https://hl7.org/fhir/R4/compartmentdefinition.html
    """
    if compartment_type == "Patient":
        return ("{def}",) if resource_type == "Patient" else patient_parameters(resource_type)
    own = ("{def}",) if resource_type == compartment_type else ()
    named = tuple(_compartments()[compartment_type].get(resource_type, ()))
    return named or own


@cache
def _compartments() -> dict[str, dict[str, list[str]]]:
    text = (Path(__file__).parent / "definitions" / "compartments.json").read_bytes()
    table: dict[str, dict[str, list[str]]] = msgspec.json.decode(text)
    return table
