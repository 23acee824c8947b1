"""A row of MaestroPaciente as Patient.

Spec:    docs/adapters.md, "HIS": MaestroPaciente; national guide PacientePe.
Leaves:  matching the same person of two posts to the hub.
"""

from __future__ import annotations

import re
from typing import Final

from adapters.primary.masters import Post
from adapters.primary.tables import Row, Table
from adapters.source_record import Entry, Outcome, Refusal, Refused, Resource, SourceRecord
from adapters.source_record.bundle import finish
from adapters.source_record.moment import as_date, as_instant, written_date
from adapters.source_record.person import (
    PersonIdentifier,
    is_dni,
    is_document_missing,
    patient,
    person_name,
)
from exchange.fhir.peru import UBIGEO_EXTENSION

_DOCUMENT_KINDS: Final = {"1": "dni", "2": "ce", "3": "passport", "4": "die", "6": "cnv"}
_GENDERS: Final = {"M": "male", "F": "female"}
_UBIGEO: Final = re.compile(r"^\d{6}$")
_COUNTRY: Final = re.compile(r"^[A-Z]{3}$")


def map_patient(post: Post, table: Table, row: Row, file_time: str) -> Outcome:
    """A patient's row as a record of its own, sent before their visits."""
    key = row.get("Id_Paciente")
    dates: dict[str, str | None] = {}
    fault = "" if key else "La fila no tiene Id_Paciente."
    for column in ("Fecha_Nacimiento_Paciente", "Fecha_Modificacion", "Fecha_Alta"):
        try:
            dates[column] = written_date(row.get(column), post.zone)
        except ValueError:
            fault = fault or f"{column} no es una fecha."
    changed = dates.get("Fecha_Modificacion") or dates.get("Fecha_Alta")
    record = SourceRecord(
        facility=post.origin.renipress,
        system=post.origin.system,
        natural_key=f"paciente|{key}" if key else f"fila|{row.raw.hex()[:64]}",
        patient_key=key,
        original=table.original([row]),
        received_at=file_time,
        location=table.place(row),
        source_time=as_instant(changed, post.zone) or file_time,
    )
    if fault:
        return Refused(record, Refusal("mapping", "A-253", fault, location=table.place(row), parks=True))
    identifiers, is_named_by_document = _identifiers(row, key)
    parts = ("Apellido_Paterno_Paciente", "Apellido_Materno_Paciente", "Nombres_Paciente")
    name = person_name(*(row.get(part) for part in parts))
    if name.is_missing and not is_named_by_document:
        text = "El paciente no tiene documento ni nombre: no se envía hasta identificarlo."
        return Refused(record, Refusal("identity", "A-254", text, location=table.place(row), parks=True))
    gender = _GENDERS.get(row.get("Genero", "Id_Genero").upper())
    birth = as_date(dates["Fecha_Nacimiento_Paciente"])
    resource = patient(post.origin, key, identifiers, name, gender, birth)
    managing = resource.pop("managingOrganization")
    _add_places(resource, row)
    resource["managingOrganization"] = managing
    return finish(post.origin, record, [Entry(resource)])


def _identifiers(row: Row, key: str) -> tuple[list[PersonIdentifier], bool]:
    """The document, the clinical history and HIS's own number; and whether the document identifies."""
    found: list[PersonIdentifier] = []
    value = row.get("Numero_Documento_Paciente")
    kind = _DOCUMENT_KINDS.get(row.get("Id_Tipo_Documento_Paciente"))
    is_named = False
    if value and kind and not is_document_missing(value):
        is_named = kind != "dni" or is_dni(value)
        country = row.get("Id_Pais").upper()
        issued = country if _COUNTRY.match(country) else None
        found.append(PersonIdentifier(kind if is_named else "documento-sin-validar", value, country=issued))
    history = row.get("Historia_Clinica")
    if history and not is_document_missing(history):
        found.append(PersonIdentifier("hc", history))
    found.append(PersonIdentifier("his-paciente", key))
    return found, is_named


def _add_places(resource: Resource, row: Row) -> None:
    """Where the person was born and lives, by ubigeo."""
    born = row.get("Ubigeo_Nacimiento")
    if _UBIGEO.match(born) and "birthDate" in resource:
        resource["_birthDate"] = {"extension": [{"url": UBIGEO_EXTENSION, "valueString": born}]}
    home: Resource = {}
    ubigeo = row.get("Ubigeo_Declarado", "Ubigeo_Reniec")
    if _UBIGEO.match(ubigeo):
        home["extension"] = [{"url": UBIGEO_EXTENSION, "valueString": ubigeo}]
    if street := row.get("Domicilio_Declarado", "Domicilio_Reniec"):
        home["text"] = street
    if home:
        resource["address"] = [{"use": "home", **home}]
