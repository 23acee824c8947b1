"""A row of the register of live births as the newborn's Patient, the birth, and what was measured at it.

Spec:    docs/adapters.md, "HIS": births (CNV); https://hl7.org/fhir/R4/patient.html; LOINC and UCUM as named below.
Leaves:  linking the child to its later DNI, and to the mother, to the hub.

The certificate's number is the child's document. The child has no name yet, and the mother's document is never its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from adapters.primary.masters import Masters, Post
from adapters.primary.tables import Row, Table
from adapters.primary.trama import bad_row, foreign
from adapters.source_record import Entry, Outcome, Refusal, Resource, SourceRecord
from adapters.source_record.bundle import finish, flag_unmapped
from adapters.source_record.moment import as_instant, written_date
from adapters.source_record.person import (
    UNCHECKED,
    PersonIdentifier,
    PersonName,
    is_dni,
    is_document_missing,
    mother_contact,
    patient,
    person_name,
)
from exchange.fhir.peru import LOINC_SYSTEM, UCUM_SYSTEM

_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
_BIRTH_TIME: Final = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
_CERTIFICATE: Final = re.compile(r"^\d{8,15}$", re.ASCII)
_GENDERS: Final = {
    "M": "male", "MASCULINO": "male", "HOMBRE": "male", "VARON": "male", "VARÓN": "male", "1": "male",
    "F": "female", "FEMENINO": "female", "MUJER": "female", "2": "female",
}  # fmt: skip
_DOCUMENTS: Final = {
    "DNI": "dni", "1": "dni", "CE": "ce", "2": "ce", "PAS": "passport", "PASAPORTE": "passport", "3": "passport",
    "DIE": "die", "4": "die",
}  # fmt: skip
_TIME: Final = re.compile(r"^(\d{1,2}):(\d{2})")
_SCORES: Final = re.compile(r"^(\d{1,2})\s*[-/,; ]\s*(\d{1,2})$")
_MOST_APGAR: Final = 10
_HEAD: Final = "9843-4"  # one of R4's vital signs, whose category is fixed
# column → (LOINC, display, words, unit)
_MEASURES: Final = {
    "Peso_g": ("8339-4", "Birth weight Measured", "Peso al nacer", "g"),
    "Talla_cm": ("89269-5", "Body height Measured --at birth", "Talla al nacer", "cm"),
    "Perimetrocefalico": (_HEAD, "Head Occipital-frontal circumference", "Perímetro cefálico", "cm"),
    "Perimetrotoracico": ("", "", "Perímetro torácico", "cm"),
    "Gest_Sem": ("76516-4", "Gestational age--at birth", "Edad gestacional", "wk"),
}  # fmt: skip
_IN_WORDS: Final = {
    "tipoParto": "Tipo de parto",
    "Malfcongenita": "Malformación congénita",
    "TiempoLigCord": "Tiempo de ligadura del cordón",
    "Lactanciaprecoz": "Lactancia precoz",
}
_APGAR: Final = (("9272-6", "1 minute Apgar Score", "1"), ("9274-2", "5 minute Apgar Score", "5"))


def map_births(post: Post, masters: Masters, table: Table, file_time: str) -> Iterator[Outcome]:
    """Every row of a register of births."""
    for row in table.rows:
        try:
            _check(post, masters, table, row)
            yield _birth(post, table, row, file_time)
        except Refusal as refusal:
            yield bad_row(post, table, row, refusal, file_time)


def _check(post: Post, masters: Masters, table: Table, row: Row) -> None:
    """Raises: Refusal - the row does not fit, lacks what a birth needs, or is another facility's."""
    place = table.place(row)
    if row.fault:
        raise Refusal("mapping", "A-251", row.fault, location=place)
    if not _CERTIFICATE.match(row.get("CNV")):
        text = (
            "La fila no tiene un número de CNV de 8 a 15 dígitos. Corríjalo en el sistema de nacidos vivos."
        )
        raise Refusal("identity", "A-276", text, location=place)
    for column in ("Fecha", "FechaRegistro"):
        try:
            moment = written_date(row.get(column), post.zone)
        except ValueError:
            raise Refusal("mapping", "A-256", f"{column} no es una fecha.", location=place) from None
        if column == "Fecha" and not moment:
            raise Refusal("mapping", "A-255", "La fila no tiene Fecha.", location=place)
    for column in _MEASURES:
        try:
            row.number(column)
        except ValueError as error:
            raise Refusal("mapping", "A-257", f"{error}.", location=place) from None
    if refusal := foreign(post, masters, row.get("CodEESS"), place):
        raise refusal


def _birth(post: Post, table: Table, row: Row, file_time: str) -> Outcome:
    number = row.get("CNV")
    key = f"cnv|{number}"
    registered = as_instant(written_date(row.get("FechaRegistro"), post.zone), post.zone)
    record = SourceRecord(
        facility=post.origin.renipress,
        system=post.origin.system,
        natural_key=f"nacimiento|{number}",
        patient_key=key,
        original=table.original([row]),
        received_at=file_time,
        location=table.place(row),
        source_time=registered or file_time,
        stated_at=file_time,
    )
    date = (written_date(row.get("Fecha"), post.zone) or "").partition("T")[0]
    moment = _moment(post, row, date)
    is_void = row.get("Estado").upper().startswith("ANULAD")
    child = _child(post, row, key, date, moment, is_active=not is_void)
    stay = _stay(post, row, key, moment or date, is_void=is_void)
    unmapped: list[tuple[str, str]] = []
    found = _observations(post, row, key, moment or date, unmapped, is_void=is_void)
    return finish(post.origin, record, [Entry(child), Entry(stay), *map(Entry, found)], unmapped)


def _child(post: Post, row: Row, key: str, date: str, moment: str | None, *, is_active: bool) -> Resource:
    identifiers = [PersonIdentifier("cnv", row.get("CNV"))]
    gender = _GENDERS.get(row.get("Sexo").upper().rstrip("."))
    child = patient(post.origin, key, identifiers, PersonName(), gender, date)
    child["active"] = is_active
    managing = child.pop("managingOrganization")
    if moment is not None:
        child["_birthDate"] = {"extension": [{"url": _BIRTH_TIME, "valueDateTime": moment}]}
    child["contact"] = [mother_contact(post.origin, *_mother(row))]
    child["managingOrganization"] = managing
    return child


def _mother(row: Row) -> tuple[PersonName, list[PersonIdentifier]]:
    name = person_name(row.get("pApellidoMadre"), row.get("sApellidoMadre"), row.get("nombresMadre"))
    value, kind = row.get("Documento"), _DOCUMENTS.get(row.get("TipoDoc").upper().rstrip("."))
    if not value or is_document_missing(value):
        return name, []
    if kind is None or (kind == "dni" and not is_dni(value)):
        kind = UNCHECKED
    return name, [PersonIdentifier(kind, value)]


def _moment(post: Post, row: Row, date: str) -> str | None:
    """The minute of birth, where the register tells it."""
    found = _TIME.match(row.get("Hora"))
    if not found:
        return None
    try:
        moment = written_date(f"{date} {found.group(1)}:{found.group(2)}:00", post.zone)
        return as_instant(moment, post.zone)  # midnight, too, is a minute here
    except ValueError:
        return None


def _stay(post: Post, row: Row, key: str, moment: str, *, is_void: bool) -> Resource:
    stay: Resource = {
        "resourceType": "Encounter",
        "id": post.origin.resource_id("Encounter", f"{key}|nacimiento"),
        "status": "entered-in-error" if is_void else "finished",
        "class": {"system": _TERMINOLOGY + "v3-ActCode", "code": "IMP"},
        "type": [{"text": "Nacimiento"}],
        "subject": post.origin.reference("Patient", key),
        "period": {"start": moment},
        "hospitalization": {
            "admitSource": {"coding": [{"system": _TERMINOLOGY + "admit-source", "code": "born"}]}
        },
        "serviceProvider": post.origin.organization(),
    }
    who: Resource = {}
    if number := row.get("NColegio"):
        identifier = {"system": post.origin.identifier_system("colegiatura"), "value": number}
        who = {"type": "Practitioner", "identifier": identifier}
    if profession := row.get("Profesion"):
        who["display"] = profession
    if who:
        stay["participant"] = [{"individual": who}]
    return stay


def _observations(
    post: Post, row: Row, key: str, moment: str, unmapped: list[tuple[str, str]], *, is_void: bool
) -> list[Resource]:
    found = []

    def add(name: str, code: str, display: str, words: str, **value: object) -> None:
        category = "vital-signs" if code == _HEAD else "exam"
        observation: Resource = {
            "resourceType": "Observation",
            "id": post.origin.resource_id("Observation", f"{key}|{name}"),
            "status": "entered-in-error" if is_void else "final",
            "category": [{"coding": [{"system": _TERMINOLOGY + "observation-category", "code": category}]}],
        }
        if code:
            observation["code"] = {
                "coding": [{"system": LOINC_SYSTEM, "code": code, "display": display}], "text": words,
            }  # fmt: skip
        else:
            observation["code"] = {"text": words}
            flag_unmapped(observation)
            unmapped.append(("birth", name))
        observation["subject"] = post.origin.reference("Patient", key)
        observation["encounter"] = post.origin.reference("Encounter", f"{key}|nacimiento")
        observation["effectiveDateTime"] = moment
        observation["performer"] = [post.origin.organization()]
        found.append(observation | value)

    for column, (code, display, words, unit) in _MEASURES.items():
        if (number := row.number(column)) is not None:
            quantity = {"value": number, "unit": unit, "system": UCUM_SYSTEM, "code": unit}
            add(column, code, display, words, valueQuantity=quantity)
    scores = _SCORES.match(row.get("Apgar"))
    if scores and all(int(score) <= _MOST_APGAR for score in scores.groups()):
        for score, (code, display, minute) in zip(scores.groups(), _APGAR, strict=True):
            quantity = {"value": Decimal(score), "unit": "{score}", "system": UCUM_SYSTEM, "code": "{score}"}
            add(f"Apgar{minute}", code, display, f"Apgar al minuto {minute}", valueQuantity=quantity)
    elif row.get("Apgar"):
        add("Apgar", "", "", "Apgar", valueString=row.get("Apgar"))
    for column, words in _IN_WORDS.items():
        if row.get(column):
            add(column, "", "", words, valueString=row.get(column))
    return found
