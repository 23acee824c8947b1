"""Reports: MDM as DocumentReference, what it says beside it as Binary in the patient's record.

Spec:    HL7 v2.5.1, 9.5 (T01 to T11), 9.6.1 (TXA), tables 0271, 0272, 0273;
         https://hl7.org/fhir/R4/documentreference.html.
Leaves:  documents as XML to the tertiary room; bytes and media types to `attachments`.
"""

from __future__ import annotations

from typing import Final

from adapters.hl7v2.message import Message, Segment
from adapters.secondary.attachments import PLAIN, decoded, kept, pointed
from adapters.secondary.gather import Gathered
from adapters.secondary.orders import based_on
from adapters.secondary.visits import person_named, stay_of
from adapters.source_record import Refusal, Resource
from adapters.source_record.moment import as_instant, compact_moment

CANCELLED: Final = "T11"
WITH_CONTENT: Final = frozenset({"T02", "T04", "T06", "T08", "T10"})
ANNOUNCED: Final = frozenset({"T01", "T05", "T09"})
TRIGGERS: Final = WITH_CONTENT | ANNOUNCED | {CANCELLED}
_DOCUMENT_STATUS: Final = {
    "AU": "final", "LA": "final", "PA": "preliminary", "DI": "preliminary", "DO": "preliminary",
    "IN": "preliminary", "IP": "preliminary",
}  # fmt: skip
_AVAILABILITY: Final = {"CA": "entered-in-error", "OB": "superseded"}
_RELATION: Final = {
    "T05": "appends",
    "T06": "appends",
    "T08": "replaces",
    "T09": "replaces",
    "T10": "replaces",
}
_CONFIDENTIALITY: Final = {"V": "V", "R": "R", "U": "N"}
_CONFIDENTIALITY_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_LINES: Final = frozenset({"TX", "FT", "ST", ""})


def documents(gathered: Gathered, message: Message, trigger: str) -> None:
    """The document of an MDM.

    A document that is only announced is not told over one whose content came; one that is cancelled is told
    as entered in error, whatever was told before.

    Raises: Refusal - there is no TXA, or nothing in a document that should have something.
    """
    txa = message.first("TXA")
    if txa is None:
        words = "El mensaje MDM no trae la cabecera del documento (TXA)."
        raise Refusal("mapping", "A-243", words, location="TXA^1")
    number = txa.text(12) or txa.text(12, 3) or message.control_id
    key = f"documento|{gathered.who.key}|{number}"
    contents = _contents(gathered, message, key) if trigger in WITH_CONTENT else []
    if trigger in WITH_CONTENT and not contents:
        words = "El mensaje MDM no trae el texto del documento ni un adjunto (OBX-5)."
        raise Refusal("mapping", "A-243", words, location="OBX^1^5")
    document = gathered.resource("DocumentReference", key)
    system = gathered.hospital.origin.identifier_system("documento")
    document["masterIdentifier"] = {"system": system, "value": number}
    _set_status(document, txa, trigger)
    document["type"] = gathered.coded(document, txa.field(2), "document") or {"text": "Documento clínico"}
    document["subject"] = gathered.subject()
    written = as_instant(compact_moment(txa.text(4) or message.header.text(7), gathered.zone), gathered.zone)
    if written:
        document["date"] = written
    _set_people(document, txa)
    document["custodian"] = gathered.hospital.origin.organization()
    parent = txa.text(13) or txa.text(13, 3)
    if parent and parent != number and trigger in _RELATION:
        target = {"type": "DocumentReference", "identifier": {"system": system, "value": parent}}
        document["relatesTo"] = [{"code": _RELATION[trigger], "target": target}]
    if label := _CONFIDENTIALITY.get(txa.text(18).upper()):
        document["securityLabel"] = [{"coding": [{"system": _CONFIDENTIALITY_SYSTEM, "code": label}]}]
    title = txa.text(16) or txa.text(2, 2) or txa.text(2)
    for attachment in contents:
        if txa.text(16) and (len(contents) == 1 or attachment["contentType"] != PLAIN):
            attachment["title"] = txa.text(16)
    document["content"] = [{"attachment": item} for item in contents] or [
        {"attachment": {"title": title or "Documento clínico"}}
    ]
    if context := _context(gathered, message, txa):
        document["context"] = context
    gathered.add(document, only_if_absent=trigger in ANNOUNCED)


def _set_status(document: Resource, txa: Segment, trigger: str) -> None:
    """TXA-19 says whether it stands, TXA-17 how far it is; a cancelled one was never to be read."""
    status = (
        "entered-in-error" if trigger == CANCELLED else _AVAILABILITY.get(txa.text(19).upper(), "current")
    )
    document["status"] = status
    progress = _DOCUMENT_STATUS.get(txa.text(17).upper())
    if status == "entered-in-error":
        progress = "entered-in-error"
    elif progress == "final" and trigger in {"T08", "T10"}:
        progress = "amended"
    if progress:
        document["docStatus"] = progress


def _set_people(document: Resource, txa: Segment) -> None:
    authors: list[Resource] = []
    for number in (9, 5):
        for item in txa.repetitions(number):
            if (who := person_named(item)) and who not in authors:
                authors.append(who)
    if authors:
        document["author"] = authors
    if signed := person_named(txa.field(22)):
        document["authenticator"] = signed


def _contents(gathered: Gathered, message: Message, key: str) -> list[Resource]:
    """The attachments: all lines of text as one, then every ED and RP, each with bytes of its own."""
    lines: list[str] = []
    found: list[Resource] = []
    for segment in message.all("OBX"):
        kind = segment.text(2).upper()
        if kind == "ED":
            media, content = decoded(segment)
            found.append(kept(gathered, f"{key}|{len(found) + 1}", media, content))
        elif kind == "RP":
            if pointer := pointed(segment):
                found.append(pointer)
        elif kind in _LINES:
            lines += [item.text for item in segment.repetitions(5)]
        else:
            lines += [" ".join(part for part in item.parts() if part) for item in segment.repetitions(5)]
    text = "\n".join(lines)
    return [kept(gathered, key, PLAIN, text.encode()), *found] if text.strip() else found


def _context(gathered: Gathered, message: Message, txa: Segment) -> Resource:
    """The stay, and the order that asked for it, by their numbers."""
    context: Resource = {}
    if stay := stay_of(gathered, message):
        context["encounter"] = [stay]
    if related := based_on(gathered, txa.text(14), txa.text(15)):
        context["related"] = related
    return context
