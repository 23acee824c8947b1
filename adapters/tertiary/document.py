"""The document itself: its bytes as Binary, what it is as DocumentReference, its stay as Encounter.

Spec:    https://hl7.org/fhir/R4/documentreference.html; IHE MHD 4.2 for hash and size.
Leaves:  the sections to `composition`, the entries within to `clinical`.
"""

from __future__ import annotations

import base64
import hashlib

from adapters.source_record import Resource
from adapters.source_record.moment import as_instant
from adapters.tertiary.circumstances import encounter_class
from adapters.tertiary.gather import Gathered
from adapters.tertiary.xml import Element

_RELATIONS = {"RPLC": "replaces", "APND": "appends", "XFRM": "transforms"}


def document(gathered: Gathered, root: Element, raw: bytes) -> Resource:
    """Keep the bytes, and say what they are; hash and size are those of the original bytes."""
    binary = gathered.resource("Binary", root, "original")
    binary["contentType"] = "text/xml"
    binary["securityContext"] = gathered.subject()
    binary["data"] = base64.b64encode(raw).decode()
    stay = _encounter(gathered, root)
    reference = gathered.resource("DocumentReference", root, "documento")
    reference["masterIdentifier"] = _number(root)
    reference["status"] = "current"
    kind = gathered.coded(reference, root.first("code"), "document")
    if kind:
        reference["type"] = kind
    reference["subject"] = gathered.subject()
    made_at = as_instant(root.moment("effectiveTime", gathered.zone), gathered.zone)
    if made_at:
        reference["date"] = made_at
    if writers := authors(root):
        reference["author"] = writers
    reference["custodian"] = gathered.institute.origin.organization()
    replaced = [
        {
            "code": code,
            "target": {"type": "DocumentReference", "identifier": _number(item.first("parentDocument"))},
        }
        for item in root.all("relatedDocument")
        if (code := _RELATIONS.get(item.get("typeCode")))
        and (parent := item.first("parentDocument"))
        and parent.identifier()
    ]
    if replaced:
        reference["relatesTo"] = replaced
    attachment: Resource = {
        "contentType": "text/xml",
        "url": f"Binary/{binary['id']}",
        "size": len(raw),
        "hash": base64.b64encode(hashlib.sha1(raw, usedforsecurity=False).digest()).decode(),
    }
    title = root.first("title")
    if title is not None and title.words():
        attachment["title"] = title.words()
    if made_at:
        attachment["creation"] = made_at
    reference["content"] = [{"attachment": attachment}]
    if stay is not None:
        reference["context"] = {"encounter": [{"reference": f"Encounter/{stay['id']}"}]}
    gathered.add(binary)
    gathered.add(reference)
    return reference


def authors(root: Element) -> list[Resource]:
    """Who wrote the document, by name."""
    return [{"display": name} for item in root.all("author/assignedAuthor") if (name := _author(item))]


def _number(source: Element | None) -> Resource:
    """The document's own number as an Identifier."""
    system, _, value = (source.identifier() if source is not None else "").partition("|")
    if value:
        return {"system": f"urn:oid:{system}", "value": value}
    return {"system": "urn:ietf:rfc:3986", "value": f"urn:{'uuid' if '-' in system else 'oid'}:{system}"}


def _encounter(gathered: Gathered, root: Element) -> Resource | None:
    """componentOf/encompassingEncounter, where the document says of which stay it is."""
    source = root.first("componentOf/encompassingEncounter")
    if source is None:
        return None
    code = source.first("code")
    encounter = gathered.resource("Encounter", source, "estancia")
    ended = source.ending("effectiveTime", gathered.zone)
    began = source.moment("effectiveTime", gathered.zone)
    encounter["status"] = "finished" if ended else "unknown"
    encounter["class"] = encounter_class(*([code] if code is not None else []))
    if code is not None and (kind := gathered.coded(encounter, code, "encounter-type")):
        encounter["type"] = [kind]
    encounter["subject"] = gathered.subject()
    period = {name: moment for name, moment in (("start", began), ("end", ended)) if moment}
    if period:
        encounter["period"] = period
    encounter["serviceProvider"] = gathered.institute.origin.organization()
    gathered.add(encounter)
    return encounter


def _author(source: Element) -> str:
    name = source.first("assignedPerson/name") or source.first("assignedAuthoringDevice/softwareName")
    if name is None:
        return ""
    parts = [part.words() for tag in ("prefix", "given", "family", "suffix") for part in name.all(tag)]
    return " ".join(parts) or name.words()
