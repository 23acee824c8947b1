"""Security labels that stand on a resource: a new version may raise them, and neither lowers nor drops one.

Spec:    https://hl7.org/fhir/R4/security-labels.html; https://hl7.org/fhir/R4/resource.html#Meta (security).
Leaves:  what a label means to sensitivity; a clinician's word about an episode to determination.

A version that says nothing of a label keeps it. A confidentiality may be replaced by a higher one.
"""

from __future__ import annotations

from typing import Any

from exchange.policy.code_tables import CONFIDENTIALITY
from exchange.policy.facets import LADDER
from exchange.problems import Denied


def keep_labels(standing: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The new version with the labels that stand. Raises: Denied - it has a lower confidentiality."""
    stood = _security(standing)
    if not stood:
        return new
    told = _security(new)
    lowest = _highest(stood)
    if lowest >= 0 and -1 < _highest(told) < lowest:
        words = "a security label that stands is raised, not lowered"
        raise Denied(words, f"{new['resourceType']}.meta.security", reason="security label lowered")
    known = {_identity(each) for each in told}
    has_confidentiality = _highest(told) >= 0
    kept = [
        each
        for each in stood
        if _identity(each) not in known and not (has_confidentiality and _rank(each) >= 0)
    ]
    if not kept:
        return new
    meta = new.get("meta")
    return new | {"meta": (meta if isinstance(meta, dict) else {}) | {"security": [*told, *kept]}}


def _security(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """The labels of a resource that may not have been checked yet."""
    meta = resource.get("meta")
    security = meta.get("security") if isinstance(meta, dict) else None
    return [each for each in security if isinstance(each, dict)] if isinstance(security, list) else []


def _identity(coding: dict[str, Any]) -> tuple[Any, Any]:
    return coding.get("system"), coding.get("code")


def _rank(coding: dict[str, Any]) -> int:
    """The place of a confidentiality on the ladder; -1 of any other label."""
    code = coding.get("code")
    is_confidentiality = coding.get("system", CONFIDENTIALITY) == CONFIDENTIALITY
    return LADDER.index(code) if is_confidentiality and code in LADDER else -1


def _highest(labels: list[dict[str, Any]]) -> int:
    return max(map(_rank, labels), default=-1)
