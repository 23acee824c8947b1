"""Searches that look at a place or at words: near, _text and _content.

Spec:    https://hl7.org/fhir/R4/location.html#positional, https://hl7.org/fhir/R4/search.html#content
Leaves:  finding candidates to matches: nothing here is indexed.

_text and _content hold where every word of the value begins some word of the narrative, or of any text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape as unescape_entities
from math import asin, cos, radians, sin, sqrt
from typing import Any, Final

from exchange.fhir.datatype import fold
from exchange.problems import NotSupported
from exchange.search import number
from exchange.search.escape import split_escaped

EARTH_METRES: Final = 6_371_008.8
METRES: Final = {"m": 1.0, "km": 1000.0, "[mi_us]": 1609.347218694, "[mi_i]": 1609.344, "mi": 1609.344}
NEAR_PARTS: Final = (2, 3, 4)
DEFAULT_DISTANCE_METRES: Final = 50_000.0
MOST_WORDS: Final = 20
HALF_TURN: Final = 180
QUARTER_TURN: Final = 90
_TAG: Final = re.compile(r"<[^<>]*>")
_WORD: Final = re.compile(r"\w+")


def near(text: str, name: str) -> Callable[[str, Any], bool]:
    """Whether a position lies within `latitude|longitude|distance|unit`. Raises: NotSupported."""
    parts = split_escaped(text, "|")
    if len(parts) not in NEAR_PARTS:
        raise NotSupported(f"'{name}' takes latitude|longitude|distance|unit", f"http.{name}")
    if any(part[:1].isalpha() for part in parts[:3]):
        raise NotSupported(f"'{name}' takes numbers without a prefix", f"http.{name}")
    latitude, longitude = (float(number.parse(part, name).value) for part in parts[:2])
    distance = DEFAULT_DISTANCE_METRES
    factor = METRES.get(parts[3] if len(parts) > 3 and parts[3] else "km")  # noqa: PLR2004 - the unit's place
    if factor is None or abs(latitude) > QUARTER_TURN or abs(longitude) > HALF_TURN:
        raise NotSupported(f"'{name}' takes degrees, and a distance in km, m or [mi_i]", f"http.{name}")
    if len(parts) > 2 and parts[2]:  # noqa: PLR2004 - the distance's place
        distance = float(number.parse(parts[2], name).value) * factor

    def is_near(_fhir_type: str, value: Any) -> bool:
        held = (
            [number.decimal(value.get(each)) for each in ("latitude", "longitude")]
            if isinstance(value, dict)
            else []
        )
        ends = [float(each) for each in held if each is not None]
        return len(ends) == 2 and _metres(latitude, longitude, *ends) <= distance  # noqa: PLR2004

    return is_near


def _metres(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """The great-circle distance, on a sphere."""
    a, b = radians(latitude), radians(other_latitude)
    rise = sin((b - a) / 2) ** 2 + cos(a) * cos(b) * sin(radians(other_longitude - longitude) / 2) ** 2
    return 2 * EARTH_METRES * asin(sqrt(min(1.0, rise)))


def words(text: str, name: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a resource's narrative (_text), or any of its texts (_content), has all words of a value."""
    sought = _WORD.findall(fold(text))
    if not sought or len(sought) > MOST_WORDS:
        raise NotSupported(f"'{name}' takes 1 to {MOST_WORDS} words", f"http.{name}")
    read = _narrative if name == "_text" else _texts

    def has_words(resource: dict[str, Any]) -> bool:
        held = [word for text in read(resource) for word in _WORD.findall(fold(text))]
        return all(any(word.startswith(each) for word in held) for each in sought)

    return has_words


def _narrative(resource: dict[str, Any]) -> Iterator[str]:
    narrative = resource.get("text")
    if isinstance(narrative, dict) and isinstance(narrative.get("div"), str):
        yield unescape_entities(_TAG.sub(" ", narrative["div"]))


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield unescape_entities(_TAG.sub(" ", node)) if node.startswith("<div") else node
    elif isinstance(node, dict):
        for each in node.values():
            yield from _texts(each)
    elif isinstance(node, list):
        for each in node:
            yield from _texts(each)
