"""Who a record is about: whether somebody can be told from others by it, and under which numbers.

Spec:    docs/adapters.md, "Sending consent".
Leaves:  matching one person's records to the hub.
"""

from __future__ import annotations

from typing import Any, Final

from adapters.outbox.consent import name_of_patient
from adapters.source_record import Entry, Mapped, Outcome, Refusal, Refused, SourceRecord, keyed_name
from adapters.source_record.person import HISTORY_WORDS, MOTHER_IDENTIFIER_EXTENSION
from exchange.fhir import peru

UNIDENTIFIED: Final = "A-254"
_V2: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_SYSTEMS: Final = {
    peru.DNI_SYSTEM: "dni", peru.CE_SYSTEM: "ce", peru.PASSPORT_SYSTEM: "passport", peru.DIE_SYSTEM: "die",
    peru.CNV_SYSTEM: "cnv",
}  # fmt: skip
_TYPES: Final = {
    (peru.PERSON_ID_TYPES, "1"): "dni", (peru.PERSON_ID_TYPES, "2"): "ce", (peru.PERSON_ID_TYPES, "3"): "passport",
    (_V2, "NI"): "dni", (_V2, "PPN"): "passport", (_V2, "BCT"): "cnv", (_V2, "MR"): "hc",
}  # fmt: skip


def own_patient(mapped: Mapped, id_key: bytes) -> Entry | None:
    """The Patient that a record itself is about, where it brings one."""
    record = mapped.record
    if not record.patient_key:
        return None
    ending = "-" + keyed_name(id_key, "resource", f"{record.system}|Patient|{record.patient_key}")
    return next(
        (
            entry
            for entry in mapped.entries
            if entry.resource["resourceType"] == "Patient" and entry.resource["id"].endswith(ending)
        ),
        None,
    )


def names_of(patient: dict[str, Any]) -> list[str]:
    """The documents and history numbers of a Patient, as a consent table names them."""
    found = []
    for identifier in patient.get("identifier", []):
        kind = _kind(identifier)
        if kind and identifier.get("value"):
            found.append(name_of_patient(kind, identifier["value"]))
    return found


def is_identified(patient: dict[str, Any]) -> bool:
    """Whether a Patient has a document, a name, or a mother who has one: else it could be anybody."""
    has_document = any(not name.startswith("hc|") for name in names_of(patient))
    has_name = any(name.get("family") or name.get("given") for name in patient.get("name", []))
    has_mother = any(
        extension.get("url") == MOTHER_IDENTIFIER_EXTENSION
        for contact in patient.get("contact", [])
        for extension in contact.get("extension", [])
    )
    return has_document or has_name or has_mother


def identified(outcome: Outcome, id_key: bytes) -> Outcome:
    """An outcome, refused where the patient has neither document nor name: nobody knows whose record it is."""
    own = own_patient(outcome, id_key) if isinstance(outcome, Mapped) else None
    if own is None or own.only_if_absent or is_identified(own.resource):
        return outcome
    return unidentified(outcome.record)


def unidentified(record: SourceRecord) -> Refused:
    """The refusal of a record that could be anybody's."""
    text = "El paciente no tiene documento ni nombre: no se envía hasta identificarlo."
    return Refused(record, Refusal("identity", UNIDENTIFIED, text, parks=True))


def _kind(identifier: dict[str, Any]) -> str | None:
    if kind := _SYSTEMS.get(identifier.get("system", "")):
        return kind
    if identifier.get("type", {}).get("text") == HISTORY_WORDS:
        return "hc"
    codings = identifier.get("type", {}).get("coding", [])
    return next(
        (_TYPES[pair] for each in codings if (pair := (each.get("system"), each.get("code"))) in _TYPES), None
    )
