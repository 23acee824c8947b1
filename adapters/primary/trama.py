"""The rows of a monthly trama gathered into visits; a row that cannot be read goes aside, the rest goes on.

Spec:    docs/adapters.md, "HIS": one visit is many rows of one Id_Cita; APP rows have no patient.
Leaves:  what a visit means to `visit`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapters.primary.masters import Masters, Post
from adapters.primary.tables import Row, Table
from adapters.source_record import Outcome, Refusal, Refused, SourceRecord
from adapters.source_record.moment import as_instant, written_date

if TYPE_CHECKING:
    from adapters.primary import Skipped

PARTIAL: Final = "incompleta"
_GROUP_ACTIVITY: Final = re.compile(r"^APP\d*$", re.IGNORECASE)
_NUMBERS: Final = (
    "Peso", "Talla", "Hemoglobina", "Perimetro_Abdominal", "Perimetro_Cefalico", "Peso_Pregestacional",
)  # fmt: skip
_DATES: Final = ("Fecha_Registro", "Fecha_Modificacion", "Fecha_Resultado_Hb", "Fecha_Ultima_Regla")


@dataclass(frozen=True, slots=True)
class Visit:
    """The rows of one Id_Cita. Units: date is FHIR's."""

    record: SourceRecord
    number: str
    date: str
    rows: tuple[Row, ...]


def visits(
    post: Post, masters: Masters, table: Table, file_time: str, skipped: Skipped
) -> Iterator[Visit | Outcome]:
    """The visits of a file in the order in which they begin, and the refusals of single rows."""
    gathered: dict[str, list[Row]] = {}
    damaged: set[str] = set()
    for row in table.rows:
        skipped.rows += 1
        if not row.fault and _is_group_activity(row):
            skipped.group_activity_rows += 1
            continue
        refusal = _refusal(post, masters, table, row)
        if refusal is not None:
            damaged.add(table.written(row, "Id_Cita"))
            yield bad_row(post, table, row, refusal, file_time)
        else:
            gathered.setdefault(row.get("Id_Cita"), []).append(row)
    for number, rows in gathered.items():
        # A row of no visible visit may be of any.
        is_whole = number not in damaged and "" not in damaged
        yield _visit(post, table, number, rows, file_time, is_whole=is_whole)


def _is_group_activity(row: Row) -> bool:
    return bool(
        _GROUP_ACTIVITY.match(row.get("Codigo_Item")) or _GROUP_ACTIVITY.match(row.get("Id_Paciente"))
    )


def _refusal(post: Post, masters: Masters, table: Table, row: Row) -> Refusal | None:
    """Why a row cannot be part of a visit, if it cannot."""
    place = table.place(row)
    if row.fault:
        return Refusal("mapping", "A-251", row.fault, location=place)
    for column in ("Id_Cita", "Fecha_Atencion", "Id_Paciente", "Codigo_Item"):
        if not row.get(column):
            return Refusal("mapping", "A-255", f"La fila no tiene {column}.", location=place)
    for column in ("Fecha_Atencion", *_DATES):
        try:
            written_date(row.get(column), post.zone)
        except ValueError:
            return Refusal("mapping", "A-256", f"{column} no es una fecha.", location=place)
    if _is_far_ahead(post, row):
        text = "Fecha_Atencion es más de un año posterior a Fecha_Registro."
        return Refusal("mapping", "A-256", text, location=place)
    for column in _NUMBERS:
        try:
            row.number(column)
        except ValueError as error:
            return Refusal("mapping", "A-257", f"{error}.", location=place)
    return foreign(post, masters, row.get("renipress") or row.get("Id_Establecimiento"), place)


def _is_far_ahead(post: Post, row: Row) -> bool:
    """Whether a visit is dated long after it was typed in: no clock but the source's own is asked."""
    attended = written_date(row.get("Fecha_Atencion"), post.zone) or ""
    typed = written_date(row.get("Fecha_Registro"), post.zone)
    return bool(typed) and int(attended[:4]) - int(str(typed)[:4]) > 1


def foreign(post: Post, masters: Masters, code: str, place: str) -> Refusal | None:
    """A row of another facility, or of one that nobody knows, is not sent in this one's name."""
    found = masters.renipress(post, code) if code else post.origin.renipress
    if found is None:
        text = "El código de establecimiento no se reconoce. Agréguelo a internal_ids o al maestro."
        return Refusal("mapping", "A-258", text, location=place)
    if found != post.origin.renipress:
        text = "La fila es de otro establecimiento, o su código interno del HIS falta en el maestro."
        return Refusal("mapping", "A-258", text, location=place)
    return None


def _visit(
    post: Post, table: Table, number: str, rows: list[Row], file_time: str, *, is_whole: bool
) -> Visit | Outcome:
    changes = (
        as_instant(written_date(row.get(column), post.zone), post.zone)
        for row in rows
        for column in _DATES[:2]
    )
    patients = {row.get("Id_Paciente") for row in rows}
    record = SourceRecord(
        facility=post.origin.renipress,
        system=post.origin.system,
        natural_key=f"cita|{number}",
        patient_key=rows[0].get("Id_Paciente"),
        original=table.original(rows),
        received_at=file_time,
        location=table.place(*rows),
        source_time=max((change for change in changes if change), default=file_time),
        context="" if is_whole else PARTIAL,
        stated_at=file_time,
        states_all=is_whole,
    )
    if len(patients) > 1:
        text = "La misma Id_Cita aparece con más de un paciente."
        return Refused(record, Refusal("identity", "A-261", text, location=table.place(*rows)))
    date = written_date(rows[0].get("Fecha_Atencion"), post.zone) or ""
    return Visit(record, number, date, tuple(rows))


def bad_row(post: Post, table: Table, row: Row, refusal: Refusal, file_time: str) -> Refused:
    """A single row set aside: known by its bytes, so that a restated month does not bring it twice."""
    record = SourceRecord(
        facility=post.origin.renipress,
        system=post.origin.system,
        natural_key=f"fila|{hashlib.sha256(row.raw).hexdigest()[:32]}",
        patient_key="",
        original=table.original([row]),
        received_at=file_time,
        location=table.place(row),
        source_time=file_time,
    )
    return Refused(record, refusal)
