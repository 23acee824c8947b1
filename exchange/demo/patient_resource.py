"""The true person as a FHIR Patient, for the benchmark's bundles.

Spec:    PacientePe of the national guide; https://hl7.org/fhir/R4/patient.html.
Leaves:  every other type to resources.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.demo.people import Document, Person
from exchange.demo.records import SourceRecord
from exchange.demo.resources import HL7, concept
from exchange.fhir import peru

Json = dict[str, Any]

_GENDER: Final = {"F": "female", "M": "male"}
_DOCUMENT_FORM: Final = {
    "DNI": ("1", "Documento Nacional de Identidad", peru.DNI_SYSTEM),
    "CE": ("2", "Carné de Extranjería", peru.CE_SYSTEM),
    "PASS": ("3", "Pasaporte", peru.PASSPORT_SYSTEM),
    "DIE": ("", "Documento de identidad extranjero", peru.DIE_SYSTEM),
    "PTP": ("", "Permiso Temporal de Permanencia", peru.DIE_SYSTEM),
    "CNV": ("", "Certificado de Nacido Vivo", peru.CNV_SYSTEM),
}


def _type(country: str, label: str, code: str = "") -> Json:
    """The type of an identifier: country of issue, words, and a code where the guide is known to have one."""
    coding = [{"system": peru.PERSON_ID_TYPES, "code": code, "display": label}] if code else []
    issued = {"coding": [{"system": peru.COUNTRIES, "code": country}]}
    extension = [{"url": peru.COUNTRY_EXTENSION, "valueCodeableConcept": issued}]
    return {"extension": extension, **({"coding": coding} if coding else {}), "text": label}


def _identifier(document: Document, country: str) -> Json:
    code, label, system = _DOCUMENT_FORM[document.kind]
    return {
        "use": "official",
        "type": _type(country, label, code),
        "system": system,
        "value": document.number,
    }


def patient(person: Person, records: tuple[SourceRecord, ...]) -> Json:
    """The true person as PacientePe, with every facility's number."""
    identifiers = [_identifier(one, "VEN" if one.kind == "PASS" else "PER") for one in person.documents]
    identifiers += [
        {
            "use": "usual",
            "type": _type(peru.PERU, "Historia clínica"),
            "system": peru.facility_system(record.renipress, "hc"),
            "value": record.hc_number,
            "assigner": {"reference": f"Organization/{peru.organization_id(record.renipress)}"},
        }
        for record in records
    ]
    surnames: list[Json] = []
    if person.name.maternal:
        surnames.append({"url": peru.MOTHERS_FAMILY_EXTENSION, "valueString": person.name.maternal})
    if person.name.third:
        surnames.append({"url": peru.THIRD_SURNAME_EXTENSION, "valueString": person.name.third})
    name: Json = {
        "use": "official",
        "text": person.name.display,
        "family": person.name.paternal,
        "given": list(person.name.given),
    }
    if surnames:
        name["_family"] = {"extension": surnames}
    resource: Json = {
        "resourceType": "Patient",
        "meta": {"profile": [peru.PATIENT_PROFILE]},
        "identifier": identifiers,
        "active": True,
        "name": [name],
        "telecom": [{"system": "phone", "value": person.phone, "use": "mobile"}],
        "gender": _GENDER[person.sex],
        "birthDate": person.birth_date.isoformat(),
        "address": [
            {
                "extension": [{"url": peru.UBIGEO_EXTENSION, "valueString": person.ubigeo}],
                "use": "home",
                "line": [person.address],
                "city": person.district,
                "state": "LA LIBERTAD",
                "country": "PER",
            }
        ],
        "contact": [
            {
                "relationship": [concept(HL7 + "v3-RoleCode", "MTH", "mother", "Madre")],
                "name": {"text": person.mother.name.display, "family": person.mother.name.paternal},
            }
        ],
        "communication": [
            {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es-PE"}]}, "preferred": True}
        ],
        "managingOrganization": {"reference": f"Organization/{peru.organization_id(records[0].renipress)}"},
    }
    if person.birth_order is not None and "twin" in person.traits:
        resource["multipleBirthInteger"] = person.birth_order
    return resource
