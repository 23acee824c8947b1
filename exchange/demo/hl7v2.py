"""The second-level hospital's HL7 v2.5.1 messages: registrations, visits, merges, orders and their results.

Spec:    HL7 v2.5.1 chapters 2, 3 and 7.
Leaves:  sending them to mllp; reading them to the secondary adapter.

Three messages of four are ISO 8859-1, the fourth UTF-8, each as MSH-18 says. Segments end in CR.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from exchange.demo.history import LIMA, Allergy, PanelResult, Result, Visit
from exchange.demo.hl7v2_requests import (
    appointment,
    discharge_summary,
    escaped,
    instant,
    laboratory_order,
    professional,
)
from exchange.demo.mllp import send_over_mllp
from exchange.demo.names import Name
from exchange.demo.people import Document, Person
from exchange.demo.records import MISSING_DATE, SourceRecord
from exchange.demo.region import Region

__all__ = ["messages", "send_over_mllp"]

_LATIN: Final = ("8859/1", "iso-8859-1")
_UNICODE: Final = ("UNICODE UTF-8", "utf-8")
_UNICODE_EVERY: Final = 4
_CORRECTED_EVERY: Final = 9
_BOOKED_EVERY: Final = 3
_DOCUMENT: Final = {
    "DNI": ("RENIEC", "DNI"),
    "CE": ("MIGRACIONES", "CE"),
    "PASS": ("MIGRACIONES", "PPN"),
    "PTP": ("MIGRACIONES", "PTP"),
    "DIE": ("EXTERIOR", "DIE"),
    "CNV": ("MINSA", "CNV"),
}
_CLASS: Final = {"AMB": "O", "EMER": "E", "IMP": "I"}
_DIAGNOSIS_TYPE: Final = {"P": "W", "D": "F", "R": "F"}
_ALLERGY_TYPE: Final = {"medication": "DA", "food": "FA", "environment": "EA"}


@dataclass(frozen=True, slots=True)
class _Event:
    """A message before it has its header: when, what kind, and its segments after MSH."""

    at: datetime
    order: int
    kind: tuple[str, str, str]
    segments: tuple[str, ...]


def messages(region: Region) -> Iterator[bytes]:
    """Every message of the hospital in the order of events; control ids count upwards from 1."""
    events: list[_Event] = []
    duplicates: dict[str, SourceRecord] = {}
    kept: list[tuple[Person, SourceRecord]] = []
    for person, record in region.records_at(region.secondary):
        if record.duplicate_of is None:
            kept.append((person, record))
        else:
            duplicates[record.duplicate_of] = record
    for person, record in kept:
        events.extend(_events(region, person, record, duplicates.get(record.hc_number)))
    events.sort(key=lambda event: (event.at, event.order))
    for number, event in enumerate(events, start=1):
        yield _message(region, event, number)


def _message(region: Region, event: _Event, number: int) -> bytes:
    """The message with its header, encoded as MSH-18 says."""
    charset, encoding = _UNICODE if number % _UNICODE_EVERY == 0 else _LATIN
    facility = region.secondary
    header = "|".join(
        (
            "MSH",
            "^~\\&",
            "SIGH",
            facility.renipress,
            "CHASQUI",
            "GERESA",
            instant(event.at),
            "",
            "^".join(event.kind),
            f"{facility.renipress[-3:]}{number:08d}",
            "P",
            "2.5.1",
            "",
            "",
            # Enhanced mode with one answer each: what came of it.
            "NE",
            "AL",
            "PER",
            charset,
            "es^^ISO639",
        )
    )
    return ("\r".join((header, *event.segments)) + "\r").encode(encoding)


def _events(
    region: Region, person: Person, record: SourceRecord, duplicate: SourceRecord | None
) -> Iterator[_Event]:
    """What the hospital sends about one patient."""
    identity = _identity(person, record)
    opened_at = _at(record.registered_on, 7, 30)
    history = region.history(person)
    visits = history.at(region.secondary.renipress)
    order = person.slot * 1000
    opened_at = min([opened_at, *(visit.started_at - timedelta(hours=1) for visit in visits)])
    yield _Event(opened_at, order, _kind("A28", "A05"), (_event("A28", opened_at), identity))
    if duplicate is not None:
        again_at = opened_at + timedelta(days=30)
        other = _identity(person, duplicate)
        yield _Event(again_at, order + 1, _kind("A28", "A05"), (_event("A28", again_at), other))
        merged_at = again_at + timedelta(days=12)
        merged = f"MRG|{_history_number(duplicate)}"
        yield _Event(merged_at, order + 2, _kind("A40", "A39"), (_event("A40", merged_at), identity, merged))
    for position, visit in enumerate(visits):
        yield from _visit_events(identity, visit, history.allergies, order + 10 * (position + 1))
    if visits and person.slot % _CORRECTED_EVERY == 0:
        changed_at = visits[-1].ended_at + timedelta(days=2)
        yield _Event(changed_at, order + 900, _kind("A08", "A01"), (_event("A08", changed_at), identity))


def _visit_events(
    identity: str, visit: Visit, allergies: tuple[Allergy, ...], order: int
) -> Iterator[_Event]:
    """Registration or admission, results, discharge."""
    trigger = "A01" if visit.kind == "IMP" else "A04"
    if visit.kind == "AMB" and visit.number % _BOOKED_EVERY == 0:
        booked_at = visit.started_at - timedelta(minutes=55)
        yield _Event(booked_at, order, ("SIU", "S12", "SIU_S12"), appointment(visit, identity))
    place = _visit_segment(visit, discharged=False)
    diagnoses = tuple(_diagnosis(visit, position) for position in range(len(visit.diagnoses)))
    noted = tuple(
        _allergy(one, position)
        for position, one in enumerate(allergies, start=1)
        if one.noted_on <= visit.started_at.date()
    )
    opening = (_event(trigger, visit.started_at), identity, place, *noted, *diagnoses)
    yield _Event(visit.started_at, order, _kind(trigger, "A01"), opening)
    for position, panel in enumerate(visit.panels):
        answered_at = panel.taken_at + timedelta(hours=2)
        number = f"{visit.number}-{position + 1}"
        asked = (identity, place, *laboratory_order(visit, panel, number))
        yield _Event(panel.taken_at, order + 1 + position, ("ORM", "O01", "ORM_O01"), asked)
        yield _Event(
            answered_at,
            order + 1 + position,
            ("ORU", "R01", "ORU_R01"),
            (identity, place, *_result_segments(visit, panel, number, answered_at)),
        )
    if visit.kind == "IMP":
        closing = (
            _event("A03", visit.ended_at),
            identity,
            _visit_segment(visit, discharged=True),
            *diagnoses,
        )
        yield _Event(visit.ended_at, order + 5, _kind("A03", "A03"), closing)
        summary = (identity, place, *discharge_summary(visit))
        yield _Event(visit.ended_at, order + 6, ("MDM", "T02", "MDM_T02"), summary)


def _kind(trigger: str, structure: str) -> tuple[str, str, str]:
    """MSH-9 of an ADT message."""
    return ("ADT", trigger, f"ADT_{structure}")


def _at(day: date, hour: int, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=LIMA)


def _event(trigger: str, at: datetime) -> str:
    return f"EVN|{trigger}|{instant(at)}"


def _person_name(name: Name) -> str:
    """XPN: both surnames in the first component, as this hospital's system has always sent them."""
    surnames = " ".join(part for part in (name.paternal, name.maternal, name.third) if part)
    return "^".join((escaped(surnames), *(escaped(part) for part in name.given[:2])))


def _history_number(record: SourceRecord) -> str:
    return f"{record.hc_number}^^^{record.renipress}^HC"


def _document(document: Document) -> str:
    authority, kind = _DOCUMENT[document.kind]
    return f"{document.number}^^^{authority}^{kind}"


def _identity(person: Person, record: SourceRecord) -> str:
    """PID: document and history number as repetitions, mother, birth order of twins and newborns."""
    identifiers = [_history_number(record)]
    if record.document is not None:
        identifiers.insert(0, _document(record.document))
    born = "" if record.birth_date == MISSING_DATE else f"{record.birth_date:%Y%m%d}"
    if born and record.document and record.document.kind == "CNV" and person.birth_time:
        born += person.birth_time.replace(":", "") + "-0500"
    fields = [""] * 31
    fields[0] = "PID"
    fields[1] = "1"
    fields[3] = "~".join(identifiers)
    fields[5] = _person_name(record.name)
    fields[6] = _person_name(record.mother.name)
    fields[7] = born
    fields[8] = record.sex
    fields[11] = (
        f"{escaped(person.address)}^^{person.district}^LA LIBERTAD^{person.ubigeo}^{person.country}^H"
    )
    fields[13] = f"^PRN^CP^^^^{person.phone}"
    if "newborn" in person.traits and record.mother.document is not None:
        fields[21] = _document(record.mother.document)
    if person.birth_order is not None:
        fields[24] = "Y" if "twin" in person.traits else ""
        fields[25] = str(person.birth_order)
    fields[26] = person.country
    return "|".join(fields).rstrip("|")


def _visit_segment(visit: Visit, *, discharged: bool) -> str:
    """PV1 with the visit number in field 19."""
    fields = [""] * 46
    fields[0] = "PV1"
    fields[1] = "1"
    fields[2] = _CLASS[visit.kind]
    fields[3] = f"{visit.ups}^^^{visit.renipress}"
    fields[7] = professional(visit)
    fields[19] = f"{visit.number}^^^{visit.renipress}^VN"
    fields[44] = instant(visit.started_at)
    if discharged:
        fields[36] = "01"
        fields[45] = instant(visit.ended_at)
    return "|".join(fields).rstrip("|")


def _diagnosis(visit: Visit, position: int) -> str:
    """DG1: W working for presumptive, F final for definitive and repeated."""
    one = visit.diagnoses[position]
    kind = _DIAGNOSIS_TYPE[one.certainty]
    coded = f"{one.disease.code}^{escaped(one.disease.label)}^I10"
    return f"DG1|{position + 1}||{coded}||{instant(visit.started_at)}|{kind}"


def _allergy(allergy: Allergy, position: int) -> str:
    kind = _ALLERGY_TYPE[allergy.category]
    name, reaction = escaped(allergy.label), escaped(allergy.reaction)
    return f"AL1|{position}|{kind}|{allergy.key}^{name}^L|MI|{reaction}|{allergy.noted_on:%Y%m%d}"


def _result_segments(visit: Visit, panel: PanelResult, number: str, answered_at: datetime) -> Iterator[str]:
    """OBR and its OBX segments: numbers, and a remark as text."""
    coded = f"{panel.panel.code}^{escaped(panel.panel.label)}^LN"
    taken = instant(panel.taken_at)
    fields = [""] * 26
    fields[0] = "OBR"
    fields[1] = "1"
    fields[2] = f"{number}^SIGH"
    fields[3] = f"L{number}^LIS"
    fields[4] = coded
    fields[7] = taken
    fields[16] = professional(visit)
    fields[22] = instant(answered_at)
    fields[24] = "LAB"
    fields[25] = "F"
    yield "|".join(fields)
    for position, result in enumerate(panel.results, start=1):
        yield _observation(result, position, taken)
    position = len(panel.results) + 1
    remark = "Muestra hemolizada" if visit.number % 17 == 0 else "Muestra adecuada"
    yield f"OBX|{position}|ST|48767-8^Comentario^LN||{remark}||||||F|||{taken}"


def _observation(result: Result, position: int, taken: str) -> str:
    """OBX with UCUM unit, reference range and abnormal flag."""
    measurement = result.measurement
    scale = 10**measurement.decimals
    low, high = measurement.low / scale, measurement.high / scale
    fields = (
        "OBX",
        str(position),
        "NM",
        f"{measurement.code}^{escaped(measurement.label)}^LN",
        "",
        result.value,
        f"{escaped(measurement.unit)}^{escaped(measurement.unit)}^UCUM",
        f"{low:.{measurement.decimals}f}-{high:.{measurement.decimals}f}",
        result.flag,
        "",
        "",
        "F",
        "",
        "",
        taken,
    )
    return "|".join(fields)
