"""The patient of a FUA as Patient, a record of its own: a later FUA replaces it, an older one does not.

Spec:    docs/adapters.md, "e-Qhali"; national guide PacientePe.
Leaves:  matching the same person of two facilities to the hub.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Final

from adapters.delimited import BOM, Row, read_header, rows_under
from adapters.eqhali.center import Center
from adapters.source_record import Entry, Mapped, Refusal, Resource, SourceRecord
from adapters.source_record.bundle import finish
from adapters.source_record.moment import as_date, written_date
from adapters.source_record.person import (
    PersonIdentifier,
    is_dni,
    is_document_missing,
    patient,
    person_name,
)

_DOCUMENT_KINDS: Final = {
    "1": "dni", "DNI": "dni", "2": "ce", "CE": "ce", "CARNE DE EXTRANJERIA": "ce",
    "CARNET DE EXTRANJERIA": "ce", "3": "passport", "PASS": "passport", "PASSPORT": "passport", "PASAPORTE": "passport",
    "4": "die", "DIE": "die", "6": "cnv", "CNV": "cnv",
}  # fmt: skip
_GENDERS: Final = {"M": "male", "MASCULINO": "male", "F": "female", "FEMENINO": "female"}
_NAMES: Final = ("apellido_paterno_paciente", "apellido_materno_paciente", "nombres_paciente")
_BIRTH: Final = "fecha_nacimiento_paciente"
_SAYS_WHO: Final = ("tipo_doc_paciente", "num_doc_paciente", *_NAMES, _BIRTH, "sexo", "historia_clinica")
_ATE_ITS_ZEROS: Final = re.compile(r"^\d{1,7}$", re.ASCII)
_DNI_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a row is about: the key under which this site knows them, and the resource."""

    key: str
    resource: Resource


def read_person(center: Center, row: Row, place: str) -> Person:
    """The patient of a row, who must be told from everybody else.

    Raises: Refusal - A-284 a document without its zeros, A-285 and A-254 nobody who is identified, A-256 a bad date.
    """
    document = _document(center, row, place)
    history = row.get("historia_clinica")
    local = PersonIdentifier("hc", history) if history and not is_document_missing(history) else None
    key = _key(document, local)
    if key is None:
        text = "El paciente no tiene documento ni historia clínica: no se envía hasta identificarlo."
        raise Refusal("identity", "A-285", text, location=place)
    name = person_name(*(row.get(column) for column in _NAMES))
    if name.is_missing and not key.startswith(("dni|", "ce|", "passport|", "die|", "cnv|")):
        text = "El paciente no tiene documento ni nombre: no se envía hasta identificarlo."
        raise Refusal("identity", "A-254", text, location=place)
    try:
        birth = as_date(written_date(row.get(_BIRTH), center.zone))
    except ValueError:
        raise Refusal("mapping", "A-256", f"{_BIRTH} no es una fecha.", location=place) from None
    identifiers = [item for item in (document, local) if item is not None]
    gender = _GENDERS.get(folded(row.get("sexo")))
    return Person(key, patient(center.origin, key, identifiers, name, gender, birth))


def map_patient(center: Center, person: Person, row: Row, visit: SourceRecord) -> Mapped:
    """The patient as this row says: what the record keeps is who it is, so that equal rows say nothing new."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\n")
    writer.writerow(_SAYS_WHO)
    writer.writerow(_one_way_of_saying(row, column) for column in _SAYS_WHO)
    record = replace(
        visit,
        natural_key=f"paciente|{person.key}",
        original=BOM + text.getvalue().encode("utf-8", "replace"),
        states_all=False,
        thing_key="",
    )
    return finish(center.origin, record, [Entry(person.resource)])


def _one_way_of_saying(row: Row, column: str) -> str:
    """A cell as every export writes it: `1` and `DNI` are one type of document."""
    value = row.get(column)
    if column == "tipo_doc_paciente":
        return _DOCUMENT_KINDS.get(_kind_word(value), value).upper()
    return value


def map_kept(center: Center, record: SourceRecord) -> Mapped | None:
    """A patient's record that was kept, mapped again; None where it is no patient's.

    Raises: Refusal.
    """
    if not record.natural_key.startswith("paciente|"):
        return None
    lines = io.BytesIO(record.original).readlines()
    header = read_header(lines[0]) if lines else None
    row = next(rows_under(header, lines[1:]), None) if header is not None else None
    if row is None or row.fault:
        return None
    person = read_person(center, row, record.location)
    return finish(center.origin, record, [Entry(person.resource)])


def whole_dni(center: Center, value: str) -> str | None:
    """A DNI of eight digits; one that a spreadsheet shortened only where the site says that zeros are missing."""
    if center.pads_documents and _ATE_ITS_ZEROS.match(value):
        value = value.zfill(_DNI_DIGITS)
    return value if is_dni(value) else None


def folded(text: str) -> str:
    """A word of the export as it is compared: upper case, without accents."""
    bare = unicodedata.normalize("NFKD", text.upper())
    return " ".join("".join(letter for letter in bare if not unicodedata.combining(letter)).split())


def _document(center: Center, row: Row, place: str) -> PersonIdentifier | None:
    """The patient's document, its zeros never guessed."""
    value = row.get("num_doc_paciente")
    kind = _DOCUMENT_KINDS.get(_kind_word(row.get("tipo_doc_paciente")))
    if not value or kind is None or is_document_missing(value):
        return None
    if kind != "dni":
        return PersonIdentifier(kind, value)
    whole = whole_dni(center, value)
    if whole is not None:
        return PersonIdentifier(kind, whole)
    if _ATE_ITS_ZEROS.match(value):
        text = (
            "El DNI del paciente tiene menos de 8 dígitos: una hoja de cálculo le quitó los ceros. Dé a la columna"
            " formato de texto y exporte otra vez, o escriba pad_documents = true en [source] si siempre es así."
        )
        raise Refusal("identity", "A-284", text, location=place)
    return PersonIdentifier("documento-sin-validar", value)


def _kind_word(text: str) -> str:
    return folded(text).replace(".", "")


def _key(document: PersonIdentifier | None, local: PersonIdentifier | None) -> str | None:
    """A document before this facility's own number; a document that is none names nobody."""
    if document is not None and document.kind != "documento-sin-validar":
        return f"{document.kind}|{document.value}"
    return f"hc|{local.value}" if local is not None else None
