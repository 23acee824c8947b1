"""Whether a narrative is the harmless XHTML that FHIR allows: an allow-list, no scripts, no DTD.

Spec:    https://hl7.org/fhir/R4/narrative.html#xhtml, constraints txt-1 and txt-2
Leaves:  escaping on screens to console and portal; this check is no reason to trust a narrative.
"""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat  # DTDs are refused below, so no entity is ever defined or fetched

MAX_DEPTH: Final = 100

_ELEMENT_NAMES: Final = """
    a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6
    hr i img li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var
"""
_ATTRIBUTE_NAMES: Final = """
    abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff
    charset cite class colspan compact coords dir frame headers height href hreflang hspace id lang longdesc
    name nowrap rel rev rowspan rules scope shape span src start style summary tabindex title type valign
    value vspace width xml:lang xml:space
"""
_ELEMENTS: Final = frozenset(_ELEMENT_NAMES.split())
_ATTRIBUTES: Final = frozenset(
    name.replace("xml:", "http://www.w3.org/XML/1998/namespace ") for name in _ATTRIBUTE_NAMES.split()
)
_XHTML: Final = "http://www.w3.org/1999/xhtml"
_LINKS: Final = frozenset({"href", "src", "cite", "longdesc"})
_SCRIPTED: Final = ("javascript:", "vbscript:", "data:")
_PICTURES: Final = ("data:image/png", "data:image/gif", "data:image/jpeg")
_SCRIPTED_STYLES: Final = (
    "javascript:", "vbscript:", "expression(", "behavior:", "-moz-binding", "@import", "\\", "/*",
)  # fmt: skip


class _ForbiddenError(Exception):
    pass


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.depth = 0
        self.namespace = ""
        self.root_at = 0
        self.parser = expat.ParserCreate("UTF-8", " ")
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.StartDoctypeDeclHandler = _refuse
        self.parser.ProcessingInstructionHandler = _refuse
        self.parser.XmlDeclHandler = _refuse

    def read(self) -> None:
        self.parser.Parse(self.text, True)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        self.depth += 1
        if self.depth == 1:
            self.namespace, self.root_at = namespace, self.parser.CurrentByteIndex
            if local != "div" or namespace not in ("", _XHTML):
                raise _ForbiddenError
        if local not in _ELEMENTS or namespace != self.namespace or self.depth > MAX_DEPTH:
            raise _ForbiddenError
        for attribute, value in attributes.items():
            if attribute not in _ATTRIBUTES or (
                (attribute in _LINKS or attribute == "style") and not _is_harmless(attribute, value)
            ):
                raise _ForbiddenError

    def end(self, _name: str) -> None:
        self.depth -= 1


def is_narrative(text: str) -> bool:
    """Whether a text is one well-formed `div` of allowed elements and attributes."""
    return _read(text) is not None


def as_xhtml(text: str) -> str | None:
    """A narrative as it can stand inside of other XML: it names its namespace; None when it is no narrative."""
    reader = _read(text)
    if reader is None or reader.namespace:
        return text if reader else None
    at = reader.root_at + len("<div")
    return f'{reader.text[:at].decode()} xmlns="{_XHTML}"{reader.text[at:].decode()}'


def _read(text: str) -> _Reader | None:
    if text.startswith("\ufeff"):
        return None
    try:
        reader = _Reader(text)
        reader.read()
    except (expat.ExpatError, UnicodeEncodeError, _ForbiddenError):
        return None
    return reader


def _is_harmless(attribute: str, value: str) -> bool:
    """Whether a link or a style runs nothing."""
    dense = "".join(value.split()).lower()
    if attribute == "style":
        return not any(each in dense for each in _SCRIPTED_STYLES)
    return not dense.startswith(_SCRIPTED) or (attribute == "src" and dense.startswith(_PICTURES))


def _refuse(*_: Any) -> None:
    raise _ForbiddenError
