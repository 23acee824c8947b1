"""Lines and columns of an export: charset, separator, header, and rows that keep their bytes.

Spec:    RFC 4180 as far as the local systems follow it; docs/adapters.md, "HIS" and "e-Qhali".
Leaves:  which files there are to the reader; what a column means to the rooms.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

BOM: Final = b"\xef\xbb\xbf"
MAX_LINE_BYTES: Final = 1_000_000
_MAX_JOINED_LINES: Final = 5

# Control characters say nothing and no FHIR string may hold them.
CONTROLS: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))


@dataclass(frozen=True, slots=True)
class Row:
    """One row: values by column in lower case, its first line, its bytes, and what is wrong with it."""

    line: int
    raw: bytes
    values: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""

    def get(self, *names: str) -> str:
        """The first value that is there, spaces trimmed, `NULL` being none."""
        for name in names:
            value = self.values.get(name.lower(), "").translate(CONTROLS).strip()
            if value and value.upper() != "NULL":
                return value
        return ""

    def number(self, name: str) -> Decimal | None:
        """A measured number with its digits, decimal comma or point; zero stands for not measured.

        Raises: ValueError - there is something, and it is no number.
        """
        text = self.get(name).replace(",", ".")
        if not text:
            return None
        try:
            value = Decimal(text)
        except InvalidOperation:
            message = f"{name} no es un número"
            raise ValueError(message) from None
        if not value.is_finite() or value < 0 or value > 10**6 or len(text) > 12:  # noqa: PLR2004 - no measure of a person
            message = f"{name} no es un número posible"
            raise ValueError(message)
        return value or None


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of an export. `columns` are in lower case."""

    line: bytes
    encoding: str
    delimiter: str
    columns: tuple[str, ...]


def read_header(line: bytes) -> Header | None:
    """The header that a first line is, or None where it is no line of columns."""
    if len(line) > MAX_LINE_BYTES:
        return None
    encoding = "utf-8" if line.startswith(BOM) else "cp1252"
    text = line.removeprefix(BOM).decode(encoding, "replace").strip("\r\n")
    separator = delimiter_of(text)
    columns = cells_of(text, separator)
    if columns is None:
        return None
    names = tuple(column.strip().lower() for column in columns)
    return Header(line.rstrip(b"\r\n") + b"\n", encoding, separator, names)


def rows_under(header: Header, lines: Iterable[bytes]) -> Iterator[Row]:
    """The rows of the lines that follow a header: each with its bytes, good or bad."""
    source, held = iter(lines), deque[bytes]()
    number = 1
    while (line := held.popleft() if held else next(source, None)) is not None:
        number += 1
        first, joined = number, [line]
        while sum(part.count(b'"') for part in joined) % 2 and len(joined) < _MAX_JOINED_LINES:
            more = held.popleft() if held else next(source, None)
            if more is None:
                break
            joined.append(more)
        whole = b"".join(joined)
        if whole.count(b'"') % 2 and len(joined) > 1:  # never closed: only the first line is bad
            held.extendleft(reversed(joined[1:]))
            whole = line
        else:
            number += len(joined) - 1
        if whole.strip(b" \t\r\n\x1a\x00"):
            yield _row(header, first, whole)


def _row(header: Header, line_number: int, raw: bytes) -> Row:
    if len(raw) > MAX_LINE_BYTES:
        return Row(line_number, raw, fault="La fila es demasiado larga.")
    try:
        text = raw.decode("utf-8") if header.encoding == "utf-8" else raw.decode(header.encoding, "replace")
    except UnicodeDecodeError:
        return Row(line_number, raw, fault="La fila no está en UTF-8, como anuncia el inicio del archivo.")
    cells = cells_of(text.rstrip("\r\n"), header.delimiter)
    if cells is None:
        return Row(line_number, raw, fault="La fila tiene comillas sin cerrar.")
    columns = header.columns
    if len(cells) < len(columns) or any(cell.strip() for cell in cells[len(columns) :]):
        return Row(
            line_number, raw, fault=f"La fila tiene {len(cells)} columnas y la cabecera {len(columns)}."
        )
    return Row(line_number, raw, _Cells(header, raw))


class _Cells(Mapping[str, str]):
    """The values of a good row, read out of its bytes when they are asked for: a month of rows fits a small PC."""

    __slots__ = ("_header", "_raw")

    def __init__(self, header: Header, raw: bytes) -> None:
        self._header = header
        self._raw = raw

    def __getitem__(self, column: str) -> str:
        return _values(self._header, self._raw)[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._header.columns)

    def __len__(self) -> int:
        return len(self._header.columns)


@lru_cache(maxsize=256)
def _values(header: Header, raw: bytes) -> dict[str, str]:
    """The cells of a row that is known to be good, by column; of a column that is there twice, the last."""
    cells = cells_of(raw.decode(header.encoding, "replace").rstrip("\r\n"), header.delimiter) or []
    return dict(zip(header.columns, cells, strict=False))


def delimiter_of(head: str) -> str:
    """The separator that a header uses most."""
    return max(";,\t|", key=head.count)


def cells_of(text: str, delimiter: str) -> list[str] | None:
    """The cells of one row, or None where its quotes do not close."""
    try:
        found = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None
