"""Whatever the register of births tells of codes, dates and quantities is found again in its FHIR, and nothing more."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.code_map import CodeMap
from adapters.primary import Masters, Post, map_births, read_table
from adapters.source_record import Mapped, Origin
from tests.adapters.conftest import ID_KEY, LIMA, RENIPRESS, as_fhir, check_valid
from tests.conformance.peru import failures

POST = Post(Origin(RENIPRESS, RENIPRESS, "his", ID_KEY), LIMA, CodeMap())
COLUMNS = (
    "CNV", "Estado", "CodEESS", "pApellidoMadre", "sApellidoMadre", "nombresMadre", "Gest_Sem", "TipoDoc", "Documento",
    "Fecha", "Hora", "Sexo", "Peso_g", "Talla_cm", "Apgar", "Perimetrocefalico", "Perimetrotoracico", "Malfcongenita",
    "TiempoLigCord", "Lactanciaprecoz", "Profesion", "NColegio", "FechaRegistro", "tipoParto",
)  # fmt: skip
USUAL = {
    "CNV": "90000000012", "CodEESS": RENIPRESS, "Fecha": "2024-02-14", "Hora": "03:25", "Sexo": "F",
    "pApellidoMadre": "ÑIQUE", "sApellidoMadre": "PAREDES", "nombresMadre": "ROSA", "TipoDoc": "DNI",
    "Documento": "01234567",
}  # fmt: skip


def birth(**told):
    line = ";".join((USUAL | told).get(column, "") for column in COLUMNS)
    table = read_table("c.csv", f"{';'.join(COLUMNS)}\n{line}\n".encode("cp1252"))
    [outcome] = map_births(POST, Masters(), table, "2024-03-01T00:00:00Z")
    assert isinstance(outcome, Mapped), outcome
    check_valid([outcome])
    return outcome


def only(outcome, kind):
    return [item for item in as_fhir(outcome) if item["resourceType"] == kind]


@pytest.mark.parametrize(
    ("written", "gender"),
    [("M", "male"), ("F", "female"), ("Masculino", "male"), ("FEMENINO", "female"), ("MUJER", "female"),
     ("HOMBRE", "male"), ("INDETERMINADO", None), ("", None)],
)  # fmt: skip
def test_sex_by_its_whole_word(written, gender):
    assert only(birth(Sexo=written), "Patient")[0].get("gender") == gender


def test_midnight_is_a_minute_of_birth():
    told = birth(Hora="00:00")
    assert only(told, "Encounter")[0]["period"] == {"start": "2024-02-14T00:00:00-05:00"}
    [extension] = only(told, "Patient")[0]["_birthDate"]["extension"]
    assert extension["valueDateTime"] == "2024-02-14T00:00:00-05:00"


def test_weeks_are_those_at_birth():
    [weeks] = only(birth(Gest_Sem="39"), "Observation")
    assert weeks["code"]["coding"][0]["code"] == "76516-4"
    assert weeks["valueQuantity"] == {
        "value": 39,
        "unit": "wk",
        "system": "http://unitsofmeasure.org",
        "code": "wk",
    }


def test_who_attended_is_told_by_number():
    [stay] = only(birth(Profesion="OBSTETRA", NColegio="20123"), "Encounter")
    assert stay["participant"][0]["individual"] == {
        "type": "Practitioner",
        "identifier": {"system": f"urn:chasqui:ipress:{RENIPRESS}:colegiatura", "value": "20123"},
        "display": "OBSTETRA",
    }


def test_a_child_without_a_name_claims_no_profile():
    [child] = only(birth(), "Patient")
    assert "profile" not in child["meta"]
    assert child["identifier"][0]["type"]["coding"][0]["code"] == "BCT"
    assert failures(child) == []


NUMBER = st.one_of(st.just(""), st.decimals(min_value=1, max_value=5000, places=1).map(str))
ROWS = st.fixed_dictionaries(
    {
        "CNV": st.integers(10**10, 10**11 - 1).map(str),
        "Fecha": st.dates(date(1990, 1, 1), date(2026, 1, 1)).map(str),
        "Hora": st.times(time(0, 0), time(23, 59)).map(lambda each: each.strftime("%H:%M")),
        "Peso_g": NUMBER, "Talla_cm": NUMBER, "Perimetrocefalico": NUMBER, "Perimetrotoracico": NUMBER,
        "Gest_Sem": NUMBER,
        "Apgar": st.one_of(st.just(""), st.tuples(st.integers(0, 10), st.integers(0, 10)).map("{0[0]}-{0[1]}".format)),
        "tipoParto": st.sampled_from(["", "EUTOCICO"]), "Malfcongenita": st.sampled_from(["", "NO"]),
        "TiempoLigCord": st.sampled_from(["", "2 MIN"]), "Lactanciaprecoz": st.sampled_from(["", "SI"]),
        "NColegio": st.sampled_from(["", "20123"]),
    }
)  # fmt: skip
UNITS = {
    "Peso al nacer": ("Peso_g", "g"), "Talla al nacer": ("Talla_cm", "cm"),
    "Perímetro cefálico": ("Perimetrocefalico", "cm"), "Perímetro torácico": ("Perimetrotoracico", "cm"),
    "Edad gestacional": ("Gest_Sem", "wk"),
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_every_code_date_and_quantity_is_found_again_and_nothing_more(row):
    told = birth(**row)
    [child], [stay] = only(told, "Patient"), only(told, "Encounter")
    assert [item["value"] for item in child["identifier"]] == [row["CNV"]]
    assert child["birthDate"] == row["Fecha"]
    assert stay["period"]["start"].startswith(f"{row['Fecha']}T{row['Hora']}:00-0")
    observations = only(told, "Observation")
    assert {item["effectiveDateTime"] for item in observations} <= {stay["period"]["start"]}
    found = {item["code"]["text"]: item for item in observations}
    assert len(found) == len(observations)
    wanted = {words for words, (column, _) in UNITS.items() if row[column]}
    for words in wanted:
        column, unit = UNITS[words]
        quantity = found[words]["valueQuantity"]
        assert (quantity["value"], quantity["code"]) == (Decimal(row[column]), unit)
    scores = [
        found.pop(name)["valueQuantity"]["value"]
        for name in ("Apgar al minuto 1", "Apgar al minuto 5")
        if name in found
    ]
    assert "-".join(map(str, scores)) == row["Apgar"]
    said = sorted(item["valueString"] for item in found.values() if "valueString" in item)
    columns = ("tipoParto", "Malfcongenita", "TiempoLigCord", "Lactanciaprecoz")
    assert said == sorted(row[column] for column in columns if row[column])
    assert len(found) == len(wanted) + len(said)
    assert ("participant" in stay) == bool(row["NColegio"])
