"""Appointments: SIU as Appointment, its times, its people, and what became of it.

Spec:    HL7 v2.5.1, 10.3 (S12 to S26), 10.6.3 (SCH), table 0278; https://hl7.org/fhir/R4/appointment.html.
Leaves:  slots to nobody: what a consultorio has free is not the exchange's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from adapters.hl7v2.message import Message, Segment
from adapters.secondary.gather import Gathered
from adapters.source_record import Refusal, Resource
from adapters.source_record.moment import compact_moment

TRIGGERS: Final = frozenset({"S12", "S13", "S14", "S15", "S17", "S26"})
_BY_EVENT: Final = {"S15": "cancelled", "S17": "entered-in-error", "S26": "noshow"}
_BY_STATUS: Final = {
    "PENDING": "pending", "WAITLIST": "waitlist", "BOOKED": "booked", "OVERBOOK": "booked",
    "STARTED": "checked-in", "COMPLETE": "fulfilled", "CANCELLED": "cancelled", "DC": "cancelled",
    "DELETED": "entered-in-error", "NOSHOW": "noshow",
}  # fmt: skip
_UNFINISHED: Final = frozenset({"pending", "waitlist"})
_TIMELESS: Final = frozenset({"cancelled", "waitlist"})
_MINUTES: Final = {"": 1.0, "M": 1.0, "MIN": 1.0, "MINUTE": 1.0, "MINUTES": 1.0, "MINUTOS": 1.0,
                   "S": 1 / 60, "SEC": 1 / 60, "H": 60.0, "HR": 60.0, "HOUR": 60.0, "HORAS": 60.0}  # fmt: skip
_MAX_MINUTES: Final = 60 * 24 * 31
_RESOURCES: Final = {"AIL": 3, "AIG": 3, "AIP": 3}


def appointment(gathered: Gathered, message: Message, trigger: str) -> None:
    """The appointment of an SIU.

    Raises: Refusal - it has no number, or no times where FHIR demands them (app-3).
    """
    sch = message.first("SCH")
    placer, filler = (sch.text(1), sch.text(2)) if sch else ("", "")
    if sch is None or not (placer or filler):
        text = "La cita no trae su número (SCH-1 o SCH-2): un cambio no podría encontrarla."
        raise Refusal("mapping", "A-247", text, location="SCH^1^2" if sch else "SCH^1")
    found = gathered.resource("Appointment", f"cita|{gathered.who.key}|{filler or placer}")
    origin = gathered.hospital.origin
    named = (("cita", filler), ("cita-solicitada", placer))
    found["identifier"] = [
        {"system": origin.identifier_system(name), "value": value} for name, value in named if value
    ]
    status = _BY_EVENT.get(trigger) or _BY_STATUS.get(sch.text(25).upper(), "booked")
    found["status"] = status
    if status in {"cancelled", "noshow"} and (why := gathered.coded(found, sch.field(6), "cancelation")):
        found["cancelationReason"] = why
    _what(gathered, message, found, sch)
    start, end = _times(gathered, message, sch)
    if start is None or end is None:
        if status not in _TIMELESS:
            text = "La cita no dice cuándo empieza, o ni fin ni duración (TQ1-7, SCH-11; TQ1-8, SCH-9)."
            raise Refusal("mapping", "A-248", text, location="SCH^1^11")
    else:
        found["start"], found["end"] = start.isoformat(), end.isoformat()
        found["minutesDuration"] = max(1, round((end - start).total_seconds() / 60))
    found["participant"] = _participants(gathered, message, status)
    gathered.add(found)


def _what(gathered: Gathered, message: Message, found: Resource, sch: Segment) -> None:
    """The services, the kind, the reason, and what the notes say."""
    services = [
        service
        for segment in message.all("AIS")
        if (service := gathered.coded(found, segment.field(3), "service"))
    ]
    if services:
        found["serviceType"] = services
    if kind := gathered.coded(found, sch.field(8), "appointment-type"):
        found["appointmentType"] = kind
    if reason := gathered.coded(found, sch.field(7), "appointment-reason"):
        found["reasonCode"] = [reason]
    notes = [item.text for segment in message.all("NTE") for item in segment.repetitions(3)]
    if words := "\n".join(notes).strip():
        found["comment"] = words


def _times(gathered: Gathered, message: Message, sch: Segment) -> tuple[datetime | None, datetime | None]:
    """Beginning and end: as told, else the end by its duration. A day alone is no time."""
    timing, service = message.first("TQ1"), message.first("AIS")
    start = _moment(gathered, timing.text(7) if timing else "") or _moment(gathered, sch.text(11, 4))
    start = start or _moment(gathered, service.text(4) if service else "")
    end = _moment(gathered, timing.text(8) if timing else "") or _moment(gathered, sch.text(11, 5))
    if start and not end:
        minutes = _minutes(sch.text(9), sch.text(10)) or (
            _minutes(service.text(7), service.text(8)) if service else None
        )
        end = start + timedelta(minutes=minutes) if minutes else None
    return (start, end) if start and end and end > start else (start, None)


def _moment(gathered: Gathered, text: str) -> datetime | None:
    moment = compact_moment(text, gathered.zone)
    return datetime.fromisoformat(moment) if moment and "T" in moment else None


def _minutes(text: str, unit: str) -> float | None:
    """A duration; none where it is no number or no unit that is known."""
    factor = _MINUTES.get(unit.upper())
    if factor is None or not text.isdigit() or len(text) > 6:  # noqa: PLR2004 - seconds of a month have seven digits
        return None
    minutes = int(text) * factor
    return minutes if 0 < minutes <= _MAX_MINUTES else None


def _participants(gathered: Gathered, message: Message, status: str) -> list[Resource]:
    """The patient, then places, equipment and people by their names."""
    answer = "needs-action" if status in _UNFINISHED else "accepted"
    found: list[Resource] = [{"actor": gathered.subject(), "status": answer}]
    for segment in message.segments:
        if segment.name not in _RESOURCES:
            continue
        source = segment.field(_RESOURCES[segment.name])
        if segment.name == "AIP":
            words = " ".join(part for part in (source.component(3), source.component(2)) if part)
        elif segment.name == "AIL":
            words = ", ".join(part for number in (1, 2, 3) if (part := source.component(number)))
        else:
            words = source.component(2)
        if words := words or source.component(1):
            found.append({"actor": {"display": words}, "status": answer})
    return found
