"""The site's table of who authorised the sending of what is about them, hashed as it is read, read anew when it changes.

Spec:    docs/adapters.md, "Sending consent".
Leaves:  holding and releasing records to departure.

Columns `patient;given;from;until;form_version`. `patient` is a kind and a number, such as `dni 01234567` or `hc 8812`;
eight digits alone are a DNI.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Final

from adapters.settings.fault import Fault, SettingsError

_log = logging.getLogger("adapters.outbox")
_COLUMNS: Final = ("patient", "given", "from", "until", "form_version")
_KINDS: Final = frozenset({"dni", "ce", "passport", "die", "cnv", "hc"})
_YES: Final = frozenset({"si", "sí", "s", "1", "true", "yes"})
_NO: Final = frozenset({"no", "n", "0", "false"})
_DNI: Final = re.compile(r"^\d{8}$", re.ASCII)
_PERUVIAN_DATE: Final = re.compile(r"^(\d{2})/(\d{2})/(\d{4})$", re.ASCII)
_MOST_BYTES: Final = 40_000_000
_MOST_ROWS: Final = 300_000
_MOST_LETTERS: Final = 200

Row = tuple[date, date, bool]
Hash = Callable[[str], str]


def name_of_patient(kind: str, value: str) -> str:
    """One way of writing a patient's number, for the table and for records."""
    return f"{kind}|{''.join(value.split()).upper()}"


class ConsentTable:
    """The table as it is on disk: what was last read of it, and whether it changed since."""

    def __init__(self, path: Path, hash_name: Hash) -> None:
        self._path = path
        self._hash = hash_name
        self._rows: dict[str, tuple[Row, ...]] = {}
        self._stamp: tuple[int, int, int] | None = None

    def read_if_changed(self) -> bool:
        """Read the table where it is another than before; whether it is.

        A table that is gone lets nobody leave. One that cannot be read leaves things as they were.
        Raises: SettingsError - with its line.
        """
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self._rows = read_consents(self._path, self._hash) if stamp else {}
        return True

    def may_leave(self, names: Iterable[str], today: date) -> bool:
        """Whether a patient of these hashed names authorised it, under one of them at least, and refused under none."""
        said = [_said(self._rows[name], today) for name in names if name in self._rows]
        return any(said) and not any(each is False for each in said)

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _said(rows: tuple[Row, ...], today: date) -> bool | None:
    """What the row that began last says; of two that began on one day, the refusal. None: nothing holds today."""
    begun = [row for row in rows if row[0] <= today]
    if not begun:
        return None
    latest = max(row[0] for row in begun)
    return all(given and today <= until for start, until, given in begun if start == latest)


def read_consents(path: Path, hash_name: Hash) -> dict[str, tuple[Row, ...]]:
    """The rows of a table by hashed name. Raises: SettingsError - A-152 the file, A-153 a row, by its line only."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise _fault("A-152", f"no se puede leer {path.name}, o no está en UTF-8") from None
    if len(content) > _MOST_BYTES:
        raise _fault("A-152", f"{path.name} es demasiado grande")
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in first else ",")
    try:
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise _fault("A-152", f"las columnas de {path.name} deben ser {';'.join(_COLUMNS)}", 1)
        found: dict[str, tuple[Row, ...]] = {}
        for number, cells in enumerate(reader):
            if number >= _MOST_ROWS:
                raise _fault("A-152", f"{path.name} tiene más de {_MOST_ROWS} filas")
            name, row = _row(path.name, cells, reader.line_num)
            hashed = hash_name(name)
            found[hashed] = (*found.get(hashed, ()), row)
    except csv.Error:
        raise _fault("A-153", f"{path.name}: la fila no se puede leer", reader.line_num) from None
    return found


def _row(file: str, cells: dict[str, str], line: int) -> tuple[str, Row]:
    values = {key: (cells.get(key) or "").strip() for key in _COLUMNS}
    given = values["given"].casefold()
    if None in cells or max(map(len, values.values())) > _MOST_LETTERS or given not in _YES | _NO:
        raise _fault("A-153", f"{file}: given debe ser si o no, y la fila tener cinco columnas", line)
    if given in _YES and not values["form_version"]:
        raise _fault("A-153", f"{file}: falta form_version, la versión del formato firmado", line)
    kind, _, number = values["patient"].replace(":", " ").partition(" ")
    if _DNI.match(values["patient"]):
        kind, number = "dni", values["patient"]
    if kind.casefold() not in _KINDS or not number.strip():
        text = f"{file}: patient debe ser un tipo ({', '.join(sorted(_KINDS))}) y un número"
        raise _fault("A-153", text, line)
    try:
        start = _day(values["from"]) or date.min
        until = _day(values["until"]) or date.max
    except ValueError:
        raise _fault("A-153", f"{file}: from y until son fechas AAAA-MM-DD o DD/MM/AAAA", line) from None
    return name_of_patient(kind.casefold(), number), (start, until, given in _YES)


def _day(text: str) -> date | None:
    if found := _PERUVIAN_DATE.match(text):
        day, month, year = map(int, found.groups())
        return date(year, month, day)
    return date.fromisoformat(text) if text else None


def _fault(code: str, text: str, line: int | None = None) -> SettingsError:
    return SettingsError([Fault(code, text, line)])
