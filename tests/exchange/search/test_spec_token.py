"""R4's token search: https://hl7.org/fhir/R4/search.html#token."""

from __future__ import annotations

import pytest

from tests.exchange.search.asking import a_shelf, found, refused
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient

MR = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}],
    "text": "Historia clínica",
}
GENDER = "http://hl7.org/fhir/administrative-gender"
V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"


def _coded(name: str, *codings, text: str = "", **more) -> dict:
    concept = {"coding": [dict(zip(("system", "code", "display"), each, strict=False)) for each in codings]}
    concept["coding"] = [{key: value for key, value in each.items() if value} for each in concept["coding"]]
    concept |= {"text": text} if text else {}
    return an_observation(name, "p1") | {"code": concept if concept["coding"] else {"text": text}} | more


OBSERVATIONS = (
    _coded("a", ("urn:s", "x"), text="Dolor de cabeza"), _coded("b", ("urn:t", "x", "Headache, severe")), _coded("c", ("", "x")),
    _coded("d", ("urn:s", "y"), ("urn:t", "z")), _coded("e", text="x"), _coded("f", ("urn:s", "a,b|c$d\\e")), _coded("g", ("urn:s", "X")),
    _coded("h", ("urn:s|1", "x")),
    _coded("i", ("urn:s", "w"), status="amended"),
)  # fmt: skip
PATIENTS = (
    a_patient("p1", dni="40000001", gender="female", active=True, telecom=[{"system": "phone", "value": "044-123"}, {"system": "email", "value": "a@b.pe"}]),
    a_patient("p2", family="Otra", dni=None, birth_date="1999-01-01", gender="male", active=False, identifier=[{"type": MR, "system": "urn:hc", "value": "77"}]),
    a_patient("p3", family="Tercera", dni=None, birth_date="1998-01-01", gender=None, identifier=[{"type": MR, "value": "78"}, {"value": "77"}], deceasedBoolean=True),
    a_patient("p4", family="Cuarta", dni=None, birth_date="1997-01-01", gender="other", deceasedDateTime="2020-01-01", _active={"extension": [{"url": "urn:e", "valueString": "x"}]}),
)  # fmt: skip


def _value_set(name: str, *included: dict) -> dict:
    return {
        "resourceType": "ValueSet", "id": name, "url": f"http://example.org/{name}", "version": "1.0.A", "status": "active",
        "compose": {"include": list(included)},
    }  # fmt: skip


TREE = {
    "resourceType": "CodeSystem", "id": "tree", "url": "urn:tree", "status": "active", "content": "complete", "hierarchyMeaning": "is-a",
    "concept": [{"code": "root", "concept": [{"code": "left", "concept": [{"code": "leaf"}]}, {"code": "right"}]}],
}  # fmt: skip
DOCUMENTS = [
    {"resourceType": "DocumentReference", "id": f"d{number}", "status": "current", "subject": {"reference": "Patient/p1"},
     "content": [{"attachment": {"contentType": kind, "url": "urn:x"}}]}
    for number, kind in enumerate(("text/xml", "text/xml; charset=UTF-8", "text/xmlish", "application/pdf"))
]  # fmt: skip


@pytest.fixture(scope="module")
def post(server):
    sets = (
        _value_set("some", {"system": "urn:s", "concept": [{"code": "x"}, {"code": "y"}]}),
        _value_set("whole", {"system": "urn:t"}),
        _value_set("none", {"system": "urn:none", "concept": [{"code": "n"}]}),
    )
    conditions = [
        {"resourceType": "Condition", "id": each, "subject": {"reference": "Patient/p1"}, "code": {"coding": [{"system": "urn:tree", "code": each}]}}
        for each in ("root", "left", "leaf", "right")
    ]  # fmt: skip
    with a_shelf(server, *PATIENTS, *OBSERVATIONS, *sets, TREE, *conditions, *DOCUMENTS) as caller:
        yield caller


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        # [code], [system]|[code], |[code], [system]|
        ("code=x", "a b c h"), ("code=urn:s|x", "a"), ("code=|x", "c"), ("code=urn:s|", "a d f g i"), ("code=urn:t|z", "d"), ("code=X", "g"), ("code=urn:s|z", ""), ("code=urn:nothing|", ""),
        ("code=x,y", "a b c d h"), ("code=urn:s|x,urn:t|", "a b d"), ("code=urn:s|y&code=urn:t|z", "d"), ("code=urn:s|y&code=urn:s|x", ""), ("code=urn:s\\|1|x", "h"),
        # what separates may be escaped
        (r"code=a\,b\|c\$d\\e", "f"), (r"code=urn:s|a\,b\|c\$d\\e", "f"), ("code=a", ""), (r"code=x\,y", ""),
        # a text is no code
        ("code:text=x", "e"), ("code:text=dolor", "a"), ("code:text=DOLÓR DE", "a"), ("code:text=headache", "b"), ("code:text=severe", "b"), ("code:text=nothing", ""),
        # not is of the whole set, and takes in what has no value
        ("code:not=x", "d e f g i"), ("code:not=urn:t|z", "a b c e f g h i"), ("code:not=x,urn:s|y", "e f g i"), ("code:not=urn:s|", "b c e h"), ("code:not=x&code:not=w", "d e f g"),
        ("code:missing=true", ""), ("code:missing=false", "a b c d e f g h i"),
        # sets and hierarchies
        ("code:in=http://example.org/some", "a d"), ("code:not-in=http://example.org/some", "b c e f g h i"), ("code:in=http://example.org/whole", "b d"), ("code:in=http://example.org/none", ""),
        ("code:in=http://example.org/some|1.0.A", "a d"), ("code:in=ValueSet/posta-some", "a d"), ("code:in=http://example.org/some,http://example.org/whole", "a b d"),
        ("status=final", "a b c d e f g h"), ("status=http://hl7.org/fhir/observation-status|amended", "i"), ("status:in=http://hl7.org/fhir/ValueSet/observation-status", "a b c d e f g h i"),
    ],
)  # fmt: skip
def test_codes(post, query, ids):
    assert found(post, f"Observation?{query}") == set(ids.split())


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("code:below=urn:tree|left", "left leaf"), ("code:below=urn:tree|root", "root left leaf right"), ("code:above=urn:tree|leaf", "root left leaf"), ("code:above=urn:tree|root", "root"),
        ("code:below=urn:tree|leaf,urn:tree|right", "leaf right"),
    ],
)  # fmt: skip
def test_what_subsumes(post, query, ids):
    assert found(post, f"Condition?{query}") == set(ids.split())


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        # a code's system is that of its value set: https://hl7.org/fhir/R4/search.html#token, «(implicit)»
        ("gender=female", "p1"), (f"gender={GENDER}|female", "p1"), (f"gender={GENDER}|female,{GENDER}|other", "p1 p4"), ("gender=urn:other|female", ""), (f"gender={GENDER}|", "p1 p2 p4"), ("gender=|female", "p1"),
        ("gender:not=male", "p1 p3 p4"), (f"gender:not={GENDER}|male", "p1 p3 p4"), (f"gender:not={GENDER}|", "p3"), (f"gender={GENDER}|female&gender=female", "p1"), ("gender=FEMALE", ""),
        (f"_filter=gender eq {GENDER}|female", "p1"), (f"_filter=gender ne {GENDER}|female", "p2 p4"), (f"_has:Observation:patient:subject:Patient.gender={GENDER}|female", "p1"),
        # booleans
        ("active=true", "p1"), ("active=false", "p2"), ("active:not=true", "p2 p3 p4"), ("active=http://terminology.hl7.org/CodeSystem/special-values|true", "p1"), ("active=urn:x|true", ""),
        ("active:missing=true", "p3 p4"), ("active:missing=false", "p1 p2"), ("deceased=true", "p3 p4"), ("deceased=false", "p1 p2"),
        # identifiers
        ("identifier=77", "p2 p3"), ("identifier=urn:hc|77", "p2"), ("identifier=|77", "p3"), ("identifier=urn:hc|", "p2"), ("identifier=urn:hc|78", ""), ("identifier:not=77", "p1 p4"), ("identifier:missing=true", "p4"),
        (f"identifier:of-type={V2}|MR|77", "p2"), (f"identifier:of-type={V2}|MR|78", "p3"), (f"identifier:of-type={V2}|PI|77", ""), ("identifier:of-type=urn:x|MR|77", ""), ("identifier:text=historia", "p2 p3"),
        # contact points
        ("telecom=044-123", "p1"), ("phone=044-123", "p1"), ("email=044-123", ""), ("email=a@b.pe", "p1"), ("telecom:missing=true", "p2 p3 p4"),
    ],
)  # fmt: skip
def test_other_tokens(post, query, ids):
    assert found(post, f"Patient?{query}") == set(ids.split())


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("contenttype=text/xml", "d0"),
        ("contenttype:below=text/xml", "d0 d1"),
        ("contenttype:below=TEXT/XML", "d0 d1"),
        ("contenttype:below=text/xml,application/pdf", "d0 d1 d3"),
        ("contenttype:below=image/png", ""),
        ("subject:Patient.gender=female&contenttype:below=application/pdf", "d3"),
    ],
)
def test_kinds_of_content(post, query, ids):
    assert found(post, f"DocumentReference?{query}") == set(ids.split())


def test_a_token_of_texts_knows_no_case(post):
    for version in ("1.0.A", "1.0.a"):
        assert found(post, f"ValueSet?version={version}") == {"some", "whole", "none"}
    assert found(post, "ValueSet?version:not=1.0.a") == set()
    assert found(post, "ValueSet?version=1.0") == set()


@pytest.mark.parametrize(
    "query",
    [
        "Observation?code=", "Observation?code=|", "Observation?code=a|b|c", "Observation?code=x,", "Observation?code:in=http://example.org/unknown", "Observation?code:below=x", "Observation?code:below=urn:s|x|y",
        "Observation?code:of-type=x", "Patient?identifier:of-type=MR|77", "Patient?identifier:of-type=|MR|77", "Patient?gender:missing=maybe", "Patient?gender:exact=male", "Patient?gender:contains=ma",
        "Patient?gender:NOT=male", "Patient?gender:=male", "Observation?code=a\\b", "Observation?code=a\\", "Patient?gender:not:not=male", "Observation?code:above=urn:unknown|x", "Patient?_id:not=x",
    ],
)  # fmt: skip
def test_what_is_no_token(post, query):
    refused(post, query)
