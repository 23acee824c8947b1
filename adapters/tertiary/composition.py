"""The document's sections as a Composition: what each is called, and the resources that stand for its entries.

Spec:    https://hl7.org/fhir/R4/composition.html; HL7 C-CDA R2.1 sections.
Leaves:  the words of a section to the document kept whole: a Composition repeats none of them.

Every section has its place here, also one that holds words alone or entries of a kind that is not mapped: it points to
the document then, so that it has no milder a label than the words have.
"""

from __future__ import annotations

from typing import Final

from adapters.source_record import Resource
from adapters.source_record.moment import as_instant
from adapters.tertiary.clinical import entries_of
from adapters.tertiary.document import authors
from adapters.tertiary.gather import Gathered
from adapters.tertiary.xml import Element

_EMPTY_REASON: Final = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
_NOTHING: Final = {
    "NI": ("unavailable", "Sin información"),
    "UNK": ("unavailable", "Sin información"),
    "NAV": ("unavailable", "Sin información por ahora"),
    "NASK": ("notasked", "No se preguntó"),
    "ASKU": ("unavailable", "Se preguntó y no se sabe"),
    "MSK": ("withheld", "Información reservada"),
}
"""A section that its author left empty, and why: nothing known is not the same as none."""


def composition(gathered: Gathered, root: Element, reference: Resource) -> None:
    """Read every section, and say what the document is made of; `reference` is its DocumentReference."""
    document = f"DocumentReference/{reference['id']}"
    sections = [
        _section(gathered, section, document)
        for section in root.all("component/structuredBody/component/section")
    ]
    moment = as_instant(root.moment("effectiveTime", gathered.zone), gathered.zone)
    if not sections or moment is None:
        return
    whole = gathered.resource("Composition", root, "contenido")
    number = reference["masterIdentifier"]
    whole["identifier"] = number
    whole["status"] = "final"
    whole["type"] = gathered.coded(whole, root.first("code"), "document") or {"text": "Documento clínico"}
    whole["subject"] = gathered.subject()
    whole["encounter"] = reference.get("context", {}).get("encounter", [None])[0]
    whole["date"] = moment
    whole["author"] = authors(root) or [gathered.institute.origin.organization()]
    title = root.first("title")
    whole["title"] = (title.words() if title is not None else "") or "Documento clínico"
    if "relatesTo" in reference:
        whole["relatesTo"] = [
            {"code": item["code"], "targetIdentifier": item["target"]["identifier"]}
            for item in reference["relatesTo"]
        ]
    whole["custodian"] = gathered.institute.origin.organization()
    whole["section"] = sections
    gathered.add({key: value for key, value in whole.items() if value is not None})


def _section(gathered: Gathered, source: Element, document: str) -> Resource:
    section: Resource = {}
    title = source.first("title")
    if title is not None and title.words():
        section["title"] = title.words()
    if code := gathered.coded({}, source.first("code"), "section"):
        section["code"] = code
    known = set(gathered.names())
    entries_of(gathered, source)
    new = [name for name in gathered.names() if name not in known]
    section["entry"] = [{"reference": name} for name in new or [document]]
    if (reason := _NOTHING.get(source.get("nullFlavor"))) is not None:
        empty, words = reason
        section["text"] = {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{words}</div>',
        }
        section["emptyReason"] = {"coding": [{"system": _EMPTY_REASON, "code": empty}]}
        del section["entry"]
    inner = [_section(gathered, each, document) for each in source.all("component/section")]
    if inner:
        section["section"] = inner
    return section
