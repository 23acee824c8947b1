"""The trama has HIS-MINSA's exact columns, encoding and habits, and never a stray byte."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from exchange.demo.region import build_region
from exchange.demo.trama import write_trama

REGION = build_region(seed=7, people=300, reference_date=date(2026, 6, 30))

OLDER = (
    "Id_Cita;Id_Correlativo;Fecha_Atencion;Anio;Mes;Dia;Id_Paciente;Id_Personal;Id_Registrador;Id_Ups;"
    "Id_Establecimiento;Id_Financiador;Id_Condicion_Establecimiento;Id_Condicion_Servicio;Id_Turno;Codigo_Item;"
    "Tipo_Diagnostico;Valor_Lab;Id_Correlativo_Lab;Edad_Reg;Tipo_Edad;Peso;Talla;Hemoglobina;Fecha_Registro;"
    "Fecha_Modificacion"
)
NEWER = (
    "Id_Cita;Anio;Mes;Dia;Fecha_Atencion;Lote;Num_Pag;Num_Reg;Id_Ups;Id_Establecimiento;Id_Paciente;Id_Personal;"
    "Id_Registrador;Id_Financiador;Id_Condicion_Establecimiento;Id_Condicion_Servicio;Edad_Reg;Tipo_Edad;"
    "Anio_Actual_Paciente;Mes_Actual_Paciente;Dia_Actual_Paciente;Id_Turno;Codigo_Item;Tipo_Diagnostico;Valor_Lab;"
    "Id_Correlativo_Item;Id_Correlativo_Lab;Peso;Talla;Hemoglobina;Perimetro_Abdominal;Perimetro_Cefalico;"
    "Id_Otra_Condicion;Id_Centro_Poblado;Fecha_Ultima_Regla;Fecha_Solicitud_Hb;Fecha_Resultado_Hb;Fecha_Registro;"
    "Fecha_Modificacion;Id_Pais;gruporiesgo_desc;condicion_gestante;Peso_Pregestacional;Id_Dosis;renipress;"
    "Id_Institucion_Edu;Id_AplicacionOrigen;Alerta"
)


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("cp1252"), newline=""), delimiter=";"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trama")
    write_trama(REGION, folder)
    return folder


def _months(folder: Path) -> list[Path]:
    return sorted(folder.glob("TRAMA_*.csv"))


def test_both_shapes_with_exact_headers(folder: Path) -> None:
    headers = [path.read_bytes().split(b"\r\n", 1)[0].decode() for path in _months(folder)]
    assert set(headers) == {OLDER, NEWER}
    assert headers == sorted(headers, key=lambda header: header == NEWER)
    assert all(re.fullmatch(r"TRAMA_20\d\d(0[1-9]|1[0-2])\.csv", path.name) for path in _months(folder))


def test_masters_have_exact_headers(folder: Path) -> None:
    def header(name: str) -> str:
        return (folder / name).read_bytes().split(b"\r\n", 1)[0].decode()

    assert header("MAESTRO_PACIENTE.csv") == (
        "Id_Paciente;Id_Tipo_Documento_Paciente;Numero_Documento_Paciente;Apellido_Paterno_Paciente;"
        "Apellido_Materno_Paciente;Nombres_Paciente;Fecha_Nacimiento_Paciente;Id_Genero;Id_Etnia;Historia_Clinica;"
        "Ficha_Familiar;Ubigeo_Nacimiento;Ubigeo_Reniec;Domicilio_Reniec;Ubigeo_Declarado;Domicilio_Declarado;"
        "Referencia_Domicilio;Id_Pais;Id_Establecimiento;Fecha_Alta;Fecha_Modificacion"
    )
    assert header("MAESTRO_HIS_CIE_CPMS.csv") == "Codigo_Item;Descripcion_Item;Fg_Tipo;Codigo_CVX"
    assert header("MAESTRO_HIS_ESTABLECIMIENTO.csv") == (
        "Id_Establecimiento;Nombre_Establecimiento;Ubigueo_Establecimiento;Codigo_Disa;Disa;Codigo_Red;Red;"
        "Codigo_MicroRed;MicroRed;Codigo_Unico;Codigo_Sector;Descripcion_Sector;Departamento;Provincia;Distrito;"
        "Categoria_Establecimiento"
    )
    assert header("MAESTRO_PERSONAL.csv").startswith("Id_Personal;Id_Tipo_Documento_Personal;")


@pytest.mark.parametrize("shape", ["older", "newer", "both"])
def test_same_bytes_again(tmp_path: Path, shape: str) -> None:
    digests = []
    for name in ("a", "b"):
        paths = write_trama(REGION, tmp_path / name, shape)  # type: ignore[arg-type]
        digests.append([(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths])
    assert digests[0] == digests[1]


def test_windows_1252_without_bom_and_with_enye(folder: Path) -> None:
    patients = (folder / "MAESTRO_PACIENTE.csv").read_bytes()
    assert not patients.startswith(b"\xef\xbb\xbf")
    assert b"\xd1" in patients
    with pytest.raises(UnicodeDecodeError):
        patients.decode("utf-8")


def test_one_visit_is_many_rows_and_values_repeat_an_item(folder: Path) -> None:
    rows = [row for path in _months(folder)[:-1] for row in _rows(path)]
    visits = Counter(row["Id_Cita"] for row in rows)
    assert max(visits.values()) >= 3
    keys = Counter(
        (
            row["Id_Cita"],
            row.get("Id_Correlativo") or row.get("Id_Correlativo_Item"),
            row["Id_Correlativo_Lab"],
        )
        for row in rows
    )
    assert set(keys.values()) == {1}
    assert {"TA", "1"} <= {row["Valor_Lab"] for row in rows if row["Codigo_Item"] == "Z001"}
    assert {row["Tipo_Diagnostico"] for row in rows} == {"P", "D", "R"}
    assert {row["Id_Condicion_Establecimiento"] for row in rows} == {"N", "C", "R", ""}


def test_group_acts_have_no_patient(folder: Path) -> None:
    known = {row["Id_Paciente"] for row in _rows(folder / "MAESTRO_PACIENTE.csv")}
    items = {row["Codigo_Item"]: row for row in _rows(folder / "MAESTRO_HIS_CIE_CPMS.csv")}
    for path in _months(folder):
        for row in _rows(path):
            assert row["Codigo_Item"] in items
            assert "." not in row["Codigo_Item"] or items[row["Codigo_Item"]]["Fg_Tipo"] == "CP"
            assert (row["Id_Paciente"] == "") == row["Codigo_Item"].startswith("APP")
            assert row["Id_Paciente"] == "" or row["Id_Paciente"] in known
    assert any(row["Codigo_CVX"] for row in items.values())
    assert len(known) == len(_rows(folder / "MAESTRO_PACIENTE.csv"))


def test_dates_follow_the_shape_and_decimals_have_commas(folder: Path) -> None:
    for path in _months(folder):
        rows = _rows(path)
        older = "Id_Correlativo" in rows[0]
        form = r"\d\d/\d\d/\d{4}" if older else r"\d{4}-\d\d-\d\d"
        for row in rows:
            assert re.fullmatch(form, row["Fecha_Atencion"])
            assert re.fullmatch(form + r" \d\d:\d\d:\d\d", row["Fecha_Registro"])
            assert re.fullmatch(r"(\d+,\d)?", row["Peso"])


def test_one_month_is_restated_with_one_change(folder: Path) -> None:
    before, after = (_rows(path) for path in _months(folder)[-2:])
    month = before[0]["Mes"]
    again = [row for row in after if row["Mes"] == month]
    different = [(old, new) for old, new in zip(before, again, strict=True) if old != new]
    assert len(different) == 1
    old, new = different[0]
    assert (old["Tipo_Diagnostico"], new["Tipo_Diagnostico"]) == ("P", "D")
    assert new["Fecha_Modificacion"] > old["Fecha_Modificacion"]


def test_leading_zeros_survive(folder: Path) -> None:
    patients = _rows(folder / "MAESTRO_PACIENTE.csv")
    dnis = [row["Numero_Documento_Paciente"] for row in patients if row["Id_Tipo_Documento_Paciente"] == "1"]
    assert all(len(dni) == 8 for dni in dnis)
    assert any(dni.startswith("0") for dni in dnis)
    assert {"1", "2", "3", "4", "5", "6"} == {row["Id_Tipo_Documento_Paciente"] for row in patients}
    facilities = _rows(folder / "MAESTRO_HIS_ESTABLECIMIENTO.csv")
    assert all(len(row["Codigo_Unico"]) == 9 and row["Codigo_Disa"] == "18" for row in facilities)
