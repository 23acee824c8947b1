"""A resource as FHIR XML: elements in their order, values with their digits, narratives as they stand.

Spec:    https://hl7.org/fhir/R4/xml.html
Leaves:  the way back to xml_read.py.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from exchange.fhir.definitions import is_resource_type
from exchange.fhir.narrative import as_xhtml
from exchange.fhir.xml_table import FHIR, NO_XML, Field, attributes, fields
from exchange.problems import Malformed, NotSupported

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


def write_xml(resource: dict[str, Any], *, is_pretty: bool = False) -> bytes:
    """Write a checked resource as XML text in UTF-8.

    Raises: Malformed - it holds what R4 does not know; NotSupported - a character that XML cannot say.
    """
    writer = _Writer(is_pretty=is_pretty)
    writer.resource(resource, 0)
    return "".join((_DECLARATION, *writer.parts, "\n" if is_pretty else "")).encode()


class _Writer:
    def __init__(self, *, is_pretty: bool) -> None:
        self.parts: list[str] = []
        self.is_pretty = is_pretty

    def line(self, depth: int) -> None:
        if self.is_pretty:
            self.parts.append("\n" + "  " * depth)

    def resource(self, value: Any, depth: int) -> None:
        """A resource in an element of its type's name."""
        resource_type = value.get("resourceType") if type(value) is dict else None
        if type(resource_type) is not str or not is_resource_type(resource_type):
            raise Malformed("resourceType is not a resource type of FHIR R4", "resourceType")
        self.line(depth)
        self.parts.append(f'<{resource_type} xmlns="{FHIR}"' if depth == 0 else f"<{resource_type}")
        self.content(resource_type, resource_type, value, depth, known=1)

    def content(self, shape: str, tag: str, value: dict[str, Any], depth: int, *, known: int = 0) -> None:
        """What follows an element's name: attributes, children, the end tag."""
        parts = self.parts
        for key in attributes(shape):
            if key in value:
                parts.append(f' {key}="{_escaped(value[key], shape, key)}"')
                known += 1
        start = len(parts)
        parts.append(">")
        for key, field in fields(shape).items():
            item, beside = value.get(key), value.get("_" + key)
            if item is None and beside is None:
                continue
            known += (item is not None) + (beside is not None)
            self.field(field, item, beside, f"{shape}.{key}", depth + 1)
        if known != sum(each is not None for each in value.values()):
            raise Malformed("There is an element here that FHIR R4 does not know", shape)
        if len(parts) == start + 1:
            parts[start] = "/>"
            return
        self.line(depth)
        parts.append(f"</{tag}>")

    def field(self, field: Field, item: Any, beside: Any, expression: str, depth: int) -> None:
        """Every occurrence of a property."""
        if not field.is_list:
            self.one(field, item, beside, expression, depth)
            return
        items = item if type(item) is list else []
        besides = beside if type(beside) is list else []
        for place in range(max(len(items), len(besides))):
            self.one(
                field,
                items[place] if place < len(items) else None,
                besides[place] if place < len(besides) else None,
                expression,
                depth,
            )

    def one(self, field: Field, item: Any, beside: Any, expression: str, depth: int) -> None:
        """One element."""
        key, parts = field.key, self.parts
        self.line(depth)
        if field.kind == "narrative":
            parts.append(_narrative(item, expression))
        elif field.kind == "primitive":
            told = "" if item is None else f' value="{_escaped(item, expression)}"'
            if type(beside) is dict:
                # An id goes before the value.
                parts.append(f"<{key}")
                at = len(parts)
                self.content("Element", key, beside, depth)
                parts.insert(at + ("id" in beside), told)
            else:
                parts.append(f"<{key}{told}/>")
        elif type(item) is not dict:
            raise Malformed("This must be an object", expression)
        elif field.kind == "resource":
            parts.append(f"<{key}>")
            self.resource(item, depth + 1)
            self.line(depth)
            parts.append(f"</{key}>")
        else:
            parts.append(f"<{key}")
            self.content(field.type, key, item, depth)


def _escaped(value: Any, *expression: str) -> str:
    """A primitive as an attribute's text."""
    if type(value) is str:
        if NO_XML.search(value):
            raise NotSupported("XML has no way to write a character of this value", ".".join(expression))
        return value.translate(_ESCAPES)
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int or type(value) is Decimal:
        return str(value)
    raise Malformed("This must be a primitive value", ".".join(expression))


def _narrative(item: Any, expression: str) -> str:
    """A div as it stands; what is no narrative could end the element that it stands in, and is refused."""
    text = as_xhtml(item) if type(item) is str else None
    if text is None:
        raise Malformed("This is not a valid xhtml", expression)
    return text
