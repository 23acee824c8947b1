"""What the reading of a hospital's database needs to know: where it is, its column map, and when it may be read."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any, Final

from adapters.settings.checker import Checker

GALENHOS_KEYS: Final = frozenset({
    "url", "password_file", "map", "hours", "rows_per_minute", "piece_rows", "reread_days", "reread_hours", "since",
    "statement_seconds",
})  # fmt: skip
PASSWORD_VARIABLE: Final = "ADAPTER_DATABASE_PASSWORD"  # noqa: S105 - a name, no password
_URL: Final = re.compile(r"^[a-z][a-z0-9+]*://(?P<authority>[^/]*)")
_HOURS: Final = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$")
_MAX_PASSWORD_BYTES: Final = 1000


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours of the day in which a database may be read; past midnight where they end before they begin."""

    begin: time
    end: time

    def __contains__(self, clock: time) -> bool:
        if self.begin <= self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end


@dataclass(frozen=True, slots=True)
class GalenhosSettings:
    """A hospital's database. Units: seconds, hours and days as the names say; 0 rows a minute is no bound."""

    url: str
    password: str = field(repr=False)
    map_file: Path
    hours: Hours | None
    rows_per_minute: int
    piece_rows: int
    reread_days: int
    reread_hours: float
    since: date | None
    statement_seconds: int


def check_galenhos(checker: Checker) -> GalenhosSettings:
    """The keys of the database in `[source]`."""
    remedy = "escriba algo como mssql+pymssql://cuenta@servidor:1433/SIGH, sin contraseña"
    return GalenhosSettings(
        url=checker.text("source", "url", _has_no_password, remedy),
        password=_password(checker),
        map_file=checker.file("source", "map") or Path(),
        hours=_hours(checker),
        rows_per_minute=int(checker.number("source", "rows_per_minute", 6000, 0, 1_000_000)),
        piece_rows=int(checker.number("source", "piece_rows", 100, 1, 1000)),
        reread_days=int(checker.number("source", "reread_days", 30, 0, 3650)),
        reread_hours=checker.number("source", "reread_hours", 24, 0, 24 * 366),
        since=_since(checker),
        statement_seconds=int(checker.number("source", "statement_seconds", 30, 1, 3600)),
    )


def _has_no_password(url: str) -> bool:
    found = _URL.match(url)
    account = found.group("authority").rpartition("@")[0] if found else ""
    return (
        found is not None
        and ":" not in account
        and "password" not in url.lower()
        and "pwd" not in url.lower()
    )


def _password(checker: Checker) -> str:
    """From the environment, or from a file that nobody else can read."""
    told = os.environ.get(PASSWORD_VARIABLE)
    if told is not None:
        return told
    path = checker.file("source", "password_file", is_needed=False)
    if path is None:
        return ""
    try:
        mode = path.stat().st_mode
        password = path.read_text("utf-8")[: _MAX_PASSWORD_BYTES + 1].rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        checker.fault("A-145", "source.password_file", "no se puede leer el archivo de password_file")
        return ""
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        text = "otros pueden leer el archivo de password_file: ejecute chmod 600 sobre él"
        checker.fault("A-145", "source.password_file", text)
    return password


def _hours(checker: Checker) -> Hours | None:
    value = checker.value("source", "hours")
    if value is None:
        return None
    found = _HOURS.match(value) if isinstance(value, str) else None
    if found is None:
        checker.fault("A-105", "source.hours", 'hours en [source] debe ser como "20:00-06:00"')
        return None
    numbers = [int(part) for part in found.groups()]
    return Hours(time(numbers[0], numbers[1]), time(numbers[2], numbers[3]))


def _since(checker: Checker) -> date | None:
    value: Any = checker.value("source", "since")
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            value = 0
    if value is not None and type(value) is not date:
        checker.fault("A-105", "source.since", 'since en [source] debe ser una fecha como "2026-01-01"')
        return None
    return value
