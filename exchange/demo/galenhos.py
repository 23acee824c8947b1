"""A hospital's GalenHos: the tables of its database, with people who also go there, in a file of SQLite.

Spec:    docs/adapters.md, "GalenHos"; deploy/sites/maps/galenhos.toml names these tables.
Leaves:  reading them to the galenhos adapter.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Final

from exchange.demo.facilities import BY_CODE, Facility
from exchange.demo.people import Person
from exchange.demo.records import SourceRecord
from exchange.demo.region import Region

HOSPITAL: Final[Facility] = BY_CODE["00090022"]
DATABASE: Final = "sigh.db"
_TABLES: Final = {
    "Pacientes": (
        "IdPaciente", "ApellidoPaterno", "ApellidoMaterno", "PrimerNombre", "SegundoNombre", "TercerNombre",
        "IdDocIdentidad", "NroDocumento", "NroHistoriaClinica", "FechaNacimiento", "IdTipoSexo", "IdDistritoDomicilio",
        "IdDistritoNacimiento", "Telefono", "Email", "NroOrdenHijo", "MadreTipoDocumento", "MadreDocumento",
        "MadreApellidoPaterno", "MadreApellidoMaterno", "MadrePrimerNombre",
    ),
    "Atenciones": (
        "IdAtencion", "IdPaciente", "IdCuentaAtencion", "IdTipoServicio", "IdServicioIngreso", "IdEstadoAtencion",
        "FechaIngreso", "HoraIngreso", "FechaEgreso", "HoraEgreso", "IdOrigenAtencion", "IdDestinoAtencion",
        "IdTipoAlta", "IdCondicionAlta",
    ),
    "Servicios": ("IdServicio", "Nombre"),
    "AtencionesDiagnosticos": (
        "IdAtencionDiagnostico", "IdAtencion", "IdClasificacionDx", "IdDiagnostico", "IdSubclasificacionDx", "IdOrdenDx",
    ),
    "Diagnosticos": ("IdDiagnostico", "codigoCIEsinPto", "Descripcion"),
    "SubclasificacionDiagnosticos": ("IdSubclasificacionDx", "Codigo"),
    "FactOrdenServicio": ("IdOrden", "IdCuentaAtencion", "IdEstadoFacturacion", "FechaCreacion", "IdPuntoCarga"),
    "FacturacionServicioDespacho": ("IdDespacho", "IdOrden", "IdProducto", "Cantidad", "FechaDespacho"),
    "FactCatalogoServicios": ("IdProducto", "Codigo", "Nombre"),
    "farmMovimiento": ("MovNumero", "MovTipo", "IdCuentaAtencion", "FechaCreacion", "IdEstadoMovimiento"),
    "farmMovimientoDetalle": ("IdDetalle", "MovNumero", "IdProducto", "Cantidad"),
    "FactCatalogoBienesInsumos": ("IdProducto", "Codigo", "Nombre"),
}  # fmt: skip
_KINDS: Final = {"AMB": 1, "EMER": 2, "IMP": 3}
_DOCUMENTS: Final = {"DNI": 1, "CE": 2, "PASS": 3, "DIE": 4, "PTP": 4, "CNV": 6}
_NO_DOCUMENT: Final = 11
_CERTAINTIES: Final = {"P": 101, "D": 102, "R": 103}
_VISITS: Final = 3
_DAYS_LATER: Final = 35
_HC_FIRST: Final = 700_000
_VOID_EVERY: Final = 19
_BLOOD_COUNT: Final = (1, "85025", "HEMOGRAMA COMPLETO")


def write_database(region: Region, folder: Path) -> Path:
    """Write the hospital's database anew; who is shown to everybody in the demonstration does not go there.

    Raises: OSError - the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DATABASE
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        for name, columns in _TABLES.items():
            database.execute(f'CREATE TABLE "{name}" ({", ".join(columns)})')
        for table, row in _rows(region):
            marks = ", ".join("?" * len(_TABLES[table]))
            database.execute(f'INSERT INTO "{table}" VALUES ({marks})', row)  # noqa: S608 - names of our own
    return path


def _rows(region: Region) -> Iterator[tuple[str, tuple[object, ...]]]:
    yield "FactCatalogoServicios", _BLOOD_COUNT
    yield "Servicios", (1, "MEDICINA GENERAL")
    for letter, key in _CERTAINTIES.items():
        yield "SubclasificacionDiagnosticos", (key, letter)
    diagnoses: dict[str, int] = {}
    numbers = count(1)
    for person, record in region.records_at(region.secondary):
        if person.slot % 3 != 1 or "plain" in person.traits or record.duplicate_of:
            continue
        yield "Pacientes", _patient(person, record)
        for visit in region.history(person).at(region.secondary.renipress)[-_VISITS:]:
            number = next(numbers)
            began, ended = (at + timedelta(days=_DAYS_LATER) for at in (visit.started_at, visit.ended_at))
            state = 0 if not number % _VOID_EVERY else 2
            yield "Atenciones", (
                number, person.slot, number, _KINDS[visit.kind], 1, state, f"{began:%Y-%m-%d} 00:00:00",
                f"{began:%H:%M}", f"{ended:%Y-%m-%d} 00:00:00", f"{ended:%H:%M}", 1, None, 1, None,
            )  # fmt: skip
            for place, one in enumerate(visit.diagnoses, 1):
                code = one.disease.his
                if code not in diagnoses:
                    diagnoses[code] = len(diagnoses) + 1
                    yield "Diagnosticos", (diagnoses[code], code, one.disease.label)
                key = number * 10 + place
                yield (
                    "AtencionesDiagnosticos",
                    (key, number, 1, diagnoses[code], _CERTAINTIES[one.certainty], place),
                )
            if visit.panels:
                made = f"{began:%Y-%m-%d %H:%M:%S}"
                yield "FactOrdenServicio", (number, number, 9 if not number % 7 else 1, made, 1)
                yield "FacturacionServicioDespacho", (number, number, _BLOOD_COUNT[0], 1, made)


def _patient(person: Person, record: SourceRecord) -> tuple[object, ...]:
    document, mother = record.document, record.mother
    given = [*record.name.given, "", "", ""]
    is_child = "newborn" in person.traits
    papers = mother.document if is_child else None
    return (
        person.slot, record.name.paternal, record.name.maternal, *given[:3],
        _DOCUMENTS[document.kind] if document else _NO_DOCUMENT, document.number if document else None,
        str(_HC_FIRST + person.slot), f"{record.birth_date} 00:00:00", 1 if person.sex == "M" else 2, person.ubigeo,
        None, person.phone, None, record.birth_order, _DOCUMENTS[papers.kind] if papers else None,
        papers.number if papers else None, mother.name.paternal if is_child else None,
        mother.name.maternal if is_child else None, mother.name.given[0] if is_child else None,
    )  # fmt: skip
