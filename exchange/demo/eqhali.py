"""A health centre's e-Qhali export: the FUA detail of people who also go there, half of it CSV, half of it Excel.

Spec:    docs/adapters.md, "e-Qhali".
Leaves:  reading it to the eqhali adapter.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from openpyxl import Workbook

from exchange.demo.facilities import BY_CODE, SECONDARY, Facility
from exchange.demo.history import Visit
from exchange.demo.people import Person
from exchange.demo.records import SourceRecord
from exchange.demo.region import Region

CENTER: Final[Facility] = BY_CODE["00090013"]
_COLUMNS: Final = (
    "fua_id", "fecha_atencion", "eess", "tipo_atencion", "formato_asegurado", "tipo_doc_paciente", "num_doc_paciente",
    "apellido_paterno_paciente", "apellido_materno_paciente", "nombres_paciente", "fecha_nacimiento_paciente", "sexo",
    "historia_clinica", "dni_resp_atencion", "nombre_profesional", "tipo_profesional", "fecha_registro",
    "hora_registro", "lugar_atencion", "destino_asegurado", "eess_ref_contra", "nro_hoja_ref_contra", "gestante",
    "estado_fua", "ups",
)  # fmt: skip
_ONE_OF: Final = 3
_VISITS: Final = 2
_DAYS_LATER: Final = 20
_HC_FIRST: Final = 600_000
_VOID_EVERY: Final = 17
_REFERRED_EVERY: Final = 5


def write_fuas(region: Region, folder: Path) -> tuple[Path, ...]:
    """Write two exports into the folder; who is shown to everybody in the demonstration does not go there.

    Raises: OSError - the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(_rows(region))
    half = len(rows) // 2
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows([_COLUMNS, *rows[:half]])
    first = folder / "FUA_DETALLE_1.csv"
    first.write_bytes(text.getvalue().encode("cp1252", "replace"))
    book = Workbook(write_only=True)
    sheet = book.create_sheet("FUA")
    for row in (_COLUMNS, *rows[half:]):
        sheet.append(row)
    second = folder / "FUA_DETALLE_2.xlsx"
    book.save(second)
    return first, second


def _rows(region: Region) -> Iterator[tuple[str, ...]]:
    number = 0
    for person, record in region.records_at(region.primary):
        if person.slot % _ONE_OF or "plain" in person.traits or record.document is None:
            continue
        for visit in region.history(person).at(region.primary.renipress)[-_VISITS:]:
            number += 1
            cells = _cells(number, person, record, visit)
            yield tuple(cells.get(column, "") for column in _COLUMNS)


def _cells(number: int, person: Person, record: SourceRecord, visit: Visit) -> dict[str, str]:
    day = visit.started_at.date() + timedelta(days=_DAYS_LATER)
    professional = CENTER.staff[number % len(CENTER.staff)]
    is_referred = not number % _REFERRED_EVERY
    return {
        "fua_id": f"{CENTER.renipress}-26-{number:07d}",
        "fecha_atencion": f"{day:%d/%m/%Y}",
        "eess": CENTER.code_of_nine,
        "tipo_atencion": "AMBULATORIA",
        "formato_asegurado": f"2-13-{_HC_FIRST + person.slot}",
        "tipo_doc_paciente": record.document.kind if record.document else "",
        "num_doc_paciente": record.document.number if record.document else "",
        "apellido_paterno_paciente": record.name.paternal,
        "apellido_materno_paciente": record.name.maternal,
        "nombres_paciente": record.name.given_text,
        "fecha_nacimiento_paciente": f"{record.birth_date:%d/%m/%Y}",
        "sexo": person.sex,
        "historia_clinica": str(_HC_FIRST + person.slot),
        "dni_resp_atencion": professional.dni,
        "nombre_profesional": professional.display,
        "tipo_profesional": professional.profession,
        "fecha_registro": f"{day:%d/%m/%Y}",
        "hora_registro": f"{8 + number % 9:02d}:15",
        "lugar_atencion": "INTRAMURAL" if number % 4 else "EXTRAMURAL",
        "destino_asegurado": "REFERIDO" if is_referred else "ALTA",
        "eess_ref_contra": SECONDARY.renipress if is_referred else "",
        "nro_hoja_ref_contra": f"{number:05d}" if is_referred else "",
        "estado_fua": "ANULADO" if not number % _VOID_EVERY else "ENVIADO",
        "ups": visit.ups,
    }
