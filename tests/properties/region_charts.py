"""Charts of a random region: what a facility stores of one patient, and what the asking one says of others'."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any

from exchange.fhir import peru
from tests.properties.hidden_searches import DOCTOR, NETWORK, WARD, a_list, appointment, directory
from tests.sample.observation import an_observation

Resource = dict[str, Any]

ROLE = "hospital-r1"
ICD_10 = peru.CIE10_SYSTEM
ATC = "http://www.whocc.no/atc"
LOINC = "http://loinc.org"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PROFILE = "urn:region:profile|1"
DIAGNOSES = ("J45.0", "I10", "I10", "B20", "F32.1", "Y04")
MEDICINES = ("A10BA02", "J05AR02")
CODES = ("8480-6", "8462-4", "8480-6", "5292-8")
DOCUMENTS = ("34133-9", "11488-4")
KINDS = ("Appointment", "Binary", "CareTeam", "Composition", "Condition", "Consent", "DiagnosticReport", "DocumentReference",
         "Encounter", "List", "MedicationRequest", "Observation", "Patient", "Provenance")  # fmt: skip


def to(text: str, display: str = "") -> dict[str, Any]:
    """A reference, with the words that a source put beside it."""
    return {"reference": text} | ({"display": display} if display else {})


def everybody_knows() -> list[Resource]:
    """The region's directory."""
    return [
        *directory(),
        {"resourceType": "PractitionerRole", "id": ROLE, "practitioner": to(f"Practitioner/{DOCTOR}"), "organization": to(f"Organization/{NETWORK}")},
        {"resourceType": "Medication", "id": "hospital-med", "code": {"coding": [{"system": ATC, "code": MEDICINES[1]}]}},
    ]  # fmt: skip


def security(random: Random) -> dict[str, Any]:
    """What the source itself says about how sensitive a resource is; mostly nothing."""
    drawn = random.random()
    if drawn < 0.8:
        return {}
    if drawn < 0.95:
        return {"security": [{"system": CONFIDENTIALITY, "code": random.choice(("N", "R", "R", "V", "L"))}]}
    return {"security": [{"system": ACT_CODE, "code": random.choice(("HIV", "PSY"))}]}


def chart(random: Random, patient: str, beside: list[str]) -> list[Resource]:
    """What one facility stores of one patient; each part may be missing. `beside` are other patients of the facility."""
    makers = (
        _encounters,
        _observations,
        _observations,
        _conditions,
        _medication,
        _document,
        _composition,
        _others,
    )
    made = [each for maker in makers if random.random() < 0.55 for each in maker(random, patient)]
    if beside and random.random() < 0.4:
        other = random.choice(beside)
        made.append(appointment(f"{patient}-a", patient, other))
        if random.random() < 0.4:
            made.append(a_list(f"{patient}-g", f"Patient/{patient}", f"Patient/{other}", f"Observation/{other}-o0"))  # fmt: skip
    found = {(each["resourceType"], each["id"]): each for each in made}
    for each in found.values():
        meta = security(random)
        if random.random() < 0.15:
            meta["profile"] = [PROFILE.partition("|")[0]]
        if random.random() < 0.15:
            meta["tag"] = [{"system": "urn:t", "code": "marked"}]
        if meta:
            each["meta"] = each.get("meta", {}) | meta
    ordered = list(found.values())
    random.shuffle(ordered)
    return ordered


def again(random: Random, resource: Resource) -> Resource:
    """Another version of a resource."""
    changed = json.loads(json.dumps(resource))
    kind = resource["resourceType"]
    if kind == "Observation":
        changed["status"] = "amended"
        if random.random() < 0.5:
            changed["code"] = _concept(LOINC, random.choice(CODES))
    elif kind == "Condition":
        changed["code"] = _concept(ICD_10, random.choice(DIAGNOSES))
    elif kind == "CareTeam":
        changed["participant"] = changed["participant"][:1]
    else:
        changed["language"] = random.choice(("es", "qu"))
    return changed


def pointing(random: Random, own: str, everything: list[str], patients: list[str]) -> list[Resource]:
    """What the asking facility says itself of things that it may not see."""
    chosen = random.sample(everything, min(len(everything), 4)) if everything else []
    other = random.choice(patients) if patients else own
    made: list[Resource] = [
        a_list("hospital-l", f"Patient/{own}", *chosen),
        an_observation(f"{own}-x0", own, code="8480-6", encounter=to(f"Encounter/{other}-e", "De otra parte"), derivedFrom=[to(f"Observation/{other}-o0")]),
        {"resourceType": "Provenance", "id": f"{own}-y", "target": [to(each) for each in [f"Observation/{own}-x0", *chosen]], "recorded": "2026-05-03T10:00:00Z",
         "agent": [{"who": to(f"Practitioner/{DOCTOR}")}]},
        {"resourceType": "Composition", "id": f"{own}-z", "status": "final", "type": _concept(LOINC, DOCUMENTS[0]), "subject": to(f"Patient/{own}"), "date": "2026-05-04",
         "author": [to(f"Practitioner/{DOCTOR}")], "title": "Resumen", "section": [{"title": "Hallazgos", "entry": [to(each) for each in [f"Observation/{own}-x0", *chosen[:1]]]}]},
        {"resourceType": "DocumentReference", "id": f"{own}-w", "status": "current", "subject": to(f"Patient/{own}"),
         "content": [{"attachment": {"contentType": "text/plain", "url": f"Binary/{other}-b"}}], "context": {"related": [to(each) for each in chosen]}},
    ]  # fmt: skip
    return [each for each in made if random.random() < 0.6]


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _day(random: Random) -> str:
    return f"2026-05-{random.randint(1, 28):02d}"


def _encounters(random: Random, patient: str) -> list[Resource]:
    visit: Resource = {
        "resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": to(f"Patient/{patient}", "Rosa"),
        "period": {"start": _day(random)}, "serviceProvider": to(f"Organization/{NETWORK}"), "location": [{"location": to(f"Location/{WARD}")}],
    }  # fmt: skip
    if random.random() < 0.3:
        visit["reasonCode"] = [_concept(ICD_10, random.choice(DIAGNOSES))]
    part = visit | {"id": f"{patient}-f", "status": "planned", "partOf": to(f"Encounter/{patient}-e")}
    return [visit | {"id": f"{patient}-e"}, *([part] if random.random() < 0.4 else [])]


def _observations(random: Random, patient: str) -> list[Resource]:
    made = []
    for place in range(random.randint(1, 3)):
        day, code = _day(random), random.choice(CODES)
        number = int(day[-2:])
        more: dict[str, Any] = {"valueQuantity": {"value": number, "system": peru.UCUM_SYSTEM, "code": "mg"}}
        if random.random() < 0.7:
            more["encounter"] = to(f"Encounter/{patient}-e", random.choice(("", "Consulta")))
        if random.random() < 0.5:
            more["performer"] = [to(f"Practitioner/{DOCTOR}", "Dra. Rojas")]
        if place:
            more["derivedFrom"] = [to(f"Observation/{patient}-o{place - 1}")]
        if random.random() < 0.3:
            more["hasMember"] = [to(f"Observation/{patient}-o2")]
        if random.random() < 0.3:
            more["component"] = [{"code": _concept(LOINC, code), "valueQuantity": {"value": number}}]
        if random.random() < 0.2:
            more["contained"] = [
                {
                    "resourceType": "Condition",
                    "id": "c",
                    "subject": to(f"Patient/{patient}"),
                    "code": _concept(ICD_10, random.choice(DIAGNOSES)),
                }
            ]
            more["focus"] = [to("#c")]
        if random.random() < 0.3:
            more["text"] = {
                "status": "generated",
                "div": f'<div xmlns="http://www.w3.org/1999/xhtml">Presión {number}</div>',
            }
        effective = None if random.random() < 0.2 else day
        made.append(
            an_observation(
                f"{patient}-o{place}", patient, code=code, status="final", effective=effective, **more
            )
        )
    return made  # fmt: skip


def _conditions(random: Random, patient: str) -> list[Resource]:
    made = []
    for end in random.choice((("k",), ("k", "j"))):
        more: dict[str, Any] = {"onsetDateTime": _day(random)} if random.random() < 0.6 else {}
        if random.random() < 0.6:
            more["encounter"] = to(f"Encounter/{patient}-e")
        if random.random() < 0.4:
            more["evidence"] = [{"detail": [to(f"Observation/{patient}-o0", "Presión")]}]
        if random.random() < 0.4:
            more["recordedDate"] = _day(random)
            more["asserter"] = to(f"Practitioner/{DOCTOR}")
        code = _concept(ICD_10, random.choice(DIAGNOSES)) | {"text": "Presión alta"}
        made.append({"resourceType": "Condition", "id": f"{patient}-{end}", "subject": to(f"Patient/{patient}"), "code": code} | more)  # fmt: skip
    return made


def _medication(random: Random, patient: str) -> list[Resource]:
    medicine: dict[str, Any] = {"medicationCodeableConcept": _concept(ATC, random.choice(MEDICINES))}
    if random.random() < 0.25:
        medicine = {"medicationReference": to("Medication/hospital-med")}
    return [
        {"resourceType": "MedicationRequest", "id": f"{patient}-m", "status": "active", "intent": "order", "subject": to(f"Patient/{patient}"), "encounter": to(f"Encounter/{patient}-e"),
         "authoredOn": _day(random), "requester": to(f"Practitioner/{DOCTOR}"), "reasonReference": [to(f"Condition/{patient}-k")]} | medicine
    ]  # fmt: skip


def _document(random: Random, patient: str) -> list[Resource]:
    inside = {
        "resourceType": "Condition",
        "subject": to(f"Patient/{patient}"),
        "code": _concept(ICD_10, random.choice(DIAGNOSES)),
    }
    kind, data = random.choice(
        (("text/plain", b"secreto"), ("application/fhir+json", json.dumps(inside).encode()))
    )
    binary = {
        "resourceType": "Binary",
        "id": f"{patient}-b",
        "contentType": kind,
        "securityContext": to(f"Patient/{patient}"),
        "data": base64.b64encode(data).decode(),
    }
    reference = {
        "resourceType": "DocumentReference",
        "id": f"{patient}-d",
        "status": "current",
        "subject": to(f"Patient/{patient}"),
        "type": _concept(LOINC, random.choice(DOCUMENTS)),
        "date": f"{_day(random)}T10:00:00Z",
        "content": [{"attachment": {"contentType": kind, "url": f"Binary/{patient}-b"}}],
    }
    return [binary, reference]  # fmt: skip


def _composition(random: Random, patient: str) -> list[Resource]:
    entries = [to(f"Observation/{patient}-o0"), to(f"Condition/{patient}-k"), to(f"Encounter/{patient}-e")]
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Presión alta</div>'}
    return [
        {"resourceType": "Composition", "id": f"{patient}-c", "status": "final", "type": _concept(LOINC, random.choice(DOCUMENTS)), "subject": to(f"Patient/{patient}"), "date": _day(random),
         "author": [to(f"Practitioner/{DOCTOR}")], "title": "Epicrisis", "encounter": entries[2], "section": [{"title": "Uno", "text": text, "entry": random.sample(entries, 2)}]},
    ]  # fmt: skip


def _others(random: Random, patient: str) -> list[Resource]:
    subject = to(f"Patient/{patient}")
    made: list[Resource] = [
        a_list(f"{patient}-l", f"Observation/{patient}-o0", f"Patient/{patient}", f"Encounter/{patient}-e") | {"subject": subject},
        {"resourceType": "CareTeam", "id": f"{patient}-t", "status": "active", "subject": subject,
         "participant": [{"member": to("Practitioner/hospital-d2")}, {"member": to(f"Practitioner/{DOCTOR}")}]},
        {"resourceType": "Provenance", "id": f"{patient}-v", "target": [to(f"Condition/{patient}-k"), subject, to(f"Observation/{patient}-o0")],
         "recorded": "2026-05-01T10:00:00Z", "agent": [{"who": to(f"Practitioner/{DOCTOR}")}]},
        {"resourceType": "DiagnosticReport", "id": f"{patient}-r", "status": "final", "code": _concept(LOINC, random.choice(DOCUMENTS)), "subject": subject,
         "effectiveDateTime": _day(random), "result": [to(f"Observation/{patient}-o0"), to(f"Observation/{patient}-o1")], "encounter": to(f"Encounter/{patient}-e")},
    ]  # fmt: skip
    return [each for each in made if random.random() < 0.6]
