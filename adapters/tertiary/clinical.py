"""The entries of a document's sections, each by the template that it claims.

Spec:    HL7 C-CDA R2.1 templates named below; https://hl7.org/fhir/R4/condition.html and its sisters.
Leaves:  narrative without entries to the document kept whole; what is planned to `plans`; the family, stays, devices and
         payers to `circumstances`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from adapters.source_record import Resource
from adapters.tertiary.circumstances import coverage, encounter, family_member, supply
from adapters.tertiary.gather import Gathered
from adapters.tertiary.observations import observation, results
from adapters.tertiary.plans import planned
from adapters.tertiary.treatments import happened, immunization, medication, procedure
from adapters.tertiary.xml import Element
from exchange.fhir.peru import CIE10_SYSTEM

_ROOT: Final = "2.16.840.1.113883.10.20.22.4."
_PROBLEM, _ALLERGY = _ROOT + "4", _ROOT + "7"
_STATUS_OF_PROBLEM, _REACTION, _SEVERITY = _ROOT + "6", _ROOT + "9", _ROOT + "8"
_STATUS_OF_ALLERGY: Final = _ROOT + "28"
_SNOMED: Final = "http://snomed.info/sct"
_ANY_SUBSTANCE: Final = frozenset({"105590001", "410942007"})
_NONE_AT_ALL: Final = ("716186003", "No known allergy", "Sin alergias conocidas")
_NONE_KNOWN: Final = {
    "medication": ("409137002", "No known drug allergy", "Sin alergias conocidas a medicamentos"),
    "food": ("429625007", "No known food allergy", "Sin alergias conocidas a alimentos"),
    "environment": ("428607008", "No known environmental allergy", "Sin alergias ambientales conocidas"),
}
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
_SEVERITIES: Final = {"255604002": "mild", "6736007": "moderate", "24484000": "severe", "399166001": "severe"}
_CLINICAL: Final = {"55561003": "active", "73425007": "inactive", "413322009": "resolved"}
_CATEGORIES: Final = {
    "416098002": "medication", "419511003": "medication", "59037007": "medication", "414285001": "food",
    "418471000": "food", "235719002": "food", "232347008": "environment", "426232007": "environment",
}  # fmt: skip


def entries_of(gathered: Gathered, section: Element) -> None:
    """Every entry of one section, without those of the sections in it."""
    code = section.first("code")
    read = _OF_SECTION.get(code.get("code") if code else "", _entry)
    for entry in section.all("entry"):
        for node in entry.node:
            if isinstance(node.tag, str):
                read(gathered, Element(node))


def _entry(gathered: Gathered, source: Element) -> None:
    """Choose by template and, where there is none that we know, by what the element is.

    Only what happened is told so: what a section of another purpose plans goes to `plans`.
    """
    if not happened(source) and source.name != "substanceAdministration":
        planned(gathered, source)
        return
    templates = source.templates()
    for template, read in _READERS.items():
        if _ROOT + template in templates:
            read(gathered, source)
            return
    if source.name in _BY_NAME:
        _BY_NAME[source.name](gathered, source)
        return
    # Concern acts, admission and discharge acts hold what they are about.
    _problems(gathered, source)
    for inner in source.all("entryRelationship/substanceAdministration"):
        medication(gathered, inner)


def _problems(gathered: Gathered, source: Element) -> None:
    for inner in source.all("entryRelationship/observation"):
        if _PROBLEM in inner.templates():
            _condition(gathered, inner, source)


def _condition(gathered: Gathered, source: Element, concern: Element) -> None:
    """A problem observation as Condition; its end says resolved, else what its status says."""
    value = source.first("value")
    condition = gathered.resource("Condition", source, value.get("code") if value else "")
    code = gathered.coded(condition, value, "diagnosis")
    if code is None:
        return
    ended = source.ending("effectiveTime", gathered.zone)
    told = next(
        (
            item.get("code")
            for inner in source.all("entryRelationship/observation")
            if _STATUS_OF_PROBLEM in inner.templates()
            for item in inner.all("value")
        ),
        "",
    )
    state = "resolved" if ended else _CLINICAL.get(told, "active")
    condition["clinicalStatus"] = _status("condition-clinical", state)
    is_negated = source.get("negationInd") == "true"
    condition["verificationStatus"] = _status(
        "condition-ver-status", "refuted" if is_negated else "confirmed"
    )
    condition["category"] = [_status("condition-category", "problem-list-item")]
    condition["code"] = code
    condition["subject"] = gathered.subject()
    if began := source.moment("effectiveTime", gathered.zone):
        if any(item["system"] == CIE10_SYSTEM for item in code.get("coding", [])):
            condition["onsetPeriod"] = {"start": began}  # as the national profile writes it
        else:
            condition["onsetDateTime"] = began
    if ended:
        condition["abatementDateTime"] = ended
    if recorded := concern.moment("author/time", gathered.zone):
        condition["recordedDate"] = recorded
    gathered.add(condition)


def _allergies(gathered: Gathered, source: Element) -> None:
    for inner in source.all("entryRelationship/observation"):
        if _ALLERGY in inner.templates():
            _allergy(gathered, inner, source)


def _allergy(gathered: Gathered, source: Element, concern: Element) -> None:
    """An allergy observation; a negated one denies what it names: one substance, or all of a kind."""
    agent = source.first("participant/participantRole/playingEntity/code")
    kind = source.first("value")
    is_negated = source.get("negationInd") == "true"
    allergy = gathered.resource("AllergyIntolerance", source, agent.get("code") if agent else "")
    name = source.first("participant/participantRole/playingEntity/name")
    category = _CATEGORIES.get(kind.get("code")) if kind else None
    is_of_all = is_negated and (agent is None or agent.get("code") in _ANY_SUBSTANCE)
    code: Resource | None
    if is_of_all and not (name and name.words()):
        code = _none_known(category)
    else:
        is_of_all = False
        code = gathered.coded(allergy, agent, "allergy")
        if code is None:
            code = gathered.coded(allergy, None, "allergy", name.words() if name else "")
    if code is None:
        return
    is_refuted = is_negated and not is_of_all
    state = "inactive" if is_refuted else _state_of_allergy(gathered, source, concern)
    allergy["clinicalStatus"] = _status("allergyintolerance-clinical", state)
    allergy["verificationStatus"] = _status(
        "allergyintolerance-verification", "refuted" if is_refuted else "confirmed"
    )
    if category and not is_of_all:
        allergy["category"] = [category]
    allergy["code"] = code
    allergy["patient"] = gathered.subject()
    if (began := source.moment("effectiveTime", gathered.zone)) and not is_negated:
        allergy["onsetDateTime"] = began
    reactions = [
        reaction
        for inner in source.all("entryRelationship/observation")
        if _REACTION in inner.templates() and (reaction := _reaction(gathered, allergy, inner))
    ]
    if reactions:
        allergy["reaction"] = reactions
    gathered.add(allergy)


def _none_known(category: str | None) -> Resource:
    code, display, words = _NONE_KNOWN.get(category or "", _NONE_AT_ALL)
    return {"coding": [{"system": _SNOMED, "code": code, "display": display}], "text": words}


def _state_of_allergy(gathered: Gathered, source: Element, concern: Element) -> str:
    """What its status observation says; else over where it ended or its concern was closed.

    An observation itself is always completed: that says that it was made, not that the allergy is over.
    """
    for inner in source.all("entryRelationship/observation"):
        value = inner.first("value")
        if _STATUS_OF_ALLERGY in inner.templates() and value and value.get("code") in _CLINICAL:
            return _CLINICAL[value.get("code")]
    state = concern.first("statusCode") if concern is not source else None
    is_closed = state is not None and state.get("code") == "completed"
    return "resolved" if is_closed or source.ending("effectiveTime", gathered.zone) else "active"


def _reaction(gathered: Gathered, allergy: Resource, source: Element) -> Resource | None:
    manifestation = gathered.coded(allergy, source.first("value"), "reaction")
    if manifestation is None:
        return None
    reaction: Resource = {"manifestation": [manifestation]}
    for inner in source.all("entryRelationship/observation"):
        value = inner.first("value")
        if _SEVERITY in inner.templates() and value and value.get("code") in _SEVERITIES:
            reaction["severity"] = _SEVERITIES[value.get("code")]
    return reaction


def _status(system: str, code: str) -> Resource:
    return {"coding": [{"system": _TERMINOLOGY + system, "code": code}]}


def _encounter(gathered: Gathered, source: Element) -> None:
    """An encounter of the past, and the diagnoses that it was for."""
    known = set(gathered.names())
    for inner in source.all("entryRelationship/act"):
        _problems(gathered, inner)
    conditions = [name for name in gathered.names() if name not in known]
    encounter(gathered, source, conditions)


_READERS: Final[dict[str, Callable[[Gathered, Element], None]]] = {
    "3": _problems,
    "4": lambda gathered, source: _condition(gathered, source, source),
    "30": _allergies,
    "7": lambda gathered, source: _allergy(gathered, source, source),
    "16": medication,
    "52": immunization,
    "1": results,
    "26": results,
    "2": observation,
    "27": observation,
    "78": observation,
    "12": procedure,
    "13": procedure,
    "14": procedure,
    "45": family_member,
    "49": _encounter,
    "50": supply,
    "60": coverage,
}
_BY_NAME: Final[dict[str, Callable[[Gathered, Element], None]]] = {
    "observation": observation,
    "organizer": results,
    "procedure": procedure,
    "substanceAdministration": medication,
    "encounter": _encounter,
    "supply": supply,
}
_OF_SECTION: Final[dict[str, Callable[[Gathered, Element], None]]] = {
    "18776-5": planned,
    "61146-7": planned,
    "10157-6": family_member,
}
"""Sections whose entries are never about what this patient had or was given: plans, goals, the family."""
