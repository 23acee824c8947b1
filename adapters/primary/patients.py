"""A row of MaestroPaciente as Patient.

Spec:    docs/adapters.md, "HIS": MaestroPaciente; national guide PacientePe.
Leaves:  matching the same person of two posts to the hub.
"""

from __future__ import annotations

from typing import Final

from adapters.primary.masters import Post
from adapters.primary.tables import Row, Table
from adapters.source_record import Entry, Outcome, Refusal, Refused, Resource, SourceRecord
from adapters.source_record.bundle import finish
from adapters.source_record.countries import COUNTRIES
from adapters.source_record.moment import as_date, as_instant, written_date
from adapters.source_record.person import (
    UNCHECKED,
    PersonIdentifier,
    add_birthplace,
    is_dni,
    is_document_missing,
    is_ubigeo,
    patient,
    person_name,
    ubigeo_extension,
)

_DOCUMENT_KINDS: Final = {"1": "dni", "2": "ce", "3": "passport", "4": "die", "6": "cnv"}
_GENDERS: Final = {"M": "male", "F": "female"}
_RENIEC_UBIGEO: Final = "urn:chasqui:pe:ubigeo-reniec"
"""RENIEC numbers departments otherwise than INEI does, whose number pe-ubigeo is."""


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
        issued = country if country in COUNTRIES else None
        found.append(PersonIdentifier(kind if is_named else UNCHECKED, value, country=issued))
    history = row.get("Historia_Clinica")
    if history and not is_document_missing(history):
        found.append(PersonIdentifier("hc", history))
    found.append(PersonIdentifier("his-paciente", key))
    return found, is_named


def _add_places(resource: Resource, row: Row) -> None:
    """Where the person was born and lives. An address is told as one source has it, never mixed of two."""
    add_birthplace(resource, row.get("Ubigeo_Nacimiento"))
    street, ubigeo = row.get("Domicilio_Declarado"), row.get("Ubigeo_Declarado")
    home: Resource = {}
    if street or ubigeo:
        if is_ubigeo(ubigeo):
            home["extension"] = [ubigeo_extension(ubigeo)]
        hint = row.get("Referencia_Domicilio")
        street = ", ".join(part for part in (street, hint and f"referencia: {hint}") if part)
    else:
        street, ubigeo = row.get("Domicilio_Reniec"), row.get("Ubigeo_Reniec")
        if is_ubigeo(ubigeo):
            home["extension"] = [{"url": _RENIEC_UBIGEO, "valueString": ubigeo}]
    if street:
        home["text"] = street
    if home:
        resource["address"] = [{"use": "home", **home}]
