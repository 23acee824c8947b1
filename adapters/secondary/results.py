"""Results: OBR as DiagnosticReport, each OBX as Observation, SPM as Specimen, notes where they stand.

Spec:    HL7 v2.5.1, 7.4.1 (OBR), 7.4.2 (OBX), tables 0078, 0085, 0123; https://hl7.org/fhir/R4/observation.html.
Leaves:  values by their data type to `values`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from adapters.hl7v2.message import Message, Segment
from adapters.secondary.attachments import decoded, kept, pointed
from adapters.secondary.gather import Gathered
from adapters.secondary.orders import based_on, numbers
from adapters.secondary.specimens import specimen
from adapters.secondary.values import reference_range, set_value
from adapters.secondary.visits import stay_of
from adapters.source_record import Refusal, Resource
from adapters.source_record.moment import as_instant, compact_moment

_OBSERVATION_STATUS: Final = {
    "F": "final", "U": "final", "B": "final", "V": "final", "C": "corrected", "I": "registered",
    "A": "amended", "O": "registered", "N": "cancelled",
    "P": "preliminary", "S": "preliminary", "R": "preliminary",
    "X": "cancelled", "D": "entered-in-error", "W": "entered-in-error",
}  # fmt: skip
_REPORT_STATUS: Final = {
    "F": "final", "C": "corrected", "P": "preliminary", "A": "partial", "R": "partial",
    "I": "registered", "S": "registered", "O": "registered", "X": "cancelled",
}  # fmt: skip
_INTERPRETATIONS: Final = frozenset(
    {
        "L", "H", "LL", "HH", "LU", "HU", "<", ">", "N", "A", "AA", "U", "D", "B", "W", "S", "R", "I", "MS",
        "VS", "NS", "SDD", "POS", "NEG", "IND", "DET", "ND", "NR", "RR", "WR", "E", "EX", "HX", "LX", "CAR",
    }
)  # fmt: skip
_INTERPRETATION_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"


@dataclass(slots=True)
class _Group:
    """An OBR with its observations: each a list of OBX that continue one another, and their notes."""

    order: Segment | None
    control: Segment | None = None
    observations: list[tuple[list[Segment], list[str]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    specimens: list[Segment] = field(default_factory=list)
    documents: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class _Told:
    """What earlier groups of the message have told: their stay, and each Observation by order, code and part."""

    stay: Resource | None
    observations: dict[tuple[str, str], Resource] = field(default_factory=dict)


def results(gathered: Gathered, message: Message) -> None:
    """Everything that an ORU reports.

    Raises: Refusal - there is no OBR or OBX in it.
    """
    groups = _groups(message)
    if not groups:
        raise Refusal("mapping", "A-241", "El mensaje ORU no trae resultados (OBR ni OBX).", location="OBR^1")
    told = _Told(stay_of(gathered, message))
    for number, group in enumerate(groups, 1):
        _report(gathered, message, group, number, told)


def _groups(message: Message) -> list[_Group]:
    groups: list[_Group] = []
    control: Segment | None = None
    for segment in message.segments:
        if segment.name == "ORC":
            control = segment
        elif segment.name == "OBR":
            groups.append(_Group(segment, control))
            control = None
        elif segment.name == "SPM" and groups:
            groups[-1].specimens.append(segment)
        elif segment.name == "OBX":
            if not groups:
                groups.append(_Group(None))
            if groups[-1].order is not None and segment.text(2).upper() in {"ED", "RP"}:
                groups[-1].documents.append(segment)
                continue
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


def _report(gathered: Gathered, message: Message, group: _Group, number: int, told: _Told) -> None:
    """One DiagnosticReport and its Observations."""
    order = group.order
    name = _order_name(gathered, message, order, number)
    taken = compact_moment(order.text(7), gathered.zone) if order else None
    specimens = [specimen(gathered, segment, name) for segment in group.specimens]
    references = _observations(gathered, group, name, taken, specimens, told)
    if order is None:
        return
    report = gathered.resource("DiagnosticReport", name)
    placer, filler = numbers(group.control, order)
    if filler:
        system = gathered.hospital.origin.identifier_system("orden")
        report["identifier"] = [{"system": system, "value": filler}]
    if asked := based_on(gathered, placer, filler):
        report["basedOn"] = asked
    _set_parent(order, references, told)
    report["status"] = _REPORT_STATUS.get(order.text(25).upper(), "unknown")
    report["code"] = gathered.coded(report, order.field(4), "lab") or {"text": "Sin código"}
    report["subject"] = gathered.subject()
    if told.stay:
        report["encounter"] = told.stay
    if taken:
        report["effectiveDateTime"] = taken
    issued = as_instant(compact_moment(order.text(22), gathered.zone), gathered.zone)
    if issued and "T" in issued:
        report["issued"] = issued
    report["performer"] = [gathered.hospital.origin.organization()]
    if specimens:
        report["specimen"] = specimens
    if references:
        report["result"] = references
    if words := "\n".join(group.notes).strip():
        report["conclusion"] = words
    if forms := _forms(gathered, group, name):
        report["presentedForm"] = forms
    gathered.add(report)


def _observations(
    gathered: Gathered,
    group: _Group,
    name: str,
    taken: str | None,
    specimens: list[Resource],
    told: _Told,
) -> list[Resource]:
    """The Observations of a group; the references to them."""
    seen: Counter[str] = Counter()
    references = []
    for segments, notes in group.observations:
        local = f"{segments[0].raw(3)}|{segments[0].text(4)}"
        seen[local] += 1
        observation = gathered.resource("Observation", f"{name}|{local}|{seen[local]}")
        _observe(gathered, observation, segments, notes, taken)
        if told.stay:
            observation["encounter"] = told.stay
        if len(specimens) == 1:
            observation["specimen"] = specimens[0]
        gathered.add(observation)
        told.observations.setdefault((segments[0].text(3), segments[0].text(4)), observation)
        references.append({"reference": f"Observation/{observation['id']}"})
    return references


def _set_parent(order: Segment, references: list[Resource], told: _Told) -> None:
    """OBR-26: these results belong to one that was told before, as resistances to the germ that they are of."""
    parent = order.field(26)
    code = parent.subcomponents(1)[0] if parent.raw else ""
    found = told.observations.get((code, parent.component(2))) if code else None
    if found is not None and references:
        found.setdefault("hasMember", []).extend(references)


def _forms(gathered: Gathered, group: _Group, name: str) -> list[Resource]:
    """The report as a document: each ED as Binary, each RP as the address that it names."""
    forms: list[Resource] = []
    for number, segment in enumerate(group.documents, 1):
        if segment.text(2).upper() == "ED":
            form = kept(gathered, f"{name}|documento|{number}", *decoded(segment))
        else:
            pointer = pointed(segment)
            if pointer is None:
                continue
            form = pointer
        if title := segment.text(3, 2):
            form["title"] = title
        forms.append(form)
    return forms


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
