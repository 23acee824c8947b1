"""What a FUA says of a pregnancy: that there is one, when the birth is expected, when it was.

Spec:    LOINC 82810-3, 11778-8, 93857-1; IPS pregnancy status and expected delivery date.
Leaves:  its course to the clinical record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapters.eqhali.fua import Fua
from adapters.eqhali.patients import folded
from adapters.source_record import Origin, Resource
from adapters.source_record.bundle import flag_unmapped
from exchange.fhir.peru import LOINC_SYSTEM

_PREGNANT: Final = frozenset({"SI", "S", "1", "X", "GESTANTE"})
_SAYS_NOTHING: Final = frozenset({"", "NO", "N", "0", "-"})
_DATES: Final = (
    ("fecha_probable_parto", "11778-8", "Delivery date Estimated", "Fecha probable de parto"),
    ("fecha_parto", "93857-1", "Date and time of obstetric delivery", "Fecha de parto"),
)


def pregnancy(fua: Fua, origin: Origin, subject: Resource, stay: Resource) -> Iterator[tuple[str, Resource]]:
    """Name and content of each Observation; a woman who is not said to be pregnant is not said not to be."""

    def observed(code: str, display: str, words: str) -> Resource:
        return {
            "status": "final",
            "code": {"coding": [{"system": LOINC_SYSTEM, "code": code, "display": display}], "text": words},
            "subject": subject,
            "encounter": stay,
            "effectiveDateTime": fua.dates["fecha_atencion"],
            "performer": [origin.organization()],
        }

    written = fua.row.get("gestante")
    word = folded(written)
    if word not in _SAYS_NOTHING:
        found = observed("82810-3", "Pregnancy status", "Gestante")
        value: Resource = {"text": written}
        if word in _PREGNANT:
            answer = {"system": LOINC_SYSTEM, "code": "LA15173-0", "display": "Pregnant"}
            value = {"coding": [answer], "text": written}
        else:
            flag_unmapped(found)
        found["valueCodeableConcept"] = value
        yield "gestante", found
    for column, code, display, words in _DATES:
        if column in fua.dates:
            found = observed(code, display, words)
            found["valueDateTime"] = fua.dates[column]
            yield column, found
