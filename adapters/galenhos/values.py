"""What a driver gives as text, once and for all: padding, placeholders, clocks without a zone, decimal commas.

Spec:    docs/adapters.md, "GalenHos".
Leaves:  what a field means to the mappers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapters.source_record.moment import written_date

Fields = Mapping[str, str]

# No FHIR string may hold them, and they say nothing.
_CONTROLS: Final = dict.fromkeys(
    (*range(9), 11, 12, *range(14, 32), 127, 0xFFFE, 0xFFFF, *range(0xD800, 0xE000))
)
_FIRST_YEAR: Final = 1901  # 1753 and 1900 are how SQL Server's dates say that there is none
_LAST_YEAR: Final = 2078  # smalldatetime ends in 2079
_HOUR: Final = re.compile(r"^\s*(?:\d{4}-\d{2}-\d{2}[ T])?(\d{1,2}):?(\d{2})(?::?(\d{2}))?", re.ASCII)
_YEAR: Final = re.compile(r"(\d{4})", re.ASCII)
_DAY: Final = timedelta(days=1)
_MAX_DIGITS: Final = 12


def as_text(value: Any) -> str:
    """A cell as text: nothing for NULL, no padding, digits as they were."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, datetime):
        return value.replace(tzinfo=None, microsecond=0).isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value % _DAY)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 10**15 else repr(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return str(value).translate(_CONTROLS).strip()


def moment(fields: Fields, day: str, zone: ZoneInfo, clock: str = "") -> str | None:
    """A date column, and the column of its hour, as the site's own time; nothing for a placeholder.

    Midnight in a date column is no hour: the hour has a column of its own, or is not known.
    Raises: ValueError - something is written there, and it is no date.
    """
    written = fields.get(day, "")
    if not written or _is_placeholder(written):
        return None
    hour = _HOUR.match(fields.get(clock, "")) if clock else None
    if hour is None or int(hour.group(1)) > 23 or int(hour.group(2)) > 59:  # noqa: PLR2004 - a clock's ends
        return written_date(written, zone)
    bare = re.split(r"[ T]", written.strip())[0]
    return written_date(f"{bare} {int(hour.group(1))}:{hour.group(2)}:{hour.group(3) or '00'}", zone) or None


def _is_placeholder(written: str) -> bool:
    found = _YEAR.search(written)
    return found is not None and not _FIRST_YEAR <= int(found.group(1)) <= _LAST_YEAR


def name_of(fields: Fields) -> str:
    """What a row is called among its neighbours: by its key, or by its code where a view has none."""
    return fields.get("key") or fields.get("code") or fields.get("words", "")


def number(written: str) -> Decimal | None:
    """A quantity with its digits, decimal comma or point; nothing where it is no number, or none of a person's."""
    text = written.replace(",", ".")
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and 0 < value <= 10**6 and len(text) <= _MAX_DIGITS else None
