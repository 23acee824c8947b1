"""The names under which Peruvian identifiers and extensions travel in FHIR.

Spec:    https://dyaku.minsa.gob.pe/guides/ (national guide, draft 0.1); RENHICE canonical below.
Leaves:  choosing other systems to a site's settings - the national guide fixes no `identifier.system`.

No system below is official. The OIDs are what one national team uses; the `urn:chasqui:` names are this
exchange's own. Matching therefore also works by type and value.
"""

from __future__ import annotations

from typing import Final

RENHICE: Final = "https://www.gob.pe/minsa/RENHICE/fhir/"

DNI_SYSTEM: Final = "urn:oid:2.16.840.1.113883.4.904"
CE_SYSTEM: Final = "urn:chasqui:pe:ce"
PASSPORT_SYSTEM: Final = "urn:oid:2.16.840.1.113883.4.330.604"
DIE_SYSTEM: Final = "urn:chasqui:pe:die"
CNV_SYSTEM: Final = "urn:chasqui:pe:cnv"
RENIPRESS_SYSTEM: Final = "urn:chasqui:pe:renipress"
CMP_SYSTEM: Final = "urn:chasqui:pe:colegio"

PERSON_ID_TYPES: Final = RENHICE + "CodeSystem/IdspersonaPeru"
PERSON_ID_CODES: Final = frozenset({"1", "2", "3"})
"""DNI, carné de extranjería, passport: the codes of IdspersonaPeru that are known. The whole list was never published."""
FACILITY_CODES: Final = RENHICE + "CodeSystem/IPRESSCS"
COLLEGES: Final = RENHICE + "CodeSystem/ColegiosProfesionalesSaludCS"
COUNTRIES: Final = RENHICE + "CodeSystem/PaisesCS"
PERU: Final = "PER"
COUNTRY_EXTENSION: Final = RENHICE + "StructureDefinition/pe-pais"
UBIGEO_EXTENSION: Final = RENHICE + "StructureDefinition/pe-ubigeo"
THIRD_SURNAME_EXTENSION: Final = RENHICE + "StructureDefinition/pe-tercerapellido"
FATHERS_FAMILY_EXTENSION: Final = "http://hl7.org/fhir/StructureDefinition/humanname-fathers-family"
MOTHERS_FAMILY_EXTENSION: Final = "http://hl7.org/fhir/StructureDefinition/humanname-mothers-family"
MOTHERS_FAMILY_EXTENSIONS: Final = (
    MOTHERS_FAMILY_EXTENSION,
    "https://hl7.org/fhir/StructureDefinition/humanname-mothers-family",
)

CIE10_SYSTEM: Final = "http://hl7.org/fhir/sid/icd-10"
LOINC_SYSTEM: Final = "http://loinc.org"
UCUM_SYSTEM: Final = "http://unitsofmeasure.org"
CVX_SYSTEM: Final = "http://hl7.org/fhir/sid/cvx"
CPMS_SYSTEM: Final = "urn:chasqui:pe:cpms"

PATIENT_PROFILE: Final = RENHICE + "StructureDefinition/PacientePe"
CONDITION_PROFILE: Final = RENHICE + "StructureDefinition/ConditionPe"
ORGANIZATION_PROFILE: Final = RENHICE + "StructureDefinition/OrganizacionPe"
PRACTITIONER_PROFILE: Final = RENHICE + "StructureDefinition/PractitionerPe"
COMPOSITION_PROFILE: Final = RENHICE + "StructureDefinition/CompositionPe"
BASIC_INFORMATION: Final = "60591-5"
"""LOINC's patient summary document: what Peru calls información clínica básica."""

LEVEL_SYSTEM: Final = "urn:chasqui:pe:categoria-ipress"


def facility_system(renipress: str, kind: str) -> str:
    """The system of an identifier that one facility gives: `kind` is `hc`, `his-paciente`, `atencion` and so on."""
    return f"urn:chasqui:ipress:{renipress}:{kind}"


def organization_id(renipress: str) -> str:
    """The logical id of a facility's Organization on the hub. Units: RENIPRESS code of 8 digits."""
    return f"ipress-{renipress}"
