"""Emergencies in tests: people at facilities, what is posted to open and to close a case, a record of every kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from exchange.requester import User
from tests.passage.world import Caller, Said, World, patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST, a_requester

REASON = "Politraumatizado inconsciente, sin familiares; se buscan alergias"
BOTH = ("grave-risk", "patient-unable")
CIE10 = "http://hl7.org/fhir/sid/icd-10"
SUBJECT = {"subject": {"reference": "Patient/posta-p1"}}
PATIENT = {"patient": {"reference": "Patient/posta-p1"}}


def a_physician(world: World, organization: str = HOSPITAL, user: str = "u1", **more: Any) -> Caller:
    """A person who treats, asking through the facility's system with the purpose BTG."""
    told: dict[str, Any] = {"role": "system", "purpose": "BTG", "user_role": "physician", "client": ""} | more
    role, name = told.pop("user_role"), told.pop("name", "Dra. Flores")
    requester = a_requester(
        organization,
        told.pop("scopes", "system/*.rs"),
        role=told["role"],
        purpose=told["purpose"],
        client=told["client"],
    )
    return Caller(world.spine, replace(requester, user=User(user, name, role)))


def an_officer(world: World, organization: str = HOSPITAL, user: str = "oficial-1") -> Caller:
    """The privacy officer of a facility."""
    requester = a_requester(
        organization,
        "user/AuditEvent.rs",
        role="privacy-officer",
        purpose="HOPERAT",
        client=f"console-{organization}",
    )
    return Caller(world.spine, replace(requester, user=User(user, "Abog. Salas")))


def the_patient(world: World, patient: str = "posta-p1") -> Caller:
    """The patient, who reads the own log."""
    requester = a_requester("portal", "patient/*.rs", role="patient", purpose="PATRQT", client="portal")
    return Caller(world.spine, replace(requester, user=User("cuenta-1", reference=f"Patient/{patient}")))


def told(**values: Any) -> dict[str, Any]:
    """Parameters of an opening; None leaves one out."""
    named = {"reason": REASON, "attested": BOTH, "minutes": None} | values
    rows: list[dict[str, Any]] = []
    for name, value in named.items():
        for each in value if isinstance(value, tuple | list) else (value,):
            if each is not None:
                kind = (
                    "valueInteger"
                    if isinstance(each, int)
                    else "valueCode"
                    if name == "attested"
                    else "valueString"
                )
                rows.append({"name": name, kind: each})
    return {"resourceType": "Parameters", "parameter": rows}


def try_to_open(caller: Caller, patient: str = "hospital-p1", **values: Any) -> Said:
    return caller.operate(f"Patient/{patient}/$open-emergency", told(**values))


def opened(caller: Caller, patient: str = "hospital-p1", **values: Any) -> str:
    """The number of a case that must open."""
    said = try_to_open(caller, patient, **values)
    assert said.status == 200, said.text
    return next(each["valueString"] for each in said.body["parameter"] if each["name"] == "number")


def close(caller: Caller, number: str, verdict: str | None = "justified", comment: str | None = None) -> Said:
    named = {"number": number, "verdict": verdict, "comment": comment}
    rows = [{"name": name, "valueString": each} for name, each in named.items() if each is not None]
    return caller.operate("$close-emergency", {"resourceType": "Parameters", "parameter": rows})


def listed(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    """The cases on one page, each as its parts by name."""
    said = caller.get("$emergency-cases" + query)
    assert said.status == 200, said.text
    return [
        {part["name"]: next(value for key, value in part.items() if key != "name") for part in each["part"]}
        for each in said.body["parameter"]
        if each["name"] == "case"
    ]


def coded(kind: str, name: str, code: str = "I10", **more: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": name, "code": {"coding": [{"system": CIE10, "code": code}]}} | more


ACTIVE = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}
    ]
}
BASIC = {
    "Patient/posta-p1", "Condition/posta-c1", "AllergyIntolerance/posta-a1", "MedicationStatement/posta-m1",
    "MedicationRequest/posta-r1",
}  # fmt: skip
"""What a case shows of the post's record."""


def a_whole_record(world: World) -> None:
    """Person 1 at the post, with everything that a record may hold, some of it sensitive; the hospital knows the person."""
    medication = {"medicationCodeableConcept": {"text": "enalapril"}}
    sensitive = {
        "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]
    }
    category = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SDV"}]}
    composition = {
        "resourceType": "Composition", "id": "posta-s1", "status": "final", "type": {"text": "Resumen"}, "title": "Resumen",
        "date": "2026-05-01", "author": [{"display": "x"}],
    } | SUBJECT  # fmt: skip
    world.post.store(
        patient_of(POST, 1),
        coded("Condition", "posta-c1", **SUBJECT), coded("AllergyIntolerance", "posta-a1", "Z88.0", clinicalStatus=ACTIVE, **PATIENT),
        {"resourceType": "MedicationStatement", "id": "posta-m1", "status": "active"} | medication | SUBJECT,
        {"resourceType": "MedicationRequest", "id": "posta-r1", "status": "active", "intent": "order"} | medication | SUBJECT,
        # of a basic type, and sensitive: by code, by what is inferred, by what the source told
        coded("Condition", "posta-hiv", "B20", **SUBJECT),
        {"resourceType": "MedicationStatement", "id": "posta-arv", "status": "active", **SUBJECT,
         "medicationCodeableConcept": {"coding": [{"system": "http://www.whocc.no/atc", "code": "J05AR10"}]}},
        coded("Condition", "posta-told", meta=sensitive, **SUBJECT), coded("Condition", "posta-sdv", meta=category, **SUBJECT),
        # of another type
        an_observation("posta-o1", "posta-p1"), composition,
        {"resourceType": "Encounter", "id": "posta-e1", "status": "finished", "class": {"code": "AMB"}} | SUBJECT,
        {"resourceType": "Procedure", "id": "posta-x1", "status": "completed"} | SUBJECT,
        {"resourceType": "DocumentReference", "id": "posta-d1", "status": "current", **SUBJECT,
         "content": [{"attachment": {"contentType": "text/plain", "data": "eA=="}}]},
        {"resourceType": "Binary", "id": "posta-b1", "contentType": "text/plain", "data": "eA==",
         "securityContext": {"reference": "Patient/posta-p1"}},
    )  # fmt: skip
    world.hospital.store(patient_of(HOSPITAL, 1))
