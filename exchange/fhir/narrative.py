"""Whether a narrative is the harmless XHTML that FHIR allows: an allow-list, no scripts, no DTD.

Spec:    https://hl7.org/fhir/R4/narrative.html#xhtml, constraints txt-1 and txt-2
Leaves:  escaping on screens to console and portal; this check is no reason to trust a narrative.
"""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat  # DTDs are refused below, so no entity is ever defined or fetched

_MAX_DEPTH: Final = 100

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
_ATTRIBUTES: Final = frozenset(_ATTRIBUTE_NAMES.split())
_LINKS: Final = frozenset({"href", "src", "cite", "longdesc"})
_SCRIPTED: Final = ("javascript:", "vbscript:")


class _ForbiddenError(Exception):
    pass


class _Reader:
    def __init__(self) -> None:
        self.depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        local = name.rpartition(":")[2]
        if local not in _ELEMENTS or self.depth > _MAX_DEPTH or (self.depth == 1 and local != "div"):
            raise _ForbiddenError
        for attribute, value in attributes.items():
            if attribute not in _ATTRIBUTES and not attribute.startswith("xmlns"):
                raise _ForbiddenError
            if attribute in _LINKS and "".join(value.split()).lower().startswith(_SCRIPTED):
                raise _ForbiddenError

    def end(self, _name: str) -> None:
        self.depth -= 1


def is_narrative(text: str) -> bool:
    """Whether a text is one well-formed `div` of allowed elements and attributes."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, UnicodeEncodeError, _ForbiddenError):
        return False
    return True


def _refuse(*_: Any) -> None:
    raise _ForbiddenError
