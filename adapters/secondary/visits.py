"""Stays, diagnoses and allergies: PV1, DG1 and AL1.

Spec:    HL7 v2.5.1, 3.4.3 (PV1), 6.5.2 (DG1), 3.4.6 (AL1); https://hl7.org/fhir/R4/encounter.html.
Leaves:  who the patient is to `identity`.
"""

from __future__ import annotations

from typing import Final

from adapters.hl7v2.message import Field, Message, Segment
from adapters.secondary.gather import Gathered
from adapters.source_record import Resource
from adapters.source_record.bundle import flag_unmapped
from adapters.source_record.moment import compact_moment

_ACT: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_NULL: Final = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
_CONDITION: Final = "http://terminology.hl7.org/CodeSystem/"
_CLASSES: Final = {"I": "IMP", "O": "AMB", "E": "EMER", "P": "PRENC", "R": "AMB", "B": "IMP", "H": "IMP"}
_STATUS: Final = {"A03": "finished", "A11": "cancelled"}
_CERTAINTY: Final = {
    "F": "confirmed",
    "D": "confirmed",
    "W": "provisional",
    "P": "provisional",
    "A": "provisional",
}
_SEVERITY: Final = {"SV": "severe", "MO": "moderate", "MI": "mild"}
_ALLERGY_CATEGORY: Final = {"DA": "medication", "DRUG": "medication", "FA": "food", "EA": "environment"}


def visit_key(gathered: Gathered, message: Message) -> str | None:
    """What the hospital calls this stay: the visit number, else the account."""
    pv1, pid = message.first("PV1"), message.first("PID")
    number = pv1.text(19) if pv1 else ""
    number = number or (pid.text(18) if pid else "")
    if number:
        return f"visita|{number}"
    admitted = pv1.text(44) if pv1 else ""
    return f"visita|{gathered.who.key}|{admitted}" if admitted else None


def visit(gathered: Gathered, message: Message, trigger: str) -> Resource | None:
    """The Encounter of an ADT message, where PV1 lets it be told from others."""
    pv1, key = message.first("PV1"), visit_key(gathered, message)
    if pv1 is None or key is None:
        return None
    admitted = compact_moment(pv1.text(44), gathered.zone)
    left = compact_moment(pv1.text(45), gathered.zone)
    event = message.first("EVN")
    if trigger == "A03" and not left and event is not None:
        left = compact_moment(event.text(6) or event.text(2), gathered.zone)
    encounter = gathered.resource("Encounter", key)
    number = key.removeprefix("visita|")
    if number == (pv1.text(19) or number) and gathered.who.key not in key:
        encounter["identifier"] = [
            {"system": gathered.hospital.origin.identifier_system("atencion"), "value": number}
        ]
    is_over = bool(left) and trigger != "A13"
    encounter["status"] = _STATUS.get(trigger, "finished" if is_over else "in-progress")
    encounter["class"] = _class(encounter, pv1.text(2))
    encounter["subject"] = gathered.subject()
    if doctor := _doctor(pv1):
        encounter["participant"] = [{"individual": doctor}]
    period = {
        name: moment for name, moment in (("start", admitted), ("end", left if is_over else None)) if moment
    }
    if period and period.get("start", "") <= period.get("end", "9"):
        encounter["period"] = period
    place = ", ".join(part for number in (1, 2, 3) if (part := pv1.text(3, number)))
    if place:
        encounter["location"] = [{"location": {"display": place}}]
    if service := pv1.text(10):
        encounter["serviceType"] = {"text": service}
    encounter["serviceProvider"] = gathered.hospital.origin.organization()
    gathered.add(encounter)
    return encounter


def _class(encounter: Resource, code: str) -> Resource:
    known = _CLASSES.get(code.upper())
    if known:
        return {"system": _ACT, "code": known}
    flag_unmapped(encounter)
    return {"system": _NULL, "code": "UNK", **({"display": code} if code else {})}


def _doctor(pv1: Segment) -> Resource | None:
    """The attending or admitting doctor."""
    return person_named(pv1.field(7)) or person_named(pv1.field(17))


def person_named(source: Field) -> Resource | None:
    """A professional (XCN) by name; the directory of professionals is the hub's."""
    name = " ".join(part for part in (source.component(3), source.component(2)) if part)
    return {"display": name} if name else None


def stay_of(gathered: Gathered, message: Message) -> Resource | None:
    """The stay by its number only: a laboratory does not rewrite what admission knows."""
    pv1 = message.first("PV1")
    if pv1 is None or not pv1.text(19):
        return None
    system = gathered.hospital.origin.identifier_system("atencion")
    return {"type": "Encounter", "identifier": {"system": system, "value": pv1.text(19)}}


def diagnoses(gathered: Gathered, message: Message, encounter: Resource | None) -> None:
    """Each DG1 as a Condition of this stay."""
    for segment in message.all("DG1"):
        source = segment.field(3)
        code = source.component(1) or segment.text(4) or source.component(2)
        if not code:
            continue
        place = encounter["id"] if encounter else gathered.who.key
        condition = gathered.resource("Condition", f"{place}|{code}")
        condition["clinicalStatus"] = _status("condition-clinical", "active")
        certainty = _CERTAINTY.get(segment.text(6).upper())
        if certainty:
            condition["verificationStatus"] = _status("condition-ver-status", certainty)
        condition["category"] = [_status("condition-category", "encounter-diagnosis")]
        condition["code"] = gathered.coded(
            condition, source, "diagnosis", is_diagnosis=segment.text(2).upper() != "I9"
        )
        if words := segment.text(4):
            condition["code"]["text"] = words
        condition["subject"] = gathered.subject()
        if encounter:
            condition["encounter"] = {"reference": f"Encounter/{encounter['id']}"}
        if moment := compact_moment(segment.text(5), gathered.zone):
            condition["recordedDate"] = moment
        gathered.add(condition)


def allergies(gathered: Gathered, message: Message) -> None:
    """Each AL1 as an AllergyIntolerance; what was never verified is not called verified."""
    for segment in message.all("AL1"):
        source = segment.field(3)
        code = source.component(1) or source.component(2)
        if not code:
            continue
        allergy = gathered.resource("AllergyIntolerance", f"{gathered.who.key}|{code}")
        allergy["clinicalStatus"] = _status("allergyintolerance-clinical", "active")
        if category := _ALLERGY_CATEGORY.get(segment.text(2).upper()):
            allergy["category"] = [category]
        allergy["code"] = gathered.coded(allergy, source, "allergy")
        allergy["patient"] = gathered.subject()
        if moment := compact_moment(segment.text(6), gathered.zone):
            allergy["onsetDateTime"] = moment
        manifestations = [{"text": item.text} for item in segment.repetitions(5) if item.text]
        if manifestations:
            reaction: Resource = {"manifestation": manifestations}
            if severity := _SEVERITY.get(segment.text(4).upper()):
                reaction["severity"] = severity
            allergy["reaction"] = [reaction]
        gathered.add(allergy)


def _status(system: str, code: str) -> Resource:
    return {"coding": [{"system": _CONDITION + system, "code": code}]}
