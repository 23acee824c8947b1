"""Which patients a resource is about: the official Patient compartment.

Spec:    https://hl7.org/fhir/R4/compartmentdefinition-patient.html
Leaves:  turning references into stored compartments to the caller; a Patient's own compartment is its id.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

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
