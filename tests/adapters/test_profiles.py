"""A resource claims the national profile that it keeps, and never one that it does not."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date
from decimal import Decimal
from itertools import islice

import pytest

from adapters.outbox.consent import name_of_patient
from adapters.outbox.identified import names_of
from adapters.source_record import Entry
from adapters.source_record.bundle import finish
from adapters.source_record.countries import COUNTRIES
from adapters.source_record.person import PersonIdentifier, PersonName, patient, person_name
from adapters.source_record.profiles import profile_of
from exchange.demo.bundles import organizations, patient_bundles
from exchange.demo.region import build_region
from exchange.fhir import peru
from tests.adapters.conftest import GOLDEN, ORIGIN, a_record
from tests.conformance.peru import DEFINITIONS, failures

DNI, HISTORY = PersonIdentifier("dni", "01234567"), PersonIdentifier("hc", "77-12")
NAME = person_name("ÑIQUE", "PAREDES", "ROSA", "RUIZ")
WITH_PROFILES = {"Patient", "Condition", "Practitioner", "Organization", "Composition"}
CODED = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}


def made(*identifiers, name=NAME):
    return patient(ORIGIN, "p", identifiers, name, "female", "1990-02-03")


def condition(**more):
    resource = {
        "resourceType": "Condition", "id": "x-1", "subject": {"reference": "Patient/x-p"},
        "verificationStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status",
                                           "code": "confirmed"}]},
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                                       "code": "active"}]},
        "code": {"coding": [{"system": peru.CIE10_SYSTEM, "code": "E11.9"}], "text": "Diabetes"},
        "onsetPeriod": {"start": "2019-04"}, **more,
    }  # fmt: skip
    return {key: value for key, value in resource.items() if value is not None}


def practitioner():
    person = made(DNI)
    college = {"coding": [{"system": peru.COLLEGES, "code": "01"}]}
    qualification = [{"identifier": [{"value": "54321"}], "code": college}]
    return {
        "resourceType": "Practitioner", "id": "m-1", "identifier": person["identifier"], "name": person["name"],
        "qualification": qualification,
    }  # fmt: skip


def organization():
    kind = {"coding": [{"system": peru.FACILITY_CODES, "code": "00005196"}]}
    identifier = {"type": kind, "system": peru.RENIPRESS_SYSTEM, "value": "00005196"}
    return {
        "resourceType": "Organization",
        "id": "o-1",
        "identifier": [identifier],
        "active": True,
        "name": "X",
    }


def composition():
    loinc = {"system": peru.LOINC_SYSTEM}
    return {
        "resourceType": "Composition", "id": "c-1", "status": "final", "date": "2026-01-01",
        "type": {"coding": [loinc | {"code": peru.BASIC_INFORMATION}]}, "title": "Información clínica básica",
        "subject": {"reference": "Patient/x-p"}, "author": [{"reference": "Practitioner/m-1"}],
        "custodian": {"reference": "Organization/o-1"},
        "section": [{"title": "D", "code": {"coding": [loinc | {"code": "11450-4"}]}, "entry": [{"display": "x"}]}],
    }  # fmt: skip


def golden_resources():
    found = []
    for path in sorted(GOLDEN.rglob("*.fhir.json")):
        for record in json.loads(path.read_text("utf-8"), parse_float=Decimal):
            found += [(path.name, entry) for entry in record.get("entries", [])]
    return found


def test_every_golden_resource_claims_what_it_keeps_and_keeps_what_it_claims():
    claimed = set()
    for name, resource in golden_resources():
        told = resource["meta"].get("profile", [])
        expected = profile_of(resource)
        assert told == ([expected] if expected else []), (name, resource["resourceType"])
        assert failures(resource) == [], (name, resource["resourceType"])
        claimed |= set(told)
        if not told and resource["resourceType"] in WITH_PROFILES:
            url = {kind["type"]: kind["url"] for kind in DEFINITIONS.values()}[resource["resourceType"]]
            assert failures(resource, url), f"{name}: {resource['id']} could claim its profile"
        if resource["resourceType"] not in WITH_PROFILES:
            assert not told
    assert claimed == {peru.PATIENT_PROFILE, peru.CONDITION_PROFILE}


@pytest.mark.parametrize(
    "resource", [made(DNI, HISTORY), condition(), practitioner(), organization(), composition()],
    ids=lambda each: each["resourceType"],
)  # fmt: skip
def test_what_holds_is_claimed_and_keeps_the_profile(resource):
    profile = profile_of(resource)
    assert profile in DEFINITIONS
    assert failures(resource, profile) == []


def without(path):
    def fault(resource):
        *steps, last = path
        for step in steps:
            resource = resource[step]
        del resource[last]

    return fault


def put(value, *path):
    def fault(resource):
        *steps, last = path
        for step in steps:
            resource = resource[step]
        resource[last] = value

    return fault


TYPE = ("identifier", 0, "type")
COUNTRY = (*TYPE, "extension", 0, "valueCodeableConcept", "coding", 0, "code")
FAULTS = [
    ("no country", made(DNI), without((*TYPE, "extension"))),
    ("two countries", made(DNI), lambda r: r["identifier"][0]["type"]["extension"].append(r["identifier"][0]["type"]["extension"][0])),
    ("no such country", made(DNI), put("ZZZ", *COUNTRY)),
    ("no such document", made(DNI), put("9", *TYPE, "coding", 0, "code")),
    ("a code of another system", made(DNI, HISTORY), put([CODED], "identifier", 1, "type", "coding")),
    ("a code of another system beside it", made(DNI), lambda r: r["identifier"][0]["type"]["coding"].append(CODED)),
    ("one of two without a country", made(DNI, HISTORY), without(("identifier", 1, "type", "extension"))),
    ("no type", made(DNI), without(TYPE)),
    ("no value", made(DNI), without(("identifier", 0, "value"))),
    ("no identifier", made(DNI), without(("identifier",))),
    ("no name", made(DNI), without(("name",))),
    ("no onset", condition(), without(("onsetPeriod",))),
    ("an onset without its start", condition(), put({"end": "2020"}, "onsetPeriod")),
    ("an onset of another type", condition(onsetPeriod=None), put("2020", "onsetDateTime")),
    ("no verification", condition(), without(("verificationStatus",))),
    ("no text", condition(), without(("code", "text"))),
    ("no CIE-10", condition(), put("http://snomed.info/sct", "code", "coding", 0, "system")),
    ("a professional without a number", practitioner(), without(("qualification", 0, "identifier"))),
    ("a professional of no known college", practitioner(), put("urn:x", "qualification", 0, "code", "coding", 0, "system")),
    ("an organisation that is neither", organization(), without(("active",))),
    ("an organisation without a value", organization(), without(("identifier", 0, "value"))),
    ("a facility's code that is none", organization(), put([CODED], *TYPE, "coding")),
    ("two authors", composition(), lambda r: r["author"].append({"reference": "Practitioner/m-2"})),
    ("an author who is no professional", composition(), put({"reference": "Organization/o-1"}, "author", 0)),
    ("not final", composition(), put("preliminary", "status")),
    ("no custodian", composition(), without(("custodian",))),
    ("a section without LOINC", composition(), put("urn:x", "section", 0, "code", "coding", 0, "system")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "fault"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS]
)
def test_a_planted_fault_is_found_and_nothing_is_claimed(resource, fault):
    broken = deepcopy(resource)
    profile = profile_of(resource) or peru.CONDITION_PROFILE
    fault(broken)
    assert profile_of(broken) is None
    assert failures(broken, profile)


def test_finish_takes_back_a_claim_that_does_not_hold_and_leaves_those_of_others():
    other = "http://example.org/StructureDefinition/p"
    resource = made(DNI, name=PersonName())
    resource["meta"] = {"profile": [other, peru.PATIENT_PROFILE]}
    finish(ORIGIN, a_record(), [Entry(resource)])
    assert resource["meta"]["profile"] == [other]
    bare = {**made(DNI, name=PersonName()), "meta": {"profile": [peru.PATIENT_PROFILE]}}
    finish(ORIGIN, a_record(), [Entry(bare)])
    assert "profile" not in bare["meta"]
    whole = made(DNI)
    finish(ORIGIN, a_record(), [Entry(whole)])
    assert whole["meta"]["profile"] == [peru.PATIENT_PROFILE]


@pytest.mark.parametrize(
    "item",
    [
        PersonIdentifier("passport", "AB123456"),
        PersonIdentifier("die", "X-1"),
        PersonIdentifier("documento-sin-validar", "1234567"),
        PersonIdentifier("id-essalud-ss", "991"),
    ],
)
def test_no_country_is_made_up(item):
    told = made(DNI, item)
    assert "extension" not in told["identifier"][1]["type"]
    assert profile_of(told) is None


def test_a_passport_has_the_country_that_the_source_tells():
    told = made(PersonIdentifier("passport", "AB123456", country="VEN"))
    assert failures(told, peru.PATIENT_PROFILE) == []
    assert profile_of(told) == peru.PATIENT_PROFILE


def test_a_number_of_unknown_kind_is_not_called_something_that_it_is_not():
    told = made(
        DNI,
        PersonIdentifier("id-essalud-ss", "991"),
        PersonIdentifier("documento-sin-validar", "1"),
        name=PersonName(),
    )
    kinds = [each["type"] for each in told["identifier"][1:]]
    assert [kind["text"] for kind in kinds] == ["Otro número de identificación", "Documento sin validar"]
    assert all("coding" not in kind for kind in kinds)


def test_a_patient_without_the_profile_has_hl7s_own_types_of_identifiers():
    told = made(
        PersonIdentifier("cnv", "90000000012"),
        HISTORY,
        PersonIdentifier("his-paciente", "1"),
        name=PersonName(),
    )
    codes = [each["type"]["coding"][-1]["code"] for each in told["identifier"]]
    assert codes == ["BCT", "MR", "PI"]
    assert profile_of(told) is None


def test_each_surname_stands_by_itself():
    [name] = made(DNI)["name"]
    parts = {each["url"]: each["valueString"] for each in name["_family"]["extension"]}
    assert parts == {
        peru.FATHERS_FAMILY_EXTENSION: "ÑIQUE",
        peru.MOTHERS_FAMILY_EXTENSION: "PAREDES",
        peru.THIRD_SURNAME_EXTENSION: "RUIZ",
    }
    assert name["family"] == "ÑIQUE PAREDES RUIZ"


def test_countries_are_whole():
    assert len(COUNTRIES) == 249
    assert {"PER", "VEN", "COL"} <= COUNTRIES


@pytest.mark.parametrize("name", [NAME, PersonName()], ids=["national", "base"])
def test_a_history_number_is_known_for_one_in_either_form(name):
    assert names_of(made(DNI, HISTORY, name=name)) == [
        name_of_patient("dni", "01234567"),
        name_of_patient("hc", "77-12"),
    ]


def test_the_demonstrations_region_claims_what_it_keeps():
    region = build_region(seed=11, people=200, reference_date=date(2026, 6, 30))
    bundles = islice(patient_bundles(region, resources_per_patient=20), 0, 200, 20)
    told = [*organizations(region), *(entry["resource"] for each in bundles for entry in each["entry"])]
    national = [
        each for each in told if each.get("meta", {}).get("profile", [""])[0].startswith(peru.RENHICE)
    ]
    assert {each["resourceType"] for each in national} >= {"Patient", "Condition", "Organization"}
    for each in national:
        assert failures(each) == [], each["resourceType"]
