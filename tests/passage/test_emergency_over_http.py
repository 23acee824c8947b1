"""An emergency as it runs: tokens, the server, the officer; and what a registration does not allow."""

from __future__ import annotations

import json

import pytest

from tests.exchange.authentication.clinic import Clinic
from tests.exchange.authentication.conftest import live
from tests.sample.emergency import BASIC, a_whole_record, told
from tests.sample.requester import HOSPITAL, INSTITUTE

__all__ = ["live"]

PURPOSES = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


def claims(purpose: str, user: str = "u1", **more: str) -> dict:
    told = {"version": "1", "subject_id": user, "subject_name": "Dra. Flores", "organization_id": f"Organization/{HOSPITAL}",
            "purpose_of_use": [f"{PURPOSES}#{purpose}"]}  # fmt: skip
    return {"extensions": {"hl7-b2b": told | more}}


@pytest.fixture(scope="module")
def hospital(live):
    a_whole_record(live.world)
    return Clinic(
        live, organization=HOSPITAL, purposes=("TREAT", "BTG"), user_roles=("physician", "admission")
    )


@pytest.fixture(scope="module")
def officer(live):
    return Clinic(
        live, organization=HOSPITAL, role="privacy-officer", scope="user/AuditEvent.rs", purposes=("HOPERAT",)
    )


def ask(clinic: Clinic, token: str, method: str, path: str, body: dict | None = None, **more):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"} | more.pop(
        "headers", {}
    )
    content = json.dumps(body).encode() if body is not None else more.pop("content", None)
    return clinic.live.http(method, f"/fhir/{path}", headers=headers, content=content, **more)


def shown(answer) -> set[str]:
    assert answer.status_code == 200, answer.text
    found = [each["resource"] for each in answer.json().get("entry", ())]
    return {
        f"{each['resourceType']}/{each['id']}" for each in found if each.get("id", "").startswith("posta-")
    }


def test_a_case_from_its_opening_to_its_end(hospital, officer):
    token = hospital.token("system/*.rs", **claims("BTG", subject_role="physician"))
    assert ask(hospital, token, "GET", "Patient/posta-p1").status_code == 404
    said = ask(hospital, token, "POST", "Patient/hospital-p1/$open-emergency", told())
    assert said.status_code == 200, said.text
    number = said.json()["parameter"][0]["valueString"]
    # every method, every format
    assert shown(ask(hospital, token, "GET", "Patient/hospital-p1/$everything")) == BASIC
    assert (
        shown(ask(hospital, token, "POST", "Patient/hospital-p1/$everything", {"resourceType": "Parameters"}))
        == BASIC
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    searched = ask(
        hospital, token, "POST", "Condition/_search", headers=form, content=b"patient=Patient/posta-p1"
    )
    assert shown(searched) == {"Condition/posta-c1"}
    assert shown(ask(hospital, token, "GET", "Patient/posta-p1/Condition")) == {"Condition/posta-c1"}
    assert ask(hospital, token, "HEAD", "Condition/posta-c1").status_code == 200
    assert ask(hospital, token, "HEAD", "Condition/posta-hiv").status_code == 404
    assert ask(hospital, token, "GET", "Binary/posta-b1", headers={"Accept": "text/plain"}).status_code == 404
    in_xml = ask(hospital, token, "GET", "Condition/posta-c1", headers={"Accept": "application/fhir+xml"})
    assert (in_xml.status_code, in_xml.content[:1]) == (200, b"<")
    # another purpose of the same person, and the same system without a person
    for other in (claims("TREAT", subject_role="physician"), claims("BTG", subject_role="admission"), {}):
        elsewhere = hospital.token("system/*.rs", **other)
        assert ask(hospital, elsewhere, "GET", "Condition/posta-c1").status_code == 404
    # the officer
    followed = officer.token("user/AuditEvent.rs", **claims("HOPERAT", "oficial-1"))
    cases = ask(officer, followed, "GET", "$emergency-cases")
    assert number in cases.text
    verdict = {"resourceType": "Parameters", "parameter": [
        {"name": "number", "valueString": number}, {"name": "verdict", "valueCode": "justified"}]}  # fmt: skip
    assert ask(officer, followed, "POST", "$close-emergency", verdict).status_code == 200
    assert ask(hospital, token, "GET", "Patient/posta-p1").status_code == 404


def test_a_system_that_is_not_registered_for_emergencies_gets_no_token_for_one(live):
    plain = Clinic(live, organization=HOSPITAL, purposes=("TREAT",), user_roles=("physician",))
    assert plain.ask(plain.assertion(**claims("BTG", subject_role="physician"))).status_code == 401


def test_a_function_and_a_facility_that_are_not_registered_cannot_be_claimed(live, hospital):
    limited = Clinic(live, organization=HOSPITAL, purposes=("BTG",), user_roles=("admission",))
    assert limited.ask(limited.assertion(**claims("BTG", subject_role="physician"))).status_code == 401
    elsewhere = claims("BTG", subject_role="physician", organization_id=f"Organization/{INSTITUTE}")
    assert hospital.ask(hospital.assertion(**elsewhere)).status_code == 401


def test_nothing_of_an_emergency_is_in_the_servers_log(live, hospital):
    token = hospital.token("system/*.rs", **claims("BTG", "u7", subject_role="physician"))
    assert ask(hospital, token, "POST", "Patient/hospital-p1/$open-emergency", told()).status_code == 200
    log = (live.folder / "log").read_text()
    for word in ("Politraumatizado", "hospital-p1", "Flores"):
        assert word not in log
