"""What was taken: SPM as Specimen.

Spec:    HL7 v2.5.1, 7.4.3 (SPM), table 0487; https://hl7.org/fhir/R4/specimen.html.
"""

from __future__ import annotations

from adapters.hl7v2.message import Segment
from adapters.secondary.gather import Gathered
from adapters.source_record import Resource
from adapters.source_record.moment import compact_moment


def specimen(gathered: Gathered, segment: Segment, order_name: str) -> Resource:
    """Gather a specimen; the reference to it.

    SPM-2 is a pair, each an entity identifier: the placer's, else the filler's.
    """
    number = segment.text(2) or segment.field(2).component(2)
    local = f"muestra|{gathered.who.key}|{number}" if number else f"{order_name}|muestra|{segment.text(1)}"
    found = gathered.resource("Specimen", local)
    if number:
        system = gathered.hospital.origin.identifier_system("muestra")
        found["identifier"] = [{"system": system, "value": number}]
    rejected = segment.field(21)
    is_rejected = bool(rejected.component(1) or rejected.component(2)) or segment.text(20).upper() == "N"
    found["status"] = "unsatisfactory" if is_rejected else "available"
    if kind := gathered.coded(found, segment.field(4), "specimen"):
        found["type"] = kind
    found["subject"] = gathered.subject()
    if received := compact_moment(segment.text(18), gathered.zone):
        found["receivedTime"] = received
    collection: Resource = {}
    began, ended = (compact_moment(segment.field(17).component(part), gathered.zone) for part in (1, 2))
    if began and ended and began <= ended:
        collection["collectedPeriod"] = {"start": began, "end": ended}
    elif began:
        collection["collectedDateTime"] = began
    if method := gathered.coded(found, segment.field(7), "specimen-method"):
        collection["method"] = method
    if site := gathered.coded(found, segment.field(8), "body-site"):
        collection["bodySite"] = site
    if collection:
        found["collection"] = collection
    conditions = [
        condition
        for item in segment.repetitions(24)
        if (condition := gathered.coded(found, item, "specimen-condition"))
    ]
    if conditions:
        found["condition"] = conditions
    notes = [item.component(1) for item in segment.repetitions(14)]
    if is_rejected and (why := rejected.component(2) or rejected.component(1)):
        notes.append(why)
    told = [{"text": note} for note in notes if note]
    if told:
        found["note"] = told
    gathered.add(found)
    return {"reference": f"Specimen/{found['id']}"}
