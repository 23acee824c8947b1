"""The demonstration's Consent, and its answers counted.

Spec:    https://hl7.org/fhir/R4/consent.html, https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

from typing import Any, Final

from exchange.fhir import peru

CONSENT_SCOPE_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/consentscope"
ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


def consent(consent_id: str, patient_id: str, renipress: str, status: str) -> dict[str, Any]:
    """A Consent that lets one facility see the shared history, for treatment."""
    return {
        "resourceType": "Consent",
        "id": consent_id,
        "status": status,
        "scope": {"coding": [{"system": CONSENT_SCOPE_SYSTEM, "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": peru.LOINC_SYSTEM, "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient_id}"},
        "dateTime": "2026-06-01",
        "policy": [{"uri": "urn:chasqui:policy:la-libertad"}],
        "provision": {
            "type": "permit",
            "period": {"start": "2026-06-01"},
            "actor": [
                {
                    "role": {"coding": [{
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]},
                    "reference": {"reference": f"Organization/{peru.organization_id(renipress)}"},
                }
            ],
            "purpose": [{"system": ACT_REASON, "code": "TREAT"}],
        },
    }  # fmt: skip


def matches(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """The matches of a searchset; none in anything else."""
    return [
        entry["resource"]
        for entry in bundle.get("entry", ())
        if entry.get("search", {}).get("mode") == "match"
    ]


def by_source(resources: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """How many resources of each type each source gave."""
    counted: dict[str, dict[str, int]] = {}
    for resource in resources:
        source = counted.setdefault(resource.get("meta", {}).get("source", "?"), {})
        source[resource["resourceType"]] = source.get(resource["resourceType"], 0) + 1
    return counted
