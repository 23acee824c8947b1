"""Reports written as text: MDM as DocumentReference, its text beside it as a Binary of the patient's record.

Spec:    HL7 v2.5.1, 9.6 (MDM, TXA); https://hl7.org/fhir/R4/documentreference.html.
Leaves:  documents as XML to the tertiary room.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from adapters.hl7v2.message import Message
from adapters.secondary.gather import Gathered
from adapters.source_record import Refusal
from adapters.source_record.moment import as_instant, compact_moment

_CONTENT_TYPE: Final = "text/plain; charset=utf-8"


def documents(gathered: Gathered, message: Message) -> None:
    """The document of an MDM.

    Raises: Refusal - there is no text in it.
    """
    txa = message.first("TXA")
    text = "\n".join(item.text for segment in message.all("OBX") for item in segment.repetitions(5))
    if not text.strip() or txa is None:
        words = "El mensaje MDM no trae el texto del documento (OBX-5) o su cabecera (TXA)."
        raise Refusal("mapping", "A-243", words, location="OBX^1^5" if txa else "TXA^1")
    number = txa.text(12) or message.control_id
    content = text.encode()
    key = f"documento|{gathered.who.key}|{number}"
    binary = gathered.resource("Binary", key)
    binary["contentType"] = _CONTENT_TYPE
    binary["securityContext"] = gathered.subject()
    binary["data"] = base64.b64encode(content).decode()
    document = gathered.resource("DocumentReference", key)
    document["status"] = "current"
    kind = txa.field(2)
    document["type"] = gathered.coded(document, kind, "document") or {"text": "Documento clínico"}
    document["subject"] = gathered.subject()
    written = as_instant(compact_moment(txa.text(4) or message.header.text(7), gathered.zone), gathered.zone)
    if written:
        document["date"] = written
    document["custodian"] = gathered.hospital.origin.organization()
    document["content"] = [
        {
            "attachment": {
                "contentType": _CONTENT_TYPE,
                "url": f"Binary/{binary['id']}",
                "size": len(content),
                "hash": base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode(),
            }
        }
    ]
    gathered.add(binary)
    gathered.add(document)
