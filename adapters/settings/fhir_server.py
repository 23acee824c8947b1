"""What the reading of a FHIR server of the facility needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.settings.checker import Checker
from adapters.settings.web import WEB_KEYS, WebAccess, check_web

FHIR_KEYS: Final = WEB_KEYS | {
    "mode", "types", "group", "page_resources", "overlap_seconds", "export_hours_apart", "deletions",
}  # fmt: skip
PATIENT: Final = "Patient"
DEFAULT_TYPES: Final = (
    "Patient", "Encounter", "Condition", "AllergyIntolerance", "Observation", "DiagnosticReport", "Immunization",
    "MedicationRequest", "MedicationStatement", "Procedure", "ServiceRequest",
)  # fmt: skip
ALLOWED_TYPES: Final = frozenset({
    *DEFAULT_TYPES, "Appointment", "CarePlan", "CareTeam", "ClinicalImpression", "Coverage", "DeviceRequest",
    "EpisodeOfCare", "FamilyMemberHistory", "Flag", "Goal", "ImagingStudy", "MedicationAdministration",
    "MedicationDispense", "NutritionOrder", "RelatedPerson", "RiskAssessment", "Specimen",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class FhirSettings:
    """A FHIR server. `is_bulk` reads it by exports, `group` only those of a Group; Patient is always taken.

    Units:  seconds and hours as the names say; page_resources is a count.
    """

    access: WebAccess
    types: tuple[str, ...]
    is_bulk: bool
    group: str
    page_resources: int
    overlap_seconds: float
    export_hours_apart: float
    reads_deletions: bool


def check_fhir_server(checker: Checker) -> FhirSettings:
    """The keys of the server in `[source]`."""
    mode = checker.text(
        "source", "mode", {"changes", "bulk"}.__contains__, "debe ser changes o bulk", "changes"
    )
    deletions = checker.text(
        "source", "deletions", {"history", "none"}.__contains__, "debe ser history o none", "history"
    )
    return FhirSettings(
        access=check_web(checker),
        types=_types(checker),
        is_bulk=mode == "bulk",
        group=checker.text("source", "group", _is_id, "escriba el id de un Group", ""),
        page_resources=int(checker.number("source", "page_resources", 100, 1, 1000)),
        overlap_seconds=checker.number("source", "overlap_seconds", 300, 0, 86_400 * 7),
        export_hours_apart=checker.number("source", "export_hours_apart", 24, 0, 24 * 366),
        reads_deletions=deletions == "history",
    )


def _types(checker: Checker) -> tuple[str, ...]:
    """Types in the order of the file, Patient first: what is about somebody comes after who it is."""
    value = checker.value("source", "types")
    if value is None:
        return DEFAULT_TYPES
    if not isinstance(value, list) or not value or not all(each in ALLOWED_TYPES for each in value):
        text = f"types en [source] es una lista de tipos entre: {', '.join(sorted(ALLOWED_TYPES))}"
        checker.fault("A-105", "source.types", text)
        return DEFAULT_TYPES
    return tuple(dict.fromkeys((PATIENT, *value)))


def _is_id(text: str) -> bool:
    return 0 < len(text) <= 64 and all(  # noqa: PLR2004 - FHIR's bound of an id
        each.isascii() and (each.isalnum() or each in "-.") for each in text
    )
