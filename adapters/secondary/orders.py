"""What was asked for: ORC and OBR as ServiceRequest, with the numbers by which its results name it later.

Spec:    HL7 v2.5.1, 4.5.1 (ORC), 4.5.3 (OBR), tables 0038 and 0119; https://hl7.org/fhir/R4/servicerequest.html.
Leaves:  orders of medicines to nobody: they are refused with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from adapters.hl7v2.message import Message, Segment
from adapters.secondary.gather import Gathered
from adapters.secondary.specimens import specimen
from adapters.secondary.visits import person_named, stay_of
from adapters.source_record import Refusal, Resource
from adapters.source_record.moment import compact_moment

_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
# Table 0038, which says how the order stands.
_BY_STATUS: Final = {
    "A": "active", "CA": "revoked", "CM": "completed", "DC": "revoked", "ER": "entered-in-error",
    "HD": "on-hold", "IP": "active", "RP": "revoked", "SC": "active",
}  # fmt: skip
# Table 0119, which says what is done to it: read where its status is not told.
_BY_CONTROL: Final = {
    "NW": "active", "OK": "active", "RO": "active", "XO": "active", "XX": "active", "XR": "active",
    "SN": "active", "NA": "active", "RL": "active", "OE": "active", "OR": "active", "PA": "active",
    "CH": "active", "RE": "completed",
    "CA": "revoked", "OC": "revoked", "CR": "revoked", "DC": "revoked", "OD": "revoked", "DR": "revoked",
    "RP": "revoked", "RQ": "revoked", "RU": "revoked", "UA": "revoked",
    "HD": "on-hold", "OH": "on-hold", "HR": "on-hold", "DE": "entered-in-error",
}  # fmt: skip
_PRIORITY: Final = {"S": "stat", "A": "asap", "R": "routine", "T": "urgent", "U": "urgent"}
_MEDICINES: Final = frozenset({"RXO", "RXE", "RXD", "RXG", "RXC"})


@dataclass(slots=True)
class _Order:
    """An ORC with what belongs to it."""

    control: Segment | None
    detail: Segment | None = None
    notes: list[str] = field(default_factory=list)
    timing: Segment | None = None
    diagnoses: list[Segment] = field(default_factory=list)
    specimens: list[Segment] = field(default_factory=list)
    answers: list[Segment] = field(default_factory=list)


def orders(gathered: Gathered, message: Message) -> None:
    """Everything that is asked for in an ORM or OML.

    Raises: Refusal - an order without its OBR: it would rewrite the one that is known with less.
    """
    found = _orders(message)
    if any(segment.name in _MEDICINES for segment in message.segments):
        text = (
            "El intercambio no recibe órdenes de farmacia (RXO). No hace falta enviarlas; puede descartarla."
        )
        raise Refusal("mapping", "A-221", text, location="RXO^1")
    if not found or any(order.detail is None for order in found):
        text = "La orden no trae su detalle (OBR). Configure el envío de la orden completa en cada cambio."
        raise Refusal("mapping", "A-246", text, location="OBR^1")
    for number, order in enumerate(found, 1):
        _request(gathered, message, order, number)


def _orders(message: Message) -> list[_Order]:
    """The groups of a message: ORC begins one, and OBR where there is no ORC or it has its OBR already."""
    found: list[_Order] = []
    for segment in message.segments:
        if segment.name == "ORC":
            found.append(_Order(segment))
        elif segment.name == "OBR":
            if not found or found[-1].detail is not None:
                found.append(_Order(found[-1].control if found else None))
            found[-1].detail = segment
        elif found:
            _add(found[-1], segment)
    return found


def _add(order: _Order, segment: Segment) -> None:
    if segment.name == "NTE":
        order.notes.append("\n".join(item.text for item in segment.repetitions(3)))
    elif segment.name == "TQ1" and order.timing is None:
        order.timing = segment
    elif segment.name == "DG1":
        order.diagnoses.append(segment)
    elif segment.name == "SPM":
        order.specimens.append(segment)
    elif segment.name == "OBX":
        order.answers.append(segment)


def numbers(control: Segment | None, detail: Segment | None) -> tuple[str, str]:
    """The placer's and the filler's number of an order, from OBR, else from ORC."""
    placer, filler = (
        (detail.text(number) if detail else "") or (control.text(number) if control else "")
        for number in (2, 3)
    )
    return placer, filler


def based_on(gathered: Gathered, placer: str, filler: str) -> list[Resource]:
    """The order by its numbers, whether this hospital sent it or not."""
    found = identifiers(gathered, placer, filler)
    return [{"type": "ServiceRequest", "identifier": found[0]}] if found else []


def identifiers(gathered: Gathered, placer: str, filler: str) -> list[Resource]:
    """The numbers of an order, each said to be whose it is."""
    named = (("PLAC", "pedido", placer), ("FILL", "orden", filler))
    return [
        {
            "type": {"coding": [{"system": _TYPES, "code": kind}]},
            "system": gathered.hospital.origin.identifier_system(name),
            "value": value,
        }
        for kind, name, value in named
        if value
    ]


def _request(gathered: Gathered, message: Message, order: _Order, number: int) -> None:
    control, detail = order.control, order.detail
    assert detail is not None
    placer, filler = numbers(control, detail)
    code = detail.text(4) or detail.text(4, 2)
    if placer or filler:
        name = f"pedido|{gathered.who.key}|{placer or filler}|{code}"
    else:
        head = message.header
        name = f"pedido|{gathered.who.key}|{head.text(3)}|{head.text(10)}|{head.text(7)}|{number}"
    request = gathered.resource("ServiceRequest", name)
    if known := identifiers(gathered, placer, filler):
        request["identifier"] = known
    if group := control.text(4) if control else "":
        system = gathered.hospital.origin.identifier_system("grupo-de-pedidos")
        request["requisition"] = {"system": system, "value": group}
    request["status"] = _status(control)
    request["intent"] = _intent(control, detail)
    if priority := _priority(order):
        request["priority"] = priority
    request["code"] = gathered.coded(request, detail.field(4), "lab") or {"text": "Sin código"}
    request["subject"] = gathered.subject()
    if stay := stay_of(gathered, message):
        request["encounter"] = stay
    _when_and_who(gathered, request, order)
    _why(gathered, request, order)
    taken = [specimen(gathered, segment, name) for segment in order.specimens]
    if taken:
        request["specimen"] = taken
    gathered.add(request)


def _status(control: Segment | None) -> str:
    if control is None:
        return "active"
    told = control.text(5).upper()
    return _BY_STATUS.get(told) or _BY_CONTROL.get(control.text(1).upper()) or "unknown"


def _intent(control: Segment | None, detail: Segment) -> str:
    """Who the order comes from: the laboratory itself, a test that asked for another, or a clinician."""
    if detail.text(11).upper() == "G":
        return "reflex-order"
    return "filler-order" if control is not None and control.text(1).upper() == "SN" else "order"


def _priority(order: _Order) -> str | None:
    assert order.detail is not None
    told = order.timing.text(9) if order.timing else ""
    told = told or order.detail.text(27, 6) or (order.control.text(7, 6) if order.control else "")
    return _PRIORITY.get((told or order.detail.text(5))[:1].upper())


def _when_and_who(gathered: Gathered, request: Resource, order: _Order) -> None:
    control, detail, zone = order.control, order.detail, gathered.zone
    assert detail is not None
    planned = order.timing.text(7) if order.timing else ""
    planned = planned or detail.text(27, 4) or (control.text(7, 4) if control else "") or detail.text(6)
    if moment := compact_moment(planned, zone):
        request["occurrenceDateTime"] = moment
    if control is not None and (moment := compact_moment(control.text(9), zone)):
        request["authoredOn"] = moment
    doctor = person_named(detail.field(16)) or (person_named(control.field(12)) if control else None)
    if doctor:
        request["requester"] = doctor


def _why(gathered: Gathered, request: Resource, order: _Order) -> None:
    """OBR-31 and DG1 as reasons; NTE, OBR-13 and what was asked at order entry (OBX) as notes."""
    detail = order.detail
    assert detail is not None
    reasons = [
        reason for item in detail.repetitions(31) if (reason := gathered.coded(request, item, "order-reason"))
    ]
    reasons += [
        reason
        for segment in order.diagnoses
        if (reason := gathered.coded(request, segment.field(3), "diagnosis", is_diagnosis=True))
    ]
    if reasons:
        request["reasonCode"] = reasons
    notes = [detail.text(13), *order.notes]
    for segment in order.answers:
        value = "; ".join(" ".join(part for part in item.parts() if part) for item in segment.repetitions(5))
        asked = segment.text(3, 2) or segment.text(3)
        notes.append(f"{asked}: {value} {segment.text(6)}".strip(" :"))
    told = [{"text": note} for note in notes if note.strip()]
    if told:
        request["note"] = told
