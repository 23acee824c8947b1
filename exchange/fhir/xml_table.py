"""What FHIR's XML form knows of a shape: its elements in their order, and what stands in attributes.

Spec:    https://hl7.org/fhir/R4/xml.html
Leaves:  reading to xml_read.py, writing to xml_write.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

from exchange.fhir.definitions import primitive_patterns, shape

FHIR: Final = "http://hl7.org/fhir"
XHTML: Final = "http://www.w3.org/1999/xhtml"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"

NO_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that XML 1.0 has no way to write, not even as a reference."""

BOOLEANS: Final = MappingProxyType({"true": True, "false": False})
NUMBERS: Final = frozenset({"integer", "positiveInt", "unsignedInt", "decimal"})

Kind = Literal["primitive", "object", "resource", "narrative"]


@dataclass(frozen=True, slots=True)
class Field:
    """One property of a shape. `place` orders it; the types of a choice share theirs."""

    place: int
    key: str
    type: str
    kind: Kind
    is_list: bool


@cache
def fields(name: str) -> Mapping[str, Field]:
    """The properties of a shape that are XML elements, in the order in which they must stand."""
    found: dict[str, Field] = {}
    told = attributes(name)
    for place, element in enumerate(shape(name).elements.values()):
        for key, type_ in element.properties():
            if key not in told:
                found[key] = Field(place, key, type_, _kind(type_), element.maximum != 1)
    return MappingProxyType(found)


@cache
def attributes(name: str) -> tuple[str, ...]:
    """The properties of a shape that are XML attributes: ids of elements, and the url of an Extension."""
    if name == "Extension":
        return ("id", "url")
    return () if shape(name).kind == "resource" else ("id",)


def _kind(type_: str) -> Kind:
    if type_ == "xhtml":
        return "narrative"
    if type_ == "Resource":
        return "resource"
    return "primitive" if type_ in primitive_patterns() else "object"
