"""R4's _filter: https://hl7.org/fhir/R4/search_filter.html."""

from __future__ import annotations

import pytest

from tests.exchange.search.asking import P, a_shelf, refused
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient

U = "http://unitsofmeasure.org"
TREE = {
    "resourceType": "CodeSystem", "id": "tree", "url": "urn:tree", "status": "active", "content": "complete", "hierarchyMeaning": "is-a",
    "concept": [{"code": "root", "concept": [{"code": "leaf"}]}],
}  # fmt: skip
SET = {"resourceType": "ValueSet", "id": "set", "url": "http://example.org/set", "status": "active", "compose": {"include": [{"system": "urn:tree", "concept": [{"code": "leaf"}]}]}}  # fmt: skip
PATIENTS = (
    a_patient("pt1", family="Petrov", given=("Peter", "Juan"), dni="40000001", birth_date="2014-10-10", gender="male"), a_patient("pt2", family="Ramos", given=("Peter",), dni="40000002", birth_date="2014-10-09", gender="female"),
    a_patient("pt3", family="Carpeta", given=("Ana, María",), dni="40000003", birth_date="2020", gender="female", telecom=[{"system": "phone", "value": "1"}]), a_patient("pt4", family=None, given=(), dni=None, birth_date=None, gender=None),
)  # fmt: skip
OBSERVATIONS = (
    an_observation("o1", "pt1", system="http://loinc.org", code="1234-5", effective="2026-05-01"), an_observation("o2", "pt2", code="8480-6", effective=None, effectivePeriod={"start": "2026-05-10", "end": "2026-05-20"}),
    an_observation("o3", "pt3", system="urn:tree", code="leaf", effective="2026-06-01", hasMember=[{"reference": "Observation/o1"}]) | {"valueQuantity": {"value": 90, "system": U, "code": "mg/dL"}},
    an_observation("o4", "pt1", system="urn:tree", code="root", effective=None),
)  # fmt: skip


@pytest.fixture(scope="module")
def post(server):
    with a_shelf(server, TREE, SET, *PATIENTS, *OBSERVATIONS) as caller:
        yield caller


def matched(post, resource_type: str, text: str, more: str = "") -> set[str]:
    said = post.get(f"{resource_type}?{more}", query=(("_filter", text),))
    assert said.status == 200, said.text
    return {each.removeprefix(P) for each in said.ids}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        # the page's examples
        ('name co "pet"', "pt1 pt2 pt3"), ('given eq "peter" and birthdate ge 2014-10-10', "pt1"), ('given eq "peter"', "pt1 pt2"),
        # eq is the whole text; sw and ew its ends; case and accents are nothing
        ('family eq "petrov"', "pt1"), ('family eq "PETROV"', "pt1"), ("family eq petro", ""), ("family sw pet", "pt1"), ("family ew OV", "pt1"), ("family co PET", "pt1 pt3"), ("family ne petrov", "pt2 pt3"), ('given eq "ana, maría"', "pt3"), ('given eq "ana"', ""),
        ('name sw "ana, m"', "pt3"), ("given ew maria", "pt3"), ("family eq carpeta", "pt3"),
        # an item of the set
        ("given ne peter", "pt1 pt3"), ("given eq juan", "pt1"),
        # presence
        ("birthdate pr true", "pt1 pt2 pt3"), ("birthdate pr false", "pt4"), ("phone pr true", "pt3"), ("family pr false", "pt4"),
        # tokens
        ("gender eq male", "pt1"), ("gender ne male", "pt2 pt3"), ("gender eq http://hl7.org/fhir/administrative-gender|male", "pt1"), ("identifier eq urn:oid:2.16.840.1.113883.4.904|40000002", "pt2"), ('identifier eq "40000002"', "pt2"),
        # and, or: from left to right, none before the other; not takes parentheses
        ("gender eq male or gender eq female and birthdate ge 2020", "pt3"), ("gender eq male or (gender eq female and birthdate ge 2020)", "pt1 pt3"), ("birthdate ge 2020 and gender eq female or gender eq male", "pt1 pt3"),
        ("not (gender eq male)", "pt2 pt3 pt4"), ("not (gender eq male or gender eq female)", "pt4"), ("not (not (gender eq male))", "pt1"), ("gender eq female and not (birthdate ge 2020)", "pt2"), ('(given eq "peter" and birthdate ge 2014-10-10) or _id eq posta-pt4', "pt1 pt4"),
        ("((((gender eq male))))", "pt1"), ("not (phone pr true) and gender eq female", "pt2"), ("  gender   eq    male  ", "pt1"),
        # dates
        ("birthdate eq 2014-10-10", "pt1"), ("birthdate eq 2014", "pt1 pt2"), ("birthdate lt 2014-10-10", "pt2"), ("birthdate gt 2014-10-10", "pt3"), ("birthdate ne 2014-10-10", "pt2 pt3"), ("birthdate sa 2014", "pt3"), ("birthdate eb 2015", "pt1 pt2"),
        # ids
        ("_id eq posta-pt1", "pt1"), ("_id ne posta-pt1", "pt2 pt3 pt4"), ("_id eq posta-none", ""), ("_lastUpdated gt 2000-01-01", "pt1 pt2 pt3 pt4"),
    ],
)  # fmt: skip
def test_patients(post, text, ids):
    assert matched(post, "Patient", text) == set(ids.split())


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("code eq http://loinc.org|1234-5", "o1"), ('subject.name co "petr"', "o1 o4"), ('subject.name co "pet"', "o1 o2 o3 o4"), ("subject.gender eq female and date ge 2026-06-01", "o3"), ("patient.identifier eq 40000002", "o2"), ("subject.birthdate ge 2020", "o3"),
        ("not (subject.gender eq female)", "o1 o4"), ("subject eq Patient/posta-pt1", "o1 o4"), ("subject re Patient/posta-pt1", "o1 o4"), ("subject ne Patient/posta-pt1", "o2 o3"), ("has-member re Observation/posta-o1", "o3"), ("has-member.code eq 1234-5", "o3"),
        ("date po 2026-05-15", "o2"), ("date po 2026-05", "o1 o2"), ("date eq 2026-05-15", ""), ("date po 2026", "o1 o2 o3"), ("date pr false", "o4"), ("date sa 2026-05-20", "o3"), ("date eb 2026-05-02", "o1"),
        ("code ss urn:tree|root", "o3 o4"), ("code ss urn:tree|leaf", "o3"), ("code sb urn:tree|leaf", "o3 o4"), ("code sb urn:tree|root", "o4"), ("code in http://example.org/set", "o3"), ("code ni http://example.org/set", "o1 o2 o4"), ("code ne 8480-6", "o1 o3 o4"),
        (f"value-quantity eq 90|{U}|mg/dL", "o3"), (f"value-quantity ge 0.9|{U}|g/L", "o3"), ("value-quantity gt 100", "o1 o2 o4"), (f"code eq leaf and value-quantity lt 1|{U}|g/L", "o3"), (f"code-value-quantity eq leaf$90|{U}|mg/dL", "o3"),
        ('code eq "http://loinc.org|1234-5" or code eq leaf', "o1 o3"),
    ],
)  # fmt: skip
def test_observations(post, text, ids):
    assert matched(post, "Observation", text) == set(ids.split())


def test_a_filter_beside_criteria_and_other_filters(post):
    assert post.get("Patient?gender=female&_filter=birthdate ge 2020").ids == ["posta-pt3"]
    assert post.get("Patient?_filter=gender eq female&_filter=birthdate lt 2020").ids == ["posta-pt2"]
    assert post.get("Observation?patient=posta-pt1&_filter=date pr false").ids == ["posta-o4"]


@pytest.mark.parametrize(
    "text",
    ["", " ", "gender", "gender eq", "gender male", "gender is male", "gender eq male and", "and gender eq male", "(gender eq male", "gender eq male)", "not gender eq male", "not", "()", "gender eq (male)", "nothing eq x", "gender co male",
     'gender eq "male', "gender eq male gender eq female", "birthdate eq yesterday", "birthdate co 2014", "name gt a", "general-practitioner.nothing eq x", "gender.name eq x", "birthdate pr maybe", "_filter eq x", "_text co x", 'name co "\\x"',
     "link[type eq seealso].other re Patient/1", "gender eq male xor gender eq female", "gender eq male; drop", "gender:not eq male", "_id co x", "_has:Observation:patient:code eq x", "1 eq 1", "gender eq male and or gender eq female"],
)  # fmt: skip
def test_what_is_no_filter(post, text):
    said = post.get("Patient", query=(("_filter", text),))
    assert said.status == 400, said.text
    assert "_filter" in said.text.decode() or "http.birthdate" in said.text.decode()


def test_a_modifier_of_the_filter_is_refused(post):
    refused(post, "Patient?_filter:not=gender eq male")
