"""Vaccines given: each RXA as Immunization.

Spec:    HL7 v2.5.1, 4.14.7 (RXA); https://hl7.org/fhir/R4/immunization.html.
Leaves:  reactions reported beside a dose (OBX) to nobody yet: they stay in the original bytes.
"""

from __future__ import annotations

from typing import Final

from adapters.hl7v2.message import Message, Segment
from adapters.secondary.gather import Gathered
from adapters.secondary.values import number
from adapters.source_record import Refusal
from adapters.source_record.moment import as_date, compact_moment
from exchange.fhir.peru import UCUM_SYSTEM

_STATUS: Final = {"CP": "completed", "PA": "completed", "RE": "not-done", "NA": "not-done"}
_NO_VACCINE: Final = "998"
_AMOUNT_UNKNOWN: Final = "999"
_DELETED: Final = "D"


def vaccines(gathered: Gathered, message: Message) -> None:
    """Every dose that a VXU reports.

    Raises: Refusal - none is told.
    """
    order: Segment | None = None
    count = 0
    for segment in message.segments:
        if segment.name == "ORC":
            order = segment
        if segment.name == "RXA" and segment.text(5) != _NO_VACCINE:
            count += _dose(gathered, segment, order)
    if not count:
        text = "El mensaje VXU no trae ninguna vacuna con código y fecha (RXA-3, RXA-5)."
        raise Refusal("mapping", "A-242", text, location="RXA^1")


def _dose(gathered: Gathered, segment: Segment, order: Segment | None) -> int:
    given = compact_moment(segment.text(3), gathered.zone) or compact_moment(segment.text(4), gathered.zone)
    code = segment.text(5) or segment.text(5, 2)
    if not code or not given:
        return 0
    filler = order.text(3) if order else ""
    key = f"vacuna|{gathered.who.key}|{filler or given[:10]}|{code}"
    dose = gathered.resource("Immunization", key)
    dose["status"] = _STATUS.get(segment.text(20).upper(), "completed")
    if segment.text(21).upper() == _DELETED:
        dose["status"] = "entered-in-error"
    dose["vaccineCode"] = gathered.coded(dose, segment.field(5), "vaccine")
    dose["patient"] = gathered.subject()
    dose["occurrenceDateTime"] = given
    dose["primarySource"] = segment.text(9) in {"", "00"}
    if lot := segment.text(15):
        dose["lotNumber"] = lot
    if expires := as_date(compact_moment(segment.text(16), gathered.zone)):
        dose["expirationDate"] = expires
    amount = number(segment.text(6))
    if amount is not None and segment.text(6) != _AMOUNT_UNKNOWN:
        unit = segment.text(7)
        dose["doseQuantity"] = {"value": amount}
        if unit:
            dose["doseQuantity"]["unit"] = unit
        if unit == "mL":
            dose["doseQuantity"] |= {"system": UCUM_SYSTEM, "code": "mL"}
    gathered.add(dose)
    return 1
