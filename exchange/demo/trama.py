"""The first-level post's HIS-MINSA files: monthly trama nominal and its masters, as a small PC exports them.

Spec:    HIS-MINSA trama nominal, older and newer shape, Windows-1252, `;`, CRLF, decimal commas.
Leaves:  reading them to the primary adapter.

A file has one shape: the older writes days as 31/12/2025, the newer as 2025-12-31. One visit is many rows
that share Id_Cita; APP rows are group acts without a patient; one month is restated in the next month's file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from exchange.demo import codes
from exchange.demo.facilities import DISA_CODE, DISA_NAME, Facility
from exchange.demo.history import MONTHS_PER_YEAR, Visit
from exchange.demo.people import Person
from exchange.demo.records import SourceRecord
from exchange.demo.region import Region
from exchange.demo.trama_columns import (
    FACILITY_COLUMNS,
    ITEM_COLUMNS,
    NEWER_COLUMNS,
    OLDER_COLUMNS,
    PATIENT_COLUMNS,
    STAFF_COLUMNS,
)

Shape = Literal["older", "newer"]
Row = dict[str, str | date]

ENCODING: Final = "cp1252"
_COLUMNS: Final = {"older": OLDER_COLUMNS, "newer": NEWER_COLUMNS}
_DAY_FORM: Final = {"older": "%d/%m/%Y", "newer": "%Y-%m-%d"}
_INSTANT_FORM: Final = {"older": "%d/%m/%Y %H:%M:%S", "newer": "%Y-%m-%d %H:%M:%S"}
_DOCUMENT_TYPE: Final = {"DNI": "1", "CE": "2", "PASS": "3", "DIE": "4", "PTP": "4", "CNV": "6"}
_NO_DOCUMENT: Final = "5"
_PAYERS: Final = ("2", "2", "2", "1", "3", "2", "11")
_LOTS: Final = "ABCDEFGH"
_ROWS_A_PAGE: Final = 25
_NOON: Final = 13
_TODDLER_MONTHS: Final = 36
_PREGNANCY: Final = ("Z349", "O234")


@dataclass(frozen=True, slots=True)
class _Seen:
    """A visit with the record that it was filed under and its place among the record's visits."""

    person: Person
    record: SourceRecord
    visit: Visit
    first_ever: bool
    first_of_year: bool


def patient_id(record: SourceRecord, facility: Facility) -> str:
    """HIS's Id_Paciente: document (or history number) and the facility's internal number, glued."""
    own = record.document is not None and "mothers-document" not in record.defects
    number = record.document.number if own and record.document is not None else record.hc_number
    return number + facility.his_id


def write_trama(
    region: Region, folder: Path, shape: Literal["older", "newer", "both"] = "both"
) -> tuple[Path, ...]:
    """Write the post's masters and months into the folder; `both` writes the earlier half in the older shape.

    Raises: OSError - the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    master_shape: Shape = "newer" if shape == "newer" else "older"
    facility = region.primary
    written = [
        _write(folder / "MAESTRO_PACIENTE.csv", PATIENT_COLUMNS, _patients(region), master_shape),
        _write(folder / "MAESTRO_PERSONAL.csv", STAFF_COLUMNS, _staff(facility), master_shape),
        _write(
            folder / "MAESTRO_HIS_ESTABLECIMIENTO.csv",
            FACILITY_COLUMNS,
            map(_facility, region.facilities),
            master_shape,
        ),
        _write(folder / "MAESTRO_HIS_CIE_CPMS.csv", ITEM_COLUMNS, _items(), master_shape),
    ]
    months = _months(region)
    names = sorted(months)
    for position, name in enumerate(names):
        older = shape == "older" or (shape == "both" and position < len(names) // 2)
        rows = list(months[name])
        if position and position == len(names) - 1:
            rows = [*_restated(months[names[position - 1]]), *rows]
        file_shape: Shape = "older" if older else "newer"
        written.append(_write(folder / f"TRAMA_{name}.csv", _COLUMNS[file_shape], rows, file_shape))
    return tuple(written)


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[Row], shape: Shape) -> Path:
    """Write rows as Windows-1252 with `;` and CRLF."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column, ""), shape) for column in columns])
    path.write_bytes(text.getvalue().encode(ENCODING))
    return path


def _cell(value: str | date, shape: Shape) -> str:
    """A cell's text; instants keep their time of day."""
    if isinstance(value, datetime):
        return value.strftime(_INSTANT_FORM[shape])
    return value.strftime(_DAY_FORM[shape]) if isinstance(value, date) else value


def _reniec_ubigeo(ubigeo: str) -> str:
    """The RENIEC number of a place: La Libertad is 12 there, 13 for INEI."""
    return "12" + ubigeo[2:]


def _patients(region: Region) -> Iterator[Row]:
    """The master of patients, in the order of registration numbers."""
    facility = region.primary
    for person, record in region.records_at(facility):
        document = record.document
        yield {
            "Id_Paciente": patient_id(record, facility),
            "Id_Tipo_Documento_Paciente": _DOCUMENT_TYPE[document.kind] if document else _NO_DOCUMENT,
            "Numero_Documento_Paciente": document.number if document else "",
            "Apellido_Paterno_Paciente": record.name.paternal,
            "Apellido_Materno_Paciente": record.name.maternal,
            "Nombres_Paciente": record.name.given_text,
            "Fecha_Nacimiento_Paciente": record.birth_date,
            "Id_Genero": record.sex,
            "Id_Etnia": person.ethnicity,
            "Historia_Clinica": record.hc_number,
            "Ficha_Familiar": f"FF{person.family:06d}",
            "Ubigeo_Nacimiento": person.ubigeo if person.country == "PER" else "",
            "Ubigeo_Reniec": _reniec_ubigeo(person.ubigeo),
            "Domicilio_Reniec": person.address,
            "Ubigeo_Declarado": person.ubigeo,
            "Domicilio_Declarado": person.address,
            "Referencia_Domicilio": "CERCA A LA LOSA DEPORTIVA" if person.family % 3 else "",
            "Id_Pais": person.country,
            "Id_Establecimiento": facility.his_id,
            "Fecha_Alta": record.registered_on,
            "Fecha_Modificacion": record.registered_on + timedelta(days=person.slot % 40),
        }


def _staff(facility: Facility) -> Iterator[Row]:
    """The master of staff; the last one's contract has an end."""
    for professional in facility.staff:
        ended = professional is facility.staff[-1]
        yield {
            "Id_Personal": professional.dni + facility.his_id,
            "Id_Tipo_Documento_Personal": "1",
            "Numero_Documento_Personal": professional.dni,
            "Apellido_Paterno_Personal": professional.paternal,
            "Apellido_Materno_Personal": professional.maternal,
            "Nombres_Personal": professional.given,
            "Fecha_Nacimiento_Personal": date.fromisoformat(professional.birth_date),
            "Id_Condicion": "2",
            "Id_Profesion": professional.college,
            "Id_Colegio": professional.college,
            "Numero_Colegiatura": professional.college_number,
            "Id_Establecimiento": facility.his_id,
            "Fecha_Alta": date(2021, 1, 4),
            "Fecha_Baja": date(2030, 12, 31) if ended else "",
        }


def _facility(facility: Facility) -> Row:
    """A row of the master of facilities, with the nine-digit code."""
    return {
        "Id_Establecimiento": facility.his_id,
        "Nombre_Establecimiento": facility.name,
        "Ubigueo_Establecimiento": facility.ubigeo,
        "Codigo_Disa": DISA_CODE,
        "Disa": DISA_NAME,
        "Codigo_Red": facility.network_code,
        "Red": facility.network,
        "Codigo_MicroRed": facility.micro_network_code,
        "MicroRed": facility.micro_network,
        "Codigo_Unico": facility.code_of_nine,
        "Codigo_Sector": "1",
        "Descripcion_Sector": "GOBIERNO REGIONAL",
        "Departamento": "LA LIBERTAD",
        "Provincia": facility.province,
        "Distrito": facility.district,
        "Categoria_Establecimiento": facility.level,
    }


def _items() -> Iterator[Row]:
    """The master of items: diagnoses (CX), procedures and vaccines (CP), group acts."""
    for disease in sorted((*codes.DISEASES, codes.CHILD_CHECK, codes.VACCINATION), key=lambda one: one.his):
        yield {"Codigo_Item": disease.his, "Descripcion_Item": disease.label.upper(), "Fg_Tipo": "CX"}
    for act in (*codes.ACTS, *codes.GROUP_ACTS):
        yield {"Codigo_Item": act.code, "Descripcion_Item": act.label.upper(), "Fg_Tipo": "CP"}
    for vaccine in codes.VACCINES:
        yield {
            "Codigo_Item": vaccine.his,
            "Descripcion_Item": f"VACUNA {vaccine.label.upper()}",
            "Fg_Tipo": "CP",
            "Codigo_CVX": vaccine.cvx,
        }


def _months(region: Region) -> dict[str, list[Row]]:
    """Every row of the post, by the month AAAAMM of its visit, in the order of visits."""
    facility = region.primary
    seen: list[_Seen] = []
    for person, record in region.records_at(facility):
        years: set[int] = set()
        for visit in region.history(person).at(facility.renipress):
            year = visit.started_at.year
            seen.append(_Seen(person, record, visit, not years, year not in years))
            years.add(year)
    seen.sort(key=lambda one: (one.visit.started_at, one.visit.number))
    months: dict[str, list[Row]] = {}
    for one in seen:
        name = f"{one.visit.started_at:%Y%m}"
        months.setdefault(name, []).extend(_visit_rows(facility, one, len(months.get(name, ()))))
    for name in sorted(months):
        months[name].extend(_group_rows(facility, name))
    return months


def _age(born: date, day: date) -> tuple[str, str, tuple[int, int, int]]:
    """Age as HIS records it: number and unit (A years, M months, D days), and years, months, days apart."""
    months = (
        (day.year - born.year) * MONTHS_PER_YEAR + day.month - born.month - (1 if day.day < born.day else 0)
    )
    months = max(0, months)
    years, rest = divmod(months, MONTHS_PER_YEAR)
    days = (day.day - born.day) % 30
    if years:
        return str(years), "A", (years, rest, days)
    return (
        (str(months), "M", (0, rest, days)) if months else (str(max(0, (day - born).days)), "D", (0, 0, days))
    )


def _comma(value: str) -> str:
    """A decimal with a comma."""
    return value.replace(".", ",")


def _visit_rows(facility: Facility, seen: _Seen, rows_before: int) -> Iterator[Row]:
    """The rows of one visit: one for each item, and one more for each further laboratory value."""
    visit = seen.visit
    shared = _shared_cells(facility, seen, rows_before)
    for position, (item, certainty, values, dose) in enumerate(_visit_items(visit), start=1):
        for value_position, value in enumerate(values, start=1):
            yield {
                **shared,
                "Codigo_Item": item,
                "Tipo_Diagnostico": certainty,
                "Valor_Lab": value,
                "Id_Correlativo": str(position),
                "Id_Correlativo_Item": str(position),
                "Id_Correlativo_Lab": str(value_position),
                "Id_Dosis": dose,
                "condicion_gestante": "GESTANTE" if item in _PREGNANCY else "",
            }


def _visit_items(visit: Visit) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Code, P/D/R, laboratory values and dose of every item of the visit."""
    for one in visit.diagnoses:
        values = (str(1 + visit.number % 4), "TA") if one.disease is codes.CHILD_CHECK else ("",)
        yield one.disease.his, one.certainty, values, ""
    for dose in visit.doses:
        yield dose.vaccine.his, "D", (str(dose.number),), str(dose.number)
    for act in visit.acts:
        yield act.code, "D", ("1",) if visit.number % 3 else ("1", "N"), ""


def _shared_cells(facility: Facility, seen: _Seen, rows_before: int) -> Row:
    """What every row of a visit repeats."""
    visit, record = seen.visit, seen.record
    day = visit.started_at.date()
    age, unit, (years, months, days) = _age(seen.person.birth_date, day)
    measured = {one.measurement.code: _comma(one.value) for one in visit.vital_signs}
    hemoglobin = next(
        (
            _comma(result.value)
            for panel in visit.panels
            for result in panel.results
            if result.measurement is codes.HEMOGLOBIN
        ),
        "",
    )
    condition = "N" if seen.first_ever else "R" if seen.first_of_year else "C"
    registered_at = datetime(day.year, day.month, day.day, 18, visit.number % 60) + timedelta(  # noqa: DTZ001
        days=visit.number % 3
    )
    toddler = years * MONTHS_PER_YEAR + months < _TODDLER_MONTHS
    return {
        "Id_Cita": str(visit.number),
        "Fecha_Atencion": day,
        "Anio": str(day.year),
        "Mes": str(day.month),
        "Dia": str(day.day),
        "Lote": f"{_LOTS[day.month % len(_LOTS)]}{day.day:02d}",
        "Num_Pag": str(rows_before // _ROWS_A_PAGE + 1),
        "Num_Reg": str(rows_before % _ROWS_A_PAGE + 1),
        "Id_Paciente": patient_id(record, facility),
        "Id_Personal": visit.professional.dni + facility.his_id,
        "Id_Registrador": facility.staff[1].dni + facility.his_id,
        "Id_Ups": visit.ups,
        "Id_Establecimiento": facility.his_id,
        "Id_Financiador": _PAYERS[seen.person.slot % len(_PAYERS)],
        "Id_Condicion_Establecimiento": condition,
        "Id_Condicion_Servicio": condition,
        "Id_Turno": "M" if visit.started_at.hour < _NOON else "T",
        "Edad_Reg": age,
        "Tipo_Edad": unit,
        "Anio_Actual_Paciente": str(years),
        "Mes_Actual_Paciente": str(months),
        "Dia_Actual_Paciente": str(days),
        "Peso": measured.get(codes.WEIGHT.code, ""),
        "Talla": measured.get(codes.HEIGHT.code, ""),
        "Hemoglobina": hemoglobin,
        "Perimetro_Abdominal": "" if toddler else f"{70 + visit.number % 35},0",
        "Perimetro_Cefalico": f"{35 + months // 3},{visit.number % 10}" if toddler else "",
        "Id_Centro_Poblado": f"{seen.person.ubigeo}{seen.person.family % 9 + 1:04d}",
        "Fecha_Solicitud_Hb": day if hemoglobin else "",
        "Fecha_Resultado_Hb": day if hemoglobin else "",
        "Fecha_Registro": registered_at,
        "Fecha_Modificacion": registered_at,
        "Id_Pais": seen.person.country,
        "renipress": facility.renipress,
        "Id_AplicacionOrigen": "1",
    }


def _group_rows(facility: Facility, month: str) -> Iterator[Row]:
    """Two group acts a month: APP codes and no patient."""
    day = date(int(month[:4]), int(month[4:]), 15)
    noted_at = datetime(day.year, day.month, day.day, 17, 30)  # noqa: DTZ001 - HIS keeps local time without a zone
    for position, act in enumerate(codes.GROUP_ACTS[:2], start=1):
        yield {
            "Id_Cita": f"9{month}{position:02d}",
            "Id_Correlativo": "1",
            "Id_Correlativo_Item": "1",
            "Id_Correlativo_Lab": "1",
            "Fecha_Atencion": day,
            "Anio": str(day.year),
            "Mes": str(day.month),
            "Dia": str(day.day),
            "Lote": "APP",
            "Num_Pag": "1",
            "Num_Reg": str(position),
            "Id_Personal": facility.staff[1].dni + facility.his_id,
            "Id_Registrador": facility.staff[1].dni + facility.his_id,
            "Id_Ups": "302101",
            "Id_Establecimiento": facility.his_id,
            "Id_Turno": "T",
            "Codigo_Item": act.code,
            "Tipo_Diagnostico": "D",
            "Valor_Lab": "20",
            "Fecha_Registro": noted_at,
            "Fecha_Modificacion": noted_at,
            "renipress": facility.renipress,
            "Id_AplicacionOrigen": "1",
        }


def _restated(rows: list[Row]) -> Iterator[Row]:
    """The same rows once more, in which the first presumptive diagnosis has become definitive."""
    changed = False
    for row in rows:
        if not changed and row["Tipo_Diagnostico"] == "P":
            changed = True
            modified_at = row["Fecha_Modificacion"]
            assert isinstance(modified_at, datetime)
            yield {**row, "Tipo_Diagnostico": "D", "Fecha_Modificacion": modified_at + timedelta(days=20)}
        else:
            yield row
