"""Consents: who may see what of a patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
ROLE = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"


def a_provision(
    kind: str | None = None,
    *,
    actors: Sequence[str] = (),
    purposes: Sequence[str] = (),
    start: str | None = None,
    end: str | None = None,
    inside: Sequence[dict[str, Any]] = (),
    **more: Any,
) -> dict[str, Any]:
    """One provision. `actors` are organisation ids, or whole references such as `Practitioner/1`."""
    provision: dict[str, Any] = {"type": kind} if kind else {}
    if actors:
        provision["actor"] = [an_actor(each) for each in actors]
    if purposes:
        provision["purpose"] = [{"system": ACT_REASON, "code": each} for each in purposes]
    period = {name: value for name, value in (("start", start), ("end", end)) if value}
    if period:
        provision["period"] = period
    if inside:
        provision["provision"] = list(inside)
    return provision | more


def an_actor(reference: str) -> dict[str, Any]:
    """Who a provision speaks of, as the recipient of information."""
    whole = reference if "/" in reference or ":" in reference else f"Organization/{reference}"
    return {
        "role": {"coding": [{"system": ROLE, "code": "IRCP"}]},
        "reference": {"reference": whole},
    }


def a_consent(
    consent_id: str = "c1",
    patient_id: str = "p1",
    *,
    permit: str | Sequence[str] | None = None,
    deny: str | Sequence[str] | None = None,
    status: str = "active",
    provision: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A privacy Consent that permits or denies access to facilities; "" is everybody.

    With both, the denied facilities are an exception to what is permitted. `provision` says it all itself.
    """
    if provision is None:
        permitted, denied = _actors(permit), _actors(deny)
        if permitted is not None:
            inside = [a_provision("deny", actors=denied)] if denied is not None else []
            provision = a_provision("permit", actors=permitted, inside=inside)
        else:
            provision = a_provision("deny", actors=denied or [])
    return {
        "resourceType": "Consent",
        "id": consent_id,
        "status": status,
        "scope": {"coding": [{"system": SCOPE, "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient_id}"},
        "dateTime": "2026-01-15",
        "policyRule": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]
        },
        "provision": provision,
    } | more


def _actors(named: str | Sequence[str] | None) -> list[str] | None:
    if named is None:
        return None
    if isinstance(named, str):
        return [named] if named else []
    return list(named)
