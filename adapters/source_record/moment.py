"""Dates and times as the sources write them, turned into FHIR's, without inventing precision.

Spec:    https://hl7.org/fhir/R4/datatypes.html#dateTime; HL7 v2.5.1, 2.A.22 (DTM).
Leaves:  which field holds which moment to the mappers.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo

_SPANISH: Final = re.compile(r"^(\d{1,2})[/-](\d{1,2})[/-](\d{4})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?.*)?$")
_ISO: Final = re.compile(r"^(\d{4})[/-](\d{1,2})[/-](\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?.*)?$")
_COMPACT: Final = re.compile(
    r"^(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?$"
)
_MISSING_YEAR: Final = 1900


def now_instant() -> str:
    """The present as a FHIR instant in UTC: for reception only, never for content."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def file_instant(mtime_seconds: float) -> str:
    """A file's modification time as a FHIR instant in UTC."""
    return datetime.fromtimestamp(int(mtime_seconds), UTC).isoformat().replace("+00:00", "Z")


def is_older(version: tuple[str | None, ...], known: tuple[str | None, ...]) -> bool:
    """Whether a version is older than a known one: the first pair of times that are told and differ decides."""
    for text, before in zip(version, known, strict=True):
        moment, other = _moment(text), _moment(before)
        if moment is not None and other is not None and moment != other:
            return moment < other
    return False


def _moment(instant: str | None) -> datetime | None:
    return datetime.fromisoformat(instant) if instant else None


def _written(moment: datetime) -> str:
    """A moment as FHIR writes it: offsets before 1908 have seconds (local mean time), which FHIR has not."""
    offset = moment.utcoffset() or timedelta()
    if offset.seconds % 60:
        moment = moment.replace(tzinfo=timezone(timedelta(minutes=round(offset.total_seconds() / 60))))
    return moment.isoformat()


def is_missing_date(text: str) -> bool:
    """Whether a date is what systems write when they have none: the year 1900."""
    return text.startswith(str(_MISSING_YEAR))


def written_date(text: str, zone: ZoneInfo) -> str | None:
    """A date, or date and time, of a spreadsheet: dd/mm/yyyy or yyyy-mm-dd; midnight means no time.

    Raises: ValueError - no date can be read in it.
    """
    text = text.strip()
    if not text:
        return None
    if found := _SPANISH.match(text):
        day, month, year = (int(part) for part in found.group(1, 2, 3))
    elif found := _ISO.match(text):
        year, month, day = (int(part) for part in found.group(1, 2, 3))
    else:
        message = "not a date"
        raise ValueError(message)
    hour, minute, second = (int(part or 0) for part in found.group(4, 5, 6))
    if hour or minute or second:
        return _written(datetime(year, month, day, hour, minute, second, tzinfo=zone))
    return date(year, month, day).isoformat()


def compact_moment(text: str, zone: ZoneInfo) -> str | None:
    """An HL7 v2 or CDA timestamp as FHIR dateTime, with the precision it has; None where it is no moment."""
    found = _COMPACT.match(text.strip())
    if not found:
        return None
    year, month, day, hour, minute, second, offset = found.groups()
    try:
        checked = datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            tzinfo=zone,
        )
        if hour is not None and offset:
            checked = datetime.strptime(f"{checked:%Y%m%d%H%M%S}{offset}", "%Y%m%d%H%M%S%z")
        if hour is not None and minute is not None:
            return _written(checked)
    except ValueError:
        return None
    if day is not None:
        return f"{year}-{month}-{day}"
    return f"{year}-{month}" if month is not None else year


def as_instant(moment: str | None, zone: ZoneInfo) -> str | None:
    """A FHIR instant out of a dateTime of any precision: what lacks is taken at its beginning."""
    if not moment:
        return None
    if "T" in moment:
        return moment
    parts = [int(part) for part in moment.split("-")]
    year, month, day = (*parts, 1, 1)[:3]
    return _written(datetime(year, month, day, tzinfo=zone))


def as_date(moment: str | None) -> str | None:
    """The date part of a dateTime, and nothing for a date that stands for a missing one."""
    if not moment or is_missing_date(moment):
        return None
    return moment.partition("T")[0]
