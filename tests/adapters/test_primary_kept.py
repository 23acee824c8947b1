"""Whatever a HIS visit tells of codes, dates and quantities is found again in its FHIR, and nothing more."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.code_map import CodeMap, Coding
from adapters.primary import Masters, Post, Skipped, map_patients, map_trama, read_table
from adapters.source_record import Mapped, Origin
from exchange.fhir import peru
from tests.adapters.conftest import ID_KEY, LIMA, RENIPRESS, as_fhir, check_valid

POST = Post(Origin(RENIPRESS, RENIPRESS, "his", ID_KEY), LIMA, CodeMap())
AT = "2024-03-01T00:00:00Z"
COLUMNS = (
    "Id_Cita", "Fecha_Atencion", "Id_Paciente", "Id_Ups", "Id_Establecimiento", "Codigo_Item", "Tipo_Diagnostico",
    "Valor_Lab", "Peso", "Talla", "Hemoglobina", "Perimetro_Abdominal", "Perimetro_Cefalico", "Fecha_Ultima_Regla",
    "Fecha_Resultado_Hb", "Peso_Pregestacional", "condicion_gestante", "Fecha_Registro",
)  # fmt: skip
MASTER = b"Codigo_Item;Descripcion_Item;Fg_Tipo;Codigo_CVX\nF101;ABUSO;CX;\nE119;DIABETES;CX;\nD0150;EXAMEN DENTAL;CP;\n99207;CONSEJERIA;CP;\nZ2511;VACUNA;CP;03\n"


def masters(*, with_items=True):
    found = Masters()
    if with_items:
        found.add(read_table("MAESTRO_HIS_CIE_CPMS.csv", MASTER))
    found.patients.add("p1")
    return found


def visit(*rows, items=True, post=POST):
    """The visit of rows, each a few cells by column."""
    usual = {"Id_Cita": "1", "Fecha_Atencion": "2024-01-15", "Id_Paciente": "p1", "Codigo_Item": "99207"}
    lines = [";".join((usual | row).get(column, "") for column in COLUMNS) for row in rows]
    table = read_table("t.csv", "\n".join([";".join(COLUMNS), *lines, ""]).encode("cp1252"))
    [outcome] = map_trama(post, masters(with_items=items), table, AT, Skipped())
    assert isinstance(outcome, Mapped), outcome
    check_valid([outcome])
    return outcome


def only(outcome, kind):
    return [item for item in as_fhir(outcome) if item["resourceType"] == kind]


def quantities(outcome):
    return [
        item["valueQuantity"]["value"] for item in only(outcome, "Observation") if "valueQuantity" in item
    ]


@pytest.mark.parametrize(("code", "kind"), [("U140", "D"), ("F101", "R"), ("QQ", "P")])
def test_a_reason_keeps_its_valor_lab_whatever_its_kind(code, kind):
    told = visit({"Codigo_Item": code, "Tipo_Diagnostico": kind, "Valor_Lab": "PE"})
    assert "Valor Lab: PE" in only(told, "Encounter")[0]["reasonCode"][0]["text"]


@pytest.mark.parametrize(("code", "kind"), [("D0150", "D"), ("C0011", "D"), ("C0011", "R"), ("D0150", "X")])
def test_a_code_that_could_be_an_act_is_no_diagnosis_without_the_master(code, kind):
    """D0150 is a dental examination and C0011 a home visit: as CIE-10 they would be two tumours."""
    told = visit({"Codigo_Item": code, "Tipo_Diagnostico": kind}, items=False)
    assert only(told, "Condition") == []
    text = str([item for item in as_fhir(told) if item["resourceType"] != "Provenance"])
    assert "icd-10" not in text
    assert code in text
    assert ("item", code) in told.unmapped
    assert only(told, "Encounter")[0]["meta"]["tag"][0]["code"] == "unmapped"


def test_the_master_says_what_a_code_is():
    [done] = only(visit({"Codigo_Item": "D0150", "Tipo_Diagnostico": "D"}), "Procedure")
    assert done["code"]["text"] == "EXAMEN DENTAL"
    [found] = only(visit({"Codigo_Item": "F101", "Tipo_Diagnostico": "D"}, items=False), "Condition")
    assert found["code"]["coding"][0] == {"system": peru.CIE10_SYSTEM, "code": "F10.1"}


def test_two_weights_of_one_visit_are_two():
    told = visit({"Peso": "61,5"}, {"Peso": "61.5", "Codigo_Item": "F101"}, {"Peso": "62"})
    assert quantities(told) == [Decimal("61.5"), Decimal(62)]


def test_a_waist_has_no_code_that_says_more_than_the_source():
    told = visit({"Perimetro_Abdominal": "92"})
    [waist] = only(told, "Observation")
    assert "coding" not in waist["code"]
    assert ("measure", "Perimetro_Abdominal") in told.unmapped
    site = Post(
        POST.origin, LIMA, CodeMap({"measure": {"PERIMETRO_ABDOMINAL": Coding(peru.LOINC_SYSTEM, "56115-9")}})
    )
    [waist] = only(visit({"Perimetro_Abdominal": "92"}, post=site), "Observation")
    assert waist["code"]["coding"][0]["code"] == "56115-9"
    assert "tag" not in waist["meta"]


def test_a_pregnancy_is_told_with_its_dates():
    told = visit(
        {"Fecha_Ultima_Regla": "02/11/2023", "Peso_Pregestacional": "55", "condicion_gestante": "GESTANTE"}
    )
    found = {item["code"]["text"]: item for item in only(told, "Observation")}
    assert found["Fecha de última regla"]["valueDateTime"] == "2023-11-02"
    assert found["Fecha de última regla"]["code"]["coding"][0]["code"] == "8665-2"
    assert found["Peso pregestacional"]["valueQuantity"]["value"] == 55
    assert found["Condición de la gestante"]["valueString"] == "GESTANTE"


PATIENT = "Id_Paciente;Id_Tipo_Documento_Paciente;Numero_Documento_Paciente;Apellido_Paterno_Paciente;Nombres_Paciente;Fecha_Nacimiento_Paciente;Ubigeo_Nacimiento;Ubigeo_Reniec;Domicilio_Reniec;Ubigeo_Declarado;Domicilio_Declarado;Id_Pais\n"


def person(*cells):
    """A master's row: document type, number, then the places of the header."""
    kind, number, born, reniec, street, declared, home, country = cells
    line = f"p1;{kind};{number};ÑIQUE;ROSA;1990-01-02;{born};{reniec};{street};{declared};{home};{country}\n"
    [outcome] = map_patients(POST, read_table("MAESTRO_PACIENTE.csv", (PATIENT + line).encode("cp1252")), AT)
    check_valid([outcome])
    return as_fhir(outcome)[0]


def test_reniecs_number_of_a_district_is_not_ineis():
    told = person("1", "01234567", "", "120101", "JR. A 1", "", "", "")
    [home] = told["address"]
    assert home["text"] == "JR. A 1"
    assert [item["url"] for item in home["extension"]] == ["urn:chasqui:pe:ubigeo-reniec"]


def test_an_address_is_not_mixed_of_two():
    told = person("1", "01234567", "", "120101", "JR. A 1", "130101", "", "")
    [home] = told["address"]
    assert home["extension"][0]["valueString"] == "130101"
    assert "text" not in home


@pytest.mark.parametrize(
    ("born", "is_told"), [("130101", True), ("930101", False), ("13010", False), ("000000", False)]
)
def test_a_birthplace_in_peru_has_district_and_country(born, is_told):
    told = person("1", "01234567", born, "", "", "", "", "")
    extensions = told.get("_birthDate", {}).get("extension", [])
    assert [item["url"] for item in extensions] == [peru.COUNTRY_EXTENSION, peru.UBIGEO_EXTENSION] * is_told


@pytest.mark.parametrize(("country", "is_claimed"), [("VEN", True), ("ZZZ", False), ("", False)])
def test_a_passport_without_a_country_is_no_pacientepe(country, is_claimed):
    told = person("3", "AB12345", "", "", "", "", "", country)
    assert (told["meta"].get("profile") == [peru.PATIENT_PROFILE]) == is_claimed


NUMBER = st.decimals(min_value=1, max_value=250, places=1).map(str)
DAY = st.dates(date(2020, 1, 1), date(2026, 1, 1)).map(str)
MAYBE = st.one_of(st.just(""), NUMBER)
ROW = st.fixed_dictionaries(
    {
        "Codigo_Item": st.sampled_from(["F101", "E119", "D0150", "99207", "Z2511", "U140", "QQ"]),
        "Tipo_Diagnostico": st.sampled_from(["P", "D", "R", ""]),
        "Valor_Lab": st.sampled_from(["", "1", "TA", "PE"]),
        "Peso": MAYBE, "Talla": MAYBE, "Hemoglobina": MAYBE, "Perimetro_Abdominal": MAYBE,
        "Perimetro_Cefalico": MAYBE, "Peso_Pregestacional": MAYBE,
        "Fecha_Ultima_Regla": st.one_of(st.just(""), DAY),
    }
)  # fmt: skip
MEASURED = (
    "Peso",
    "Talla",
    "Hemoglobina",
    "Perimetro_Abdominal",
    "Perimetro_Cefalico",
    "Peso_Pregestacional",
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=5), DAY)
def test_every_code_date_and_quantity_is_found_again_and_nothing_more(rows, day):
    told = visit(*[{**row, "Fecha_Atencion": day} for row in rows])
    items = {row["Codigo_Item"] for row in rows}
    resources = [item for item in as_fhir(told) if item["resourceType"] != "Provenance"]
    [stay] = only(told, "Encounter")
    assert stay["period"] == {"start": day}
    codes = [
        code
        for item in resources
        for concept in [*item.get("reasonCode", []), item.get("code", {}), item.get("vaccineCode", {})]
        for coding in concept.get("coding", [])
        if coding["system"] == "urn:chasqui:pe:his-item" and (code := coding["code"])
    ]
    assert set(codes) == items
    wanted = sorted(
        (name, value) for name in MEASURED for value in {Decimal(row[name]) for row in rows if row[name]}
    )
    words = {
        "Peso": "Peso", "Talla": "Talla", "Hemoglobina": "Hemoglobina", "Perímetro abdominal": "Perimetro_Abdominal",
        "Perímetro cefálico": "Perimetro_Cefalico", "Peso pregestacional": "Peso_Pregestacional",
    }  # fmt: skip
    found = sorted(
        (words[item["code"]["text"]], item["valueQuantity"]["value"])
        for item in only(told, "Observation")
        if "valueQuantity" in item
    )
    assert found == wanted
    periods = {item["valueDateTime"] for item in only(told, "Observation") if "valueDateTime" in item}
    assert periods == {row["Fecha_Ultima_Regla"] for row in rows if row["Fecha_Ultima_Regla"]}
    whole = str(resources)
    assert all(row["Valor_Lab"] in whole for row in rows)
    moments = {
        item[name]
        for item in resources
        for name in ("effectiveDateTime", "recordedDate", "performedDateTime", "occurrenceDateTime")
        if name in item
    }
    assert moments <= {day}
