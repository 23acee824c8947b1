"""R4's reference search, chains, hierarchies and reverse chains: https://hl7.org/fhir/R4/search.html#reference to #has."""

from __future__ import annotations

import pytest

from exchange.fhir import peru
from exchange.settings import settings
from tests.exchange.search.asking import a_shelf, found, refused
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient

FHIR = settings().fhir_url


def _reference(text: str) -> dict:
    return {"reference": text}


def _location(name: str, part_of: str = "") -> dict:
    whole = {"partOf": _reference(f"Location/{part_of}")} if part_of else {}
    return {"resourceType": "Location", "id": name, "name": f"Sala {name}"} | whole


def _encounter(name: str, patient: str, *places: str, **more) -> dict:
    located = [{"location": _reference(f"Location/{each}")} for each in places]
    return {
        "resourceType": "Encounter", "id": name, "status": "finished", "class": {"code": "AMB"}, "subject": _reference(f"Patient/{patient}"),
        **({"location": located} if located else {}), **more,
    }  # fmt: skip


PLACES = (
    _location("42"),
    _location("43", "42"),
    _location("44", "43"),
    _location("loop1", "loop2"),
    _location("loop2", "loop1"),
    _location("99"),
)
PEOPLE = (
    a_patient("p1", family="Quispe", generalPractitioner=[_reference("Practitioner/joe"), _reference("Practitioner/jane")], managingOrganization=_reference("Organization/o1")),
    a_patient("p2", family="Ramos", dni="40000002", birth_date="1990-01-01", generalPractitioner=[_reference("Organization/o2")]), a_patient("p3", family="Solo", dni="40000003", birth_date="1991-01-01"),
)  # fmt: skip
STAFF = (
    {
        "resourceType": "Practitioner",
        "id": "joe",
        "name": [{"family": "Joe"}],
        "address": [{"state": "CA"}],
        "active": True,
    },
    {
        "resourceType": "Practitioner",
        "id": "jane",
        "name": [{"family": "Jane"}],
        "address": [{"state": "MN"}],
    },
    {"resourceType": "Organization", "id": "o1", "name": "Red Trujillo", "active": True},
    {"resourceType": "Organization", "id": "o2", "name": "Joe y compañía", "partOf": _reference("Organization/o1")},
    {"resourceType": "Organization", "id": "o3", "name": "Posta", "partOf": _reference("Organization/o2")},
)  # fmt: skip
GROUP = {"resourceType": "Group", "id": "g1", "type": "person", "actual": True, "name": "Quispe y familia", "characteristic": [], "code": {"coding": [{"code": "fam"}]}}  # fmt: skip
del GROUP["characteristic"]
OBSERVATIONS = (
    an_observation("rel", "p1", code="c1", performer=[_reference("Practitioner/joe")], encounter=_reference("Encounter/e1")),
    an_observation("abs", "p1", code="c2", performer=[_reference(f"{FHIR}/Practitioner/posta-joe")], encounter=_reference("Encounter/e2")),
    an_observation("ver", "p2", code="c1", performer=[_reference("Practitioner/joe/_history/1")], hasMember=[_reference("Observation/rel")]),
    an_observation("far", "p2", code="c3", performer=[_reference("https://elsewhere.pe/fhir/Practitioner/joe")], derivedFrom=[_reference("Observation/ver")]),
    an_observation("idn", "p2", code="c4", performer=[{"identifier": {"system": "urn:cmp", "value": "123"}}, {"identifier": {"value": "9"}}]),
    an_observation("con", "p1", code="c5", performer=[_reference("#inside")], contained=[{"resourceType": "Practitioner", "id": "inside", "name": [{"family": "Contenido"}]}]),
    an_observation("org", "p1", code="c6", performer=[_reference("Organization/o1")]), an_observation("grp", "p1", code="c7") | {"subject": _reference("Group/g1")},
    an_observation("can", "p1", code="c8"),
)  # fmt: skip
CANONICALS = [
    {"resourceType": "QuestionnaireResponse", "id": name, "status": "completed", "questionnaire": canonical, "subject": _reference("Patient/p1")}
    for name, canonical in (("q0", "http://example.org/some"), ("q10", "http://example.org/some|1.0"), ("q11", "http://example.org/some|1.1"), ("q2", "http://example.org/some|2.0"), ("qx", "http://example.org/something|1.0"))
]  # fmt: skip
APPOINTMENT = {
    "resourceType": "Appointment", "id": "both", "status": "proposed",
    "participant": [{"actor": _reference(f"Patient/{each}"), "status": "accepted"} for each in ("p1", "p2")],
}  # fmt: skip


@pytest.fixture(scope="module")
def post(server):
    encounters = (
        _encounter("e1", "p1", "44", partOf=_reference("Encounter/e2")),
        _encounter("e2", "p1", "42"),
        _encounter("e3", "p2", "loop1", "99"),
        _encounter("e4", "p2"),
    )
    with a_shelf(
        server,
        *STAFF,
        *PLACES,
        *PEOPLE,
        GROUP,
        *encounters,
        *OBSERVATIONS,
        *CANONICALS,
        APPOINTMENT,
    ) as caller:
        yield caller


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        # [type]/[id], [id], [url]; relative and absolute to this hub are one
        ("performer=Practitioner/posta-joe", "rel abs ver"), ("performer=posta-joe", "rel abs ver"), (f"performer={FHIR}/Practitioner/posta-joe", "rel abs ver"), ("performer:Practitioner=posta-joe", "rel abs ver"),
        ("performer:Practitioner=Practitioner/posta-joe", "rel abs ver"), ("performer:Organization=posta-joe", ""), ("performer=https://elsewhere.pe/fhir/Practitioner/joe", "far"), ("performer=Practitioner/joe", ""),
        ("performer=Practitioner/posta-joe/_history/1", "rel abs ver"), ("performer=Organization/posta-o1,Practitioner/posta-joe", "rel abs ver org"), ("performer=Patient/posta-joe", ""), ("performer:missing=true", "grp can"),
        ("performer=%23inside", ""), ("performer:identifier=urn:cmp|123", "idn"), ("performer:identifier=123", "idn"), ("performer:identifier=|9", "idn"), ("performer:identifier=urn:other|123", ""), ("performer:identifier=|123", ""),
        ("has-member=Observation/posta-rel", "ver"), ("derived-from=posta-ver", "far"),
        # a subject is a patient or a group
        ("subject=Patient/posta-p2", "ver far idn"), ("subject=posta-p2", "ver far idn"), ("subject=Group/posta-g1", "grp"), ("subject=posta-g1", "grp"), ("subject:Group=posta-g1", "grp"), ("subject:Patient=posta-g1", ""), ("patient=posta-g1", ""),
        ("patient=posta-p2", "ver far idn"), ("patient=posta-p1,posta-p2", "rel abs ver far idn con org can"),
    ],
)  # fmt: skip
def test_what_a_reference_names(post, query, ids):
    assert found(post, f"Observation?{query}") == set(ids.split())


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("questionnaire=http://example.org/some", "q0 q10 q11 q2"), ("questionnaire=http://example.org/some\\|1.0", "q10"), ("questionnaire=http://example.org/some|1.1", "q11"), ("questionnaire=http://example.org/some|1", ""),
        ("questionnaire:below=http://example.org/some", "q0 q10 q11 q2"), ("questionnaire:below=http://example.org/some|1", "q10 q11"), ("questionnaire:below=http://example.org/some|1.0", "q10"),
        ("questionnaire:below=http://example.org/some|3", ""), ("questionnaire:below=http://example.org/som", ""), ("questionnaire:below=http://example.org/some|1,http://example.org/something", "q10 q11 qx"),
        ("questionnaire:missing=true", ""),
    ],
)  # fmt: skip
def test_canonicals(post, query, ids):
    assert found(post, f"QuestionnaireResponse?{query}") == set(ids.split())


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Encounter?location:below=Location/posta-42", "e1 e2"), ("Encounter?location:below=posta-42", "e1 e2"), ("Encounter?location:below=Location/posta-43", "e1"), ("Encounter?location:above=Location/posta-44", "e1 e2"),
        ("Encounter?location:above=Location/posta-43", "e2"), ("Encounter?location:below=Location/posta-loop1", "e3"), ("Encounter?location:above=posta-loop2", "e3"), ("Encounter?location:below=posta-none", ""),
        (f"Encounter?location:below={FHIR}/Location/posta-42", "e1 e2"), ("Observation?encounter:above=Encounter/posta-e1", "rel abs"), ("Observation?encounter:below=Encounter/posta-e2", "rel abs"), ("Observation?encounter:below=Encounter/posta-e1", "rel"),
        ("Organization?partof:below=Organization/posta-o1", "o2 o3"), ("Organization?partof:above=Organization/posta-o2", "o2 o3"), ("Location?partof:below=posta-42,posta-99", "43 44"),
    ],
)  # fmt: skip
def test_hierarchies(post, query, ids):
    assert found(post, query) == set(ids.split())


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Observation?subject:Patient.name=quispe", "rel abs con org can"), ("Observation?patient.family=ramos", "ver far idn"), ("Observation?subject.name=quispe", "rel abs con org can"), ("Observation?subject:Group.code=fam", "grp"),
        ("Observation?performer.name=joe", "rel abs ver"), ("Observation?performer.active=true", "rel abs ver org"), ("Observation?performer:Organization.name=red", "org"), ("Observation?performer:Practitioner.name=contenido", ""),
        (f"Observation?patient.identifier={peru.DNI_SYSTEM}|40000002", "ver far idn"), ("Observation?encounter.location.name=sala", "rel abs"), ("Observation?encounter.location=Location/posta-42", "abs"), ("Observation?encounter:Encounter.location:Location.partof=posta-43", "rel"),
        ("Observation?patient.general-practitioner:Practitioner.name=jane", "rel abs con org can"), ("Observation?patient.organization.name=trujillo", "rel abs con org can"), ("Observation?patient.organization.partof.name=x", ""),
        ("Patient?general-practitioner.name=joe", "p1 p2"), ("Patient?general-practitioner:Practitioner.name=joe", "p1"), ("Patient?general-practitioner:Organization.name=joe", "p2"),
        # each chain on its own: Joe from one state, Jane from the other
        ("Patient?general-practitioner:Practitioner.name=joe&general-practitioner:Practitioner.address-state=MN", "p1"), ("Patient?general-practitioner.name=jane,joe", "p1 p2"), ("Patient?general-practitioner:Practitioner.active:missing=true", "p1"),
        ("Observation?patient._id=posta-p2", "ver far idn"), ("Observation?patient.birthdate=lt1990", "rel abs con org can"), ("Observation?subject:Patient.name=quispe&code=c1", "rel"), ("Organization?partof.partof.name=red", "o3"),
        ("Observation?derived-from:Observation.has-member:Observation.performer:Practitioner.name=joe", "far"), ("Observation?patient._has:Encounter:patient:location=posta-99", "ver far idn"), ("Observation?patient.gender:not=male&code=c4", "idn"),
        ("Observation?patient._lastUpdated=gt2000&code=c1", "rel ver"), ("Encounter?location.name:exact=Sala 99", "e3"),
    ],
)  # fmt: skip
def test_chains(post, query, ids):
    assert found(post, query) == set(ids.split())


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Patient?_has:Observation:patient:code=c1", "p1 p2"), ("Patient?_has:Observation:patient:code=c2", "p1"), ("Patient?_has:Observation:patient:code=c2,c3", "p1 p2"), ("Patient?_has:Observation:subject:code=c3", "p2"),
        ("Patient?_has:Observation:patient:code=c1&_has:Observation:patient:code=c2", "p1"), ("Patient?_has:Observation:patient:code=c7", ""), ("Group?_has:Observation:subject:code=c7", "g1"), ("Patient?_has:Encounter:patient:location=posta-42", "p1"),
        ("Patient?_has:Observation:patient:_has:Observation:has-member:code=c1", "p1"), ("Patient?_has:Observation:patient:_has:Observation:derived-from:code=c3", "p2"), ("Practitioner?_has:Observation:performer:code=c1", "joe"),
        ("Practitioner?_has:Patient:general-practitioner:family=quispe", "joe jane"), ("Practitioner?_has:Patient:general-practitioner:_has:Observation:patient:code=c2", "joe jane"), ("Organization?_has:Patient:organization:_id=posta-p1", "o1"),
        ("Organization?_has:Organization:partof:name=posta", "o2"), ("Organization?_has:Organization:partof:_has:Organization:partof:name=posta", "o1"), ("Location?_has:Encounter:location:patient.family=ramos", "loop1 99"),
        ("Patient?_has:Observation:patient:performer:Practitioner.name=joe", "p1 p2"), ("Patient?_has:Observation:patient:value-quantity=gt100", "p1 p2"), ("Patient?_has:Observation:patient:code:not=c1", "p1 p2"), ("Patient?_has:Observation:patient:date=2026&family=ramos", "p2"),
        # what is about two patients is had by both, wherever it lies
        ("Patient?_has:Appointment:actor:status=proposed", "p1 p2"), ("Patient?_has:Appointment:patient:status=proposed&_sort=_id", "p1 p2"), ("Patient?_has:Appointment:actor:status=arrived", ""), ("Patient?_has:Appointment:patient:status=proposed&family=ramos", "p2"),
        ("Patient?_has:Appointment:patient:patient.family=quispe", "p1 p2"), ("Appointment?patient.family=ramos", "both"), ("Appointment?actor:Patient.family=quispe&actor:Patient.family=ramos", "both"),
    ],
)  # fmt: skip
def test_reverse_chains(post, query, ids):
    assert found(post, query) == set(ids.split())


@pytest.mark.parametrize(
    "query",
    [
        "Observation?performer=", "Observation?performer:Patientx=1", "Observation?performer:Location=1", "Observation?performer:Practitioner=Organization/1", "Observation?performer:exact=x", "Observation?code.x=1", "Observation?performer.nothing=1",
        "Observation?performer:Location.name=x", "Observation?performer:.name=x", "Observation?performer.=x", "Observation?.name=x", "Observation?subject:Patient.code=x", "Observation?performer:identifier.name=x", "Observation?performer:below=Practitioner/1",
        "Patient?_has:Observation:patient=x", "Patient?_has:Observation:code:status=x", "Patient?_has:Nothing:patient:code=x", "Patient?_has:Observation:encounter:code=x", "Patient?_has:Observation:patient:nothing=x", "Patient?_has=x", "Patient?_has:x=y",
        "QuestionnaireResponse?questionnaire:above=http://example.org/some|1", "Encounter?location:below=", "Observation?subject:patient.name=x",
    ],
)  # fmt: skip
def test_what_is_no_reference(post, query):
    refused(post, query)
