"""An institute's C-CDA documents as FHIR: the document whole, and the entries that it is made of.

Spec:    HL7 C-CDA R2.1; https://hl7.org/fhir/us/ccda/ for the pairing of templates.
Leaves:  XML to `xml`, the patient to `patients`, each kind of entry to `clinical`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from adapters.source_record import Outcome, Refusal, Refused, SourceRecord
from adapters.source_record.bundle import finish
from adapters.source_record.moment import as_instant
from adapters.tertiary.composition import composition
from adapters.tertiary.document import document
from adapters.tertiary.gather import Gathered, Institute
from adapters.tertiary.patients import person
from adapters.tertiary.xml import Element, parse

__all__ = ["Institute", "map_document"]


def map_document(institute: Institute, raw: bytes, received_at: str, location: str = "") -> Outcome:
    """A document as FHIR, or as a refusal; whatever the bytes are, one of the two."""
    record = SourceRecord(
        facility=institute.origin.renipress,
        system=institute.origin.system,
        natural_key=f"sin leer|{hashlib.sha256(raw).hexdigest()[:32]}",
        patient_key="",
        original=raw,
        received_at=received_at,
        location=location,
    )
    try:
        root = parse(raw)
        record = _named(institute, root, record)
        patient_key, patient = person(institute, root)
        record = replace(record, patient_key=patient_key)
        gathered = Gathered(institute, patient_key, record.natural_key)
        gathered.add(patient)
        reference = document(gathered, root, raw)
        composition(gathered, root, reference)
    except Refusal as refusal:
        return Refused(record, refusal)
    return finish(institute.origin, record, gathered.entries(), gathered.unmapped)


def _named(institute: Institute, root: Element, record: SourceRecord) -> SourceRecord:
    """The record under the document's own id, kind and time of making."""
    number = root.identifier()
    if not number:
        raise Refusal("mapping", "A-273", "El documento no tiene id: no se puede saber si ya se recibió.")
    kind = root.first("code")
    made_at = root.moment("effectiveTime", institute.zone)
    return replace(
        record,
        natural_key=f"documento|{number}|{kind.get('code') if kind else ''}",
        source_time=as_instant(made_at, institute.zone),
    )
