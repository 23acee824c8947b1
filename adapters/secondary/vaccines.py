"""Vaccines given or refused: each RXA as Immunization.

Spec:    HL7 v2.5.1, 4.14.7 (RXA), 4.14.2 (RXR), tables 0292, 0322, 0323; https://hl7.org/fhir/R4/immunization.html.
Leaves:  what OBX says beyond the dose's number and eligibility to the original bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from adapters.code_map import ucum
from adapters.hl7v2.message import Message, Segment
from adapters.secondary.gather import Gathered
from adapters.secondary.values import number
from adapters.secondary.visits import person_named, stay_of
from adapters.source_record import Refusal, Resource
from adapters.source_record.moment import as_date, compact_moment
from exchange.fhir.peru import UCUM_SYSTEM

_STATUS: Final = {"CP": "completed", "PA": "completed", "RE": "not-done", "NA": "not-done"}
_NO_VACCINE: Final = "998"
_AMOUNT_UNKNOWN: Final = "999"
_DELETED: Final = "D"
_DOSE_NUMBER: Final = "30973-2"
_ELIGIBILITY: Final = "64994-7"
_MAX_DOSES: Final = 100


@dataclass(slots=True)
class _Dose:
    """An RXA with what belongs to it."""

    given: Segment
    order: Segment | None
    route: Segment | None = None
    observations: list[Segment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def vaccines(gathered: Gathered, message: Message) -> None:
    """Every dose that a VXU reports.

    Raises: Refusal - none is told.
    """
    told = [_tell(gathered, dose, message) for dose in _doses(message)]
    if not any(told):
        text = "El mensaje VXU no trae ninguna vacuna con código y fecha (RXA-3, RXA-5)."
        raise Refusal("mapping", "A-242", text, location="RXA^1")


def _doses(message: Message) -> list[_Dose]:
    found: list[_Dose] = []
    order: Segment | None = None
    for segment in message.segments:
        if segment.name == "ORC":
            order = segment
        elif segment.name == "RXA":
            found.append(_Dose(segment, order))
        elif found and segment.name == "RXR" and found[-1].route is None:
            found[-1].route = segment
        elif found and segment.name == "OBX":
            found[-1].observations.append(segment)
        elif found and segment.name == "NTE":
            found[-1].notes.append("\n".join(item.text for item in segment.repetitions(3)))
    return [dose for dose in found if dose.given.text(5) != _NO_VACCINE]


def _tell(gathered: Gathered, told: _Dose, message: Message) -> bool:
    """One Immunization; False where no vaccine or no day can be read."""
    segment, order = told.given, told.order
    given = compact_moment(segment.text(3), gathered.zone) or compact_moment(segment.text(4), gathered.zone)
    code = segment.text(5) or segment.text(5, 2)
    if not code or not given:
        return False
    filler = order.text(3) if order else ""
    key = f"vacuna|{gathered.who.key}|{filler or given[:10]}|{code}"
    dose = gathered.resource("Immunization", key)
    _set_status(gathered, dose, segment)
    dose["vaccineCode"] = gathered.coded(dose, segment.field(5), "vaccine")
    dose["patient"] = gathered.subject()
    if stay := stay_of(gathered, message):
        dose["encounter"] = stay
    dose["occurrenceDateTime"] = given
    _set_source(gathered, dose, segment)
    if maker := segment.text(17, 2) or segment.text(17):
        dose["manufacturer"] = {"display": maker}
    if lot := segment.text(15):
        dose["lotNumber"] = lot
    if expires := as_date(compact_moment(segment.text(16), gathered.zone)):
        dose["expirationDate"] = expires
    if told.route is not None:
        if site := gathered.coded(dose, told.route.field(2), "vaccine-site"):
            dose["site"] = site
        if route := gathered.coded(dose, told.route.field(1), "vaccine-route"):
            dose["route"] = route
    _set_amount(gathered, dose, segment)
    performers = [
        {"actor": who} for item in segment.repetitions(10) if (who := person_named(item)) is not None
    ]
    if performers:
        dose["performer"] = performers
    if words := "\n".join(told.notes).strip():
        dose["note"] = [{"text": words}]
    _set_observations(gathered, dose, told.observations)
    gathered.add(dose)
    return True


def _set_status(gathered: Gathered, dose: Resource, segment: Segment) -> None:
    """RXA-20 and RXA-21: given, given in part, refused, or never so."""
    completion = segment.text(20).upper()
    dose["status"] = _STATUS.get(completion, "completed")
    if segment.text(21).upper() == _DELETED:
        dose["status"] = "entered-in-error"
    if completion == "PA":
        dose["isSubpotent"] = True
    if dose["status"] == "not-done" and (why := gathered.coded(dose, segment.field(18), "vaccine-refusal")):
        dose["statusReason"] = why


def _set_source(gathered: Gathered, dose: Resource, segment: Segment) -> None:
    """RXA-9: given here, or known from a card or another register."""
    kinds = [item for item in segment.repetitions(9) if item.component(3).upper() in {"NIP001", ""}]
    source = kinds[0] if kinds else None
    dose["primarySource"] = source is None or source.component(1) in {"", "00"}
    if source is not None and not dose["primarySource"]:
        dose["reportOrigin"] = gathered.coded(dose, source, "vaccine-source")


def _set_amount(gathered: Gathered, dose: Resource, segment: Segment) -> None:
    amount = number(segment.text(6))
    if amount is None or segment.text(6) == _AMOUNT_UNKNOWN:
        return
    dose["doseQuantity"] = {"value": amount}
    if unit := segment.text(7):
        dose["doseQuantity"]["unit"] = segment.text(7, 2) or unit
        code = unit if segment.text(7, 3).upper() == "UCUM" else ucum(gathered.codes, unit)
        if code:
            dose["doseQuantity"] |= {"system": UCUM_SYSTEM, "code": code}
        else:
            gathered.unmapped.append(("units", unit))


def _set_observations(gathered: Gathered, dose: Resource, observations: list[Segment]) -> None:
    """What OBX says of a dose: which of its series it is, and who pays for it."""
    for segment in observations:
        asked, value = segment.text(3), segment.text(5)
        if asked == _DOSE_NUMBER and value.isdigit() and 0 < int(value[:6]) <= _MAX_DOSES:
            dose["protocolApplied"] = [{"doseNumberPositiveInt": int(value)}]
        elif asked == _ELIGIBILITY and (who := gathered.coded(dose, segment.field(5), "eligibility")):
            dose["programEligibility"] = [who]
