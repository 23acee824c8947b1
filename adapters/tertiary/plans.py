"""What is planned, proposed, ordered or aimed at: it is never said to have happened.

Spec:    HL7 C-CDA R2.1: planned entries 4.39 to 4.44 and 4.120, goal 4.121; HL7 v3 ActMood;
         https://hl7.org/fhir/R4/servicerequest.html.
"""

from __future__ import annotations

from typing import Final

from adapters.source_record import Resource
from adapters.tertiary.gather import Gathered
from adapters.tertiary.treatments import dosage, product
from adapters.tertiary.xml import Element

_GOAL: Final = "GOL"
_INTENTS: Final = {
    "INT": "plan",
    "RQO": "order",
    "PRP": "proposal",
    "ARQ": "proposal",
    "APT": "plan",
    "PRMS": "plan",
}
_REQUEST_STATUS: Final = {
    "active": "active", "completed": "completed", "aborted": "revoked", "cancelled": "revoked", "suspended": "on-hold",
    "held": "on-hold", "new": "draft",
}  # fmt: skip
_MEDICATION_STATUS: Final = {**_REQUEST_STATUS, "aborted": "stopped", "cancelled": "cancelled"}
_GOAL_STATUS: Final = {
    "active": "active", "completed": "completed", "aborted": "cancelled", "cancelled": "cancelled",
    "suspended": "on-hold", "held": "on-hold", "new": "proposed",
}  # fmt: skip


def planned(gathered: Gathered, source: Element) -> None:
    """An entry by its mood: a goal, a request of a medicine, a request of anything else."""
    mood = source.get("moodCode")
    if mood == _GOAL:
        _goal(gathered, source)
    elif mood not in _INTENTS or source.get("negationInd") == "true":
        return
    elif source.name == "substanceAdministration":
        _medication(gathered, source, _INTENTS[mood])
    else:
        _service(gathered, source, _INTENTS[mood])


def _service(gathered: Gathered, source: Element, intent: str) -> None:
    code = source.first("code")
    request = gathered.resource("ServiceRequest", source, code.get("code") if code else "")
    concept = gathered.coded(request, code, "procedure")
    if concept is None:
        return
    request["status"] = _REQUEST_STATUS.get(_status(source), "unknown")
    request["intent"] = intent
    request["code"] = concept
    request["subject"] = gathered.subject()
    request |= gathered.happening(source, "occurrence")
    if moment := source.moment("author/time", gathered.zone):
        request["authoredOn"] = moment
    gathered.add(request)


def _medication(gathered: Gathered, source: Element, intent: str) -> None:
    code, name = product(source)
    request = gathered.resource("MedicationRequest", source, code.get("code") if code else "")
    concept = gathered.coded(request, code, "medication", name)
    if concept is None:
        return
    request["status"] = _MEDICATION_STATUS.get(_status(source), "unknown")
    request["intent"] = intent
    request["medicationCodeableConcept"] = concept
    request["subject"] = gathered.subject()
    if moment := source.moment("author/time", gathered.zone):
        request["authoredOn"] = moment
    told = dosage(gathered, source)
    if period := gathered.happening(source, "bounds").get("boundsPeriod"):
        repeat = told.get("timing", {}).get("repeat", {})
        told["timing"] = {"repeat": {"boundsPeriod": period, **repeat}}
    if told:
        request["dosageInstruction"] = [told]
    gathered.add(request)


def _goal(gathered: Gathered, source: Element) -> None:
    """A goal observation: what it is measured by, and the value that is aimed at."""
    code, value = source.first("code"), source.first("value")
    goal = gathered.resource("Goal", source, code.get("code") if code else "")
    measure = gathered.coded(goal, code, "lab")
    words = value.words() if value is not None and value.kind in {"ST", "ED"} else ""
    description = {"text": words} if words else measure
    if description is None:
        return
    goal["lifecycleStatus"] = _GOAL_STATUS.get(_status(source), "proposed")
    goal["description"] = description
    goal["subject"] = gathered.subject()
    if (began := source.moment("effectiveTime", gathered.zone)) and (day := began.partition("T")[0]):
        goal["startDate"] = day
    target: Resource = {}
    if measure is not None:
        target["measure"] = measure
    if value is not None and value.kind == "PQ" and (amount := gathered.quantity(value)):
        target["detailQuantity"] = amount
    if ended := source.ending("effectiveTime", gathered.zone):
        target["dueDate"] = ended.partition("T")[0]
    if len(target) > ("measure" in target):
        goal["target"] = [target]
    gathered.add(goal)


def _status(source: Element) -> str:
    state = source.first("statusCode")
    return state.get("code") if state else ""
