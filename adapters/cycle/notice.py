"""Tells those who read a record at the hub that it lacks something: the history is incomplete since a day.

Spec:    https://hl7.org/fhir/R4/flag.html; docs/adapters.md, "History incomplete".
Leaves:  whose history that is to the outbox.

It says that something waits, and since when; not what, why, or how much.
"""

from __future__ import annotations

from typing import Final

from adapters.source_record import Entry, Mapped, Origin, Resource, SourceRecord
from adapters.source_record.bundle import encode, finish
from adapters.source_record.moment import now_instant

RECORD_STATE: Final = "urn:chasqui:record-state"
HISTORY_INCOMPLETE: Final = "history-incomplete"
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/flag-category"
_TEXT: Final = (
    "Historia incompleta: este establecimiento tiene registros del paciente que aún no han llegado."
)


def incomplete_history(origin: Origin, patient_key: str, since: str, until: str | None) -> tuple[str, Mapped]:
    """The Patient's URL, and the one Flag that this site ever has of him: active, or over."""
    period = {"start": since} | ({"end": until} if until else {})
    flag: Resource = {
        "resourceType": "Flag",
        "id": origin.resource_id("Flag", f"{HISTORY_INCOMPLETE}|{patient_key}"),
        "status": "inactive" if until else "active",
        "category": [{"coding": [{"system": _CATEGORY, "code": "admin", "display": "Administrative"}]}],
        "code": {
            "coding": [
                {"system": RECORD_STATE, "code": HISTORY_INCOMPLETE, "display": "Historia incompleta"}
            ],
            "text": _TEXT,
        },
        "subject": origin.reference("Patient", patient_key),
        "period": period,
        "author": origin.organization(),
    }
    record = SourceRecord(
        facility=origin.renipress,
        system=origin.system,
        natural_key=f"aviso|{patient_key}",
        patient_key="",
        original=encode(flag),
        received_at=now_instant(),
        source_time=until or since,
    )
    return flag["subject"]["reference"], finish(origin, record, [Entry(flag)])
