"""The small building blocks of a CDA document: elements, codes, times, identifiers, narrative.

Spec:    HL7 CDA R2; HL7 C-CDA R2.1.
Leaves:  the document to ccda, its sections to ccda_sections.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from lxml.etree import SubElement

Element = Any

CDA: Final = "urn:hl7-org:v3"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
SDTC: Final = "urn:hl7-org:sdtc"
NAMESPACES: Final = {None: CDA, "xsi": XSI, "sdtc": SDTC}

LOINC: Final = ("2.16.840.1.113883.6.1", "LOINC")
ICD10: Final = ("2.16.840.1.113883.6.3", "CIE-10")
CVX: Final = ("2.16.840.1.113883.12.292", "CVX")
ACT_CODE: Final = ("2.16.840.1.113883.5.4", "ActCode")
ACT_CLASS: Final = ("2.16.840.1.113883.5.6", "ActClass")
INTERPRETATION: Final = ("2.16.840.1.113883.5.83", "ObservationInterpretation")
GENDER: Final = ("2.16.840.1.113883.5.1", "AdministrativeGender")
CONFIDENTIALITY: Final = ("2.16.840.1.113883.5.25", "Confidentiality")
ROLE: Final = ("2.16.840.1.113883.5.111", "RoleCode")

DNI_ROOT: Final = "2.16.840.1.113883.4.904"
PASSPORT_ROOT: Final = "2.16.840.1.113883.4.330.604"


def root_of(name: str) -> str:
    """An OID of our own for something that has none: a name-based UUID under 2.25, always the same."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, name).int}"


def local_root(renipress: str, kind: str) -> str:
    """The root under which one facility numbers things of that kind, such as `hc` or `documento`."""
    return root_of(f"urn:chasqui:ipress:{renipress}:{kind}")


RENIPRESS_ROOT: Final = root_of("urn:chasqui:pe:renipress")
COLLEGE_ROOT: Final = root_of("urn:chasqui:pe:colegio")
DRUG_SYSTEM: Final = (root_of("urn:chasqui:pe:dci"), "DCI")
ACT_SYSTEM: Final = (root_of("urn:chasqui:pe:cpms"), "CPMS")
ALLERGEN_SYSTEM: Final = (root_of("urn:chasqui:pe:alergeno"), "Alérgenos")


def element(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    """Append a CDA element; `class_` and the like lose their underscore."""
    made = SubElement(parent, f"{{{CDA}}}{tag}")
    for name, value in attributes.items():
        made.set(name.rstrip("_"), value)
    if text is not None:
        made.text = text
    return made


def template(parent: Element, root: str, extension: str | None = None) -> None:
    """A templateId, once without extension (R1.1 readers) and once with."""
    element(parent, "templateId", root=f"2.16.840.1.113883.10.20.22.{root}")
    if extension is not None:
        element(parent, "templateId", root=f"2.16.840.1.113883.10.20.22.{root}", extension=extension)


def coded(parent: Element, tag: str, code: str, system: tuple[str, str], display: str) -> Element:
    """An element with code, system and display."""
    return element(
        parent, tag, code=code, codeSystem=system[0], codeSystemName=system[1], displayName=display
    )


def value(parent: Element, kind: str, **attributes: str) -> Element:
    """A `value` with its type, such as CD or PQ."""
    made = element(parent, "value", **attributes)
    made.set(f"{{{XSI}}}type", kind)
    return made


def quantity(parent: Element, tag: str, amount: str, unit: str, *, typed: bool = False) -> Element:
    """A physical quantity."""
    return (
        value(parent, "PQ", value=amount, unit=unit)
        if typed
        else element(parent, tag, value=amount, unit=unit)
    )


def instant(at: datetime | date) -> str:
    """A CDA time stamp: seconds and offset for an instant, eight digits for a day."""
    return at.strftime("%Y%m%d%H%M%S%z") if isinstance(at, datetime) else at.strftime("%Y%m%d")


def interval(parent: Element, low: datetime | date, high: datetime | date | None = None) -> None:
    """An effectiveTime as an interval; an open end is left out."""
    times = element(parent, "effectiveTime")
    times.set(f"{{{XSI}}}type", "IVL_TS")
    element(times, "low", value=instant(low))
    if high is not None:
        element(times, "high", value=instant(high))


def reference(parent: Element, target: str) -> None:
    """A text element that points to the narrative."""
    element(element(parent, "text"), "reference", value=f"#{target}")


def table(parent: Element, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """A narrative table: every row has an ID for entries to point to."""
    made = element(parent, "table", border="1", width="100%")
    row = element(element(made, "thead"), "tr")
    for head in heads:
        element(row, "th", head)
    body = element(made, "tbody")
    for target, cells in rows:
        row = element(body, "tr", ID=target)
        for cell in cells:
            element(row, "td", cell)
