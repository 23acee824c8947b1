"""A file of the FUA detail, CSV or Excel, as rows under names: order free, other columns ignored and counted.

Spec:    docs/adapters.md, "e-Qhali".
Leaves:  the inside of workbooks to `workbook`; what a row means to `fua`.

A file is read as a stream: no more of it is held than a line of CSV, or a row and the shared texts of a workbook.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from adapters.delimited import MAX_LINE_BYTES, Header, Row, read_header, rows_under
from adapters.eqhali.columns import KNOWN, MAX_COLUMNS, MAX_ROWS, NEEDED, column_name
from adapters.source_record import Refusal

_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@dataclass(frozen=True, slots=True)
class Export:
    """An open export. `other_columns` is how many columns nothing reads."""

    name: str
    header: Header
    rows: Iterator[Row]
    other_columns: int

    def has(self, column: str) -> bool:
        """Whether the export has a column at all."""
        return column in self.header.columns

    def place(self, row: Row) -> str:
        """Where a row stands, as the IT desk names it."""
        return f"{self.name}:{row.line}"

    def original(self, row: Row) -> bytes:
        """The bytes of a row under its header: enough to read it again."""
        return self.header.line + (row.raw if row.raw.endswith(b"\n") else row.raw + b"\n")


def open_export(name: str, source: BinaryIO) -> Export:
    """An export by its first bytes, whatever its name says.

    Raises: Refusal - A-280 an old workbook, A-281 columns are missing, A-282 and A-283 of `workbook`.
    """
    magic = source.read(8)
    source.seek(0)
    if magic.startswith(_OLE):
        text = (
            "El archivo es un Excel antiguo (.xls) o está protegido con contraseña."
            " Ábralo y guárdelo como .xlsx sin contraseña, o expórtelo como CSV."
        )
        raise Refusal("mapping", "A-280", text, location=name)
    if magic.startswith(_ZIP):
        from adapters.eqhali.workbook import open_workbook  # noqa: PLC0415 - a CSV needs no spreadsheet library

        header, rows = open_workbook(name, source, is_header=_is_header)
        return _checked(name, header, rows)
    header_line = source.readline(MAX_LINE_BYTES + 1)
    found = read_header(header_line)
    if found is None or len(found.columns) > MAX_COLUMNS:
        raise _missing(name, ())
    header = _named(found)
    return _checked(name, header, _bounded(name, rows_under(header, _lines(source))))


def read_kept(name: str, original: bytes) -> Export | None:
    """The export that a kept row is, under its own header."""
    try:
        return open_export(name, io.BytesIO(original))
    except Refusal:
        return None


def _lines(source: BinaryIO) -> Iterator[bytes]:
    """Lines of a stream, none held beyond its bound: the rest of a longer one is passed over."""
    while line := source.readline(MAX_LINE_BYTES + 1):
        rest = line
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = source.readline(MAX_LINE_BYTES + 1)
        yield line


def _bounded(name: str, rows: Iterator[Row]) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS:
            text = f"El archivo tiene más de {MAX_ROWS} filas. Exporte un periodo más corto."
            raise Refusal("mapping", "A-283", text, location=name)
        yield row


def _named(header: Header) -> Header:
    return replace(header, columns=tuple(column_name(text) for text in header.columns))


def _is_header(cells: list[str]) -> bool:
    names = {column_name(cell) for cell in cells}
    return "fua_id" in names or len(names & set(NEEDED)) * 2 > len(NEEDED)


def _checked(name: str, header: Header, rows: Iterator[Row]) -> Export:
    columns = Counter(header.columns)
    missing = tuple(column for column in NEEDED if not columns[column])
    if missing:
        raise _missing(name, missing)
    doubled = tuple(column for column in sorted(KNOWN) if columns[column] > 1)
    if doubled:
        text = f"La cabecera repite columnas: {', '.join(doubled)}. Deje una de cada una."
        raise Refusal("mapping", "A-281", text, location=name)
    other = sum(column not in KNOWN for column in header.columns)
    return Export(name, header, rows, other)


def _missing(name: str, columns: tuple[str, ...]) -> Refusal:
    what = f"faltan las columnas {', '.join(columns)}" if columns else "no se reconoce ninguna cabecera"
    text = f"El archivo no es un detalle de FUA de e-Qhali: {what}. Vuelva a exportarlo con su cabecera."
    return Refusal("mapping", "A-281", text, location=name)
