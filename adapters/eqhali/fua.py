"""One row of the FUA detail, read: whose it is, what it is called, and every date of it.

Spec:    docs/adapters.md, "e-Qhali".
Leaves:  the resources to `patients` and `visit`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from adapters.delimited import Row
from adapters.eqhali.center import Center
from adapters.eqhali.columns import MAX_CELL_LETTERS
from adapters.eqhali.export import Export
from adapters.eqhali.patients import Person, folded, read_person
from adapters.source_record import Refusal, SourceRecord
from adapters.source_record.facility import eight_digits
from adapters.source_record.moment import as_instant, is_missing_date, written_date

_READ_DATES: Final = ("fecha_atencion", "fecha_registro", "fecha_probable_parto", "fecha_parto")
_FACILITY_CODE: Final = re.compile(r"^(\d{5,9})(?!\d)", re.ASCII)
_HOUR: Final = re.compile(r"^([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_VOID: Final = ("ANUL", "ELIMIN")


@dataclass(frozen=True, slots=True)
class Fua:
    """A FUA. Units: dates are FHIR's, by column; nothing where the source has none."""

    record: SourceRecord
    row: Row
    number: str
    person: Person
    dates: Mapping[str, str]
    names_counter_facility: bool

    @property
    def patient_key(self) -> str:
        """The name under which this site knows the patient."""
        return self.person.key

    @property
    def is_void(self) -> bool:
        """Whether the FUA was annulled."""
        return folded(self.row.get("estado_fua")).startswith(_VOID)

    @property
    def visit_key(self) -> str:
        """What the visit is called, patient included: of another patient it is another visit."""
        return f"{self.record.thing_key}|{self.patient_key}"


def read_fua(center: Center, export: Export, row: Row, file_time: str) -> Fua:
    """A row as a FUA.

    1. It fits its header, has what is needed, and its dates are dates.
    2. It is this facility's.
    3. Its patient can be told from everybody else by document, or by this facility's history number.
    Raises: Refusal.
    """
    place = export.place(row)
    # 1.
    if row.fault:
        raise Refusal("mapping", "A-251", row.fault, location=place)
    if any(len(value) > MAX_CELL_LETTERS for value in row.values.values()):
        raise Refusal("mapping", "A-251", "Una celda es demasiado larga.", location=place)
    for column in ("fua_id", "fecha_atencion"):
        if not row.get(column):
            raise Refusal("mapping", "A-255", f"La fila no tiene {column}.", location=place)
    dates = _dates(row, center.zone, place)
    # 2.
    own = facility_code(row.get("eess"))
    if own is not None and own != center.origin.renipress:
        raise Refusal("mapping", "A-258", "La fila es de otro establecimiento.", location=place)
    # 3.
    person = read_person(center, row, place)
    number = row.get("fua_id")
    changed = _registered(row, dates, center.zone)
    record = SourceRecord(
        facility=center.origin.renipress,
        system=center.origin.system,
        natural_key=f"{thing_key(number)}|{person.key}",
        patient_key=person.key,
        original=export.original(row),
        received_at=file_time,
        location=place,
        source_time=changed or file_time,
        stated_at=file_time,
        states_all=True,
        thing_key=thing_key(number),
    )
    has_counter = export.has("eess_ref_contra") or export.has("nro_hoja_ref_contra")
    return Fua(record, row, number, person, dates, has_counter)


def thing_key(number: str) -> str:
    """What a FUA is called here, whosever it is."""
    return f"fua|{number}"


def facility_code(text: str) -> str | None:
    """The RENIPRESS code that a facility's column begins with: `00005196`, `000005196 - C.S. ALTO`."""
    found = _FACILITY_CODE.match(text)
    return eight_digits(found.group(1)) if found else None


def _dates(row: Row, zone: ZoneInfo, place: str) -> dict[str, str]:
    found = {}
    for column in _READ_DATES:
        try:
            moment = written_date(row.get(column), zone)
        except ValueError:
            text = f"{column} no es una fecha."
            raise Refusal("mapping", "A-256", text, location=place) from None
        if moment and not is_missing_date(moment):
            found[column] = moment
    if "fecha_atencion" not in found:
        raise Refusal("mapping", "A-256", "fecha_atencion no es una fecha posible.", location=place)
    return found


def _registered(row: Row, dates: Mapping[str, str], zone: ZoneInfo) -> str | None:
    """When the FUA was typed in: fecha_registro with hora_registro where there is one."""
    day = dates.get("fecha_registro")
    hour = _HOUR.match(row.get("hora_registro"))
    if day and "T" not in day and hour:
        day = written_date(f"{day} {hour.group(1)}:{hour.group(2)}:00", zone)
    return as_instant(day, zone)
