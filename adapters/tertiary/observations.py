"""Results, vital signs and social history: organizers and the observations in them.

Spec:    HL7 C-CDA R2.1: result organizer 4.1, vital signs organizer 4.26, smoking status 4.78.
Leaves:  conditions and allergies, which CDA also writes as observations, to `clinical`.
"""

from __future__ import annotations

from typing import Final

from adapters.source_record import Resource
from adapters.source_record.moment import compact_moment
from adapters.tertiary.gather import Gathered
from adapters.tertiary.xml import Element

_ROOT: Final = "2.16.840.1.113883.10.20.22.4."
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_INTERPRETATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_INTERPRETATION_OID: Final = "2.16.840.1.113883.5.83"
_STATUS: Final = {
    "completed": "final",
    "active": "preliminary",
    "aborted": "cancelled",
    "cancelled": "cancelled",
}
_CATEGORIES: Final = {
    "2": "laboratory", "27": "vital-signs", "78": "social-history", "85": "social-history", "38": "social-history",
}  # fmt: skip


def results(gathered: Gathered, source: Element) -> None:
    """Every observation of an organizer; a battery of results also as DiagnosticReport."""
    made = [item for inner in source.all("component/observation") if (item := _made(gathered, inner))]
    if _ROOT + "1" not in source.templates() or not made:
        return
    code = source.first("code")
    report = gathered.resource("DiagnosticReport", source, code.get("code") if code else "")
    state = source.first("statusCode")
    report["status"] = _STATUS.get(state.get("code") if state else "", "unknown")
    if report["status"] == "preliminary":
        report["status"] = "partial"
    report["code"] = gathered.coded(report, code, "lab") or {"text": "Resultados"}
    report["subject"] = gathered.subject()
    when = gathered.happening(source, "effective") or {
        name: made[0][name] for name in ("effectiveDateTime", "effectivePeriod") if name in made[0]
    }
    report |= when
    report["result"] = [{"reference": f"Observation/{item['id']}"} for item in made]
    gathered.add(report)


def observation(gathered: Gathered, source: Element) -> None:
    """An observation that stands alone."""
    _made(gathered, source)


def _made(gathered: Gathered, source: Element) -> Resource | None:
    """An Observation, with its value by the type that the document declares; a negated one says nothing that was."""
    if source.get("negationInd") == "true":
        return None
    code = source.first("code")
    result = gathered.resource("Observation", source, code.get("code") if code else "")
    concept = gathered.coded(result, code, "lab")
    if concept is None:
        return None
    state = source.first("statusCode")
    result["status"] = _STATUS.get(state.get("code") if state else "", "unknown")
    template = next((item for item in _CATEGORIES if _ROOT + item in source.templates()), None)
    if template:
        result["category"] = [{"coding": [{"system": _CATEGORY, "code": _CATEGORIES[template]}]}]
    result["code"] = concept
    result["subject"] = gathered.subject()
    result |= gathered.happening(source, "effective")
    _set_value(gathered, result, source)
    flags = [
        item.get("code")
        for item in source.all("interpretationCode")
        if item.get("codeSystem") == _INTERPRETATION_OID
    ]
    if any(flags):
        result["interpretation"] = [
            {"coding": [{"system": _INTERPRETATION, "code": flag}]} for flag in flags if flag
        ]
    limits = [
        item for inner in source.all("referenceRange/observationRange") if (item := _limits(gathered, inner))
    ]
    if limits:
        result["referenceRange"] = limits
    gathered.add(result)
    return result


def _set_value(gathered: Gathered, result: Resource, source: Element) -> None:
    value = source.first("value")
    if value is None:
        reason = {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}
        result["dataAbsentReason"] = {"coding": [reason]}
    elif value.kind in {"PQ", "INT", "REAL", "MO"} and (amount := gathered.quantity(value)):
        result["valueQuantity"] = amount
    elif value.kind in {"CD", "CE", "CO", "CV"} and (concept := gathered.coded(result, value, "lab-value")):
        result["valueCodeableConcept"] = concept
    elif value.kind == "TS" and (moment := compact_moment(value.get("value"), gathered.zone)):
        result["valueDateTime"] = moment
    elif value.kind == "IVL_PQ":
        result["valueRange"] = _range(gathered, value)
    elif words := value.words() or value.get("value"):
        result["valueString"] = words
    if result.get("valueRange") == {}:
        del result["valueRange"]


def _range(gathered: Gathered, source: Element) -> Resource:
    limits = {name: gathered.quantity(source.first(name)) for name in ("low", "high")}
    return {name: limit for name, limit in limits.items() if limit}


def _limits(gathered: Gathered, source: Element) -> Resource | None:
    value, text = source.first("value"), source.first("text")
    result: Resource = _range(gathered, value) if value is not None and value.kind == "IVL_PQ" else {}
    if text is not None and text.words():
        result["text"] = text.words()
    return result or None
