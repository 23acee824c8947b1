"""What is inside an OBX that holds a document: ED decoded to bytes with their media type, RP as the place it lies at.

Spec:    HL7 v2.5.1, 2.A.24 (ED), 2.A.65 (RP), tables 0191, 0291, 0299; RFC 4648, 4;
         https://hl7.org/fhir/R4/datatypes.html#Attachment.
Leaves:  which record the bytes belong to, to those who call.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

from adapters.hl7v2.message import Segment
from adapters.secondary.gather import Gathered
from adapters.source_record import Refusal, Resource

PLAIN: Final = "text/plain; charset=utf-8"
_TYPES: Final = {
    "AP": "application", "AU": "audio", "IM": "image", "TX": "text", "FT": "text", "TEXT": "text",
    "APPLICATION": "application", "AUDIO": "audio", "IMAGE": "image", "VIDEO": "video", "MULTIPART": "multipart",
}  # fmt: skip
_SUBTYPES: Final = {"JPG": "jpeg", "TIF": "tiff", "TXT": "plain", "WORD": "msword", "": ""}
_OF_SUBTYPE: Final = {
    "PDF": "application", "RTF": "application", "MSWORD": "application", "JPEG": "image", "JPG": "image",
    "PNG": "image", "TIFF": "image", "TIF": "image", "GIF": "image", "PLAIN": "text", "HTML": "text",
    "XML": "text", "TXT": "text",
}  # fmt: skip
_MEDIA: Final = re.compile(r"^[a-z]+/[a-z0-9][a-z0-9.+-]{0,80}$")
_UNKNOWN: Final = "application/octet-stream"
_PDF: Final = b"%PDF-"
_URL: Final = re.compile(r"^https?://[^\s<>\"]{1,2000}$")


def decoded(segment: Segment) -> tuple[str, bytes]:
    """The media type and the bytes of an ED: `source^type^subtype^encoding^data`.

    Raises: Refusal - the data are not what their encoding says.
    """
    source = segment.field(5)
    kind, subtype, encoding = (source.component(number).upper() for number in (2, 3, 4))
    place = f"OBX^{segment.text(1) or '1'}^5"
    if encoding in {"BASE64", ""}:
        text = re.sub(r"\s+", "", source.component(5))
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            words = (
                "El documento adjunto no está en Base64 válido: llegó cortado o alterado. Envíelo otra vez."
            )
            raise Refusal("mapping", "A-244", words, location=place) from None
    elif encoding == "HEX":
        try:
            content = bytes.fromhex(source.component(5))
        except ValueError:
            words = "El documento adjunto no está en hexadecimal válido: llegó cortado o alterado."
            raise Refusal("mapping", "A-244", words, location=place) from None
    elif encoding == "A":
        content = source.component(5).encode()
    else:
        words = "El documento adjunto declara una codificación que no existe (OBX-5.4): use Base64."
        raise Refusal("mapping", "A-244", words, location=place)
    if not content:
        words = "El documento adjunto está vacío (OBX-5.5)."
        raise Refusal("mapping", "A-244", words, location=place)
    media = _media(kind, subtype)
    if media == _UNKNOWN and content.startswith(_PDF):
        media = "application/pdf"
    return media, content


def kept(gathered: Gathered, key: str, media: str, content: bytes) -> Resource:
    """Keep bytes as a Binary of the patient's record; the attachment that points to them."""
    binary = gathered.resource("Binary", key)
    binary["contentType"] = media
    binary["securityContext"] = gathered.subject()
    binary["data"] = base64.b64encode(content).decode()
    gathered.add(binary)
    return {
        "contentType": media,
        "url": f"Binary/{binary['id']}",
        "size": len(content),
        "hash": base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode(),
    }


def pointed(segment: Segment) -> Resource | None:
    """The attachment of an RP whose pointer is an address; any other pointer only its own system understands."""
    source = segment.field(5)
    address = source.component(1)
    if not _URL.match(address):
        return None
    return {"contentType": _media(source.component(3).upper(), source.component(4).upper()), "url": address}


def _media(kind: str, subtype: str) -> str:
    """A media type out of tables 0191 and 0291, which systems fill in many ways."""
    if "/" in subtype or "/" in kind:
        whole = (subtype if "/" in subtype else kind).lower()
        return whole if _MEDIA.match(whole) else _UNKNOWN
    family = _OF_SUBTYPE.get(subtype) or _TYPES.get(kind, "")
    name = _SUBTYPES.get(subtype, subtype.lower()) or ("plain" if family == "text" else "")
    media = f"{family}/{name}"
    return media if _MEDIA.match(media) else _UNKNOWN
