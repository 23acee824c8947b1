"""Charts that refer to each other, and searches over all of R4's surface, for the property that hidden equals absent."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.sample.observation import an_observation

DOCTOR, NETWORK, WARD = "hospital-d1", "hospital-n1", "hospital-w1"
U = "http://unitsofmeasure.org"
SCOPES = (
    "system/*.cruds", "system/*.cruds", "system/*.cruds", "system/Observation.rs", "system/Observation.s system/Patient.r", "system/Patient.rs system/Practitioner.rs system/List.rs", "system/Encounter.rs system/Observation.rs system/Appointment.cruds",
)  # fmt: skip
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">Presión {0}</div>'


def _reference(text: str) -> dict[str, Any]:
    return {"reference": text}


def directory() -> list[dict[str, Any]]:
    """What everybody may know: it is there in both worlds."""
    return [
        {"resourceType": "Organization", "id": NETWORK, "name": "Red Trujillo"},
        {"resourceType": "Practitioner", "id": DOCTOR, "name": [{"family": "Rojas"}]},
        {"resourceType": "Location", "id": WARD, "name": "Sala", "managingOrganization": _reference(f"Organization/{NETWORK}")},
    ]  # fmt: skip


def about_patient(patient: dict[str, Any], number: int) -> dict[str, Any]:
    """A Patient with what chains and words can find."""
    more: dict[str, Any] = {"text": {"status": "generated", "div": DIV.format(number)}}
    if number % 2:
        more |= {"generalPractitioner": [_reference(f"Practitioner/{DOCTOR}")], "managingOrganization": _reference(f"Organization/{NETWORK}")}  # fmt: skip
    return patient | more


def observation(patient: str, place: int, code: str, status: str, day: int) -> dict[str, Any]:
    """An Observation of a visit; every second one has a performer, every third was derived from the first."""
    more: dict[str, Any] = {"encounter": _reference(f"Encounter/{patient}-e"), "valueQuantity": {"value": day, "system": U, "code": "mg"}}  # fmt: skip
    if place % 2 == 0:
        more["performer"] = [_reference(f"Practitioner/{DOCTOR}")]
    if place:
        more["derivedFrom"] = [_reference(f"Observation/{patient}-o0")]
    if day % 3 == 0:
        more["meta"] = {"tag": [{"system": "urn:t", "code": "marked"}]}
        more["component"] = [{"code": {"coding": [{"code": code}]}, "valueQuantity": {"value": day}}]
    return an_observation(f"{patient}-o{place}", patient, code=code, status=status, effective=f"2026-05-{day:02d}", **more)  # fmt: skip


def visit(patient: str, day: int) -> list[dict[str, Any]]:
    """Two encounters, one a part of the other, a condition and a list."""
    subject = _reference(f"Patient/{patient}")
    encounter = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": subject,
        "period": {"start": f"2026-05-{day:02d}"},
        "serviceProvider": _reference(f"Organization/{NETWORK}"),
        "location": [{"location": _reference(f"Location/{WARD}")}],
    }
    return [
        encounter | {"id": f"{patient}-e"},
        encounter | {"id": f"{patient}-f", "partOf": _reference(f"Encounter/{patient}-e"), "status": "planned"},
        {"resourceType": "Condition", "id": f"{patient}-k", "subject": subject, "code": {"text": "Presión alta"}, "encounter": _reference(f"Encounter/{patient}-e")},
        a_list(f"{patient}-l", f"Observation/{patient}-o0", f"Patient/{patient}", f"Encounter/{patient}-e") | {"subject": subject},
    ]  # fmt: skip


def a_list(name: str, *items: str) -> dict[str, Any]:
    """A List of resources."""
    return {
        "resourceType": "List", "id": name, "status": "current", "mode": "working", "entry": [{"item": _reference(each)} for each in items],
    }  # fmt: skip


def appointment(name: str, *patients: str) -> dict[str, Any]:
    """An Appointment of several patients: it lies in the first one's record and is shared with the others."""
    return {
        "resourceType": "Appointment", "id": name, "status": "proposed",
        "participant": [{"actor": _reference(f"Patient/{each}"), "status": "accepted"} for each in patients],
    }  # fmt: skip


def pointing(own: str, others: list[str]) -> list[dict[str, Any]]:
    """What the asking facility itself says of things that it may not see: references to wherever they may be."""
    return [
        an_observation(f"{own}-x{place}", own, code="8480-6", encounter=_reference(f"Encounter/{each}-e"), derivedFrom=[_reference(f"Observation/{each}-o0")])
        for place, each in enumerate(others)
    ] + [a_list("hospital-l", *(f"{kind}/{each}{end}" for each in [own, *others] for kind, end in (("Observation", "-o0"), ("Patient", ""), ("Encounter", "-e"))))]  # fmt: skip


CRITERIA = {
    "Observation": (
        "subject:Patient.family=quispe", "patient.family=quispe", "patient.identifier=4000000{n}", "subject.name=quispe", "patient.gender=male", "patient.birthdate=ge1952", "patient.gender:not=male", "patient._id={p}", "patient=Patient/{p}", "patient={p},{q}",
        "performer:Practitioner.name=rojas", "performer.name=r", "performer.name:contains=oja", "encounter.status=finished", "encounter:Encounter.class=AMB", "encounter.patient.family=quispe", "encounter.patient._id={p}", "encounter.subject={p}", "derived-from.subject={p},{q}", "_filter=subject eq {p} or code eq 8462-4", "encounter.service-provider.name=red",
        "encounter.location:Location.name=sala", "encounter=Encounter/{p}-e", "encounter:below=Encounter/{p}-e", "encounter:above={p}-f", "encounter:missing=true", "derived-from.code=8480-6", "derived-from:Observation.patient.family=quispe", "derived-from=Observation/{o}",
        "derived-from:Observation.encounter.status=finished", "_has:Observation:derived-from:code=8480-6", "_has:Observation:derived-from:patient.gender=female", "_has:List:item:status=current", "_has:List:item:_id={p}-l,hospital-l", "_list={p}-l", "_list=hospital-l,{q}-l",
        "value-quantity=gt{n}", "value-quantity=le15||mg", "code-value-quantity=8480-6$gt10", "component-code-value-quantity=8480-6$gt10", "status:in=http://hl7.org/fhir/ValueSet/observation-status", "status:not-in=http://hl7.org/fhir/ValueSet/observation-status",
        "code:not-in=http://hl7.org/fhir/ValueSet/observation-status", "_content=8480", "_tag=urn:t|marked", "_tag:not=marked", "date=2026-05-{d}", "date=ne2026-05-{d}", "date=ap2026-05-{d}", "code=8480-6", "code=http://loinc.org|", "code:missing=false", "status:not=final",
        "_filter=code eq 8480-6 and not (status eq final)", '_filter=patient.family eq "quispe b" or code eq 8462-4', "_filter=subject ne Patient/{p}", "_filter=not (subject eq Patient/{p})", "_filter=not (encounter.patient._id eq {p})", "_filter=value-quantity gt {n} or date pr false",
        "_filter=date po 2026-05-{d}", "_lastUpdated=gt2020", "_source:missing=true", "subject=Patient/{p},Group/g", "subject={p}", "subject:missing=false", "identifier=x", "patient._has:Observation:patient:code=8462-4", "patient._has:Encounter:patient:_id={q}-e",
    ),
    "Patient": (
        "_has:Observation:patient:code=8480-6", "_has:Observation:subject:status=final", "_has:Observation:patient:value-quantity=gt{n}", "_has:Observation:patient:encounter.status=finished", "_has:Encounter:patient:_has:Observation:encounter:code=8462-4", "_has:Observation:patient:code:not=8480-6",
        "_has:Observation:subject:encounter.subject={p}", "_has:Encounter:patient:subject={p}", "_has:Appointment:actor:status=proposed", "_has:Appointment:patient:patient.gender=female", "_has:Appointment:actor:actor:Patient._id={p}", "_has:Condition:subject:encounter.status=finished", "_has:List:item:status=current", "_has:List:subject:_id={p}-l", "_has:Observation:patient:_id={o}",
        "_has:Observation:patient:_has:Observation:derived-from:status=final", "_list={p}-l", "_list=hospital-l", "_filter=family co quis or gender eq male", "_filter=not (gender eq female)", "_filter=_id ne {p}", "_text=presion", "_text=presión {n}", "_content=quispe", "organization.name=red",
        "general-practitioner.name=rojas", "general-practitioner:missing=true", "family=quispe", "name:contains=uis", "gender=http://hl7.org/fhir/administrative-gender|female", "birthdate=ap1955", "identifier:not=4000000{n}", "_id={p},{q}", "organization=Organization/hospital-n1",
    ),
    "Encounter": (
        "patient.family=quispe", "subject=Patient/{p}", "subject={p}", "part-of.subject={p}", "part-of=Encounter/{p}-e", "part-of:below={p}-e", "part-of:above=Encounter/{p}-f", "part-of.status=finished", "_has:Observation:encounter:code=8480-6", "_has:Condition:encounter:_id={p}-k", "_has:Encounter:part-of:status=planned",
        "service-provider.name=red", "location.name=sala", "date=ge2026-05-{d}", "_list={p}-l", "_list=hospital-l", "status=finished", "_id={p}-e", "_filter=patient.gender eq male", "_has:Observation:encounter:patient._id={p}", "location:below=hospital-w1",
    ),
    "Condition": ("subject=Patient/{p}", "patient.family=quispe", "encounter.part-of:missing=true", "encounter.date=ge2026-05-{d}", "code:text=presion", "encounter=Encounter/{p}-e", "encounter._has:Observation:encounter:status=final", "_content=alta"),
    "Appointment": ("patient={p}", "actor=Patient/{p}", "actor:Patient.family=quispe", "patient.gender=male", "status=proposed", "patient={p}&patient={q}", "patient._has:Observation:patient:code=8480-6", "actor:Patient._id={p},{q}", "patient:missing=false", "_filter=not (patient eq Patient/{p})"),
    "List": ("item=Observation/{o}", "item:Observation.code=8480-6", "subject=Patient/{p}", "_id={p}-l,hospital-l", "item:Patient.family=quispe", "patient.family=quispe", "item:Encounter.patient._id={p}", "status=current"),
    "Practitioner": ("_has:Observation:performer:code=8480-6", "_has:Observation:performer:patient.family=quispe", "_has:Patient:general-practitioner:gender=female", "_has:Observation:performer:_id={o}", "name=rojas", "_has:Observation:performer:encounter.patient._id={p}"),
    "Organization": ("_has:Encounter:service-provider:patient={p}", "_has:Patient:organization:family=quispe", "_has:Encounter:service-provider:_has:Observation:encounter:code=8462-4", "_has:Location:organization:_has:Encounter:location:patient._id={p}", "name=red"),
}  # fmt: skip
SORTS = {
    "Observation": ("date", "-date", "code,-_id", "value-quantity", "-value-quantity,date", "status,-date,_id", "subject", "encounter,-code", "_lastUpdated", "combo-code"),
    "Patient": ("family", "-birthdate,gender", "gender,-_id", "identifier", "general-practitioner,_id", "-name,birthdate"), "Encounter": ("date", "-status,date", "patient", "location-period"), "Condition": ("encounter", "-_lastUpdated", "code"),
    "Appointment": ("date", "actor", "status,_id"), "List": ("item", "-_id", "title"), "Practitioner": ("name",), "Organization": ("-name",),
}  # fmt: skip
SHAPES = (
    "", "", "", "_count=1", "_count=2", "_count=3", "_count=0", "_summary=count", "_summary=true", "_summary=text", "_summary=data", "_elements=id", "_total=none&_count=1", "_total=estimate&_count=1", "_total=accurate&_count=1", "_total=accurate&_count=2",
)  # fmt: skip
INCLUDES = {
    "Observation": ("_include=*", "_include=Observation:*", "_revinclude=*", "_include=Observation:encounter&_include:iterate=Encounter:part-of&_include:iterate=Encounter:patient", "_include:iterate=Observation:derived-from", "_revinclude=Observation:derived-from", "_revinclude=List:item",
                    "_include=Observation:subject&_revinclude:iterate=Appointment:actor", "_include=Observation:performer&_revinclude:iterate=Observation:performer"),
    "Patient": ("_revinclude=*", "_include=*", "_revinclude=Observation:subject&_revinclude:iterate=List:item", "_revinclude=Appointment:actor&_include:iterate=Appointment:actor", "_revinclude=List:item", "_include=Patient:general-practitioner&_revinclude:iterate=Patient:general-practitioner",
                "_revinclude=Encounter:patient&_revinclude:iterate=Encounter:part-of&_revinclude:iterate=Observation:encounter"),
    "Encounter": ("_include=*", "_revinclude=*", "_include:iterate=Encounter:part-of", "_revinclude:iterate=Encounter:part-of", "_revinclude=Condition:encounter"), "Condition": ("_include=Condition:encounter&_include:iterate=Encounter:subject", "_include=*"),
    "Appointment": ("_include=Appointment:actor", "_include=Appointment:patient&_revinclude:iterate=Observation:patient", "_include=*"), "List": ("_include=List:item", "_include=*", "_include=List:item:Patient&_revinclude:iterate=Observation:patient"),
    "Practitioner": ("_revinclude=Observation:performer", "_revinclude=*", "_revinclude=Patient:general-practitioner&_revinclude:iterate=Observation:subject"), "Organization": ("_revinclude=Encounter:service-provider", "_revinclude=*", "_revinclude:iterate=Location:organization&_revinclude:iterate=Encounter:location"),
}  # fmt: skip
OVER_TYPES = ("_id={p},{q}-e", "_list={p}-l", "_list=hospital-l", "_content=presion", "_text=presion", "_tag=urn:t|marked", "_lastUpdated=gt2020", "_id={o}", "_filter=_id ne {p}", "_has:List:item:status=current", "patient={p}", "subject={p}", "subject:missing=false", "patient.family=quispe")  # fmt: skip
TYPES = ("Patient,Observation", "Observation,Encounter,Condition", "Encounter,Patient,List,Appointment", "Practitioner,Observation", "Appointment,List")  # fmt: skip
PLACES = ("Patient/{p}", "Patient/{p}", "Encounter/{p}-e", "Practitioner/" + DOCTOR, "Device/hospital-v1", "RelatedPerson/{p}")  # fmt: skip
CONDITIONS = {
    "Patient": ("_has:Observation:patient:code=8480-6", "_has:Appointment:actor:status=proposed", "_list={p}-l", "general-practitioner.name=rojas&family=quispe", "_filter=not (family eq x)", "_text=presion"),
    "Observation": ("subject={p}", "subject={p}&status=final", "encounter.subject={p}", "patient={p}", "patient.family=quispe", "encounter.status=finished", "subject:Patient._id={p}&code=8480-6", "derived-from.code=8480-6", "value-quantity=gt{n}", "_has:List:item:status=current"),
}  # fmt: skip


@st.composite
def searches(draw: st.DrawFn, names: dict[str, str]) -> str:
    """A search of any kind, below the base; `names` stand for what its criteria may name."""
    kind = draw(st.sampled_from(("type", "type", "type", "type", "system", "compartment", "compartment")))
    if kind == "system":
        parts = [draw(st.sampled_from(("", "_type=" + draw(st.sampled_from(TYPES))))), draw(st.sampled_from(OVER_TYPES)), draw(st.sampled_from(SHAPES)), draw(st.sampled_from(("", "", "_include=*", "_revinclude=*", "_include=Observation:subject")))]  # fmt: skip
        return _joined("", parts, names)
    resource_type = draw(st.sampled_from(tuple(CRITERIA)))
    place = resource_type
    if kind == "compartment":
        place = draw(st.sampled_from(PLACES)) + "/" + draw(st.sampled_from((resource_type, "*")))
        if place.endswith("*"):
            return _joined(place, [draw(st.sampled_from(("", *OVER_TYPES))), draw(st.sampled_from(SHAPES))], names)  # fmt: skip
    parts = draw(st.lists(st.sampled_from(CRITERIA[resource_type]), max_size=2))
    parts.append(draw(st.sampled_from(SHAPES)))
    if draw(st.integers(0, 2)) == 0:
        parts.append("_sort=" + draw(st.sampled_from(SORTS[resource_type])))
    if draw(st.integers(0, 2)) == 0:
        parts.append(draw(st.sampled_from(INCLUDES[resource_type])))
    return _joined(place, parts, names)


def _joined(place: str, parts: list[str], names: dict[str, str]) -> str:
    return (place + "?" + "&".join(each for each in parts if each)).format(**names)
