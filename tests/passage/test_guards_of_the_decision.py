"""Guards that stand behind others: each has a test of its own, so that none is taken away unnoticed."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

import pytest

from exchange.authentication.authorization_code import Authorization
from exchange.authentication.id_token import RefusedSignIn
from exchange.authentication.sign_in import Pending, pending_of
from exchange.consent.decision import decide
from exchange.consent.dimension import CONFIDENTIALITY
from exchange.consent.enforcement import enforce
from exchange.crypto.page_token import seal_token
from exchange.permit import Permit
from exchange.policy.regional_policy import Purposes
from exchange.problems import Denied, SealBroken
from exchange.request import Answer, Need, Touched
from exchange.requester import User
from tests.passage.world import Caller, patient_of
from tests.sample.consent import a_consent, a_provision
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST, a_requester


@pytest.fixture
def world(empty):
    """Two patients of the post, with an observation each."""
    empty.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
    empty.post.store(patient_of(POST, 2), an_observation("posta-o2", "posta-p2"))
    return empty


def person(world, role: str, organization: str, reference: str = "", **more) -> Caller:
    asked = replace(a_requester(organization, role=role, **more), user=User("u1", reference=reference))
    return Caller(world.spine, asked)


def patient(world, number: int) -> Caller:
    return person(world, "patient", POST, f"Patient/posta-p{number}", purpose="PATRQT")


# --- rows


def test_a_row_of_two_patients_that_nobody_labelled_is_hidden(world):
    shared = {
        "resourceType": "Appointment", "id": "posta-a1", "status": "proposed",
        "participant": [{"actor": {"reference": f"Patient/posta-p{each}"}, "status": "accepted"} for each in (1, 2)],
    }  # fmt: skip
    # A permit of whatever confidentiality: only the missing label hides the row.
    whatever = a_provision(
        "permit", actors=[HOSPITAL], securityLabel=[{"system": CONFIDENTIALITY, "code": "V"}]
    )
    consents = [a_consent(f"posta-c{each}", f"posta-p{each}", provision=whatever) for each in (1, 2)]
    world.post.store(shared, *consents)
    assert patient(world, 1).get("Appointment/posta-a1").status == 404  # it is the other one's, too
    assert world.hospital.get("Appointment/posta-a1").status == 200
    assert world.hospital.get("Appointment?status=proposed").ids == ["posta-a1"]
    with world.sql() as cursor:
        cursor.execute("UPDATE resource SET facets = NULL WHERE id = 'posta-a1'")
    assert world.hospital.get("Appointment/posta-a1").status == 404
    assert world.hospital.get("Appointment?status=proposed").ids == []
    assert world.post.get("Appointment/posta-a1").status == 200


@pytest.mark.parametrize("criteria", ["_id=hospital-o1", "patient=Patient/hospital-p9"])
def test_what_ones_own_points_to_is_included_where_it_is_open(world, criteria):
    """The hospital's own observation is derived from one of the post's."""
    derived = an_observation(
        "hospital-o1", "hospital-p9", derivedFrom=[{"reference": "Observation/posta-o1"}]
    )
    world.hospital.store(patient_of(HOSPITAL, 9), derived)
    path = f"Observation?{criteria}&_include=Observation:derived-from"
    assert world.hospital.get(path).ids == ["hospital-o1"]
    assert world.hospital.get(path).included == []
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    if criteria.startswith("_id"):
        assert [each["id"] for each in world.hospital.get(path).included] == ["posta-o1"]


# --- events


def test_a_privacy_officer_reads_the_events_of_one_facility(world):
    world.hospital.store(patient_of(HOSPITAL, 9))
    world.hospital.get("Patient/hospital-p9")
    officer = person(world, "privacy-officer", POST, purpose="HOPERAT")
    found = officer.get("AuditEvent?_count=1000")
    assert found.status == 200
    assert b"posta-p1" in found.text
    assert b"hospital-p9" not in found.text


def test_a_patient_reads_the_events_about_himself(world):
    found = patient(world, 1).get("AuditEvent?_count=1000")
    assert found.status == 200
    assert b"posta-p1" in found.text
    assert b"posta-p2" not in found.text


def test_a_patient_reads_no_single_event_about_another_one(world):
    world.post.get("Patient/posta-p2")
    (other, *_), (own, *_) = (
        [each["id"] for each in world.events(f"&patient=Patient/posta-p{number}")] for number in (2, 1)
    )
    asked = patient(world, 1)
    assert asked.get(f"AuditEvent/{own}").status == 200
    assert asked.get(f"AuditEvent/{other}").status == 404


def test_a_patient_who_names_another_one_reads_no_event(world):
    found = patient(world, 1).get("AuditEvent?patient=Patient/posta-p2")
    assert (found.status, found.ids) == (200, [])


# --- whose records


def test_a_patient_who_names_another_one_finds_nothing_even_of_his_own(world):
    assert patient(world, 2).get("Observation?patient=Patient/posta-p2").ids == ["posta-o2"]
    assert patient(world, 2).get("Observation?patient=Patient/posta-p1").ids == []


@pytest.mark.parametrize("action", ["c", "u", "d"])
def test_a_patient_writes_nothing_here(world, action):
    asked = patient(world, 1).requester
    with world.database_store.transaction() as transaction, pytest.raises(Denied) as refused:
        decide(transaction, asked, Need((("Observation", action),), is_write=True))
    assert refused.value.reason == "role"


@pytest.mark.parametrize("actor", [HOSPITAL, "Device/client-of-ipress-00090012", "red-trujillo"])
def test_a_facility_does_not_file_a_consent_that_permits_itself(world, actor):
    asked = replace(a_requester(HOSPITAL, id_prefix="hospital-"), within=("red-trujillo",))
    caller = Caller(world.spine, asked)
    caller.store(patient_of(HOSPITAL, 1))
    assert caller.put(a_consent("hospital-c1", "hospital-p1", permit=actor)).status == 403
    assert caller.put(a_consent("hospital-c1", "hospital-p1", permit=POST)).status == 201


@pytest.mark.parametrize("resource_id", ["posta-o1", "posta-o404"])
def test_an_update_of_anothers_resource_and_of_none_are_refused_alike(world, resource_id):
    """Even with the right version: an id that is taken tells nothing."""
    world.hospital.store(patient_of(HOSPITAL, 1))
    said = world.hospital.put(an_observation(resource_id, "hospital-p1"), if_match='W/"1"')
    assert said.status == 422
    assert b"registered prefix" in said.text
    assert world.post.get("Observation/posta-o1").body["subject"]["reference"] == "Patient/posta-p1"


def test_a_security_label_is_not_taken_away(world):
    label = {"system": CONFIDENTIALITY, "code": "R"}
    world.post.store(an_observation("posta-o3", "posta-p1", meta={"security": [label]}))
    told = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"security": [label]}}]}
    assert world.post.operate("Observation/posta-o3/$meta-delete", told).status == 403
    assert world.post.get("Observation/posta-o3").body["meta"]["security"] == [label]


# --- answers, purposes, sign-in


def test_an_answer_that_holds_another_record_is_not_sent():
    permit = Permit((1,), 0, (), "TREAT", 0, None, audit=False, reason="", beside=(2,))
    enforce(permit, Answer(touched=[Touched(1), Touched(2), Touched(-7)]))
    with pytest.raises(SealBroken):
        enforce(permit, Answer(touched=[Touched(3)]))


def test_what_the_law_refuses_is_not_allowed_by_a_list():
    purposes = Purposes(allowed=("TREAT", "HMARKT"), refused_by_law=("HMARKT",))
    assert purposes.is_allowed("TREAT")
    assert not purposes.is_allowed("HMARKT")
    assert not purposes.is_allowed("CLINTRCH")


@pytest.mark.parametrize(("seconds", "is_refused"), [(60, False), (-1, True)])
def test_a_sign_in_ends_by_itself(world, seconds, is_refused):
    crypto = world.database_store.crypto
    asked = Authorization(**dict.fromkeys(Authorization.__dataclass_fields__, ""))
    pending = Pending(
        "https://idp.example.org", "state", "nonce", "verifier", int(time.time()) + seconds, asked
    )
    cookie = seal_token(crypto, ["sign-in"], [asdict(pending)])
    if is_refused:
        with pytest.raises(RefusedSignIn) as refused:
            pending_of(crypto, cookie, [("state", "state")])
        assert refused.value.reason == "too late"
    else:
        assert pending_of(crypto, cookie, [("state", "state")]) == pending
