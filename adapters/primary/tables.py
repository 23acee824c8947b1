"""The tables of an HIS export: which of them a file is, and what its rows were written as.

Spec:    docs/adapters.md, "HIS".
Leaves:  lines and columns to `delimited`; what a column means to the modules beside this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.delimited import Row, delimiter_of, read_header, rows_under

__all__ = ["Row", "Table", "read_table"]

# kind → the columns by which a table is known
_KINDS: Final = {
    "trama": {"id_cita", "codigo_item", "fecha_atencion", "id_paciente"},
    "patients": {"id_paciente", "numero_documento_paciente"},
    "staff": {"id_personal", "numero_documento_personal"},
    "facilities": {"id_establecimiento", "codigo_unico"},
    "items": {"codigo_item", "fg_tipo"},
    "births": {"cnv", "codeess", "fecha", "sexo"},
}


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
        delimiter = delimiter_of(self.header.decode("latin-1"))
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
    lines = content.splitlines(keepends=True)
    header = read_header(lines[0]) if lines else None
    if header is None:
        return None
    kind = next((kind for kind, needed in _KINDS.items() if needed <= set(header.columns)), None)
    if kind is None:
        return None
    return Table(name, kind, header.columns, header.line, list(rows_under(header, lines[1:])))
