"""What codes of the log mean in the words of the people whom it is about: purposes, kinds of information, acts.

Spec:    https://terminology.hl7.org/CodeSystem-v3-ActReason.html; https://hl7.org/fhir/R4/resourcelist.html
Leaves:  which of them an access has to access; functions of people to the regional policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

PURPOSES: Final = {
    "TREAT": "Atención de salud",
    "ETREAT": "Atención de emergencia",
    "ERTREAT": "Atención en el servicio de emergencia",
    "BTG": "Emergencia: acceso excepcional",
    "CAREMGT": "Gestión de su atención",
    "COC": "Coordinación de su atención",
    "HOPERAT": "Administración y supervisión del servicio de salud",
    "HQUALIMP": "Mejora de la calidad del servicio",
    "HPAYMT": "Financiamiento de su atención",
    "PUBHLTH": "Salud pública",
    "DISASTER": "Atención en un desastre",
    "THREAT": "Amenaza a la salud pública",
    "HRESCH": "Investigación en salud",
    "PATRQT": "A pedido suyo",
}
OTHER_PURPOSE: Final = "Otro motivo"

KINDS: Final = {
    "AllergyIntolerance": "Alergias",
    "Appointment": "Citas",
    "AuditEvent": "Registro de accesos",
    "Binary": "Documentos",
    "CarePlan": "Planes de atención",
    "CareTeam": "Equipo de atención",
    "Claim": "Financiamiento de la atención",
    "ClinicalImpression": "Evaluaciones clínicas",
    "Communication": "Comunicaciones",
    "Composition": "Documentos clínicos",
    "Condition": "Diagnósticos y problemas de salud",
    "Consent": "Sus autorizaciones",
    "Coverage": "Seguro de salud",
    "DetectedIssue": "Alertas clínicas",
    "Device": "Dispositivos médicos",
    "DeviceUseStatement": "Dispositivos médicos",
    "DiagnosticReport": "Informes de exámenes",
    "DocumentManifest": "Documentos",
    "DocumentReference": "Documentos",
    "Encounter": "Atenciones y consultas",
    "EpisodeOfCare": "Atenciones y consultas",
    "ExplanationOfBenefit": "Financiamiento de la atención",
    "FamilyMemberHistory": "Antecedentes familiares",
    "Flag": "Alertas clínicas",
    "Goal": "Metas de su atención",
    "ImagingStudy": "Imágenes médicas",
    "Immunization": "Vacunas",
    "List": "Listas de su historia",
    "Media": "Imágenes médicas",
    "MedicationAdministration": "Medicamentos",
    "MedicationDispense": "Medicamentos",
    "MedicationRequest": "Medicamentos",
    "MedicationStatement": "Medicamentos",
    "NutritionOrder": "Indicaciones de alimentación",
    "Observation": "Resultados y mediciones",
    "Patient": "Datos personales",
    "Person": "Datos personales",
    "Procedure": "Procedimientos",
    "Provenance": "Origen de la información",
    "QuestionnaireResponse": "Cuestionarios",
    "RelatedPerson": "Familiares y representantes",
    "RiskAssessment": "Evaluaciones de riesgo",
    "ServiceRequest": "Órdenes y referencias",
    "Specimen": "Muestras de laboratorio",
    "Task": "Trámites de su atención",
}
OTHER_KIND: Final = "Otra información"

_LOOKED: Final = "consultó"
ACTS: Final = {
    "read": _LOOKED, "vread": _LOOKED, "search-type": "buscó", "search-system": "buscó",
    "history-instance": "consultó versiones anteriores", "history-type": "consultó versiones anteriores",
    "history-system": "consultó versiones anteriores", "create": "registró", "update": "registró o actualizó",
    "patch": "corrigió", "delete": "retiró", "transaction": "registró o actualizó", "batch": _LOOKED,
    "everything": "consultó la historia completa", "document": "consultó un documento", "docref": "buscó documentos",
    "lastn": "consultó los últimos resultados", "meta": _LOOKED, "meta-add": "cambió etiquetas",
    "meta-delete": "cambió etiquetas", "file": "registró una autorización", "revoke": "registró una revocatoria",
    "open-emergency": "abrió un acceso de emergencia", "close-emergency": "revisó un acceso de emergencia",
    "emergency-cases": "revisó accesos de emergencia", "accesses": "revisó el registro de accesos",
    "access-log": "consultó el registro de accesos", "question-access": "cuestionó un acceso",
    "disclosure": "revisó qué se mostró en un acceso", "report-output": "imprimió, capturó o guardó",
    "determine-sensitivity": "determinó la sensibilidad de una atención", "operate": "administró el sistema",
}  # fmt: skip
OTHER_ACT: Final = "hizo una operación"

LINKS: Final = {
    "link": "El sistema vinculó dos registros suyos de establecimientos distintos, porque sus datos coinciden.",
    "unlink": "El sistema separó dos registros que estaban vinculados, porque sus datos dejaron de coincidir.",
    "review": "El sistema anotó que una persona debe revisar si dos registros son suyos.",
}


def purpose_words(codes: str) -> str:
    """A purpose of use in plain Spanish; several are joined."""
    return _joined(PURPOSES.get(each, OTHER_PURPOSE) for each in codes.split())


def kind_words(resource_types: Iterable[str]) -> str:
    """Kinds of information in plain Spanish, each once: never a code, never a value."""
    return _joined(KINDS.get(each, OTHER_KIND) for each in resource_types)


def act_words(act: str, operation: str) -> str:
    """What was done, in plain Spanish."""
    return ACTS.get(operation if act == "operation" else act, OTHER_ACT)


def _joined(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))
