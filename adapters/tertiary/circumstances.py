"""What stands around the care: the family's illnesses, stays elsewhere and earlier, supplies, who pays.

Spec:    HL7 C-CDA R2.1: family history organizer 4.45, encounter activity 4.49, supply activity 4.50, coverage activity
         4.60 and policy activity 4.61.
"""

from __future__ import annotations

from typing import Final

from adapters.source_record import Resource
from adapters.tertiary.devices import device
from adapters.tertiary.gather import Gathered
from adapters.tertiary.treatments import happened
from adapters.tertiary.xml import Element

_ROOT: Final = "2.16.840.1.113883.10.20.22.4."
_FAMILY_OBSERVATION, _AGE, _DEATH = _ROOT + "46", _ROOT + "31", _ROOT + "47"
_POLICY: Final = _ROOT + "61"
_ACT: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_ACT_OID: Final = "2.16.840.1.113883.5.4"
_NULL: Final = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
_ROLE: Final = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_ROLE_OID: Final = "2.16.840.1.113883.5.111"
_GENDERS: Final = {"M": "male", "F": "female", "UN": "other"}
_SEX: Final = "http://hl7.org/fhir/administrative-gender"
_CLASSES: Final = frozenset(
    {"AMB", "EMER", "FLD", "HH", "IMP", "ACUTE", "NONAC", "OBSENC", "PRENC", "SS", "VR"}
)


def encounter_class(*codes: Element) -> Resource:
    """The class of an encounter where one of its codes is of HL7's acts; else that it is not known."""
    for code in codes:
        if code.get("code") in _CLASSES and code.get("codeSystem") in {"", _ACT_OID}:
            return {"system": _ACT, "code": code.get("code")}
    return {"system": _NULL, "code": "UNK"}


def encounter(gathered: Gathered, source: Element, conditions: list[str]) -> None:
    """An encounter activity; where it was is in the document: it need not have been at this facility."""
    code = source.first("code")
    stay = gathered.resource("Encounter", source, code.get("code") if code else "")
    began = source.moment("effectiveTime", gathered.zone)
    ended = source.ending("effectiveTime", gathered.zone)
    stay["status"] = "finished" if began or ended else "unknown"
    codes = (code, *code.all("translation")) if code is not None else ()
    stay["class"] = encounter_class(*codes)
    if kind := gathered.coded(stay, code, "encounter-type"):
        stay["type"] = [kind]
    stay["subject"] = gathered.subject()
    period = {name: moment for name, moment in (("start", began), ("end", ended)) if moment}
    if period and period.get("start", "") <= period.get("end", "9"):
        stay["period"] = period
    if conditions:
        stay["diagnosis"] = [{"condition": {"reference": name}} for name in conditions]
    gathered.add(stay)


def family_member(gathered: Gathered, source: Element) -> None:
    """A family history organizer: a relative, and what the relative had."""
    relative = source.first("subject/relatedSubject")
    if relative is None or not happened(source):
        return
    code = relative.first("code")
    told = gathered.resource("FamilyMemberHistory", source, code.get("code") if code else "")
    relationship = gathered.coded(told, code, "relationship")
    if relationship is None:
        return
    is_word = code is not None and code.get("code") and " " not in code.get("code")
    if code is not None and is_word and code.get("codeSystem") == _ROLE_OID:
        coding = {"system": _ROLE, "code": code.get("code")}
        if code.get("displayName"):
            coding["display"] = code.get("displayName")
        relationship = {
            "coding": [coding],
            **({"text": relationship["text"]} if "text" in relationship else {}),
        }
        told.pop("meta", None)
    told["status"] = "completed"
    told["patient"] = gathered.subject()
    told["relationship"] = relationship
    sex = relative.first("subject/administrativeGenderCode")
    if sex is not None and sex.get("code") in _GENDERS:
        told["sex"] = {"coding": [{"system": _SEX, "code": _GENDERS[sex.get("code")]}]}
    if born := relative.moment("subject/birthTime", gathered.zone):
        told["bornDate"] = born.partition("T")[0]
    conditions, is_dead = [], False
    for inner in source.all("component/observation"):
        nested = inner.all("entryRelationship/observation")
        is_dead = is_dead or any(_DEATH in each.templates() for each in nested)
        concept = gathered.coded(told, inner.first("value"), "diagnosis")
        if concept is None or inner.get("negationInd") == "true":
            continue
        condition: Resource = {"code": concept}
        for each in nested:
            age = gathered.quantity(each.first("value")) if _AGE in each.templates() else None
            if age is not None and age.get("code") in {"a", "mo", "wk", "d", "h", "min"}:
                condition["onsetAge"] = age
        conditions.append(condition)
    if is_dead:
        told["deceasedBoolean"] = True
    if conditions:
        told["condition"] = conditions
    gathered.add(told)


def supply(gathered: Gathered, source: Element) -> None:
    """What was supplied that is no medicine: the device."""
    if happened(source):
        for role in source.all("participant/participantRole"):
            device(gathered, role)


def coverage(gathered: Gathered, source: Element) -> None:
    """A coverage activity: each policy in it."""
    for policy in source.all("entryRelationship/act"):
        if _POLICY not in policy.templates():
            continue
        code = policy.first("code")
        told = gathered.resource("Coverage", policy, code.get("code") if code else "")
        payer = policy.first("performer/assignedEntity/representedOrganization/name")
        if payer is None or not payer.words():
            continue
        told["status"] = "active"
        if kind := gathered.coded(told, code, "coverage"):
            told["type"] = kind
        members = [
            item.get("extension")
            for role in policy.all("participant")
            if role.get("typeCode") == "COV"
            for item in role.all("participantRole/id")
            if item.get("extension")
        ]
        if members:
            told["subscriberId"] = members[0]
        told["beneficiary"] = gathered.subject()
        told["payor"] = [{"display": payer.words()}]
        gathered.add(told)
