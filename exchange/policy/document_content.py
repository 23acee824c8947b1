"""What stands inside of a document: FHIR in JSON and C-CDA are parsed, everything else is not.

Spec:    https://hl7.org/fhir/R4/datatypes.html#Attachment; HL7 CDA R2, C-CDA R2.1.
Leaves:  what the codes say to sensitivity, for which what is not parsed is restricted.

A C-CDA section that has a text and no entries is free text, as a page of PDF is: then the document is not parsed.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from exchange.fhir.resource import parse
from exchange.fhir.structure import structural_issues
from exchange.problems import Problem

MOST_BYTES: Final = 16 * 1024 * 1024
MOST_DEPTH: Final = 64
MOST_CODES: Final = 100_000
ATTACHMENT_KEYS: Final = frozenset(
    f"{mark}{name}"
    for mark in ("", "_")
    for name in (
        "id",
        "extension",
        "contentType",
        "language",
        "data",
        "url",
        "size",
        "hash",
        "title",
        "creation",
    )
)
_CDA: Final = "{urn:hl7-org:v3}"
_JSON: Final = frozenset({"application/fhir+json", "application/json", "application/json+fhir", "text/json"})
_XML: Final = frozenset(
    {
        "application/cda+xml", "application/hl7-cda+xml", "application/hl7-v3+xml", "application/xml", "text/xml",
    }
)  # fmt: skip
_UNPARSED: Final = frozenset({"nonXMLBody", "observationMedia", "renderMultiMedia", "regionOfInterest"})


@dataclass(frozen=True, slots=True)
class Content:
    """What a document says: one FHIR resource, or codes with their systems."""

    resource: dict[str, Any] | None = None
    codes: tuple[tuple[str | None, str], ...] = ()


def content_of(content_type: str, data: str) -> Content | None:
    """The content of base64 data; None where it is of no kind that is parsed, or not what it says, or too large."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _JSON and kind not in _XML:
        return None
    if len(data) > MOST_BYTES * 4 // 3 + 4:
        return None
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return _fhir(content) if kind in _JSON else _cda(content)


def _fhir(content: bytes) -> Content | None:
    """A resource of sound structure: what breaks FHIR's structure is not read as FHIR."""
    try:
        resource = parse(content, max_bytes=MOST_BYTES, max_depth=MOST_DEPTH)
    except Problem:
        return None
    return None if structural_issues(resource) else Content(resource=resource)


def _cda(content: bytes) -> Content | None:
    """The codes of a C-CDA document. Document types and entities are refused before they are read."""
    try:
        root = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    if root.tag != f"{_CDA}ClinicalDocument":
        return None
    found: dict[tuple[str | None, str], None] = {}
    for element in root.iter():
        name = str(element.tag).removeprefix(_CDA)
        if name in _UNPARSED or element.get("representation") == "B64":
            return None
        if name == "section" and _is_free_text(element):
            return None
        code = element.get("code")
        if code:
            oid = element.get("codeSystem")
            found[f"urn:oid:{oid.strip()}" if oid else None, code.strip()] = None
            if len(found) > MOST_CODES:
                return None
    return Content(codes=tuple(found))


def _is_free_text(section: Any) -> bool:
    """Whether a section says something that none of its entries says."""
    if section.get("nullFlavor") is not None:
        return False
    if section.find(f"{_CDA}entry") is not None or section.find(f"{_CDA}component") is not None:
        return False
    text = section.find(f"{_CDA}text")
    return text is not None and any(words.strip() for words in text.itertext())
