"""Whether a resource is valid FHIR R4: our own exact check, and the R4B model as a second opinion.

Spec:    https://hl7.org/fhir/R4/validation.html; docs/decisions/0015-validation.md.
Leaves:  structure and invariants to structure.py; profiles and terminology to operations/validate.

`fhir.resources` has no R4, only R4B: it lacks types that R4B dropped, has Evidence in a later shape and
refuses primitive extensions on Extension.value[x]. Those refusals are false alarms here, and are dropped.
In 40,000 mutations of official examples the model refused nothing that our own check had not, at nine times its cost:
it is asked by $validate, not for every resource that is stored.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from exchange.fhir.definitions import is_resource_type
from exchange.fhir.structure import MAX_ISSUES, structural_issues
from exchange.problems import Issue

_CHANGED_IN_R4B: Final = frozenset({"Evidence", "EvidenceVariable"})
"""Types of one name and two shapes: the R4B model cannot judge an R4 resource."""
_FALSE_ALARMS: Final = frozenset({"extra_forbidden", "string_pattern_mismatch"})
"""What the structural check knows better: which elements exist, and patterns (FHIR's space is ASCII's)."""


def check(resource: dict[str, Any], *, model_check: bool = False) -> list[Issue]:
    """What is wrong with a resource; [] when nothing is.

    1. The check against the official R4 tables and invariants: exact, and final when it finds something.
    2. Where asked for, the R4B model; its known false alarms are dropped.
    Units:  at most 20 issues; expressions are FHIRPath, diagnostics never repeat a value.
    """
    # 1
    issues = structural_issues(resource)
    if issues or not model_check:
        return issues
    # 2
    return _model_issues(resource)


def _model_issues(resource: dict[str, Any]) -> list[Issue]:
    resource_type = resource["resourceType"]
    model = _model(resource_type)
    if model is None or not _can_judge(resource):
        return []
    try:
        model.model_validate(resource)
    except ValidationError as refusal:
        found = refusal.errors(include_url=False, include_context=False, include_input=False)
        return [
            Issue(
                "structure", "The element breaks a rule of its type", _expression(resource_type, error["loc"])
            )
            for error in found[:MAX_ISSUES]
            if error["type"] not in _FALSE_ALARMS
        ]
    return []


@cache
def _model(resource_type: str) -> type[BaseModel] | None:
    if resource_type in _CHANGED_IN_R4B:
        return None
    try:
        module = importlib.import_module(f"fhir.resources.R4B.{resource_type.lower()}")
    except ModuleNotFoundError:  # an R4 type that R4B dropped
        return None
    model: type[BaseModel] = getattr(module, resource_type)
    return model


def _can_judge(value: Any) -> bool:
    """Whether no resource inside (contained, entry.resource) is of a type that R4B lacks or changed."""
    if type(value) is dict:
        inner = value.get("resourceType")
        if type(inner) is str and is_resource_type(inner) and _model(inner) is None:
            return False
        return all(_can_judge(each) for each in value.values() if type(each) in (dict, list))
    return all(_can_judge(each) for each in value if type(each) in (dict, list))


def _expression(resource_type: str, location: tuple[int | str, ...]) -> str:
    # The location's names come from a resource that passed the structural check: element names, not values.
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return resource_type + "".join(parts)
