"""A message taken apart: segments, fields, repetitions, components, subcomponents, escapes, charset.

Spec:    HL7 v2.5.1 chapter 2, 2.5 to 2.7, and table 0211 for charsets.
Leaves:  what a segment means to the rooms that map it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
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
_LINES: Final = re.compile(r"\.(sp|sk|in|ti)([+-]?\d{0,3})$")
_CHARSET_SWITCH: Final = re.compile(r"[CM](?:[0-9A-Fa-f]{2}){2,3}")
_MAX_HEADER_BYTES: Final = 4096
_AROUND: Final = b"\r\n\x00 \t\xef\xbb\xbf"
_HEX: Final = re.compile(r"^X((?:[0-9A-Fa-f]{2})+)$")
_HEADER_BYTES: Final = 8
_MAX_BLANKS: Final = 100
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
            ".ce": "\n",
            ".fi": "",
            ".nf": "",
        }
        if name in plain:
            return plain[name]
        if found := _LINES.match(name):
            command, count = found.group(1), found.group(2).lstrip("+")
            times = min(int(count), _MAX_BLANKS) if count.isdigit() else 1
            return {"sp": "\n" * times, "sk": " " * times}.get(command, "")
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

    def parts(self) -> list[str]:
        """The texts of all components."""
        return [self.component(number) for number in range(1, self.raw.count(self.delimiters.component) + 2)]

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

    def encoded(self, segments: Iterable[Segment]) -> bytes:
        """Some of its segments as a message of their own, in its charset, every field as it was written."""
        separator = self.header.delimiters.field
        lines = [
            "MSH" + separator + separator.join(item.fields[2:])
            if item.name == "MSH"
            else separator.join(item.fields)
            for item in segments
        ]
        return ("\r".join(lines) + "\r").encode(self.charset, "replace")

    def first(self, name: str) -> Segment | None:
        """The first segment of a name."""
        return next(self.all(name), None)

    def count(self, name: str) -> int:
        """How many segments have a name."""
        return sum(segment.name == name for segment in self.segments)

    def all(self, name: str) -> Iterator[Segment]:
        """Every segment of a name."""
        return (segment for segment in self.segments if segment.name == name)


def parse(raw: bytes, default_charset: str = "") -> Message:
    """Take a message apart, tolerant of line ends, strict about its header.

    `default_charset` is Python's name of what a sender writes who names none in MSH-18; without one, UTF-8
    where the bytes are UTF-8, else Windows-1252.

    Raises: UnreadableMessage - with the place to name in ERR.
    """
    raw = bare(raw)
    if not raw.startswith(b"MSH") or len(raw) < _HEADER_BYTES:
        raise UnreadableMessage("A-201", "El mensaje no empieza con MSH.", "MSH^1")
    header = _first_line(raw)
    charset, text = _decode(raw, header, default_charset)
    delimiters = _delimiters(text, charset)
    _refuse_switching(header, text, delimiters)
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


def header_of(raw: bytes) -> Segment | None:
    """The first segment of bytes of which nothing else need be readable: for rules by sender, and for answers.

    Its text is ASCII and whatever else stands in it, one character a byte; None where it is no header.
    """
    line = _first_line(bare(raw.lstrip(_AROUND)[:_MAX_HEADER_BYTES])).decode("latin-1")
    if line[:3] not in {"MSH", "FHS", "BHS"} or len(line) < _HEADER_BYTES:
        return None
    fields = [line[:3], line[3], *line.split(line[3])[1:]]
    try:
        delimiters = _delimiters(line, "latin-1")
    except UnreadableMessage:
        if not line[3].isprintable() or line[3].isalnum() or line[3] in " ^~\\&":
            return None
        delimiters, fields[2] = Delimiters(line[3]), "^~\\&"
    return Segment(line[:3], tuple(fields), delimiters)


def bare(raw: bytes) -> bytes:
    """A message without blanks, line ends and byte order mark around it."""
    return raw.strip(_AROUND)


def _first_line(raw: bytes) -> bytes:
    return re.split(rb"[\r\n]", raw[:_MAX_HEADER_BYTES], maxsplit=1)[0]


def _decode(raw: bytes, header: bytes, default: str) -> tuple[str, str]:
    """The text of a message, by the charset that MSH-18 names, else by the sender's own."""
    fields = header.split(raw[3:4])
    named = fields[17].split(b"~")[0].decode("ascii", "replace").strip().upper() if len(fields) > 17 else ""  # noqa: PLR2004 - MSH-18
    charset = _CHARSETS.get(named, "") or default
    if charset == "cp1252":
        return _windows(raw)
    if charset:
        try:
            return charset, raw.decode(charset)
        except UnicodeDecodeError:
            text = "El contenido no está en el juego de caracteres que declara MSH-18 o el sitio."
            raise UnreadableMessage("A-202", text, "MSH^1^18") from None
    try:
        return "utf-8", raw.decode("utf-8")
    except UnicodeDecodeError:
        return _windows(raw)


def _windows(raw: bytes) -> tuple[str, str]:
    """Windows-1252, which holds all that 8859/1 prints; its five unused bytes are those of 8859/1."""
    try:
        return "cp1252", raw.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1", raw.decode("latin-1")


def _refuse_switching(header: bytes, text: str, delimiters: Delimiters) -> None:
    """Several charsets in MSH-18 are several only where the text switches between them.

    Raises: UnreadableMessage.
    """
    fields = header.decode("latin-1").split(delimiters.field)
    if len(fields) <= 17 or delimiters.repetition not in fields[17].strip(delimiters.repetition):  # noqa: PLR2004 - MSH-18
        return
    mark = re.escape(delimiters.escape)
    if "\x1b" in text or re.search(f"{mark}{_CHARSET_SWITCH.pattern}{mark}", text):
        words = "El mensaje cambia de juego de caracteres por dentro. Envíelo entero en UNICODE UTF-8."
        raise UnreadableMessage("A-206", words, "MSH^1^18")


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
    segments: list[list[str]] = []
    for line in re.split(r"\r\n|\r|\n", text):
        name = line[:3]
        begins = _SEGMENT_NAME.match(name) and (len(line) == len(name) or line[3] == separator)
        if begins or not segments:
            segments.append([line])
        elif line.strip():
            segments[-1].append(line)
    return ["\n".join(parts) for parts in segments]
