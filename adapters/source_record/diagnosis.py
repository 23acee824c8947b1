"""Diagnoses as Peru classes them: P presuntivo, D definitivo, R repetido.

Spec:    https://hl7.org/fhir/R4/condition.html, con-3 and con-5; docs/adapters.md, "HIS".
Leaves:  codes to `code_map`; whether a repeated condition was told before to the outbox.
"""

from __future__ import annotations

from typing import Final

from adapters.source_record import Resource

TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
CERTAINTY: Final = {"P": "provisional", "D": "confirmed", "R": "confirmed"}
STRENGTH: Final = {"R": 0, "P": 1, "D": 2}


def status(system: str, code: str) -> Resource:
    """A CodeableConcept of one of HL7's own code systems."""
    return {"coding": [{"system": TERMINOLOGY + system, "code": code}]}


def as_condition(
    condition: Resource, kind: str, code: Resource, subject: Resource, stay: Resource, recorded: str
) -> None:
    """Say of a Condition what every diagnosis of a visit says. Units: recorded is a FHIR dateTime."""
    condition["clinicalStatus"] = status("condition-clinical", "active")
    condition["verificationStatus"] = status("condition-ver-status", CERTAINTY[kind])
    condition["category"] = [status("condition-category", "encounter-diagnosis")]
    condition["code"] = code
    condition["subject"] = subject
    condition["encounter"] = stay
    condition["recordedDate"] = recorded


def known_as(patient_key: str, code: str) -> str:
    """The name under which a patient's condition is known, whichever visit told it."""
    return f"diagnosis|{patient_key}|{code}"
