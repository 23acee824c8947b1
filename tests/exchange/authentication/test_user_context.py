"""For whom a system asks: what its registration lets it vouch for, over HTTP, and what the audit log then names."""

from __future__ import annotations

import json
import time

import jwt
import pytest

from exchange.authentication.registration import find_client
from exchange.authentication.user_context import user_context
from tests.exchange.authentication.clinic import Clinic, refused
from tests.sample.requester import HOSPITAL, POST

PURPOSE = "urn:oid:2.16.840.1.113883.5.8#"
EVERYTHING = "system/*.cruds user/*.cruds"


@pytest.fixture(scope="module")
def clinic(live):
    """A hospital's system: for its own work, and for its clinicians at two facilities."""
    return Clinic(
        live, scope=EVERYTHING, further_roles=("clinician",), within=("red-trujillo", "geresa"),
        user_roles=("physician", "nurse"), user_organizations={HOSPITAL: ("geresa",)}, purposes=("TREAT", "ETREAT"),
    )  # fmt: skip


def b2b(**changed) -> dict:
    told = {
        "version": "1", "subject_id": "u-17", "subject_name": "Dra. Ana Ríos", "subject_role": "physician",
        "organization_id": POST, "organization_name": "Posta", "purpose_of_use": [PURPOSE + "ETREAT"],
    } | changed  # fmt: skip
    return {"hl7-b2b": {name: value for name, value in told.items() if value is not ...}}


def iua(**changed) -> dict:
    told = {
        "subject_name": "Dra. Ana Ríos", "subject_organization_id": POST, "person_id": "u-17",
        "subject_role": [{"system": "urn:chasqui:functional-role", "code": "physician"}],
        "purpose_of_use": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "ETREAT"}],
    } | changed  # fmt: skip
    return {"ihe_iua": {name: value for name, value in told.items() if value is not ...}}


def claims_of(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


@pytest.mark.parametrize("scope", ["user/*.rs", "system/*.rs"])
@pytest.mark.parametrize("extensions", [b2b(), iua()], ids=["b2b", "iua"])
def test_both_forms_name_the_user(clinic, scope, extensions):
    told = claims_of(clinic.token(scope, extensions=extensions))
    assert told["purpose_of_use"] == "ETREAT"
    assert told["role"] == "clinician"
    assert (told["subject_id"], told["subject_name"], told["subject_role"]) == (
        "u-17",
        "Dra. Ana Ríos",
        "physician",
    )
    assert told["subject_organization_id"] == POST
    assert told["scope"] == scope


def test_the_audit_event_names_the_user_as_the_one_who_asked(clinic):
    token = clinic.token("user/*.rs", extensions=b2b(subject_id="u-agent", subject_name="Enf. Rosa Díaz"))
    assert clinic.get("Organization?name=whoever", token).status_code == 200
    [event] = [
        each for each in clinic.live.world.events()
        if each["subtype"][0]["code"] == "search-type" and "u-agent" in json.dumps(each)
    ]  # fmt: skip
    [asking] = [each for each in event["agent"] if each["requestor"]]
    assert asking["who"]["identifier"] == {"system": f"urn:chasqui:user:{POST}", "value": "u-agent"}
    assert asking["name"] == "Enf. Rosa Díaz"
    assert [each["coding"][0]["code"] for each in asking["role"]] == ["clinician", "physician"]
    assert asking["policy"] == [f"urn:ietf:params:oauth:jti:{claims_of(token)['jti']}"]
    assert event["agent"][0]["who"]["identifier"]["value"] == clinic.id


def test_a_system_without_a_user_asks_as_itself(clinic):
    told = claims_of(clinic.token("system/*.rs"))
    assert told["role"] == "system"
    assert "subject_id" not in told


@pytest.mark.parametrize(
    "organization", [HOSPITAL, f"Organization/{HOSPITAL}", "{fhir}/Organization/" + HOSPITAL]
)
def test_a_registered_organisation_may_be_named(clinic, organization):
    named = organization.replace("{fhir}", clinic.live.fhir)
    told = claims_of(clinic.token("user/*.rs", extensions=b2b(organization_id=named)))
    assert told["subject_organization_id"] == HOSPITAL


@pytest.mark.parametrize("context", ["user", "system"])
@pytest.mark.parametrize(
    "changed",
    [{"version": "2"}, {"version": ...}, {"version": 1}, {"organization_id": "somewhere"}, {"organization_id": ""},
     {"organization_id": [POST, HOSPITAL]}, {"organization_id": POST + " "}, {"organization_id": "geresa"}, {"organization_id": 7},
     {"organization_id": "https://elsewhere/fhir/Organization/" + POST}, {"organization_id": POST.upper()},
     {"purpose_of_use": [PURPOSE + "BTG"]}, {"purpose_of_use": [PURPOSE + "ETREAT", PURPOSE + "TREAT"]}, {"purpose_of_use": []},
     {"purpose_of_use": ["ETREAT"]}, {"purpose_of_use": PURPOSE + "ETREAT"}, {"purpose_of_use": None}, {"purpose_of_use": [PURPOSE + "etreat"]},
     {"purpose_of_use": [PURPOSE + "ETREAT\u200b"]}, {"purpose_of_use": [PURPOSE + "\uff25TREAT"]}, {"purpose_of_use": [[PURPOSE + "ETREAT"]]},
     {"subject_id": ...}, {"subject_id": ""}, {"subject_id": "x" * 201}, {"subject_id": ["a", "b"]}, {"subject_id": "a\u202eb"},
     {"subject_id": "a\n"}, {"subject_id": 7}, {"subject_id": None}, {"subject_name": ""}, {"subject_name": "a\u0000"}, {"subject_name": {}},
     {"subject_role": "surgeon"}, {"subject_role": "Physician"}, {"subject_role": ["physician", "nurse"]}, {"subject_role": "clinician"},
     {"subject_role": "http://snomed.info/sct#physician"}, {"subject_role": {"system": "x", "code": "physician"}}, {"subject_role": ""},
     {"role": "administrator"}, {"acp": "urn:x"}],
    ids=str,
)  # fmt: skip
def test_a_claim_beyond_the_registration_is_refused(clinic, context, changed):
    refused(clinic.ask(clinic.assertion(extensions=b2b(**changed)), f"{context}/*.rs"))


@pytest.mark.parametrize(
    "extensions",
    [b2b() | iua(), {"ihe_iua": []}, {"ihe_iua": None}, iua(subject_organization_id=[POST, HOSPITAL]), iua(person_id=["a", "b"]),
     iua(person_id=...), iua(purpose_of_use=[{"code": "ETREAT"}]), iua(purpose_of_use=[{"system": "urn:oid:1.2", "code": "ETREAT"}]),
     iua(subject_role=[{"system": "http://snomed.info/sct", "code": "physician"}]), iua(subject_role=[{"code": "physician"}, {"code": "nurse"}]),
     iua(subject_role=[{"system": "urn:chasqui:functional-role"}]), iua(home_community_id="urn:oid:1.2.3"), iua(patient="Patient/x")],
    ids=range(13),
)  # fmt: skip
def test_claims_of_iua_beyond_the_registration_are_refused(clinic, extensions):
    refused(clinic.ask(clinic.assertion(extensions=extensions), "user/*.rs"))


def test_scopes_of_a_user_need_one(clinic):
    refused(clinic.ask(clinic.assertion(), "user/*.rs"))
    refused(
        clinic.ask(
            clinic.assertion(extensions=b2b(subject_id=..., subject_name=..., subject_role=...)), "user/*.rs"
        )
    )


@pytest.mark.parametrize("role", ["clinician", "privacy-officer"])
def test_a_role_that_only_a_person_has_needs_one(live, role):
    clinic = Clinic(
        live, scope=EVERYTHING, role=role, user_roles=("physician",), purposes=("TREAT", "ETREAT")
    )
    for scope in ("system/*.rs", "user/*.rs"):
        refused(clinic.ask(clinic.assertion(), scope))
        assert claims_of(clinic.token(scope, extensions=b2b()))["role"] == role


@pytest.mark.parametrize("claims", [{}, {"subject_id": "Patient/x"}, {"subject_id": "u"}])
def test_no_assertion_makes_a_patient(live, claims):
    clinic = Clinic(live, scope="patient/*.rs system/*.rs", role="patient")
    extensions = b2b(
        subject_role=..., subject_name=..., purpose_of_use=..., subject_id=claims.get("subject_id", ...)
    )
    for scope in ("patient/*.rs", "system/*.rs"):
        refused(clinic.ask(clinic.assertion(extensions=extensions), scope))


def test_a_system_role_does_not_become_another(live):
    clinic = Clinic(live, scope=EVERYTHING, purposes=("TREAT", "ETREAT"), user_roles=("physician",))
    refused(clinic.ask(clinic.assertion(extensions=b2b()), "user/*.rs"))
    assert claims_of(clinic.token("system/*.rs", extensions=b2b()))["role"] == "system"


def test_scopes_of_two_contexts_are_refused_together(clinic):
    asked = "system/Patient.rs user/Observation.rs"
    refused(clinic.ask(clinic.assertion(extensions=b2b()), asked), 400, "invalid_scope")


def test_a_practitioner_of_somebody_else_is_nobody_here(clinic):
    own = claims_of(clinic.token("user/*.rs", extensions=b2b(subject_id=f"Practitioner/{clinic.prefix}7")))
    assert own["subject_reference"] == f"Practitioner/{clinic.prefix}7"
    other = claims_of(clinic.token("user/*.rs", extensions=b2b(subject_id="Practitioner/hospital-7")))
    assert other["subject_reference"] == ""


@pytest.mark.parametrize(
    "narrowed", [{"user_roles": ()}, {"user_organizations": {}}, {"purposes": ("TREAT",)}, {"further_roles": ()}], ids=str
)  # fmt: skip
def test_a_registration_that_was_narrowed_narrows_the_tokens_that_are_out(live, narrowed):
    clinic = Clinic(
        live, scope=EVERYTHING, further_roles=("clinician",), user_roles=("physician",), purposes=("TREAT", "ETREAT"),
        user_organizations={HOSPITAL: ()},
    )  # fmt: skip
    token = clinic.token("user/*.rs", extensions=b2b(organization_id=HOSPITAL))
    assert clinic.get("Organization", token).status_code == 200
    clinic.register(**narrowed)
    time.sleep(1.1)
    assert clinic.get("Organization", token).status_code == 401


def test_an_organisation_comes_with_those_that_it_is_within(clinic):
    with clinic.live.world.database_store.transaction() as transaction:
        client = find_client(transaction, clinic.id)
    assert client is not None
    assert user_context(client, {"extensions": b2b()}, "user").within == ("red-trujillo", "geresa")
    assert user_context(client, {"extensions": b2b(organization_id=HOSPITAL)}, "user").within == ("geresa",)
