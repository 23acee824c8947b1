"""What was taken, given and done: medication, vaccines, procedures.

Spec:    HL7 C-CDA R2.1: medication activity 4.16, immunization activity 4.52, procedures 4.12 to 4.14.
Leaves:  what is only planned: it is not said to have happened.
"""

from __future__ import annotations

from typing import Final

from adapters.source_record import Resource
from adapters.tertiary.devices import device
from adapters.tertiary.gather import Gathered
from adapters.tertiary.xml import Element

_MEDICATION_STATUS: Final = {
    "active": "active",
    "completed": "completed",
    "aborted": "stopped",
    "suspended": "on-hold",
}
_PROCEDURE_STATUS: Final = {
    "completed": "completed",
    "active": "in-progress",
    "aborted": "stopped",
    "cancelled": "not-done",
}
_TIMES: Final = frozenset({"s", "min", "h", "d", "wk", "mo", "a"})
_MATERIAL: Final = "consumable/manufacturedProduct/manufacturedMaterial"


def happened(source: Element) -> bool:
    """Whether an entry tells of what was, and not of what is meant to be."""
    return source.get("moodCode") in {"", "EVN"}


def medication(gathered: Gathered, source: Element) -> None:
    """A medication activity as MedicationStatement; moodCode INT is what the patient is meant to take."""
    code, name = product(source)
    statement = gathered.resource("MedicationStatement", source, code.get("code") if code else "")
    concept = gathered.coded(statement, code, "medication", name)
    if concept is None or source.get("negationInd") == "true":
        return
    state = source.first("statusCode")
    statement["status"] = _MEDICATION_STATUS.get(state.get("code") if state else "", "unknown")
    if not happened(source):
        statement["status"] = "intended"
    statement["medicationCodeableConcept"] = concept
    statement["subject"] = gathered.subject()
    began = source.moment("effectiveTime", gathered.zone)
    ended = source.ending("effectiveTime", gathered.zone)
    period = {key: moment for key, moment in (("start", began), ("end", ended)) if moment}
    if period and period.get("start", "") <= period.get("end", "9"):
        statement["effectivePeriod"] = period
    if told := dosage(gathered, source):
        statement["dosage"] = [told]
    gathered.add(statement)


def product(source: Element) -> tuple[Element | None, str]:
    """What is given: its code, or its name where it has none."""
    code, name = source.first(f"{_MATERIAL}/code"), source.first(f"{_MATERIAL}/name")
    return code, "" if code or not name else name.words()


def dosage(gathered: Gathered, source: Element) -> Resource:
    """How it is given, as far as the entry tells."""
    told: Resource = {}
    if route := gathered.coded({}, source.first("routeCode"), "route"):
        told["route"] = route
    if repeat := _repeat(source):
        told["timing"] = {"repeat": repeat}
    rate: Resource = {}
    for name in ("dose", "rate"):
        amount = source.first(f"{name}Quantity")
        if amount is None:
            continue
        if one := gathered.quantity(amount):
            rate[f"{name}Quantity"] = one
        elif limits := {
            end: each for end in ("low", "high") if (each := gathered.quantity(amount.first(end)))
        }:
            rate[f"{name}Range"] = limits
    if rate:
        told["doseAndRate"] = [rate]
    return told


def _repeat(source: Element) -> Resource | None:
    """How often: the period of a PIVL_TS."""
    for item in source.all("effectiveTime"):
        period = item.first("period") if item.kind == "PIVL_TS" else None
        if period is None or period.get("unit") not in _TIMES:
            continue
        if (number := period.number()) and number > 0:
            return {"frequency": 1, "period": number, "periodUnit": period.get("unit")}
    return None


def immunization(gathered: Gathered, source: Element) -> None:
    """An immunization activity; a negated one was not given."""
    if not happened(source):
        return
    code = source.first(f"{_MATERIAL}/code")
    dose = gathered.resource("Immunization", source, code.get("code") if code else "")
    concept = gathered.coded(dose, code, "vaccine")
    given = source.moment("effectiveTime", gathered.zone)
    if concept is None or given is None:
        return
    dose["status"] = "not-done" if source.get("negationInd") == "true" else "completed"
    dose["vaccineCode"] = concept
    dose["patient"] = gathered.subject()
    dose["occurrenceDateTime"] = given
    lot = source.first(f"{_MATERIAL}/lotNumberText")
    if lot is not None and lot.words():
        dose["lotNumber"] = lot.words()
    if amount := gathered.quantity(source.first("doseQuantity")):
        dose["doseQuantity"] = amount
    gathered.add(dose)


def procedure(gathered: Gathered, source: Element) -> None:
    """A procedure activity, whether CDA writes it as procedure, act or observation."""
    if not happened(source):
        return
    code = source.first("code")
    done = gathered.resource("Procedure", source, code.get("code") if code else "")
    concept = gathered.coded(done, code, "procedure")
    if concept is None:
        return
    state = source.first("statusCode")
    done["status"] = _PROCEDURE_STATUS.get(state.get("code") if state else "", "unknown")
    if source.get("negationInd") == "true":
        done["status"] = "not-done"
    done["code"] = concept
    done["subject"] = gathered.subject()
    done |= gathered.happening(source, "performed")
    site = gathered.coded(done, source.first("targetSiteCode"), "body-site")
    if site:
        done["bodySite"] = [site]
    used = [made for role in source.all("participant/participantRole") if (made := device(gathered, role))]
    if used:
        done["usedReference"] = [{"reference": f"Device/{item['id']}"} for item in used]
    gathered.add(done)
