"""Takes values out of a site file's tables, one check each, and gathers what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapters.settings.fault import Fault

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Checker:
    """The tables of one site file, and every fault that was found in them.

    A check never raises: it notes the fault with its line and gives a value that lets the next check go on.
    """

    def __init__(self, tables: dict[str, Any], lines: Mapping[str, int], path: Path) -> None:
        self.tables = tables
        self.path = path
        self.faults: list[Fault] = []
        self._lines = lines

    def refuse_unknown(self, known: Mapping[str, frozenset[str]]) -> None:
        """Note every section and key that nothing reads: a key misspelt is a setting not set."""
        for table, content in self.tables.items():
            if table not in known:
                self.fault("A-103", table, f"no se conoce la sección [{table}]; corrija o borre la línea")
                continue
            for part in content if isinstance(content, list) else [content]:
                if not isinstance(part, dict):
                    self.fault("A-103", table, f"{table} debe ser una sección")
                    continue
                for key in part.keys() - known[table]:
                    place = f"{table}.{key}"
                    self.fault("A-103", place, f"no se conoce {key} en [{table}]; corrija o borre la línea")

    def fault(self, code: str, place: str, text: str) -> None:
        """Note what is wrong at `table.key`."""
        line = self._lines.get(place) or self._lines.get(place.partition(".")[0])
        self.faults.append(Fault(code, text, line))

    def value(self, table: str, key: str) -> Any:
        """What the file says, unchecked; nothing where it says nothing."""
        section = self.tables.get(table, {})
        return section.get(key) if isinstance(section, dict) else None

    def rows(self, table: str) -> list[Any]:
        """The tables of an array of tables, unchecked; one written as a single table is an array of one."""
        found = self.tables.get(table, [])
        return found if isinstance(found, list) else [found]

    def text(
        self, table: str, key: str, is_good: Callable[[str], Any], remedy: str, default: str | None = None
    ) -> str:
        """A text that passes `is_good`; without a default it has to be there."""
        value = self.value(table, key)
        if value is None and default is not None:
            return default
        if value is None:
            self.fault("A-104", f"{table}.{key}", f"falta {key} en [{table}]: {remedy}")
            return ""
        if not isinstance(value, str) or not is_good(value):
            self.fault("A-105", f"{table}.{key}", f"{key} en [{table}] no es válido: {remedy}")
            return ""
        return value

    def number(self, table: str, key: str, default: float, low: float, high: float) -> float:
        """A number within bounds."""
        value = self.value(table, key)
        if value is None:
            return default
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if isinstance(value, bool) or not low <= number <= high:
            text = f"{key} en [{table}] debe ser un número entre {low:g} y {high:g}"
            self.fault("A-106", f"{table}.{key}", text)
            return default
        return number

    def truth(self, table: str, key: str, *, default: bool) -> bool:
        """Whether something is so: true or false, in TOML's words or the environment's."""
        value = self.value(table, key)
        if isinstance(value, str) and value in {"true", "false"}:
            return value == "true"
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.fault("A-105", f"{table}.{key}", f"{key} en [{table}] no es válido: escriba true o false")
        return default

    def file(self, table: str, key: str, *, is_needed: bool = True) -> Path | None:
        """A path, counted from the site file's folder."""
        if self.value(table, key) is None and not is_needed:
            return None
        text = self.text(table, key, bool, "escriba una ruta")
        return (self.path.parent / text) if text else None

    def zone(self, table: str, key: str) -> ZoneInfo:
        """A time zone of the IANA database."""
        name = self.text(table, key, bool, "escriba una zona horaria", "America/Lima")
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            self.fault("A-107", f"{table}.{key}", f"{key} en [{table}] no existe; use America/Lima")
            return ZoneInfo("UTC")


def is_safe_url(text: str) -> bool:
    """Whether somebody may be spoken to at this URL: https, or loopback for a demonstration."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))


def lines_of(text: str) -> dict[str, int]:
    """The line on which every `table.key` and every table of a TOML text stands."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"^\s*\[+\s*([\w.-]+)\s*\]+", line):
            table = found.group(1)
            lines.setdefault(table, number)
        elif found := re.match(r"^\s*([\w-]+)\s*=", line):
            lines.setdefault(f"{table}.{found.group(1)}", number)
    return lines
