"""DICOM attributes as JSON, read defensively: whatever is not what its place wants is not there.

Spec:    DICOM PS3.18 2024, F.2 (DICOM JSON Model); PS3.5, 6.2 (value representations).
Leaves:  what an attribute means to the modules beside this one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

MAX_TEXT: Final = 1024
MAX_VALUES: Final = 100
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]+")
_UID: Final = re.compile(r"^(0|[1-9]\d*)(\.(0|[1-9]\d*))+$", re.ASCII)
_MAX_UID: Final = 64
_WHOLE: Final = re.compile(r"^\d{1,9}$", re.ASCII)

PersonGroups = dict[str, tuple[str, ...]]


class Attributes:
    """The attributes of one study, series or item, by their tags."""

    def __init__(self, found: object) -> None:
        self._found: dict[str, Any] = found if isinstance(found, dict) else {}

    def texts(self, tag: str) -> list[str]:
        """The values of an attribute as texts, without what no text may hold."""
        return [text for value in self._values(tag) if (text := _text(value))]

    def text(self, tag: str) -> str:
        """The first value as text; nothing where there is none."""
        return next(iter(self.texts(tag)), "")

    def uid(self, tag: str) -> str:
        """A UID; nothing where it is none."""
        text = self.text(tag)
        return text if len(text) <= _MAX_UID and _UID.match(text) else ""

    def whole(self, tag: str) -> int | None:
        """A count or a number that is not negative."""
        text = self.text(tag).removesuffix(".0")
        return int(text) if _WHOLE.match(text) and int(text) < 2**31 else None

    def items(self, tag: str) -> list[Attributes]:
        """The items of a sequence."""
        return [Attributes(value) for value in self._values(tag) if isinstance(value, dict)]

    def person(self, tag: str) -> PersonGroups:
        """A person's name: of each group (`Alphabetic`, `Ideographic`, `Phonetic`) its five components."""
        for value in self._values(tag):
            groups = value if isinstance(value, dict) else _groups_of(value)
            found = {
                name: tuple(_text(part) for part in f"{_text(groups.get(name))}^^^^".split("^")[:5])
                for name in ("Alphabetic", "Ideographic", "Phonetic")
            }
            told = {name: parts for name, parts in found.items() if any(parts)}
            if told:
                return told
        return {}

    def _values(self, tag: str) -> Sequence[Any]:
        attribute = self._found.get(tag)
        values = attribute.get("Value") if isinstance(attribute, dict) else None
        return values[:MAX_VALUES] if isinstance(values, list) else ()


def parse(body: bytes) -> list[dict[str, Any]]:
    """The data sets of an answer. JSON is UTF-8; what is not was written by a server in Windows-1252.

    Raises: ValueError - it is no list of data sets.
    """
    if not body.strip():
        return []
    try:
        found = msgspec.json.decode(body)
    except UnicodeDecodeError:
        found = _decoded(body.decode("cp1252", "replace").encode())
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("no DICOM JSON") from None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ValueError("no list of data sets")
    return found


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("no DICOM JSON") from None


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return " ".join(_CONTROL.sub(" ", str(value)[:MAX_TEXT]).split())


def _groups_of(value: object) -> dict[str, str]:
    """A name that a server wrote as plain text: its groups parted by `=`."""
    parts = f"{_text(value)}==".split("=")
    return dict(zip(("Alphabetic", "Ideographic", "Phonetic"), parts, strict=False))
