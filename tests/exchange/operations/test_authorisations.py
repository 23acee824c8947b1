"""$file and $revoke: an authorisation is complete, tells what it does to the others, and ends when it is withdrawn."""

from __future__ import annotations

from copy import deepcopy

import pytest

from exchange.consent.authorisation import ASSENT, REPRESENTATION, SIGNATURE
from tests.passage.conftest import shared_hub
from tests.passage.world import patient_of
from tests.sample.consent import a_consent, a_provision
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST

__all__ = ["shared_hub"]

ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"


@pytest.fixture
def world(shared_hub):
    made = shared_hub.clear()
    made.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
    return made


def a_form(consent_id="posta-c1", *, of="035", version="2", actions=(), provision=None, **more):
    """A complete authorisation; `of` is the form's number."""
    rules = provision or a_provision("permit", actors=[HOSPITAL], start="2026-01-01", end="2099-12-31")
    if actions:
        rules["action"] = [{"coding": [{"system": ACTION, "code": each}]} for each in actions]
    consent = a_consent(
        consent_id, "posta-p1", provision=rules, policy=[{"uri": f"urn:chasqui:form:{of}|{version}"}],
        performer=[{"reference": "Patient/posta-p1"}],
        extension=[{"url": SIGNATURE, "valueCode": "digital-signature"}],
    ) | more  # fmt: skip
    return {name: value for name, value in consent.items() if value is not None}


def file(world, consent, caller=None):
    return (caller or world.post).operate(
        "Consent/$file",
        {"resourceType": "Parameters", "parameter": [{"name": "consent", "resource": consent}]},
    )


def told(said, name):
    return [each for each in said.body["parameter"] if each["name"] == name]


def revoke(caller, consent_id="posta-c1", reason="the patient asked for it", by="Patient/posta-p1"):
    parameters = [{"name": "reason", "valueString": reason}]
    parameters += [{"name": "revoked-by", "valueReference": {"reference": by}}] if by else []
    return caller.operate(
        f"Consent/{consent_id}/$revoke", {"resourceType": "Parameters", "parameter": parameters}
    )


def sees(world):
    return world.hospital.get("Observation/posta-o1").status == 200


# --- filing ---------------------------------------------------------------------------------------------------------


def test_what_is_filed_holds_and_is_a_resource_like_any_other(world):
    said = file(world, a_form())
    assert said.status == 200, said.text
    assert told(said, "consent")[0]["resource"]["meta"]["versionId"] == "1"
    assert told(said, "supersedes") == told(said, "conflict") == []
    assert sees(world)
    assert world.post.get("Consent/posta-c1").status == 200


def test_without_an_id_the_hub_gives_one(world):
    consent = a_form()
    del consent["id"]
    assert told(file(world, consent), "consent")[0]["resource"]["id"]


LACKS = {
    "in force": ({"status": "draft"}, "Consent.status"),
    "about privacy": ({"scope": {"coding": [{"code": "research"}]}}, "Consent.status"),
    "a date": ({"dateTime": None}, "Consent.dateTime"),
    "a validity": ({"provision": a_provision("permit", actors=[HOSPITAL])}, "Consent.provision.period"),
    "a form": ({"policy": None}, "Consent.policy.uri"),
    "the form's version": ({"policy": [{"uri": "urn:chasqui:form:035"}]}, "Consent.policy.uri"),
    "a signer": ({"performer": None}, "Consent.performer"),
    "a signature": ({"extension": None}, "Consent.extension"),
    "a known way of signing": (
        {"extension": [{"url": SIGNATURE, "valueCode": "by-nod"}]},
        "Consent.extension",
    ),
    "a representative's title": (
        {"performer": [{"reference": "RelatedPerson/posta-r1"}]},
        "Consent.extension",
    ),
    "the adolescent's assent": (
        {
            "extension": [
                {"url": SIGNATURE, "valueCode": "handwritten"},
                {"url": ASSENT, "valueBoolean": False},
            ]
        },
        "Consent.extension",
    ),
}


@pytest.mark.parametrize("lacking", LACKS)
def test_a_form_that_lacks_something_is_refused_by_name(world, lacking):
    more, element = LACKS[lacking]
    said = file(world, a_form() | {name: value for name, value in more.items() if value is not None}
                if None not in more.values() else {k: v for k, v in (a_form() | more).items() if v is not None})  # fmt: skip
    assert said.status == 422
    assert said.body["issue"][0]["expression"] == [element]
    assert not sees(world)
    assert world.post.get("Consent/posta-c1").status == 404


def test_a_guardian_signs_as_one(world):
    extension = [{"url": SIGNATURE, "valueCode": "handwritten"}, {"url": REPRESENTATION, "valueCode": "guardian"},
                 {"url": ASSENT, "valueBoolean": True}]  # fmt: skip
    assert (
        file(world, a_form(performer=[{"reference": "RelatedPerson/posta-r1"}], extension=extension)).status
        == 200
    )


def test_nobody_files_for_himself_or_for_another_s_patient(world):
    own = a_form(provision=a_provision("permit", actors=[POST], start="2026-01-01"))
    assert file(world, own).status == 403
    stranger = file(world, a_form("hospital-c1"), world.hospital)
    absent = a_form("hospital-c1")
    absent["patient"] = absent["performer"][0] = {"reference": "Patient/nobody"}
    assert (stranger.status, stranger.text) == (422, file(world, absent, world.hospital).text)


def test_access_and_sending_are_filed_as_two(world):
    assert file(world, a_form("posta-c1", actions=["access", "use"])).status == 200
    assert not sees(world)
    assert file(world, a_form("posta-c2", of="034", actions=["disclose"])).status == 200
    assert sees(world)
    assert revoke(world.post, "posta-c2").status == 200
    assert not sees(world)


def test_whoever_files_learns_what_it_silences(world):
    file(world, a_form("posta-c1", dateTime="2026-01-01"))
    said = file(world, a_form("posta-c2", version="3", dateTime="2026-02-01"))
    assert [each["valueReference"]["reference"] for each in told(said, "supersedes")] == ["Consent/posta-c1"]
    assert told(said, "is-silent")[0]["valueBoolean"] is False
    late = file(world, a_form("posta-c3", dateTime="2025-12-01"))
    assert told(late, "is-silent")[0]["valueBoolean"] is True
    assert told(late, "supersedes") == []


def test_whoever_files_learns_what_contradicts_it(world):
    other = {"category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}]}
    world.post.store(a_consent("posta-c2", "posta-p1", deny=HOSPITAL, **other))
    said = file(world, a_form())
    assert not sees(world)
    (conflict,) = told(said, "conflict")
    parts = {each["name"]: each for each in conflict["part"]}
    assert parts["for"]["valueString"] == f"Organization/{HOSPITAL}"
    assert parts["permitted"]["valueBoolean"] is False
    assert parts["rule"]["valueString"] == "Consent/posta-c2#0"


def test_another_facility_s_consent_is_no_conflict_that_is_shown(world):
    world.institute.store(patient_of(INSTITUTE, 1), a_consent("instituto-c1", "instituto-p1", deny=HOSPITAL))
    alone = file(world, a_form())
    assert not sees(world)
    assert told(alone, "conflict") == []


# --- revoking -------------------------------------------------------------------------------------------------------


def test_a_withdrawal_counts_at_once_and_is_kept(world):
    file(world, a_form())
    assert sees(world)
    said = revoke(world.post)
    assert said.status == 200, said.text
    assert not sees(world)
    held = world.post.get("Consent/posta-c1").body
    assert held["status"] == "inactive"
    parts = {each["url"]: each for each in held["extension"][-1]["extension"]}
    assert parts["by"]["valueReference"]["reference"] == "Patient/posta-p1"
    assert parts["reason"]["valueString"] == "the patient asked for it"
    # Again: nothing new.
    assert revoke(world.post).status == 200
    assert world.post.get("Consent/posta-c1").body["meta"]["versionId"] == "2"


@pytest.mark.parametrize(
    ("reason", "by"),
    [("", "Patient/posta-p1"), ("   ", "Patient/posta-p1"), ("x" * 1_001, "Patient/posta-p1"), ("why", "")],
)
def test_a_withdrawal_says_by_whom_and_why(world, reason, by):
    file(world, a_form())
    assert revoke(world.post, reason=reason, by=by).status in (400, 422)
    assert sees(world)


def test_another_s_consent_and_none_at_all_are_answered_alike(world):
    file(world, a_form())
    stranger = revoke(world.hospital)
    assert (stranger.status, stranger.text) == (404, revoke(world.hospital, "posta-c9").text)
    assert revoke(world.institute).status == 404
    assert sees(world)
    world.post.delete("Consent/posta-c1")
    assert revoke(world.post).status == 410


def test_both_are_posted(world):
    assert world.post.get("Consent/$file").status == 405
    assert world.post.get("Consent/posta-c1/$revoke").status == 405


def test_a_form_is_not_changed_by_being_filed(world):
    consent = a_form()
    before = deepcopy(consent)
    stored = told(file(world, consent), "consent")[0]["resource"]
    assert consent == before
    assert {name: value for name, value in stored.items() if name != "meta"} == before
