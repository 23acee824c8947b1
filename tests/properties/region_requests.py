"""Random requests of a region: every interaction, every form of search, every operation, by several kinds of asker.

A request reads as JSON: what is asked, where, and the body where it has one.
"""

from __future__ import annotations

from random import Random
from typing import Any

from exchange.requester import Requester, User
from tests.passage.world import PREFIXES, entry, patient_of
from tests.properties import hidden_searches
from tests.properties.hidden_searches import CONDITIONS, DOCTOR, NETWORK, SHAPES
from tests.properties.region_charts import CODES, DIAGNOSES, DOCUMENTS, KINDS, to
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import EVERY_SCOPE, HOSPITAL, a_requester

Asked = dict[str, Any]
"""One request."""
Asker = dict[str, Any]
"""Who asks, as JSON."""

CRITERIA: dict[str, tuple[str, ...]] = hidden_searches.CRITERIA | {
    "Condition": (
        *hidden_searches.CRITERIA["Condition"], "code={x}", "code:not={x}", "evidence-detail=Observation/{o}", "evidence-detail.code=8480-6", "onset-date=gt2026-05-{d}", "onset-date:missing=true", "recorded-date:missing=false", "asserter.name=rojas", "patient={p}&code={x}", "_has:MedicationRequest:reason-reference:status=active",
        "_security=R", "_security:not=R", "_profile=urn:region:profile", "_has:List:item:status=current", "code:in=http://hl7.org/fhir/ValueSet/observation-status", "_filter=code eq {x} or onset-date gt 2026-05-{d}", "_has:Provenance:target:agent=Practitioner/" + DOCTOR,
    ),
    "MedicationRequest": ("patient={p}", "code=J05AR02", "code:not=J05AR02", "medication.code=J05AR02", "authoredon=ge2026-05-{d}", "encounter.status=finished", "requester.name=rojas", "status=active", "encounter=Encounter/{p}-e", "_filter=not (encounter eq Encounter/{p}-e)", "subject:Patient.gender=female"),
    "DocumentReference": ("patient={p}", "type={y}", "type:not={y}", "subject=Patient/{p}", "related=Observation/{o}", "related:missing=false", "location:missing=false", "contenttype=text/plain", "date=gt2026-05-{d}", "_has:Provenance:target:recorded=gt2020", "_id={p}-d,{q}-d"),
    "Composition": ("subject=Patient/{p}", "type={y}", "entry=Observation/{o}", "entry:Observation.code=8480-6", "entry.status=final", "encounter.status=finished", "section=x", "author.name=rojas", "title=epicrisis", "date=ge2026-05-{d}", "patient={p}&_text=presion"),
    "Provenance": ("target=Observation/{o}", "target=Patient/{p}", "target:Observation.code=8480-6", "patient={p}", "agent.name=rojas", "recorded=gt2020", "target:Condition.code={x}", "patient.family=quispe"),
    "CareTeam": ("patient={p}", "participant=Practitioner/" + DOCTOR, "participant.name=rojas", "status=active", "subject.family=quispe"),
    "DiagnosticReport": ("patient={p}", "result=Observation/{o}", "result.code=8480-6", "result.value-quantity=gt{n}", "code={y}", "date=lt2026-05-{d}", "encounter.status=finished", "result:missing=false", "_has:Composition:entry:status=final"),
    "Consent": ("patient={p}", "status=active", "_id={p}-c0", "actor=Organization/" + HOSPITAL, "date=ge2026", "patient.family=quispe", "data=Observation/{o}", "period:missing=true", "action:missing=false", "purpose=TREAT", "security-label=R"),
    "Binary": ("_id={p}-b", "_lastUpdated=gt2020"),
}  # fmt: skip
SORTS = hidden_searches.SORTS | {
    "Condition": ("onset-date", "-recorded-date", "code", "encounter", "-_lastUpdated", "_id"), "MedicationRequest": ("authoredon", "-status,_id", "code"), "DocumentReference": ("date", "-type,_id", "contenttype"),
    "Composition": ("date", "title", "-type"), "Provenance": ("recorded", "target"), "CareTeam": ("date", "name"), "DiagnosticReport": ("-date", "code", "result"), "Consent": ("date", "-status"), "Binary": ("_id",),
}  # fmt: skip
INCLUDES = {
    **hidden_searches.INCLUDES,
    "Condition": ("_include=*", "_revinclude=*", "_include=Condition:evidence-detail&_include:iterate=Observation:derived-from", "_revinclude=MedicationRequest:reason-reference&_revinclude=Provenance:target"),
    "MedicationRequest": ("_include=*", "_include=MedicationRequest:medication", "_revinclude=*"), "DocumentReference": ("_include=*", "_revinclude=*", "_include=DocumentReference:related"),
    "Composition": ("_include=Composition:entry", "_include=*", "_include=Composition:entry&_include:iterate=Observation:encounter&_revinclude:iterate=Provenance:target"), "Provenance": ("_include=Provenance:target", "_include=*"),
    "CareTeam": ("_include=*", "_include=CareTeam:participant"), "DiagnosticReport": ("_include=DiagnosticReport:result&_include:iterate=Observation:derived-from", "_include=*", "_revinclude=*"),
    "Consent": ("_include=*", "_include=Consent:data", "_include=Consent:patient&_revinclude:iterate=Observation:subject"), "Binary": ("",),
}  # fmt: skip
MORE_SCOPES = (
    *hidden_searches.SCOPES[3:],
    "system/Condition.rs system/Patient.s",
    "system/Composition.rs system/Binary.r",
)
PURPOSES = ("TREAT", "TREAT", "ETREAT", "HRESCH")


def an_asker(random: Random) -> Asker:
    """The hospital's system, a clinician of it whom it names, a system with few scopes, or a patient."""
    drawn = random.random()
    if drawn < 0.45:
        return {
            "role": "system",
            "purpose": random.choice(PURPOSES),
            "scopes": EVERY_SCOPE,
            "within": random.choice(([], [NETWORK])),
        }
    if drawn < 0.75:
        user = {
            "id": "u1",
            "role": random.choice(("physician", "nurse", "")),
            "reference": random.choice((f"Practitioner/{DOCTOR}", "")),
        }
        return {
            "role": "clinician",
            "purpose": random.choice(PURPOSES[:3]),
            "scopes": "user/*.cruds",
            "user": user,
            "within": [NETWORK],
        }
    if drawn < 0.85:
        return {"role": "system", "purpose": "TREAT", "scopes": random.choice(MORE_SCOPES)}
    patient = f"{random.choice(tuple(PREFIXES.values()))}p{random.randint(1, 3)}"
    return {"role": "patient", "purpose": "PATRQT", "scopes": "patient/*.rs", "user": {"id": "account-1", "reference": f"Patient/{patient}"}, "organization": "account-1"}  # fmt: skip


def requester_of(asker: Asker) -> Requester:
    """The asker as authentication would give it."""
    from dataclasses import replace

    facility = asker.get("organization", HOSPITAL)
    prefix = PREFIXES.get(facility, "") if asker["role"] != "patient" else ""
    made = a_requester(
        facility, asker["scopes"], role=asker["role"], purpose=asker["purpose"], id_prefix=prefix
    )
    user = User(**asker["user"]) if "user" in asker else None
    return replace(made, user=user, within=tuple(asker.get("within", ())))


def a_request(random: Random) -> Asked:
    """Any request; most are searches."""
    patients = [f"{prefix}p{number}" for prefix in PREFIXES.values() for number in (1, 2, 3)]
    p, q = random.choice(patients), random.choice(patients)
    names = {"p": p, "q": q, "o": f"{random.choice(patients)}-o{random.randint(0, 2)}", "n": str(random.randint(1, 25)), "d": f"{random.randint(1, 28):02d}", "x": random.choice(DIAGNOSES), "y": random.choice(DOCUMENTS)}  # fmt: skip
    makers = (_read, _search, _operation, _history, _conditional, _written, _bundle)
    maker = random.choices(makers, weights=(14, 45, 14, 8, 9, 5, 5))[0]
    asked = maker(random, names)
    return asked | {"low": True} if random.random() < 0.25 else asked


def _place(random: Random, names: dict[str, str]) -> str:
    """Somewhere a resource of a chart may be."""
    ends = {"Observation": ("-o0", "-o1", "-o2"), "Condition": ("-k", "-j"), "Encounter": ("-e", "-f"), "MedicationRequest": ("-m",), "DocumentReference": ("-d",), "Binary": ("-b",), "Composition": ("-c",),
            "List": ("-l", "-g"), "CareTeam": ("-t",), "Provenance": ("-v",), "DiagnosticReport": ("-r",), "Appointment": ("-a",), "Consent": ("-c0", "-c1"), "Patient": ("",)}  # fmt: skip
    kind = random.choice(KINDS)
    return f"{kind}/{names['p']}{random.choice(ends[kind])}"


def _get(path: str) -> Asked:
    return {"ask": "GET", "path": path}


def _read(random: Random, names: dict[str, str]) -> Asked:
    tail = random.choice(
        (
            "",
            "",
            "",
            "/_history",
            "/_history/1",
            "/_history/2",
            "/_history?_count=1",
            "?_summary=true",
            "?_elements=id",
        )
    )
    return _get(_place(random, names) + tail)


def _search(random: Random, names: dict[str, str]) -> Asked:
    kind = random.choice(("type",) * 5 + ("system", "compartment", "compartment"))
    if kind == "system":
        over = (
            *hidden_searches.OVER_TYPES,
            "_security=R",
            "_profile=urn:region:profile",
            "code=8480-6",
            "_type=Composition,Binary,Provenance&_lastUpdated=gt2020",
        )
        parts = [
            random.choice(("", "", "_type=" + random.choice(hidden_searches.TYPES))),
            random.choice(over),
            random.choice(SHAPES),
            random.choice(("", "", "_include=*", "_revinclude=*")),
        ]
        if "_type" in parts[1]:
            parts[0] = ""
        return _joined("", parts, names)  # fmt: skip
    resource_type = random.choice(tuple(CRITERIA))
    place = resource_type
    if kind == "compartment":
        place = (
            random.choice((*hidden_searches.PLACES, "Encounter/{p}-e"))
            + "/"
            + random.choice((resource_type, "*"))
        )
        if place.endswith("*"):
            return _joined(
                place, [random.choice(("", *hidden_searches.OVER_TYPES)), random.choice(SHAPES)], names
            )
    parts = random.sample(CRITERIA[resource_type], random.choice((0, 1, 1, 2)))
    parts.append(random.choice(SHAPES))
    if random.random() < 0.35:
        parts.append("_sort=" + random.choice(SORTS[resource_type]))
    if random.random() < 0.4:
        parts.append(random.choice(INCLUDES[resource_type]))
    return _joined(place, parts, names)


def _joined(place: str, parts: list[str], names: dict[str, str]) -> Asked:
    return _get((place + "?" + "&".join(each for each in parts if each)).format(**names))


def _operation(random: Random, names: dict[str, str]) -> Asked:
    p, o, place = names["p"], names["o"], _place(random, names)
    body = an_observation("hospital-new", p, derivedFrom=[to(f"Observation/{o}")])
    drawn = random.choice((
        f"Patient/{p}/$everything", f"Patient/{p}/$everything?_type=Observation,Condition", f"Patient/{p}/$everything?_count=2", "Patient/$everything?_count=3", f"Patient/{p}/$everything?_since=2020-01-01T00:00:00Z",
        f"Patient/{p}/$everything?start=2026-05-05&end=2026-05-25", f"Encounter/{p}-e/$everything", f"Observation/$lastn?patient={p}&code=8480-6&max=2", f"Observation/$lastn?subject=Patient/{p}&category=vital-signs",
        f"Observation/$lastn?patient={p}&max=1", f"DocumentReference/$docref?patient={p}", f"DocumentReference/$docref?patient={p}&start=2026-05-05&end=2026-05-20", f"Composition/{p}-c/$document", "Composition/hospital-p1-z/$document", "Composition/hospital-p2-z/$document",
        f"{place}/$meta", f"{place}/_history/1/$meta", f"{place.partition('/')[0]}/$meta", "$meta", "validate", "document", "meta-add",
    ))  # fmt: skip
    if drawn == "validate":
        parameters = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "resource", "resource": body},
                {"name": "mode", "valueCode": random.choice(("create", "update", "delete"))},
            ],
        }
        return {
            "ask": "OPERATE",
            "path": random.choice(("Observation/$validate", f"Observation/{o}/$validate")),
            "body": parameters,
        }
    if drawn == "document":
        return {
            "ask": "OPERATE",
            "path": f"Composition/{random.choice((p + '-c', 'hospital-p1-z'))}/$document",
            "body": {"resourceType": "Parameters", "parameter": [{"name": "persist", "valueBoolean": True}]},
        }
    if drawn == "meta-add":
        return {
            "ask": "OPERATE",
            "path": f"{place}/$meta-add",
            "body": {
                "resourceType": "Parameters",
                "parameter": [{"name": "meta", "valueMeta": {"tag": [{"system": "urn:t", "code": "x"}]}}],
            },
        }
    return _get(drawn)  # fmt: skip


def _history(random: Random, _names: dict[str, str]) -> Asked:
    path = random.choice(("_history", *(f"{kind}/_history" for kind in KINDS)))
    return _get(
        path
        + random.choice(
            ("", "?_count=1", "?_count=3", "?_since=2020-01-01T00:00:00Z", "?_at=2020", "?_at=2999")
        )
    )


def _criteria(random: Random, names: dict[str, str]) -> tuple[str, str]:
    resource_type = random.choice(("Patient", "Observation", "Condition", "Encounter"))
    known = CONDITIONS.get(resource_type, ()) + CRITERIA[resource_type]
    return resource_type, random.choice(known).format(**names)


def _conditional(random: Random, names: dict[str, str]) -> Asked:
    resource_type, criteria = _criteria(random, names)
    new: dict[str, dict[str, Any]] = {
        "Patient": patient_of(HOSPITAL, 9), "Observation": an_observation("hospital-new", "hospital-p1"),
        "Condition": {"resourceType": "Condition", "id": "hospital-new", "subject": to("Patient/hospital-p1")},
        "Encounter": {"resourceType": "Encounter", "id": "hospital-new", "status": "planned", "class": {"code": "AMB"}, "subject": to("Patient/hospital-p1")},
    }  # fmt: skip
    body = new[resource_type]
    match random.choice(("create", "update", "patch", "delete")):
        case "create":
            bare = {name: value for name, value in body.items() if name != "id"}
            return {"ask": "POST", "body": bare, "if_none_exist": criteria}
        case "update":
            return {"ask": "PUT", "where": criteria, "body": body}
        case "patch":
            return {
                "ask": "PATCH",
                "path": f"{resource_type}?{criteria}",
                "body": [{"op": "add", "path": "/language", "value": "es"}],
            }
    return {"ask": "DELETE", "path": f"{resource_type}?{criteria}"}


def _written(random: Random, names: dict[str, str]) -> Asked:
    place = _place(random, names)
    match random.choice(("put", "put new", "patch", "delete", "consent", "patient")):
        case "put":
            return {"ask": "PUT", "body": an_observation(names["o"], names["p"], code=random.choice(CODES))}
        case "put new":
            return {
                "ask": "PUT",
                "body": an_observation("hospital-new", names["p"], encounter=to(f"Encounter/{names['q']}-e")),
            }
        case "patch":
            patch = [
                {"op": "test", "path": "/status", "value": "final"},
                {"op": "add", "path": "/language", "value": "es"},
            ]
            return {"ask": "PATCH", "path": place, "body": patch}
        case "delete":
            return {"ask": "DELETE", "path": place}
        case "consent":
            return {"ask": "PUT", "body": a_consent("hospital-new", names["p"], deny="")}
    return {"ask": "PUT", "body": patient_of(HOSPITAL, random.randint(1, 4))}


def _bundle(random: Random, names: dict[str, str]) -> Asked:
    resource_type, criteria = _criteria(random, names)
    bare = {name: value for name, value in an_observation("x", "x").items() if name != "id"}
    told = bare | {"subject": to("Patient/hospital-p1")}
    pointing = to(f"{resource_type}?{criteria}")
    pointed = (
        bare | {"subject": pointing} if resource_type == "Patient" else told | {"derivedFrom": [pointing]}
    )
    entries = [
        entry("GET", _place(random, names)), entry("GET", _search(random, names)["path"] or "Patient"), entry("POST", "Observation", pointed),
        entry("POST", "Observation", told, ifNoneExist=_criteria(random, names)[1]), entry("DELETE", f"Observation?{criteria}" if resource_type == "Observation" else _place(random, names)),
        entry("PUT", f"Observation?subject={names['p']}&code=8480-6", an_observation("hospital-new", "hospital-p1")),
    ]  # fmt: skip
    return {
        "ask": random.choice(("batch", "transaction")),
        "entries": random.sample(entries, random.randint(1, 3)),
    }
