"""Invented people of an invented hospital, typed into its tables."""

from __future__ import annotations

from datetime import datetime

from adapters.code_map import CodeMap
from adapters.galenhos import Hospital
from adapters.galenhos.column_map import read_column_map
from adapters.source_record import Origin
from exchange.demo.site import SITES
from tests.adapters.conftest import ID_KEY, LIMA, RENIPRESS
from tests.simulators.galenhos import GalenhosSimulator

MAP = SITES / "maps" / "galenhos.toml"


def a_hospital() -> Hospital:
    """The site, with the map that is delivered with this program."""
    origin = Origin(RENIPRESS, "i00005196", "galenhos", ID_KEY)
    return Hospital(origin, LIMA, CodeMap(), read_column_map(MAP))


def day(number: int, month: int = 3, hour: int = 0) -> datetime:
    """A day of 2026, as the hospital's clock says it."""
    return datetime(2026, month, number, hour)  # noqa: DTZ001 - its columns have no zone


ROSA = {
    "IdPaciente": 501, "ApellidoPaterno": "ÑIQUE", "ApellidoMaterno": "DE LA CRUZ", "PrimerNombre": "ROSA",
    "SegundoNombre": "ELENA", "IdDocIdentidad": 1, "NroDocumento": "01234567", "NroHistoriaClinica": 99001,
    "FechaNacimiento": datetime(1988, 8, 17), "IdTipoSexo": 2, "IdDistritoDomicilio": "130101",  # noqa: DTZ001
    "Telefono": "044-200300", "Email": "rosa@example.org",
}  # fmt: skip
CHILD = {
    "IdPaciente": 502, "ApellidoPaterno": "VIGO", "ApellidoMaterno": "ÑIQUE", "PrimerNombre": "RN",
    "IdDocIdentidad": 1, "NroDocumento": "01234567", "FechaNacimiento": day(10), "IdTipoSexo": 1, "NroOrdenHijo": 2,
    "MadreTipoDocumento": 1, "MadreDocumento": "01234567", "MadreApellidoPaterno": "ÑIQUE",
    "MadreApellidoMaterno": "DE LA CRUZ", "MadrePrimerNombre": "ROSA",
}  # fmt: skip
JOSE = {
    "IdPaciente": 503, "ApellidoPaterno": "PÉREZ", "PrimerNombre": "JOSÉ", "IdDocIdentidad": 3,
    "NroDocumento": "AB123456", "FechaNacimiento": datetime(1753, 1, 1), "IdTipoSexo": 9,  # noqa: DTZ001
}  # fmt: skip
NOBODY = {"IdPaciente": 504, "ApellidoPaterno": "NN", "PrimerNombre": "NN", "IdDocIdentidad": 11}

STAY = {
    "IdAtencion": 9001, "IdPaciente": 501, "IdCuentaAtencion": 7001, "IdTipoServicio": 3, "IdServicioIngreso": 12,
    "IdEstadoAtencion": 2, "FechaIngreso": day(9), "HoraIngreso": "22:15", "FechaEgreso": day(12), "HoraEgreso": "09:40",
    "IdOrigenAtencion": 2, "IdDestinoAtencion": 1, "IdTipoAlta": 1, "IdCondicionAlta": 2,
}  # fmt: skip
BIRTH = {
    "IdAtencion": 9002, "IdPaciente": 502, "IdCuentaAtencion": 7002, "IdTipoServicio": 3, "IdEstadoAtencion": 1,
    "FechaIngreso": day(10), "HoraIngreso": "03:05",
}  # fmt: skip
VISIT = {
    "IdAtencion": 9003, "IdPaciente": 503, "IdCuentaAtencion": 7003, "IdTipoServicio": 1, "IdEstadoAtencion": 2,
    "FechaIngreso": day(11), "HoraIngreso": "08:00", "FechaEgreso": day(1, 1).replace(year=1900), "IdTipoAlta": 77,
}  # fmt: skip
VOID = {
    "IdAtencion": 9004, "IdPaciente": 501, "IdCuentaAtencion": 7004, "IdTipoServicio": 2, "IdEstadoAtencion": 0,
    "FechaIngreso": day(11), "HoraIngreso": "11:00",
}  # fmt: skip
NAMELESS = {"IdAtencion": 9005, "IdPaciente": 504, "IdTipoServicio": 2, "FechaIngreso": day(11)}


def fill(hospital: GalenhosSimulator) -> None:
    """One hospital week: a birth, a visit, an annulment, a voided bill, and somebody whom nobody knows."""
    hospital.add("Pacientes", ROSA, CHILD, JOSE, NOBODY)
    hospital.add("Atenciones", STAY, BIRTH, VISIT, VOID, NAMELESS)
    hospital.add("Servicios", {"IdServicio": 12, "Nombre": "GINECO-OBSTETRICIA"})
    hospital.add(
        "Diagnosticos",
        {"IdDiagnostico": 1, "codigoCIEsinPto": "O800", "Descripcion": "PARTO UNICO ESPONTANEO"},
        {"IdDiagnostico": 2, "codigoCIEsinPto": "E11.9", "Descripcion": "DIABETES MELLITUS TIPO 2"},
        {"IdDiagnostico": 3, "codigoCIEsinPto": "XYZ", "Descripcion": "CODIGO PROPIO"},
    )
    hospital.add(
        "SubclasificacionDiagnosticos",
        {"IdSubclasificacionDx": 101, "Codigo": "P"},
        {"IdSubclasificacionDx": 102, "Codigo": "D"},
        {"IdSubclasificacionDx": 103, "Codigo": "R"},
    )
    hospital.add(
        "AtencionesDiagnosticos",
        _diagnosis(1, 9001, 1, 2, 101, 1),
        _diagnosis(2, 9001, 1, 3, 102, 2),
        _diagnosis(3, 9001, 2, 3, 103, 3),
        _diagnosis(4, 9003, 3, 1, None, None),
    )
    hospital.add(
        "FactCatalogoServicios",
        {"IdProducto": 61, "Codigo": "59400", "Nombre": "ATENCION DE PARTO"},
        {"IdProducto": 62, "Codigo": "85025", "Nombre": "HEMOGRAMA COMPLETO"},
    )
    hospital.add(
        "FactOrdenServicio",
        {
            "IdOrden": 4001,
            "IdCuentaAtencion": 7001,
            "IdEstadoFacturacion": 1,
            "FechaCreacion": day(9, hour=23),
        },
        {
            "IdOrden": 4002,
            "IdCuentaAtencion": 7001,
            "IdEstadoFacturacion": 9,
            "FechaCreacion": day(10, hour=7),
        },
    )
    hospital.add(
        "FacturacionServicioDespacho",
        {"IdDespacho": 1, "IdOrden": 4001, "IdProducto": 61, "Cantidad": 1, "FechaDespacho": day(10, hour=3)},
        {"IdDespacho": 2, "IdOrden": 4002, "IdProducto": 62, "Cantidad": 1, "FechaDespacho": day(10, hour=8)},
    )
    hospital.add(
        "FactCatalogoBienesInsumos", {"IdProducto": 71, "Codigo": "04523", "Nombre": "PARACETAMOL 500 mg TAB"}
    )
    hospital.add(
        "farmMovimiento",
        _movement("0001", 7001, "S", 1),
        _movement("0002", 7001, "E", 1),
        _movement("0003", 7001, "S", 0),
    )
    hospital.add("farmMovimientoDetalle", *(
        {"IdDetalle": number, "MovNumero": f"000{number}", "IdProducto": 71, "Cantidad": "2,50"} for number in (1, 2, 3)
    ))  # fmt: skip


def _diagnosis(
    key: int, attention: int, code: int, use: int, certainty: int | None, rank: int | None
) -> dict:
    return {
        "IdAtencionDiagnostico": key, "IdAtencion": attention, "IdDiagnostico": code, "IdClasificacionDx": use,
        "IdSubclasificacionDx": certainty, "IdOrdenDx": rank,
    }  # fmt: skip


def _movement(number: str, account: int, kind: str, state: int) -> dict:
    return {
        "MovNumero": number, "MovTipo": kind, "IdCuentaAtencion": account, "FechaCreacion": day(12),
        "IdEstadoMovimiento": state,
    }  # fmt: skip
