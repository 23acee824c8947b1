"""Observations."""

from __future__ import annotations

from typing import Any

from exchange.fhir import peru


def an_observation(
    observation_id: str = "o1",
    patient_id: str = "p1",
    *,
    code: str = "8480-6",
    system: str = peru.LOINC_SYSTEM,
    effective: str | None = "2026-05-31T08:30:00-05:00",
    status: str = "final",
    **more: Any,
) -> dict[str, Any]:
    """A systolic blood pressure of 118 mm[Hg], unless told otherwise."""
    observation: dict[str, Any] = {
        "resourceType": "Observation",
        "id": observation_id,
        "status": status,
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": f"Patient/{patient_id}"},
        "valueQuantity": {"value": 118, "unit": "mm[Hg]", "system": peru.UCUM_SYSTEM, "code": "mm[Hg]"},
    }
    if effective is not None:
        observation["effectiveDateTime"] = effective
    return observation | more
