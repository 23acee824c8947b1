"""Media types: which format an answer is wanted in, and which format a body says that it is in.

Spec:    https://hl7.org/fhir/R4/http.html#mime-type, RFC 9110 12.5.1
Leaves:  writing the formats to rendering.py, reading them to body.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

from exchange.problems import NotSupported

Kind = Literal["json", "xml"]
KINDS: Final[dict[str, Kind]] = {
    "application/fhir+json": "json",
    "application/json": "json",
    "text/json": "json",
    "application/fhir+xml": "xml",
    "application/xml": "xml",
    "text/xml": "xml",
}
"""What this hub reads and writes; where a caller takes several equally, the first."""
FHIR_TYPES: Final = ("application/fhir+json", "application/fhir+xml")
SHORT: Final = {"json": "application/fhir+json", "xml": "application/fhir+xml"}
JSON_PATCH: Final = "application/json-patch+json"
FORM: Final = "application/x-www-form-urlencoded"
VERSIONS: Final = ("4.0", "4.0.1")
ENCODINGS: Final = ("utf-8", "utf8", "us-ascii")
MAX_OFFERS: Final = 50
_WEIGHT: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", re.ASCII)
_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+\-]{1,100}/[a-z0-9!#$&^_.+\-]{1,100}", re.ASCII)


class NotAcceptable(NotSupported):
    """The answer is asked for in a format that this hub does not write (406)."""


class UnsupportedMediaType(NotSupported):
    """The body is in a format that this hub does not read (415)."""


@dataclass(frozen=True, slots=True)
class Format:
    """How an answer is written: `media_type` is what its Content-Type says."""

    kind: Kind = "json"
    media_type: str = "application/fhir+json; charset=utf-8"
    is_pretty: bool = False


JSON: Final = Format()


@dataclass(frozen=True, slots=True)
class Offer:
    """One media range of an Accept header, or one media type."""

    name: str
    weight: float
    parameters: tuple[tuple[str, str], ...]

    def parameter(self, name: str) -> str:
        """A parameter's value, or nothing."""
        return dict(self.parameters).get(name, "")


@lru_cache(256)
def wanted_format(accept: str, formats: tuple[str, ...]) -> Format:
    """The format that a caller wants: by `_format`, else by Accept, else JSON. Raises: NotAcceptable."""
    if formats:
        # A plus that was not escaped arrives as a space.
        offer = media_type(formats[-1].replace("; ", ";").strip().replace(" ", "+"))
        name = SHORT.get(offer.name, offer.name)
        if name not in KINDS or not _is_ours(offer):
            raise NotAcceptable("this hub answers in JSON and XML", "http._format")
        return _format(name, offer)
    offers = accepted(accept)
    if not accept.strip():
        return JSON
    best: tuple[float, int, int, int] | None = None
    chosen = JSON
    for candidate, name in enumerate(KINDS):
        found = _match(offers, name)
        if found is None:
            continue
        place, specificity = found
        weight = offers[place].weight
        rank = (weight, specificity, -place, -candidate)
        if weight > 0 and (best is None or rank > best):
            best, chosen = rank, _format(name, offers[place])
    if best is None:
        raise NotAcceptable("this hub answers in JSON and XML", "http.Accept")
    return chosen


def accepts(accept: str, name: str) -> bool:
    """Whether an Accept header takes a media type; an absent one takes all."""
    offers = accepted(accept)
    found = _match(offers, name)
    return not offers or (found is not None and offers[found[0]].weight > 0)


@lru_cache(256)
def accepted(accept: str) -> tuple[Offer, ...]:
    """The media ranges of an Accept header; those that cannot be read are passed over."""
    found = []
    for part in accept.split(",", MAX_OFFERS)[:MAX_OFFERS]:
        offer = media_type(part)
        told = weight(offer)
        if "/" in offer.name and told is not None:
            found.append(replace(offer, weight=told))
    return tuple(found)


def weight(offer: Offer) -> float | None:
    """The q-value of an offer, 1 where it has none; None when it cannot be read."""
    told = offer.parameter("q") or "1"
    return float(told) if _WEIGHT.fullmatch(told) else None


def media_type(text: str) -> Offer:
    """A media type and its parameters, in small letters."""
    name, *rest = text.lower().split(";", 10)
    pairs = [each.partition("=") for each in rest]
    parameters = tuple((key.strip(), value.strip().strip('"')) for key, _, value in pairs)
    return Offer(name.strip(), 1.0, parameters)


def is_media_type(name: str) -> bool:
    """Whether a text has the form of a media type without parameters."""
    return _TYPE.fullmatch(name) is not None


def body_kind(content_type: str) -> Kind:
    """The format that a FHIR body says it is in. Raises: UnsupportedMediaType."""
    told = media_type(content_type)
    kind = KINDS.get(told.name)
    if kind is None:
        raise UnsupportedMediaType(
            "this hub reads application/fhir+json and application/fhir+xml", "http.Content-Type"
        )
    require_ours(told)
    return kind


def require_ours(told: Offer) -> None:
    """Whether a body is in UTF-8 and of R4, as far as its type says. Raises: UnsupportedMediaType."""
    if not _is_ours(told):
        raise UnsupportedMediaType("this hub reads FHIR 4.0 in UTF-8", "http.Content-Type")


def _is_ours(told: Offer) -> bool:
    encoding, version = told.parameter("charset"), told.parameter("fhirversion")
    return (not encoding or encoding in ENCODINGS) and (not version or version in VERSIONS)


def _match(offers: tuple[Offer, ...], name: str) -> tuple[int, int] | None:
    """The place and exactness of the most exact range that covers a media type."""
    group = name.partition("/")[0] + "/*"
    exactness = {name: 3, group: 2, "*/*": 1}
    found = [
        (exactness[offer.name], -place)
        for place, offer in enumerate(offers)
        if offer.name in exactness and _is_ours(offer)
    ]
    if not found:
        return None
    exact, place = max(found)
    return -place, exact


def _format(name: str, offer: Offer) -> Format:
    version = offer.parameter("fhirversion")
    more = f"; fhirVersion={version}" if version else ""
    return Format(KINDS[name], f"{name}; charset=utf-8{more}")
