"""What a Patient says of a person, in comparable form."""

from __future__ import annotations

import pytest

from exchange.fhir import peru
from exchange.identity.demographics import demographics
from tests.sample.patient import a_patient


def test_names_are_folded_sets():
    found = demographics(a_patient(family="Ñahui de la Cruz", given=("José", "MARÍA")))
    assert found.surnames == {"nahui", "cruz"}
    assert found.given == {"jose", "maria"}


@pytest.mark.parametrize("given", [("RN",), ("Recién nacido",), ("HIJO DE",), ("NN",), ("B.B.",), ("Bebé",)])
def test_placeholders_are_missing_names(given):
    assert demographics(a_patient(given=given)).given == frozenset()


@pytest.mark.parametrize("date", ["1900-01-01", "1901-01-01", "1984", "1984-03", "", "soon"])
def test_placeholder_and_partial_dates_are_missing(date):
    assert demographics(a_patient(birth_date=date)).birth_date == ""


def test_a_name_that_is_no_longer_used_does_not_count():
    old = {"use": "old", "family": "Rojas", "given": ["Ana"]}
    found = demographics(a_patient(name=[old, {"family": "Quispe", "given": ["Rosa"]}]))
    assert found.surnames == {"quispe"}
    assert found.given == {"rosa"}


@pytest.mark.parametrize(
    ("system", "kind", "value"),
    [
        (peru.DNI_SYSTEM, "dni", "40000001"),
        (peru.CE_SYSTEM, "ce", "000123456"),
        (peru.PASSPORT_SYSTEM, "passport", "AB123456"),
        (peru.CNV_SYSTEM, "cnv", "1234567890"),
    ],
)
def test_documents_of_the_nation(system, kind, value):
    found = demographics(a_patient(identifier=[{"system": system, "value": f" {value.lower()} "}]))
    assert found.documents == {(kind, value)}


def test_digits_of_other_scripts_are_no_document():
    assert not demographics(a_patient(dni="４００００００１")).documents


@pytest.mark.parametrize(
    "patient",
    [
        {"resourceType": "Patient", "id": "x"},
        a_patient(family=None, given=(), dni=None, birth_date=None, gender=None),
    ],
)
def test_an_unidentified_patient_says_nothing(patient):
    found = demographics(patient)
    said = (found.documents, found.surnames, found.given, found.birth_date, found.gender)
    assert not any(said)


def test_null_in_a_list_of_given_names_is_no_name():
    patient = a_patient(name=[{"family": "Quispe", "given": [None, "Rosa"], "_given": [{"id": "1"}, None]}])
    assert demographics(patient).given == {"rosa"}


@pytest.mark.parametrize(("told", "order"), [(2, 2), ("2", 0), (None, 0)])
def test_birth_order(told, order):
    assert demographics(a_patient(multipleBirthInteger=told)).birth_order == order
