"""Each role sees what its work is: charts, events, the directory, its own record - and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.requester import ROLES, User, parse_scopes
from tests.passage.conftest import shared_hub
from tests.passage.world import Caller, patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST, a_requester

__all__ = ["shared_hub"]

HIV = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "B20"}]}
PURPOSES = {"system": "TREAT", "clinician": "TREAT", "patient": "PATRQT"}


@pytest.fixture
def world(shared_hub):
    made = shared_hub.clear()
    made.post.store(
        patient_of(POST, 1),
        an_observation("posta-o1", "posta-p1"),
        {
            "resourceType": "Condition",
            "id": "posta-k1",
            "code": HIV,
            "subject": {"reference": "Patient/posta-p1"},
        },
        {"resourceType": "Organization", "id": "posta-org", "name": "Posta"},
    )
    made.institute.store(patient_of(INSTITUTE, 2), an_observation("instituto-o1", "instituto-p2"))
    return made


def of(world, role, organization=HOSPITAL, reference="", **more) -> Caller:
    scopes = parse_scopes("system/*.cruds")
    assert scopes
    asker = a_requester(organization, role=role, purpose=more.pop("purpose", PURPOSES.get(role, "HOPERAT")))
    user = None if role == "system" else User("u1", "Ana", "physician", reference)
    return Caller(world.spine, replace(asker, user=user, **more))


SEES = {
    # role: charts of the own facility, events, the directory
    "system": (200, 403, 200),
    "clinician": (200, 403, 200),
    "privacy-officer": (403, 200, 200),
    "administrator": (403, 200, 200),
    "auditor": (403, 200, 403),
    "patient": (404, 200, 200),
    "operator": (403, 403, 403),
}


def test_every_role_is_spoken_of():
    assert set(SEES) == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_sees(world, role):
    caller = of(world, role, POST)
    charts, events, directory = SEES[role]
    assert caller.get("Observation/posta-o1").status == charts
    assert caller.get("AuditEvent").status == events
    assert caller.get("Organization/posta-org").status == directory


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"system", "clinician", "administrator"}))
def test_who_only_reads(world, role):
    said = of(world, role, POST, id_prefix="posta-").put(an_observation("posta-o9", "posta-p1"))
    assert said.status == 403


@pytest.mark.parametrize("purpose", ["HMARKT", "PATRQT", "BTG", "HPAYMT", "nonsense"])
def test_a_purpose_that_the_policy_does_not_give_a_role_sees_nothing(world, purpose):
    asked = of(world, "clinician", POST, purpose=purpose).get("Observation/posta-o1")
    assert asked.status == (200 if purpose == "BTG" else 403)  # its own; a case alone opens more


# --- a privacy officer


def test_a_privacy_officer_sees_what_the_own_facility_asked_and_what_was_asked_of_its_patients(world):
    world.hospital.get("Observation?patient=posta-p1")
    world.hospital.get("Observation?patient=instituto-p2")
    world.post.get("Observation/posta-o1")
    of_post = {
        each["agent"][0]["who"]["display"]
        for each in of(world, "privacy-officer", POST).get("AuditEvent?_count=200").matches
    }
    of_hospital = {
        each["agent"][0]["who"]["display"]
        for each in of(world, "privacy-officer", HOSPITAL).get("AuditEvent?_count=200").matches
    }
    everybody = of(world, "auditor").get("AuditEvent?_count=200").matches
    assert len(everybody) > len(of(world, "privacy-officer", POST).get("AuditEvent?_count=200").matches)
    assert of_post != of_hospital
    assert of(world, "privacy-officer", "elsewhere").get("AuditEvent?_count=200").matches == []


# --- a patient


def test_a_patient_sees_the_own_record_sensitive_information_and_all_and_nobody_else_s(world):
    patient = of(world, "patient", "u1", "Patient/posta-p1")
    assert patient.get("Observation/posta-o1").status == 200
    assert patient.get("Condition/posta-k1").status == 200
    assert patient.get("Observation").ids == ["posta-o1"]
    assert set(patient.get("Patient/posta-p1/$everything").ids) >= {"posta-p1", "posta-o1", "posta-k1"}
    assert patient.get("Observation/instituto-o1").status == 404
    assert patient.get("Observation?patient=instituto-p2").ids == []
    assert patient.get("Patient/instituto-p2/$everything").status == 404


def test_a_patient_sees_linked_records_of_other_facilities(world):
    world.institute.store(patient_of(INSTITUTE, 1), an_observation("instituto-o9", "instituto-p1"))
    assert set(of(world, "patient", "u1", "Patient/posta-p1").get("Observation").ids) == {
        "posta-o1",
        "instituto-o9",
    }


def test_a_patient_sees_who_asked_for_the_own_record(world):
    world.post.get("Observation/posta-o1")
    world.institute.get("Observation/instituto-o1")
    mine = of(world, "patient", "u1", "Patient/posta-p1").get("AuditEvent?_count=200")
    assert mine.matches
    assert "instituto-p2" not in mine.text.decode()
    assert of(world, "patient", "u1", "Patient/nobody").get("AuditEvent").matches == []
    assert of(world, "patient", "u1", "").get("AuditEvent").matches == []


def related(**more):
    return {
        "resourceType": "RelatedPerson", "id": "posta-r1", "active": True, "patient": {"reference": "Patient/posta-p1"},
        "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "GUARD"}]}],
    } | more  # fmt: skip


@pytest.mark.parametrize(
    ("born", "more", "status"),
    [
        ("2020-05-01", {}, 200),
        ("2001-05-01", {}, 404),  # of age
        ("2020-05-01", {"active": False}, 404),
        ("2020-05-01", {"period": {"end": "2021-01-01"}}, 404),
        ("2020-05-01", {"relationship": []}, 200),  # nobody says why: as a guardian
        ("2001-05-01", {"relationship": [{"coding": [{"code": "HPOWATT"}]}]}, 200),  # by power of attorney
        ("", {}, 404),  # nobody knows when it ends
    ],
)
def test_a_guardian_sees_the_record_until_the_patient_comes_of_age(world, born, more, status):
    patient = patient_of(POST, 1) | {"birthDate": born}
    world.post.store({name: value for name, value in patient.items() if value})
    world.post.store({name: value for name, value in related(**more).items() if value != []})
    assert of(world, "patient", "u2", "RelatedPerson/posta-r1").get("Observation/posta-o1").status == status


@pytest.mark.parametrize(("born", "status"), [("2020-05-01", 200), ("2001-05-01", 404)])
def test_what_a_guardian_permitted_ends_when_the_patient_comes_of_age(world, born, status):
    signed = {"performer": [{"reference": "RelatedPerson/posta-r1"}], "dateTime": "2015-01-01"}
    world.post.store(patient_of(POST, 1) | {"birthDate": born})
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL, **signed))
    assert world.hospital.get("Observation/posta-o1").status == status
    # The date of birth was wrong: the other one counts from now on.
    world.post.store(
        patient_of(POST, 1) | {"birthDate": {"2020-05-01": "2001-05-01", "2001-05-01": "2020-05-01"}[born]}
    )
    assert world.hospital.get("Observation/posta-o1").status == {200: 404, 404: 200}[status]
