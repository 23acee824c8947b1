"""A device that was implanted or supplied.

Spec:    HL7 C-CDA R2.1: product instance 4.37; https://hl7.org/fhir/R4/device.html.
Leaves:  taking a UDI apart to whoever needs its parts: it is kept as the carrier prints it.
"""

from __future__ import annotations

from typing import Final

from adapters.source_record import Resource
from adapters.tertiary.gather import Gathered
from adapters.tertiary.xml import Element

_PRODUCT_INSTANCE: Final = "2.16.840.1.113883.10.20.22.4.37"
_FDA_UDI: Final = "2.16.840.1.113883.3.3719"


def device(gathered: Gathered, role: Element) -> Resource | None:
    """A participantRole that is a product instance as Device; any other role is none."""
    if _PRODUCT_INSTANCE not in role.templates():
        return None
    code = role.first("playingDevice/code")
    made = gathered.resource("Device", role, code.get("code") if code else "")
    udi = [
        item.get("extension")
        for item in role.all("id")
        if item.get("root") == _FDA_UDI and item.get("extension")
    ]
    if udi:
        made["udiCarrier"] = [{"carrierHRF": udi[0]}]
    if kind := gathered.coded(made, code, "device"):
        made["type"] = kind
    made["patient"] = gathered.subject()
    gathered.add(made)
    return made
