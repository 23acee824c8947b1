"""Results: OBR as DiagnosticReport, each OBX as Observation, notes where they stand.

Spec:    HL7 v2.5.1, 7.4.1 (OBR), 7.4.2 (OBX); https://hl7.org/fhir/R4/observation.html.
Leaves:  values by their data type to `values`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from adapters.hl7v2.message import Message, Segment
from adapters.secondary.gather import Gathered
from adapters.secondary.values import reference_range, set_value
from adapters.secondary.visits import visit_key
from adapters.source_record import Refusal, Resource
from adapters.source_record.moment import as_instant, compact_moment

_OBSERVATION_STATUS: Final = {
    "F": "final", "U": "final", "B": "final", "V": "final", "C": "corrected", "I": "registered",
    "P": "preliminary", "S": "preliminary", "R": "preliminary",
    "X": "cancelled", "D": "entered-in-error", "W": "entered-in-error",
}  # fmt: skip
_REPORT_STATUS: Final = {
    "F": "final", "C": "corrected", "P": "preliminary", "A": "partial", "R": "partial",
    "I": "registered", "S": "registered", "O": "registered", "X": "cancelled",
}  # fmt: skip
_INTERPRETATIONS: Final = frozenset(
    {"L", "H", "LL", "HH", "<", ">", "N", "A", "AA", "U", "D", "B", "W", "S", "R", "I"}
)
_INTERPRETATION_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"


@dataclass(slots=True)
class _Group:
    """An OBR with its observations: each a list of OBX that continue one another, and their notes."""

    order: Segment | None
    observations: list[tuple[list[Segment], list[str]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def results(gathered: Gathered, message: Message) -> None:
    """Everything that an ORU reports.

    Raises: Refusal - there is no OBR or OBX in it.
    """
    groups = _groups(message)
    if not groups:
        raise Refusal("mapping", "A-241", "El mensaje ORU no trae resultados (OBR ni OBX).", location="OBR^1")
    stay = _stay(gathered, message)
    for number, group in enumerate(groups, 1):
        _report(gathered, message, group, number, stay)


def _groups(message: Message) -> list[_Group]:
    groups: list[_Group] = []
    for segment in message.segments:
        if segment.name == "OBR":
            groups.append(_Group(segment))
        elif segment.name == "OBX":
            if not groups:
                groups.append(_Group(None))
            observations = groups[-1].observations
            if observations and _continues(observations[-1][0][-1], segment):
                observations[-1][0].append(segment)
            else:
                observations.append(([segment], []))
        elif segment.name == "NTE" and groups:
            text = "\n".join(item.text for item in segment.repetitions(3))
            notes = groups[-1].observations[-1][1] if groups[-1].observations else groups[-1].notes
            notes.append(text)
    return groups


def _continues(before: Segment, segment: Segment) -> bool:
    """Whether an OBX is the next line of the same text."""
    both = (before, segment)
    return all(item.text(2).upper() in {"TX", "FT"} for item in both) and before.raw(3) == segment.raw(3)


def _report(gathered: Gathered, message: Message, group: _Group, number: int, stay: Resource | None) -> None:
    """One DiagnosticReport and its Observations."""
    order = group.order
    name = _order_name(gathered, message, order, number)
    taken = compact_moment(order.text(7), gathered.zone) if order else None
    seen: Counter[str] = Counter()
    references = []
    for segments, notes in group.observations:
        local = f"{segments[0].raw(3)}|{segments[0].text(4)}"
        seen[local] += 1
        observation = gathered.resource("Observation", f"{name}|{local}|{seen[local]}")
        _observe(gathered, observation, segments, notes, taken)
        if stay:
            observation["encounter"] = stay
        gathered.add(observation)
        references.append({"reference": f"Observation/{observation['id']}"})
    if order is None:
        return
    report = gathered.resource("DiagnosticReport", name)
    if filler := order.text(3):
        system = gathered.hospital.origin.identifier_system("orden")
        report["identifier"] = [{"system": system, "value": filler}]
    report["status"] = _REPORT_STATUS.get(order.text(25).upper(), "unknown")
    report["code"] = gathered.coded(report, order.field(4), "lab") or {"text": "Sin código"}
    report["subject"] = gathered.subject()
    if stay:
        report["encounter"] = stay
    if taken:
        report["effectiveDateTime"] = taken
    issued = as_instant(compact_moment(order.text(22), gathered.zone), gathered.zone)
    if issued and "T" in issued:
        report["issued"] = issued
    report["performer"] = [gathered.hospital.origin.organization()]
    if references:
        report["result"] = references
    if words := "\n".join(group.notes).strip():
        report["conclusion"] = words
    gathered.add(report)


def _order_name(gathered: Gathered, message: Message, order: Segment | None, number: int) -> str:
    """What the laboratory calls this order, the same when it corrects it; else the message's own name."""
    if order is not None and (order.text(3) or order.text(2)):
        return f"orden|{gathered.who.key}|{order.text(3) or order.text(2)}|{order.text(4)}"
    header = message.header
    return f"mensaje|{gathered.who.key}|{header.text(3)}|{header.text(10)}|{header.text(7)}|{number}"


def _observe(
    gathered: Gathered, observation: Resource, segments: list[Segment], notes: list[str], taken: str | None
) -> None:
    """An Observation out of the OBX segments that make one value."""
    first = segments[0]
    observation["status"] = _OBSERVATION_STATUS.get(first.text(11).upper(), "unknown")
    observation["code"] = gathered.coded(observation, first.field(3), "lab") or {"text": "Sin código"}
    observation["subject"] = gathered.subject()
    if moment := compact_moment(first.text(14), gathered.zone) or taken:
        observation["effectiveDateTime"] = moment
    observation["performer"] = [gathered.hospital.origin.organization()]
    if len(segments) > 1:
        observation["valueString"] = "\n".join(item.text for part in segments for item in part.repetitions(5))
    else:
        set_value(gathered, observation, first)
    flags = [item.component(1).upper() for item in first.repetitions(8)]
    codings = [
        {"coding": [{"system": _INTERPRETATION_SYSTEM, "code": flag}]}
        for flag in flags
        if flag in _INTERPRETATIONS
    ]
    if codings:
        observation["interpretation"] = codings
    if words := "\n".join(notes).strip():
        observation["note"] = [{"text": words}]
    if limits := reference_range(gathered, first):
        observation["referenceRange"] = [limits]


def _stay(gathered: Gathered, message: Message) -> Resource | None:
    """The stay by its number only: a laboratory does not rewrite what admission knows."""
    key = visit_key(gathered, message)
    pv1 = message.first("PV1")
    if key is None or pv1 is None or not pv1.text(19):
        return None
    system = gathered.hospital.origin.identifier_system("atencion")
    return {"type": "Encounter", "identifier": {"system": system, "value": pv1.text(19)}}
