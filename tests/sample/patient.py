"""Patients as facilities of La Libertad describe them."""

from __future__ import annotations

from typing import Any

from exchange.fhir import peru


def a_patient(
    patient_id: str = "p1",
    *,
    family: str | None = "Quispe Mamani",
    given: tuple[str, ...] = ("Rosa", "Elvira"),
    dni: str | None = "40000001",
    birth_date: str | None = "1984-03-09",
    gender: str | None = "female",
    **more: Any,
) -> dict[str, Any]:
    """One Patient; None leaves an element out."""
    patient: dict[str, Any] = {"resourceType": "Patient", "id": patient_id}
    if dni is not None:
        patient["identifier"] = [{"system": peru.DNI_SYSTEM, "value": dni}]
    name = {"family": family, "given": list(given)}
    name = {key: value for key, value in name.items() if value}
    if name:
        patient["name"] = [name]
    if birth_date is not None:
        patient["birthDate"] = birth_date
    if gender is not None:
        patient["gender"] = gender
    return patient | more
