"""Lines and columns of an HIS export: charset, separator, header, and rows that keep their bytes.

Spec:    RFC 4180 as far as HIS follows it; docs/adapters.md, "HIS".
Leaves:  what a column means to the modules beside this one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

_BOM: Final = b"\xef\xbb\xbf"
_MAX_JOINED_LINES: Final = 5
_MAX_LINE_BYTES: Final = 1_000_000

# Control characters say nothing and no FHIR string may hold them.
_CONTROLS: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))

# kind → the columns by which a table is known
_KINDS: Final = {
    "trama": {"id_cita", "codigo_item", "fecha_atencion", "id_paciente"},
    "patients": {"id_paciente", "numero_documento_paciente"},
    "staff": {"id_personal", "numero_documento_personal"},
    "facilities": {"id_establecimiento", "codigo_unico"},
    "items": {"codigo_item", "fg_tipo"},
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row: values by column in lower case, its first line, its bytes, and what is wrong with it."""

    line: int
    raw: bytes
    values: dict[str, str] = field(default_factory=dict)
    fault: str = ""

    def get(self, *names: str) -> str:
        """The first value that is there, spaces trimmed, `NULL` being none."""
        for name in names:
            value = self.values.get(name.lower(), "").translate(_CONTROLS).strip()
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
class Table:
    """A file of rows under one header."""

    name: str
    kind: str
    columns: tuple[str, ...]
    header: bytes
    rows: list[Row]

    def written(self, row: Row, name: str) -> str:
        """What stands in a column, even of a row that does not fit the header, as far as it reaches."""
        if row.values:
            return row.get(name)
        delimiter = _delimiter(self.header.decode("latin-1"))
        cells = row.raw.decode("latin-1").rstrip("\r\n").split(delimiter)
        index = self.columns.index(name.lower())
        return cells[index].strip(' "') if index < len(cells) else ""

    def place(self, *rows: Row) -> str:
        """Where rows stand, as the IT desk names it."""
        first, last = rows[0].line, rows[-1].line
        return f"{self.name}:{first}" if first == last else f"{self.name}:{first}-{last}"

    def original(self, rows: list[Row]) -> bytes:
        """The bytes of rows under their header: enough to read them again."""
        return self.header + b"".join(row.raw if row.raw.endswith(b"\n") else row.raw + b"\n" for row in rows)


def read_table(name: str, content: bytes) -> Table | None:
    """A table of a kind that HIS has, or None where the header belongs to none."""
    has_bom = content.startswith(_BOM)
    encoding = "utf-8-sig" if has_bom else "cp1252"
    lines = content.splitlines(keepends=True)
    if not lines or len(lines[0]) > _MAX_LINE_BYTES:
        return None
    head = lines[0].decode(encoding, "replace").strip("\r\n")
    delimiter = _delimiter(head)
    columns = _cells(head, delimiter)
    if columns is None:
        return None
    columns = [column.strip().lower() for column in columns]
    kind = next((kind for kind, needed in _KINDS.items() if needed <= set(columns)), None)
    if kind is None:
        return None
    rows = list(_rows(lines, encoding.removesuffix("-sig"), delimiter, columns))
    header = lines[0].rstrip(b"\r\n") + b"\n"
    return Table(name, kind, tuple(columns), header, rows)


def _rows(lines: list[bytes], encoding: str, delimiter: str, columns: list[str]) -> Iterator[Row]:
    index = 1
    while index < len(lines):
        line, first = lines[index], index + 1
        index += 1
        joined = 1
        while line.count(b'"') % 2 and joined < _MAX_JOINED_LINES and index < len(lines):
            line += lines[index]
            index += 1
            joined += 1
        if line.count(b'"') % 2 and joined > 1:  # never closed: only the first line is bad
            index -= joined - 1
            line = lines[first - 1]
        if line.strip(b" \t\r\n\x1a\x00"):
            yield _row(first, line, encoding, delimiter, columns)


def _row(line_number: int, raw: bytes, encoding: str, delimiter: str, columns: list[str]) -> Row:
    if len(raw) > _MAX_LINE_BYTES:
        return Row(line_number, raw, fault="La fila es demasiado larga.")
    try:
        text = raw.decode(encoding) if encoding == "utf-8" else raw.decode(encoding, "replace")
    except UnicodeDecodeError:
        return Row(line_number, raw, fault="La fila no está en UTF-8, como anuncia el inicio del archivo.")
    cells = _cells(text.rstrip("\r\n"), delimiter)
    if cells is None:
        return Row(line_number, raw, fault="La fila tiene comillas sin cerrar.")
    if len(cells) > len(columns) and not any(cell.strip() for cell in cells[len(columns) :]):
        cells = cells[: len(columns)]
    if len(cells) != len(columns):
        return Row(
            line_number, raw, fault=f"La fila tiene {len(cells)} columnas y la cabecera {len(columns)}."
        )
    return Row(line_number, raw, dict(zip(columns, cells, strict=True)))


def _delimiter(head: str) -> str:
    return max(";,\t|", key=head.count)


def _cells(text: str, delimiter: str) -> list[str] | None:
    try:
        found = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None
