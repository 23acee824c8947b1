"""FHIR XML as a resource: read in one pass, without DTDs, entities or anything fetched, and without loss.

Spec:    https://hl7.org/fhir/R4/xml.html
Leaves:  cardinality, bindings and patterns to structure.py, for which XML and JSON are one from here on.

Comments are passed over. Decimals keep their digits, narratives every byte of their text. Elements stand in the order
of their type. Diagnostics name elements and never repeat a value.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final
from xml.parsers import expat  # DTDs are refused below, so no entity is ever defined or fetched

from exchange.fhir import narrative
from exchange.fhir.definitions import is_resource_type
from exchange.fhir.resource import MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_NUMBER_LENGTH
from exchange.fhir.xml_table import BOOLEANS, FHIR, NUMBERS, XHTML, XSI, Field, attributes, fields
from exchange.problems import Malformed, Problem, TooCostly

_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,5})?", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_SHOWABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}", re.ASCII)
_ENCODINGS: Final = frozenset({"utf-8", "us-ascii"})
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
MAX_ATTRIBUTES: Final = 100
MAX_NAMESPACES: Final = 200
_MANY_ATTRIBUTES: Final = re.compile(
    rb"""<[^\s<>/"'=]++(?>\s++[^\s=<>"']++\s*+=\s*+(?>"[^"]*+"|'[^']*+')){%d}""" % (MAX_ATTRIBUTES + 1)
)
"""A tag with more attributes than any of FHIR's or XHTML's has; found in one pass, without trying anything twice."""


def read_xml(text: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """Read one resource from XML text.

    Steps:  1 size, and the number of tags and attributes, on the text, before anything is built;
            2 parse: no DTD, no processing of instructions, elements of FHIR and XHTML alone; 3 depth, as it grows.
    Units:  max_bytes of text; max_depth as JSON counts it, which bounds XML's elements at twice that.
    Raises: Malformed - no XML, or not FHIR's kind of XML; TooCostly - beyond a bound.
    Spec:   https://hl7.org/fhir/R4/xml.html, https://hl7.org/fhir/R4/security.html#narrative
    """
    # 1
    if len(text) > max_bytes:
        raise TooCostly(f"The text is longer than {max_bytes} bytes")
    text = text.removeprefix(_BYTE_ORDER_MARK)
    if b"\x00" in text:  # a NUL character, or UTF-16, which the parser would follow
        raise Malformed("FHIR's XML is encoded in UTF-8")
    if max(text.count(b"<"), text.count(b"=")) > 2 * MAX_NODES or _MANY_ATTRIBUTES.search(text):
        raise TooCostly(f"The text has more than {MAX_NODES} values")
    # 2, 3
    reader = _Reader(text, 2 * max_depth + 1)
    try:
        reader.parser.Parse(text, True)
    except expat.ExpatError as error:
        raise Malformed(f"The text is not valid XML at line {error.lineno}", reader.expression()) from None
    return reader.resource


class _Frame:
    """One open element. `kind` says what may stand in it: children of a shape, or one resource."""

    __slots__ = ("field", "fields", "index", "kind", "lists", "made", "name", "place", "value")

    def __init__(self, kind: str, name: str, shape: str, field: Field | None = None) -> None:
        self.kind = kind
        self.name = name
        self.fields = fields(shape) if shape else {}
        self.field = field
        self.index: int | None = None
        self.made: dict[str, Any] = {}
        self.lists: set[str] = set()
        self.value: Any = None
        self.place = -1


class _Reader:
    def __init__(self, text: bytes, max_depth: int) -> None:
        self.text = text
        self.max_depth = max_depth
        self.resource: dict[str, Any] = {}
        self.frames: list[_Frame] = []
        self.scope: list[tuple[str | None, str]] = []
        self.own_namespaces = 0
        # An open narrative: its depth, where it began, its tag's end, whether anything stood in it.
        self.div_depth = 0
        self.div_at = 0
        self.div_insert = b""
        self.div_events = 0
        self.parser = expat.ParserCreate("UTF-8", " ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartNamespaceDeclHandler = self.declare
        self.parser.EndNamespaceDeclHandler = self.undeclare
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.XmlDeclHandler = self.declaration

    # --- what is refused, and where

    def expression(self, more: str = "") -> str | None:
        """Where the reader stands, as a FHIRPath of element names."""
        parts = [
            each.name + ("" if each.index is None else f"[{each.index}]") for each in self.frames if each.name
        ]
        return ".".join([*parts, more] if more else parts) or None

    def refuse(self, text: str, more: str = "") -> Problem:
        return Malformed(text, self.expression(more if _SHOWABLE.fullmatch(more) else ""))

    def doctype(self, *_: Any) -> None:
        raise Malformed("FHIR's XML has no document type declaration")

    def declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if (encoding or "utf-8").lower() not in _ENCODINGS:
            raise Malformed("FHIR's XML is encoded in UTF-8")

    def declare(self, prefix: str | None, uri: str) -> None:
        if len(self.scope) >= MAX_NAMESPACES:
            raise TooCostly(f"The text has more than {MAX_NAMESPACES} namespaces at once")
        self.scope.append((prefix, uri))
        self.own_namespaces += 1

    def undeclare(self, _prefix: str | None) -> None:
        self.scope.pop()

    def characters(self, text: str) -> None:
        self.div_events += 1
        if not self.div_depth and not text.isspace():
            raise self.refuse("FHIR's XML has its values in attributes; there is text in an element")

    # --- elements

    def start(self, tag: str, told: dict[str, str]) -> None:
        own, self.own_namespaces = self.own_namespaces, 0
        namespace, _, name = tag.rpartition(" ")
        if self.div_depth:
            self._start_in_narrative(namespace)
            return
        if len(self.frames) >= self.max_depth:
            raise TooCostly(f"The text nests deeper than {self.max_depth} levels")
        parent = self.frames[-1] if self.frames else None
        if parent is None or parent.kind == "resource":
            self._start_resource(parent, namespace, name, told)
            return
        field = parent.fields.get(name)
        if field is None or namespace != (XHTML if field.kind == "narrative" else FHIR):
            raise self.refuse("There is no such element here", name)
        if field.place < parent.place:
            raise self.refuse("This element stands out of the order of its type", name)
        if not field.is_list and (name in parent.made or "_" + name in parent.made):
            raise self.refuse("There may be only one of this element", name)
        parent.place = field.place
        if field.kind == "narrative":
            self._start_narrative(parent, field, own)
            return
        shape = "" if field.kind == "resource" else "Element" if field.kind == "primitive" else field.type
        frame = _Frame(field.kind, name, shape, field)
        if field.is_list:
            frame.index = len(parent.made.get(name, ()))
        self.frames.append(frame)
        self._attributes(frame, shape, told)

    def _start_resource(self, parent: _Frame | None, namespace: str, name: str, told: dict[str, str]) -> None:
        if namespace != FHIR or not is_resource_type(name):
            raise self.refuse("This element is not a resource type of FHIR R4")
        if parent is not None and parent.made:
            raise self.refuse("There may be only one resource here")
        if any(not key.startswith(XSI) for key in told):
            raise self.refuse("A resource's element has no attributes")
        frame = _Frame("object", "" if parent else name, name)
        frame.made["resourceType"] = name
        if parent is not None:
            parent.made = frame.made
        self.frames.append(frame)

    def _attributes(self, frame: _Frame, shape: str, told: dict[str, str]) -> None:
        known = attributes(shape) if shape else ()
        for key, value in told.items():
            if key in known:
                frame.made[key] = value
            elif key == "value" and frame.kind == "primitive" and frame.field:
                frame.value = self._value(frame.field.type, value)
            else:
                raise self.refuse("There is no such attribute here", key)

    def _value(self, type_: str, text: str) -> Any:
        """A primitive as JSON has it."""
        if type_ == "boolean" and text in BOOLEANS:
            return BOOLEANS[text]
        if type_ in NUMBERS and len(text) <= MAX_NUMBER_LENGTH:
            if _INTEGER.fullmatch(text):
                return int(text)
            if type_ == "decimal" and _DECIMAL.fullmatch(text):
                return Decimal(text)
        if type_ == "boolean" or type_ in NUMBERS:
            raise self.refuse(f"This is not a valid {type_}")
        return text

    def end(self, _tag: str) -> None:
        if self.div_depth:
            self._end_in_narrative()
            return
        frame = self.frames[-1]
        if frame.kind == "primitive" and frame.value is None and "extension" not in frame.made:
            raise self.refuse("This element has neither a value nor an extension")
        if not frame.made and frame.kind != "primitive":
            raise self.refuse("An element must not be empty")
        for key in frame.lists:
            for each in (key, "_" + key):
                if not any(item is not None for item in frame.made[each]):
                    del frame.made[each]
        self.frames.pop()
        if not self.frames:
            self.resource = frame.made
            return
        parent, field = self.frames[-1], frame.field
        if field is None:
            return  # the resource in a slot: the slot holds it already
        if frame.kind == "primitive":
            _add_primitive(parent, field, frame.value, frame.made)
        elif field.is_list:
            parent.made.setdefault(field.key, []).append(frame.made)
        else:
            parent.made[field.key] = frame.made

    # --- narratives: every byte as it came

    def _start_narrative(self, parent: _Frame, field: Field, own: int) -> None:
        at = self.parser.CurrentByteIndex
        declared = {prefix for prefix, _ in self.scope[len(self.scope) - own :]}
        outer = dict(self.scope[: len(self.scope) - own])
        # A prefix for XHTML that is declared further out goes with the text.
        told = [
            f' xmlns{":" + prefix if prefix else ""}="{XHTML}"'
            for prefix, uri in outer.items()
            if uri == XHTML and prefix not in declared
        ]
        self.div_insert = "".join(told).encode()
        self.div_depth, self.div_at, self.div_events = 1, at, 0
        parent.made[field.key] = ""

    def _start_in_narrative(self, namespace: str) -> None:
        self.div_events += 1
        self.div_depth += 1
        if namespace != XHTML:
            raise self.refuse("A narrative has elements of XHTML alone", "div")
        if self.div_depth > narrative.MAX_DEPTH:
            raise TooCostly(f"The narrative nests deeper than {narrative.MAX_DEPTH} levels")

    def _end_in_narrative(self) -> None:
        self.div_depth -= 1
        if self.div_depth:
            return
        stop = self.parser.CurrentByteIndex
        is_empty_tag = not self.div_events and self.text[stop - 2 : stop] == b"/>"
        if not is_empty_tag:
            stop = self.text.index(b">", stop) + 1
        raw = self.text[self.div_at : stop]
        if self.div_insert:
            name_ends = re.match(rb"<[^\s/>]+", raw)
            at = name_ends.end() if name_ends else 0
            raw = raw[:at] + self.div_insert + raw[at:]
        self.frames[-1].made["div"] = raw.decode()


def _add_primitive(parent: _Frame, field: Field, value: Any, beside: dict[str, Any]) -> None:
    """Put a primitive where JSON has it: the value under its name, its id and extensions beside."""
    key, beside_key = field.key, "_" + field.key
    if field.is_list:
        parent.lists.add(key)
        parent.made.setdefault(key, []).append(value)
        parent.made.setdefault(beside_key, []).append(beside or None)
        return
    if value is not None:
        parent.made[key] = value
    if beside:
        parent.made[beside_key] = beside
