"""Random Consents with every dimension that the hub reads: who, what for, when, and about what."""

from __future__ import annotations

from random import Random
from typing import Any

from exchange.consent.dimension import USER_ROLE
from tests.properties.hidden_searches import DOCTOR, NETWORK
from tests.properties.region_charts import (
    ACT_CODE,
    CODES,
    CONFIDENTIALITY,
    DIAGNOSES,
    DOCUMENTS,
    ICD_10,
    LOINC,
    PROFILE,
    ROLE,
)
from tests.sample.consent import a_consent, a_provision, an_actor
from tests.sample.requester import HOSPITAL, INSTITUTE, POST

PERIODS = (
    ("2026-01-01", None),
    ("2020-01-01", "2099-12-31"),
    ("2020-01-01", "2021-01-01"),
    ("2098-01-01", None),
)
TYPES = ("Observation", "Condition", "Encounter", "DocumentReference", "Patient", "MedicationRequest", "Binary", "Appointment")  # fmt: skip
ACTIONS = "http://terminology.hl7.org/CodeSystem/consentaction"


def a_random_consent(
    random: Random, consent_id: str, patient: str, stored: list[dict[str, Any]]
) -> dict[str, Any]:
    """A Consent of one patient; mostly it permits the hospital something."""
    drawn = random.random()
    more: dict[str, Any] = {"dateTime": f"2026-0{random.randint(1, 5)}-15"}
    if random.random() < 0.5:
        more["policy"] = [{"uri": f"urn:form:{consent_id}"}]  # a form of its own: no newer one silences it
    if drawn < 0.3:
        return a_consent(consent_id, patient, permit=HOSPITAL, **more)
    if drawn < 0.38:
        return a_consent(consent_id, patient, deny=HOSPITAL, **more)
    if drawn < 0.42:
        return a_consent(consent_id, patient, permit=HOSPITAL, status="inactive", **more)
    if drawn < 0.5:
        return a_consent(consent_id, patient, provision=a_provision("permit", actors=[HOSPITAL], securityLabel=[_level(random, "RV")]), **more)  # fmt: skip
    kind = "deny" if drawn > 0.93 else "permit"
    provision = _provision(random, kind, patient, stored, depth=0)
    if random.random() < 0.7:
        provision["actor"] = [an_actor(HOSPITAL)]
    if random.random() < 0.03:
        provision["modifierExtension"] = [{"url": "urn:unknown", "valueBoolean": True}]
    return a_consent(consent_id, patient, provision=provision, **more)


def _provision(
    random: Random, kind: str, patient: str, stored: list[dict[str, Any]], depth: int
) -> dict[str, Any]:
    start, end = random.choice(PERIODS[:2]) if random.random() < 0.8 else random.choice(PERIODS[2:])
    made = a_provision(
        kind, start=start if random.random() < 0.3 else None, end=end if random.random() < 0.3 else None
    )
    about = (_class, _code, _label, _data_period, _data)
    for chosen in random.sample(about, random.choice((0, 1, 1, 2) if depth == 0 else (1, 1, 2))):
        chosen(random, made, patient, stored)
    if random.random() < 0.3:
        made["actor"] = [_actor(random, patient) for _ in range(random.randint(1, 2))]
    if random.random() < 0.2:
        made["purpose"] = [
            {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
                "code": random.choice(("TREAT", "ETREAT", "HRESCH")),
            }
        ]
    if random.random() < 0.1:
        made["action"] = [{"coding": [{"system": ACTIONS, "code": random.choice(("access", "disclose"))}]}]
    if depth < 3 and random.random() < 0.5:
        inner = "deny" if kind == "permit" else "permit"
        made["provision"] = [
            _provision(random, inner, patient, stored, depth + 1) for _ in range(random.randint(1, 2))
        ]
    return made  # fmt: skip


def _actor(random: Random, patient: str) -> dict[str, Any]:
    if random.random() < 0.2:
        role = {"system": USER_ROLE, "value": random.choice(("physician", "nurse"))}
        return an_actor(HOSPITAL) | {"reference": {"identifier": role}}
    return an_actor(
        random.choice((HOSPITAL, INSTITUTE, POST, NETWORK, f"Practitioner/{DOCTOR}", "Practitioner/hospital-d2", f"PractitionerRole/{ROLE}", f"CareTeam/{patient}-t", f"Device/client-of-{HOSPITAL}"))
    )  # fmt: skip


def _class(random: Random, made: dict[str, Any], _patient: str, _stored: list[dict[str, Any]]) -> None:
    types = [
        {"system": "http://hl7.org/fhir/resource-types", "code": each}
        for each in random.sample(TYPES, random.randint(1, 3))
    ]
    others = (
        {"system": "urn:ietf:rfc:3986", "code": PROFILE.partition("|")[0]},
        {"system": LOINC, "code": random.choice(DOCUMENTS)},
    )
    made["class"] = types if random.random() < 0.7 else [random.choice(others)]  # fmt: skip


def _code(random: Random, made: dict[str, Any], _patient: str, _stored: list[dict[str, Any]]) -> None:
    system, code = random.choice([(ICD_10, each) for each in (*DIAGNOSES, "F32", "J45")] + [(LOINC, each) for each in CODES])  # fmt: skip
    made["code"] = [{"coding": [{"system": system, "code": code}]}]


def _label(random: Random, made: dict[str, Any], _patient: str, _stored: list[dict[str, Any]]) -> None:
    category = {"system": ACT_CODE, "code": random.choice(("HIV", "PSY", "SDV"))}
    made["securityLabel"] = [category if random.random() < 0.3 else _level(random, "NRRV")]


def _level(random: Random, levels: str) -> dict[str, Any]:
    return {"system": CONFIDENTIALITY, "code": random.choice(levels)}


def _data_period(random: Random, made: dict[str, Any], _patient: str, _stored: list[dict[str, Any]]) -> None:
    made["dataPeriod"] = random.choice(
        ({"start": "2026-05-10"}, {"end": "2026-05-20"}, {"start": "2026-05-05", "end": "2026-05-25"})
    )


def _data(random: Random, made: dict[str, Any], patient: str, stored: list[dict[str, Any]]) -> None:
    named = [f"{each['resourceType']}/{each['id']}" for each in stored] or [f"Observation/{patient}-o0"]
    meaning = random.choice(("instance", "related", "dependents", "authoredby"))
    place = (
        f"Practitioner/{DOCTOR}"
        if meaning == "authoredby"
        else random.choice([*named, f"Encounter/{patient}-e"])
    )
    made["data"] = [{"meaning": meaning, "reference": {"reference": place}}]
