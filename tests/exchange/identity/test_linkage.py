"""Judging pairs: what links by itself, and what waits for a person."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.fhir import peru
from exchange.identity.demographics import demographics
from exchange.identity.linkage import judge
from tests.sample.patient import a_patient

MOTHER = a_patient(
    "mother", family="Quispe Mamani", given=("Rosa", "Elvira"), dni="40000001", birth_date="1984-03-09"
)


def verdict(one: dict[str, Any], other: dict[str, Any]) -> str:
    found = judge(demographics(one), demographics(other))
    assert found == judge(demographics(other), demographics(one)), "the order of a pair says nothing"
    return found[0]


def like(patient: dict[str, Any] = MOTHER, **changed: Any) -> dict[str, Any]:
    return patient | {"id": "other"} | changed


# --- certain --------------------------------------------------------------------------------------------------------


def test_document_and_demographics_agree():
    assert verdict(MOTHER, like()) == "certain"


@pytest.mark.parametrize(
    ("family", "given"),
    [
        ("Quispe", ("Rosa", "Elvira")),  # the second surname was dropped
        ("Mamani Quispe", ("Rosa", "Elvira")),  # swapped
        ("QUISPE MAMANI", ("ROSA", "ELVIRA")),  # shouted
        ("Quispe Mamani", ("Rosa",)),  # one given name
        ("Quispe Mamani", ("Elvira", "Rosa")),
        ("Quispe Mamani de la Cruz", ("Rosa",)),  # particles are no evidence
        ("Quíspe Mamaní", ("Rósa",)),  # accents
        ("Quispe-Mamani", ("Rosa Elvira",)),
    ],
)
def test_names_written_otherwise(family, given):
    assert verdict(MOTHER, a_patient("other", family=family, given=given)) == "certain"


def test_gender_that_is_not_known_is_no_disagreement():
    for gender in (None, "unknown", "other"):
        assert verdict(MOTHER, a_patient("other", gender=gender)) == "certain"


def test_a_document_known_by_its_type_counts():
    typed = {"type": {"coding": [{"system": peru.PERSON_ID_TYPES, "code": "1"}]}, "value": "40000001"}
    assert verdict(MOTHER, like(identifier=[typed])) == "certain"


# --- a person decides -----------------------------------------------------------------------------------------------


def test_a_mother_s_document_on_her_child():
    child = a_patient(
        "child",
        family="Flores Quispe",
        given=("Luis",),
        dni="40000001",
        birth_date="2015-06-01",
        gender="male",
    )
    assert verdict(MOTHER, child) == "possible"


def test_a_newborn_under_the_mother_s_document():
    newborn = a_patient("rn", family="Quispe", given=("RN",), dni="40000001", birth_date="2026-02-02")
    assert verdict(MOTHER, newborn) == "possible"


def twin(given: str, order: int | None = None) -> dict[str, Any]:
    """One of two girls who were entered under their mother's document."""
    more = {"multipleBirthInteger": order} if order else {}
    return a_patient(
        given, family="Flores Quispe", given=(given,), dni="40000001", birth_date="2026-02-02", **more
    )


def test_twins_by_their_names():
    assert verdict(twin("Ana"), twin("Luz")) == "possible"


def test_twins_by_their_birth_order():
    assert verdict(twin("Ana", 1), twin("Ana", 2)) == "possible"


def test_twins_without_names_are_not_told_apart_by_a_machine():
    assert verdict(twin("RN"), twin("RN")) == "possible"


def test_twins_who_share_one_of_two_given_names():
    one = twin("Maria") | {"name": [{"family": "Flores Quispe", "given": ["Maria", "Fernanda"]}]}
    other = twin("Maria") | {"name": [{"family": "Flores Quispe", "given": ["Maria", "Alejandra"]}]}
    assert verdict(one, other) == "possible"


@pytest.mark.parametrize(
    "changed",
    [
        {"birth_date": "1984-03-08"},
        {"birth_date": None},
        {"birth_date": "1984"},
        {"birth_date": "1900-01-01"},
        {"family": "Rojas Vega"},
        {"family": None},
        {"given": ("Juana",)},
        {"given": ()},
        {"given": ("RECIEN NACIDO",)},
        {"gender": "male"},
    ],
)
def test_a_shared_document_with_something_that_does_not_agree(changed):
    assert verdict(MOTHER, a_patient("other", **changed)) == "possible"


def test_placeholders_on_both_sides_are_no_agreement():
    for changed in ({"birth_date": "1900-01-01"}, {"given": ("NN",)}, {"birth_date": None}, {"family": "NN"}):
        assert verdict(a_patient("one", **changed), a_patient("other", **changed)) == "possible"


def test_documents_of_one_kind_that_contradict_each_other():
    cnv = {"system": peru.CNV_SYSTEM, "value": "1234567890"}
    one = a_patient("one", identifier=[cnv, {"system": peru.DNI_SYSTEM, "value": "40000001"}])
    other = a_patient("other", identifier=[cnv, {"system": peru.DNI_SYSTEM, "value": "40000002"}])
    assert verdict(one, other) == "possible"


# --- never ----------------------------------------------------------------------------------------------------------


def test_homonyms_of_the_same_day_are_two_people():
    assert verdict(MOTHER, a_patient("other", dni="40000002")) == "certainly-not"
    assert verdict(MOTHER, a_patient("other", dni=None)) == "certainly-not"
    assert verdict(a_patient("one", dni=None), a_patient("other", dni=None)) == "certainly-not"


def test_a_facility_s_own_numbers_never_match_people():
    local = [{"system": peru.facility_system("00090011", "hc"), "value": "1234"}]
    assert (
        verdict(a_patient("one", identifier=local), a_patient("other", identifier=local)) == "certainly-not"
    )


def test_the_same_number_of_another_kind_is_another_document():
    one = a_patient("one", identifier=[{"system": peru.DNI_SYSTEM, "value": "40000001"}])
    other = a_patient("other", identifier=[{"system": peru.CNV_SYSTEM, "value": "40000001"}])
    assert verdict(one, other) == "certainly-not"


@pytest.mark.parametrize(
    "identifier",
    [
        {"system": peru.DNI_SYSTEM, "value": "40000001", "use": "old"},
        {"system": peru.DNI_SYSTEM, "value": "4000001"},
        {"system": peru.DNI_SYSTEM, "value": "4000000A"},
        {"system": peru.DNI_SYSTEM},
        {"value": "40000001"},
    ],
)
def test_a_document_that_is_not_trusted(identifier):
    assert verdict(MOTHER, a_patient("other", identifier=[identifier])) == "certainly-not"


names = st.lists(st.sampled_from(["Rosa", "Elvira", "Maria", "RN", "NN", "de la"]), max_size=3).map(tuple)
patients = st.builds(
    a_patient,
    family=st.none() | st.sampled_from(["Quispe Mamani", "Quispe", "Huaman", "NN"]),
    given=names,
    dni=st.none() | st.sampled_from(["40000001", "40000002"]),
    birth_date=st.none() | st.sampled_from(["1984-03-09", "1984-03-08", "1900-01-01", "1984"]),
    gender=st.none() | st.sampled_from(["male", "female"]),
)


@given(patients, patients)
def test_whatever_links_shares_a_document_and_a_birth_date(one, other):
    if verdict(one, other) == "certain":
        first, second = demographics(one), demographics(other)
        assert first.documents & second.documents
        assert first.birth_date == second.birth_date != ""
        assert first.surnames & second.surnames
        assert first.given & second.given
