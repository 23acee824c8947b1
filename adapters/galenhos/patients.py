"""A patient of GalenHos as Patient: names apart, documents with their types, the mother of a newborn, allergies.

Spec:    docs/adapters.md, "GalenHos"; national guide PacientePe; https://hl7.org/fhir/R4/allergyintolerance.html.
Leaves:  matching the same person of two hospitals to the hub: a history number never says who somebody is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from adapters.galenhos.hospital import Gathered, Hospital
from adapters.galenhos.reading import Case
from adapters.galenhos.values import Fields, moment, name_of
from adapters.source_record import Refusal, Resource
from adapters.source_record.diagnosis import status
from adapters.source_record.moment import as_date
from adapters.source_record.person import (
    PersonIdentifier,
    PersonName,
    add_birthplace,
    is_dni,
    is_document_missing,
    is_ubigeo,
    mother_contact,
    patient,
    person_name,
    ubigeo_extension,
)

_EMAIL: Final = re.compile(r"^[^@\s]{1,64}@[^@\s]{1,190}$")
_MAX_CHILDREN: Final = 20
_PLACE: Final = "pacientes"


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a row is about: the key under which this site knows them, and the resource."""

    key: str
    resource: Resource


def read_person(hospital: Hospital, case: Case) -> Person:
    """The patient of a case.

    1. There is a row, and one only.
    2. Documents are the patient's own, never the mother's, by whose document a newborn is filed.
    3. Somebody without document, name or mother is nobody who can be told from others.
    Raises: Refusal.
    """
    fields = case.patient
    # 1.
    if not fields.get("key") or case.is_patient_repeated:
        text = (
            "La atención apunta a un paciente que no existe, o la llave del mapa se repite. Revise key en el mapa,"
            " o corrija el registro en GalenHos."
        )
        raise Refusal("identity", "A-291", text, location=_PLACE)
    try:
        birth = as_date(moment(fields, "birth_date", hospital.zone))
        died = moment(fields, "died_date", hospital.zone)
    except ValueError:
        raise Refusal(
            "mapping", "A-256", "La fecha de nacimiento o muerte no es una fecha.", location=_PLACE
        ) from None
    # 2.
    mothers = _documents(hospital, fields, "mother_document")
    own = [item for item in _documents(hospital, fields, "document") if item not in mothers]
    name = _name(fields, "")
    # 3.
    is_child = bool(mothers) and birth is not None
    if name.is_missing and not any(item.kind != "documento-sin-validar" for item in own) and not is_child:
        text = "El paciente no tiene documento ni nombre: no se envía hasta identificarlo."
        raise Refusal("identity", "A-254", text, location=_PLACE)
    history = fields.get("history", "")
    if history and not is_document_missing(history):
        own.append(PersonIdentifier("hc", history))
    own.append(PersonIdentifier("galenhos-paciente", fields["key"]))
    key = person_key(fields["key"])
    gender = hospital.meaning("patient", "sex", fields)
    resource = patient(hospital.origin, key, own, name, gender, birth)
    managing = resource.pop("managingOrganization")
    _add_particulars(hospital, resource, fields, mothers, died)
    resource["managingOrganization"] = managing
    return Person(key, resource)


def person_key(key: str) -> str:
    """The key under which this site knows a patient: GalenHos's own, which is neither document nor history."""
    return f"paciente|{key}"


def allergies(gathered: Gathered, case: Case) -> None:
    """Each allergy of the patient; whether anybody verified it is not known, and not said."""
    for fields in case.allergies:
        if not fields.get("words") and not fields.get("code"):
            continue
        hospital = gathered.hospital
        allergy = gathered.add("AllergyIntolerance", f"alergia|{name_of(fields)}")
        allergy["clinicalStatus"] = status("allergyintolerance-clinical", "active")
        if category := hospital.meaning("allergy", "category", fields):
            allergy["category"] = [category]
        if criticality := hospital.meaning("allergy", "criticality", fields):
            allergy["criticality"] = criticality
        allergy["code"] = gathered.coded(allergy, fields, "allergy")
        allergy["patient"] = gathered.subject
        try:
            if noted := moment(fields, "date", hospital.zone):
                allergy["recordedDate"] = noted
        except ValueError:
            gathered.miss(allergy, "fecha", "alergia")


def _documents(hospital: Hospital, fields: Fields, name: str) -> list[PersonIdentifier]:
    value = fields.get(name, "")
    kind = hospital.meaning("patient", f"{name}_type", fields)
    if not value or is_document_missing(value) or kind == "none":
        return []
    if kind is None or (kind == "dni" and not is_dni(value)):
        kind = "documento-sin-validar"
    return [PersonIdentifier(kind, value)]


def _name(fields: Fields, whose: str) -> PersonName:
    given = [fields.get(f"{whose}given_{number}", "") for number in (1, 2, 3)]
    paternal, maternal, third = (
        fields.get(f"{whose}{part}", "") for part in ("paternal", "maternal", "third")
    )
    return person_name(paternal, maternal, given, third)


def _add_particulars(
    hospital: Hospital, resource: Resource, fields: Fields, mothers: list[PersonIdentifier], died: str | None
) -> None:
    """Telephones, addresses, death, birth order and mother, as far as they are told."""
    numbers = dict.fromkeys(fields.get(f"phone_{number}", "") for number in (1, 2, 3, 4))
    telecom = [
        {"system": "phone", "value": number}
        for number in numbers
        if number and not is_document_missing(number)
    ]
    if _EMAIL.match(fields.get("email", "")):
        telecom.append({"system": "email", "value": fields["email"]})
    if telecom:
        resource["telecom"] = telecom
    add_birthplace(resource, fields.get("ubigeo_birth", ""))
    if died:
        resource["deceasedDateTime"] = died
    home: Resource = {}
    if is_ubigeo(fields.get("ubigeo_home", "")):
        home["extension"] = [ubigeo_extension(fields["ubigeo_home"])]
    if fields.get("address"):
        home["text"] = fields["address"]
    if home:
        resource["address"] = [{"use": "home", **home}]
    order = fields.get("birth_order", "")
    if order.isascii() and order.isdigit() and 0 < int(order) <= _MAX_CHILDREN:
        resource["multipleBirthInteger"] = int(order)
    mother = _name(fields, "mother_")
    if mothers or not mother.is_missing:
        resource["contact"] = [mother_contact(hospital.origin, mother, mothers)]
