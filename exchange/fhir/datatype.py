"""Values of FHIR datatypes in comparable form: instants as ranges, text folded, references taken apart.

Spec:    https://hl7.org/fhir/R4/datatypes.html, https://hl7.org/fhir/R4/search.html#date
Leaves:  search prefixes and hashing to search and store.

Instants are microseconds since 1970-01-01T00:00:00Z. A value without a zone is read in the zone given.
Nothing here is cached: a cache of names and dates would outlive the request that may see them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from exchange.fhir.definitions import is_resource_type

LIMA: Final = ZoneInfo("America/Lima")
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
DAY: Final = 24 * 60 * MINUTE
_EPOCH: Final = date(1970, 1, 1).toordinal()
_LAST_DAY: Final = date.max.toordinal()

MIN_INSTANT: Final = (date.min.toordinal() - _EPOCH) * DAY
MAX_INSTANT: Final = (_LAST_DAY + 1 - _EPOCH) * DAY - 1

_DATE: Final = re.compile(
    r"([0-9]{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12][0-9]|3[01])"
    r"(?:T([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]|60)(?:\.([0-9]{1,30}))?)?"
    r"(Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)?)?)?)?"
)


def date_range(text: str, zone: ZoneInfo = LIMA) -> tuple[int, int]:
    """The first and the last microsecond of a date, dateTime or instant, as precise as it is written.

    Units:  microseconds since the epoch, UTC, both ends inclusive.
    Raises: ValueError - no date, or one that no calendar has.
    Spec:   https://hl7.org/fhir/R4/datatypes.html#dateTime
    """
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError("not a FHIR date")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    if hour is None:
        return _days(int(year), int(month or 0), int(day or 0), zone)
    start = date(int(year), int(month), int(day))
    low = (start.toordinal() - _EPOCH) * DAY + (int(hour) * 60 + int(minute)) * MINUTE
    width = MINUTE
    if second is not None:
        low += int(second) * SECOND
        width = SECOND
    if fraction is not None:
        low += int(fraction[:6].ljust(6, "0"))
        width = 10 ** max(0, 6 - len(fraction))
    if offset is None:
        low -= _offset(datetime(start.year, start.month, start.day, int(hour), int(minute)), zone)  # noqa: DTZ001
    elif offset != "Z":
        minutes = int(offset[1:3]) * 60 + int(offset[4:])
        low += minutes * MINUTE if offset[0] == "-" else -minutes * MINUTE
    return low, low + width - 1


def period_range(period: dict[str, Any], zone: ZoneInfo = LIMA) -> tuple[int, int]:
    """The range of a Period; an end that is not given is open: MIN_INSTANT or MAX_INSTANT.

    Raises: ValueError - an end is no date.
    """
    start, end = period.get("start"), period.get("end")
    low = MIN_INSTANT if start is None else date_range(start, zone)[0]
    high = MAX_INSTANT if end is None else date_range(end, zone)[1]
    return low, high


def timing_range(timing: dict[str, Any], zone: ZoneInfo = LIMA) -> tuple[int, int] | None:
    """The outer bounds of a Timing's events and bounds; None when it says no instant at all.

    Raises: ValueError - one of its dates is none.
    """
    ranges = [date_range(event, zone) for event in timing.get("event", ()) if event is not None]
    bounds = timing.get("repeat", {}).get("boundsPeriod")
    if bounds:
        ranges.append(period_range(bounds, zone))
    if not ranges:
        return None
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def fold(text: str) -> str:
    """Text as string search compares it: without accents and case, each run of space one blank (ñ is n)."""
    if text.isascii():
        return " ".join(text.lower().split())
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return " ".join(plain.split())


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference taken apart; `url` is the text without version and fragment.

    `type` and `id` are known for [base/]Type/id, `version` from /_history/v or |v, `fragment` from #…
    """

    url: str
    type: str | None = None
    id: str | None = None
    version: str | None = None
    base: str | None = None
    fragment: str | None = None

    @property
    def is_contained(self) -> bool:
        """Whether it points into the resource that carries it."""
        return not self.url and self.fragment is not None

    @property
    def is_relative(self) -> bool:
        """Whether it is Type/id on the server that carries it."""
        return self.id is not None and self.base is None

    @property
    def local(self) -> str | None:
        """Type/id without base and version, when both are known."""
        return f"{self.type}/{self.id}" if self.id is not None else None


_RESTFUL: Final = re.compile(
    r"(?:(https?://[^\s|#?]*[^\s|#?/])/)?([A-Z][A-Za-z]{2,40})/([A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/([A-Za-z0-9\-.]{1,64}))?"
)


def parse_reference(text: str) -> Reference:
    """Take a reference or canonical apart; a text that is neither comes back with `url` alone.

    Spec:   https://hl7.org/fhir/R4/references.html#literal, #canonical
    """
    rest, mark, after = text.partition("#")
    fragment = after if mark else None
    rest, mark, after = rest.partition("|")
    business_version = after if mark else None
    found = _RESTFUL.fullmatch(rest)
    if found is None or not is_resource_type(found[2]):
        return Reference(rest, version=business_version, fragment=fragment)
    url = rest if found[4] is None else rest[: found.end(3)]
    return Reference(url, found[2], found[3], found[4] or business_version, found[1], fragment)


def _days(year: int, month: int, day: int, zone: ZoneInfo) -> tuple[int, int]:
    start = date(year, month or 1, day or 1)
    if day:
        after = start.toordinal() + 1
    elif month:
        after = start.toordinal() + 31
        after -= date.fromordinal(after).day - 1 if after <= _LAST_DAY else 0
    else:
        after = start.toordinal() + 365 + (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    low = (start.toordinal() - _EPOCH) * DAY - _offset(_midnight(start.toordinal()), zone)
    high = (after - _EPOCH) * DAY - _offset(_midnight(after), zone) - 1
    return low, high


def _midnight(ordinal: int) -> datetime:
    return datetime.fromordinal(min(ordinal, _LAST_DAY))


def _offset(local: datetime, zone: ZoneInfo) -> int:
    difference = zone.utcoffset(local)
    if difference is None:
        raise ValueError("a zone without an offset")
    return (difference.days * 86_400 + difference.seconds) * SECOND
