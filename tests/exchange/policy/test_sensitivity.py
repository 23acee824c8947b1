"""The label of a resource: what its codes say, wherever they stand, and what its source told."""

from __future__ import annotations

import copy
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.policy.adopted import policy
from exchange.policy.sensitivity import NORMAL, Label, label
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient

CIE10 = "http://hl7.org/fhir/sid/icd-10"
LOINC = "http://loinc.org"
ATC = "http://www.whocc.no/atc"
DCI = "urn:chasqui:pe:dci"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def labelled(resource, linked=None) -> Label:
    return label(resource, policy(), linked)


def a_condition(system: str | None, code: str, **more):
    coding = {"code": code} | ({"system": system} if system else {})
    return {
        "resourceType": "Condition",
        "id": "c",
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [coding]},
    } | more


@pytest.mark.parametrize(
    ("system", "code", "category", "confidentiality"),
    [
        (CIE10, "B20", "HIV", "R"), (CIE10, "B24", "HIV", "R"), (CIE10, "B24X", "HIV", "R"), (CIE10, "B20.1", "HIV", "R"),
        (CIE10, "b201", "HIV", "R"), (CIE10, "Z21", "HIV", "R"), ("http://hl7.org/fhir/sid/icd-10-cm", "B20", "HIV", "R"),
        ("urn:oid:2.16.840.1.113883.6.3", "B23.8", "HIV", "R"), ("urn:minsa:CIE-10", "B22", "HIV", "R"),
        (None, "B24", "HIV", "R"), (LOINC, "20447-9", "HIV", "R"), (LOINC, "56888-1", "HIV", "R"),
        (LOINC, "24467-3", "HIV", "R"), (ATC, "J05AR10", "HIV", "R"), (ATC, "J05AF07", "HIV", "R"), (DCI, "tenofovir", "HIV", "R"),
        (DCI, "Efavirenz", "HIV", "R"), (CIE10, "F32.9", "PSY", "R"), (CIE10, "F411", "PSY", "R"), (CIE10, "X60", "PSY", "R"),
        (CIE10, "F10.1", "ETH", "R"), (CIE10, "F19", "ETH", "R"), (CIE10, "R78.3", "ETH", "R"), (ATC, "N07BC02", "ETH", "R"),
        (CIE10, "Z30.0", "SEX", "R"), (CIE10, "O04.9", "SEX", "R"), (CIE10, "A51", "STD", "R"), (LOINC, "20507-0", "STD", "R"),
        (CIE10, "T74.2", "SDV", "V"), (CIE10, "Y07.0", "SDV", "V"), (CIE10, "Q90.9", "GDIS", "R"), (LOINC, "69548-6", "GDIS", "R"),
    ],
)  # fmt: skip
def test_codes_say_a_category(system, code, category, confidentiality):
    assert labelled(a_condition(system, code)) == Label(confidentiality, frozenset({category}))


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (CIE10, "I10X"), (CIE10, "B19.9"), (CIE10, "B25"), (CIE10, "F70"), (CIE10, "F09"), (CIE10, "R78.6"), (CIE10, "Z34.9"),
        (CIE10, "O09"), (CIE10, "J06.9"), (CIE10, "E11.9"), (LOINC, "718-7"), (LOINC, "B24"), (ATC, "J05AF08"), (ATC, "J05AF10"),
        (ATC, "J05AP01"), (ATC, "J05AE11"), (ATC, "J01CA04"), (DCI, "amoxicilina"), ("http://snomed.info/sct", "B24"),
        ("urn:our:own", "B24"), ("http://unitsofmeasure.org", "V"), (None, "R"), (None, "V"),
        ("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "R"),
    ],
)  # fmt: skip
def test_other_codes_say_nothing(system, code):
    assert labelled(a_condition(system, code)) == NORMAL


def test_of_several_the_highest_counts_and_every_category():
    both = a_condition(CIE10, "B24")
    both["code"]["coding"].append({"system": CIE10, "code": "T74"})
    assert labelled(both) == Label("V", frozenset({"HIV", "SDV"}))


def test_a_coding_counts_wherever_it_stands():
    coding = {"system": CIE10, "code": "B24"}
    concept = {"coding": [coding]}
    ordinary = an_observation("o", "p")
    assert labelled(ordinary) == NORMAL
    places = (
        {"contained": [{"resourceType": "Condition", "id": "x", "code": concept}]},
        {"extension": [{"url": "urn:e", "valueCodeableConcept": concept}]},
        {"extension": [{"url": "urn:e", "extension": [{"url": "in", "valueCoding": coding}]}]},
        {"modifierExtension": [{"url": "urn:e", "valueCoding": coding}]},
        {"component": [{"code": {"text": "?"}, "valueCodeableConcept": concept}]},
        {"_status": {"extension": [{"url": "urn:e", "valueCoding": coding}]}},
        {"meta": {"tag": [coding]}},
        {
            "performer": [
                {"reference": "Practitioner/1", "extension": [{"url": "urn:e", "valueCoding": coding}]}
            ]
        },
    )
    for more in places:
        assert labelled(ordinary | more).categories == {"HIV"}, more


def test_an_antiretroviral_implies_hiv_in_every_form_of_a_prescription():
    medicine = {"coding": [{"system": ATC, "code": "J05AR02"}]}
    for kind in (
        "MedicationRequest",
        "MedicationStatement",
        "MedicationDispense",
        "MedicationAdministration",
    ):
        told = {"resourceType": kind, "id": "m", "medicationCodeableConcept": medicine}
        assert labelled(told).categories == {"HIV"}
        contained = {
            "resourceType": kind, "id": "m", "medicationReference": {"reference": "#x"},
            "contained": [{"resourceType": "Medication", "id": "x", "code": medicine}],
        }  # fmt: skip
        assert labelled(contained).categories == {"HIV"}
        pointing = {"resourceType": kind, "id": "m", "medicationReference": {"reference": "Medication/x"}}
        held = {"Medication/x": {"resourceType": "Medication", "id": "x", "code": medicine}}
        assert labelled(pointing, held.get).categories == {"HIV"}
        assert labelled(pointing, {}.get) == NORMAL
    assert labelled({"resourceType": "Medication", "id": "x", "code": medicine}).categories == {"HIV"}


def test_free_text_is_not_guessed_at():
    assert (
        labelled(
            a_condition(CIE10, "I10", note=[{"text": "VIH positivo, B24"}], text={"div": "<div>SIDA</div>"})
        )
        == NORMAL
    )


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ([{"system": CONFIDENTIALITY, "code": "R"}], Label("R")),
        ([{"system": CONFIDENTIALITY, "code": "V"}], Label("V")),
        ([{"system": CONFIDENTIALITY, "code": "N"}], NORMAL),
        ([{"system": CONFIDENTIALITY, "code": "U"}], Label("U")),
        ([{"system": CONFIDENTIALITY, "code": "L"}, {"system": CONFIDENTIALITY, "code": "M"}], Label("M")),
        ([{"system": CONFIDENTIALITY, "code": "U"}, {"system": CONFIDENTIALITY, "code": "R"}], Label("R")),
        ([{"code": "V"}], Label("V")),
        ([{"system": ACT_CODE, "code": "HIV"}], Label("R", frozenset({"HIV"}))),
        ([{"system": ACT_CODE, "code": "SDV"}], Label("V", frozenset({"SDV"}))),
        ([{"system": ACT_CODE, "code": "TBOO"}], Label("R", frozenset({"TBOO"}))),
        ([{"system": ACT_CODE, "code": "NOSUCH"}], NORMAL),
        ([{"display": "secreto"}], NORMAL),
    ],
)  # fmt: skip
def test_what_the_source_told_counts(security, expected):
    assert labelled(an_observation("o", "p", meta={"security": security})) == expected
    directory = {"resourceType": "Organization", "id": "x", "meta": {"security": security}}
    assert labelled(directory) == expected


def test_what_the_source_told_lowers_nothing():
    for code in "ULMN":
        told = a_condition(CIE10, "B24", meta={"security": [{"system": CONFIDENTIALITY, "code": code}]})
        assert labelled(told) == Label("R", frozenset({"HIV"}))


def test_a_contained_resource_and_a_composition_tell_their_labels():
    inner = {
        "resourceType": "Condition",
        "id": "x",
        "meta": {"security": [{"system": CONFIDENTIALITY, "code": "V"}]},
    }
    assert labelled(an_observation("o", "p", contained=[inner])).confidentiality == "V"
    composition = {"resourceType": "Composition", "id": "x", "confidentiality": "R"}
    assert labelled(composition).confidentiality == "R"
    assert labelled(composition | {"confidentiality": "N"}) == NORMAL


def test_a_consent_rules_over_labels_and_bears_its_own():
    consent = {
        "resourceType": "Consent", "id": "x",
        "provision": {"type": "deny", "securityLabel": [{"system": CONFIDENTIALITY, "code": "V"}]},
    }  # fmt: skip
    assert labelled(consent) == NORMAL
    assert labelled(consent | {"meta": {"security": [{"code": "R"}]}}) == Label("R")
    naming = {"provision": {"type": "deny", "code": [{"coding": [{"system": CIE10, "code": "B24"}]}]}}
    assert labelled(consent | naming).categories == {"HIV"}


def test_a_directory_is_not_about_patients():
    system = {
        "resourceType": "CodeSystem",
        "id": "x",
        "url": CIE10,
        "concept": [{"code": "B24"}, {"code": "T74"}],
    }
    assert labelled(system) == NORMAL
    assert labelled(a_patient("p")) == NORMAL


CODES = st.sampled_from(
    [(CIE10, "B24"), (CIE10, "T74.1"), (CIE10, "I10"), (LOINC, "718-7"), (CONFIDENTIALITY, "U"), (CONFIDENTIALITY, "R"),
     (CONFIDENTIALITY, "V"), (ACT_CODE, "PSY"), (ACT_CODE, "AMB"), (None, "F10"), ("urn:x", "1"), (ATC, "J05AG01")]
)  # fmt: skip


def an_observation_with(codes, rest=()):
    made = an_observation("o", "p")
    made["code"]["coding"] = [
        {"code": code} | ({"system": system} if system else {}) for system, code in codes
    ]
    made["component"] = [
        {"valueCodeableConcept": {"coding": [{"code": code} | ({"system": system} if system else {})]}}
        for system, code in rest
    ]
    return made


@given(st.lists(CODES, max_size=6), st.lists(CODES, max_size=6), CODES, st.booleans())
def test_one_coding_more_never_lowers_a_label(codes, rest, more, is_inside):
    before = labelled(an_observation_with(codes, rest))
    after = labelled(
        an_observation_with(codes, [*rest, more]) if is_inside else an_observation_with([*codes, more], rest)
    )
    assert after.rank >= before.rank
    assert after.categories >= before.categories


@given(st.lists(CODES, max_size=6), st.lists(CODES, max_size=6), st.randoms())
def test_the_order_of_elements_says_nothing(codes, rest, shuffler: random.Random):
    expected = labelled(an_observation_with(codes, rest))
    shuffled = an_observation_with(codes, rest)
    shuffler.shuffle(shuffled["code"]["coding"])
    shuffler.shuffle(shuffled["component"])
    names = list(shuffled)
    shuffler.shuffle(names)
    assert labelled({name: shuffled[name] for name in names}) == expected


def test_a_label_leaves_the_resource_as_it_is():
    told = an_observation_with([(CIE10, "B24")], [(LOINC, "718-7")])
    before = copy.deepcopy(told)
    labelled(told)
    assert told == before


def test_ever_new_systems_cost_no_memory():
    tables = policy().tables
    known = len(tables.systems)
    for number in range(3_000):
        labelled(a_condition(f"urn:x:{number}:{time.monotonic_ns()}", "B24"))
    assert len(tables.systems) <= known + 1_100
    assert labelled(a_condition(CIE10, "B24")).categories == {"HIV"}
