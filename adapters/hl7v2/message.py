"""A message taken apart: segments, fields, repetitions, components, subcomponents, escapes, charset.

Spec:    HL7 v2.5.1 chapter 2, 2.5 to 2.7, and table 0211 for charsets.
Leaves:  what a segment means to the rooms that map it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_CHARSETS: Final = {
    "ASCII": "",
    "8859/1": "cp1252",
    "ISO IR100": "cp1252",
    "8859/15": "iso8859-15",
    "UNICODE UTF-8": "utf-8",
    "UNICODE": "utf-8",
    "UTF-8": "utf-8",
    "ISO IR192": "utf-8",
}
_SEGMENT_NAME: Final = re.compile(r"^[A-Z][A-Z0-9]{2}$")
_HEX: Final = re.compile(r"^X((?:[0-9A-Fa-f]{2})+)$")
_HEADER_BYTES: Final = 8
# Control characters say nothing and no FHIR string may hold them.
_CONTROLS: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))
_MAX_SEGMENTS: Final = 50_000


class UnreadableMessage(Exception):  # noqa: N818 - a value with a place, becomes an AE or AR
    """Bytes that are no HL7 v2 message: what is wrong, in Spanish, and where."""

    def __init__(self, code: str, text: str, location: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.location = location


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The five characters that MSH-1 and MSH-2 declare, and the charset of hexadecimal escapes."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    charset: str = "utf-8"

    def unescape(self, text: str) -> str:
        """Put back what was escaped; formatting becomes line breaks, unknown escapes stay as they are."""
        if self.escape not in text:
            return text.translate(_CONTROLS)
        parts = text.split(self.escape)
        result = [parts[0]]
        index = 1
        while index < len(parts):
            replaced = self._escaped(parts[index]) if index + 1 < len(parts) else None
            if replaced is None:
                result.append(self.escape + parts[index])
                index += 1
            else:
                result.append(replaced + parts[index + 1])
                index += 2
        return "".join(result).translate(_CONTROLS)

    def _escaped(self, name: str) -> str | None:
        plain = {
            "F": self.field,
            "S": self.component,
            "R": self.repetition,
            "E": self.escape,
            "T": self.subcomponent,
            "H": "",
            "N": "",
            ".br": "\n",
            ".sp": "\n",
            ".ce": "\n",
        }
        if name in plain:
            return plain[name]
        if found := _HEX.match(name):
            return bytes.fromhex(found.group(1)).decode(self.charset, "replace")
        return None


@dataclass(frozen=True, slots=True)
class Field:
    """One repetition of a field."""

    raw: str
    delimiters: Delimiters

    def component(self, number: int = 1, subcomponent: int = 1) -> str:
        """The text of a component (1-based), of its first subcomponent unless told; `""` is empty."""
        components = self.raw.split(self.delimiters.component)
        if number > len(components):
            return ""
        parts = components[number - 1].split(self.delimiters.subcomponent)
        text = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
        return "" if text == '""' else self.delimiters.unescape(text).strip()

    def subcomponents(self, number: int) -> list[str]:
        """All subcomponents of a component."""
        components = self.raw.split(self.delimiters.component)
        if number > len(components):
            return []
        unescape = self.delimiters.unescape
        return [unescape(text).strip() for text in components[number - 1].split(self.delimiters.subcomponent)]

    @property
    def text(self) -> str:
        """The whole repetition as text: for fields that have no components."""
        return "" if self.raw == '""' else self.delimiters.unescape(self.raw).strip()


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment: its name and its fields, numbered as in the standard."""

    name: str
    fields: tuple[str, ...]
    delimiters: Delimiters

    def raw(self, number: int) -> str:
        """A field as it was written."""
        return self.fields[number] if number < len(self.fields) else ""

    def field(self, number: int) -> Field:
        """The first repetition of a field."""
        return Field(self.raw(number).split(self.delimiters.repetition, 1)[0], self.delimiters)

    def repetitions(self, number: int) -> list[Field]:
        """The repetitions of a field that say something."""
        raw = self.raw(number)
        return [Field(part, self.delimiters) for part in raw.split(self.delimiters.repetition) if part]

    def text(self, number: int, component: int = 1) -> str:
        """The text of a component of the first repetition."""
        return self.field(number).component(component)


@dataclass(frozen=True, slots=True)
class Message:
    """A message whose first segment is MSH."""

    segments: tuple[Segment, ...]
    charset: str

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.header.text(10)

    @property
    def event(self) -> str:
        """MSH-9 as `ADT^A01`."""
        kind = self.header.field(9)
        return f"{kind.component(1)}^{kind.component(2)}".rstrip("^")

    def first(self, name: str) -> Segment | None:
        """The first segment of a name."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Segment]:
        """Every segment of a name."""
        return (segment for segment in self.segments if segment.name == name)


def parse(raw: bytes) -> Message:
    """Take a message apart, tolerant of line ends, strict about its header.

    Raises: UnreadableMessage - with the place to name in ERR.
    """
    raw = raw.strip(b"\r\n\x00 \t\xef\xbb\xbf")
    if not raw.startswith(b"MSH") or len(raw) < _HEADER_BYTES:
        raise UnreadableMessage("A-201", "El mensaje no empieza con MSH.", "MSH^1")
    separator = raw[3:4]
    charset, text = _decode(raw, separator)
    delimiters = _delimiters(text, charset)
    segments: list[Segment] = []
    for line in _lines(text, delimiters.field):
        fields = line.split(delimiters.field)
        if line.startswith("MSH"):
            if segments:
                raise UnreadableMessage("A-203", "Hay más de un MSH en el mismo mensaje.", "MSH^2")
            fields = ["MSH", delimiters.field, *fields[1:]]
        segments.append(Segment(fields[0], tuple(fields), delimiters))
    if len(segments) > _MAX_SEGMENTS:
        raise UnreadableMessage("A-204", "El mensaje tiene demasiados segmentos.", "MSH^1")
    return Message(tuple(segments), charset)


def _decode(raw: bytes, separator: bytes) -> tuple[str, str]:
    """The text of a message, by the charset that MSH-18 names; without one, UTF-8 and then Windows-1252."""
    fields = raw.splitlines()[0].split(separator)
    named = fields[17].split(b"~")[0].decode("ascii", "replace").strip().upper() if len(fields) > 17 else ""  # noqa: PLR2004 - MSH-18
    charset = _CHARSETS.get(named, "")
    if charset == "cp1252":
        return charset, raw.decode("cp1252", "replace")
    if charset:
        try:
            return charset, raw.decode(charset)
        except UnicodeDecodeError:
            text = "El contenido no está en el juego de caracteres que declara MSH-18."
            raise UnreadableMessage("A-202", text, "MSH^1^18") from None
    try:
        return "utf-8", raw.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252", raw.decode("cp1252", "replace")


def _delimiters(text: str, charset: str) -> Delimiters:
    field = text[3]
    encoding = text[4:].split(field, 1)[0]
    if field.isalnum() or field.isspace() or not encoding or len(set(encoding)) != len(encoding):
        raise UnreadableMessage("A-201", "MSH-1 o MSH-2 no declaran separadores válidos.", "MSH^1^2")
    if any(character.isalnum() or character.isspace() or character == field for character in encoding[:4]):
        raise UnreadableMessage("A-201", "MSH-1 o MSH-2 no declaran separadores válidos.", "MSH^1^2")
    component, repetition, escape, subcomponent = list((encoding + "^~\\&"[len(encoding) :])[:4])
    return Delimiters(field, component, repetition, escape, subcomponent, charset)


def _lines(text: str, separator: str) -> list[str]:
    """The segments; a line that begins with no segment name continues the one before."""
    lines: list[str] = []
    for line in re.split(r"\r\n|\r|\n", text):
        name = line[:3]
        begins = _SEGMENT_NAME.match(name) and (len(line) == len(name) or line[3] == separator)
        if begins or not lines:
            lines.append(line)
        elif line.strip():
            lines[-1] += "\n" + line
    return lines
