"""An Excel workbook as rows of text: bounded before it is opened, formulas never run, links never followed.

Spec:    ECMA-376 Part 1, 18.3 (worksheets), 18.17.4 (serial dates); docs/adapters.md, "e-Qhali".
Leaves:  what a column means to `fua`.

1. The archive is measured by its own directory before anything is unpacked: members, sizes, no document types.
2. Only values are read; what a formula gave when the file was saved is its value.
3. A row is written down as a line of CSV under the header: that line is the record's original.
"""

from __future__ import annotations

import csv
import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from typing import Any, BinaryIO, Final

from openpyxl import load_workbook
from openpyxl.utils.datetime import from_excel

from adapters.delimited import BOM, CONTROLS, Header, Row
from adapters.eqhali.columns import DATES, MAX_CELL_LETTERS, MAX_COLUMNS, MAX_ROWS, TIMES, column_name
from adapters.source_record import Refusal

_MAX_MEMBERS: Final = 500
_MAX_SHEET_BYTES: Final = 60_000_000
_MAX_MEMBER_BYTES: Final = 20_000_000
_MAX_ALL_BYTES: Final = 120_000_000
_HEADER_WITHIN_ROWS: Final = 20
_FIRST_BYTES: Final = 4096
_LAST_SERIAL: Final = 73_050  # the last day of 2099

IsHeader = Callable[[list[str]], bool]


def open_workbook(name: str, source: BinaryIO, *, is_header: IsHeader) -> tuple[Header, Iterator[Row]]:
    """The header and the rows of the first sheet that has them.

    Raises: Refusal - A-282 no workbook or no header in it, A-283 out of bounds.
    """
    _measure(name, source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what of a workbook's looks is not kept is nobody's concern
            book = load_workbook(source, read_only=True, data_only=True, keep_links=False)
            for sheet in book.worksheets:
                sheet.reset_dimensions()
                cells = _bounded(name, sheet)
                for line, row in cells:
                    if line > _HEADER_WITHIN_ROWS:
                        break
                    texts = [_text(value) for value in row]
                    if is_header(texts):
                        header = _header(texts)
                        kinds = tuple(_kind(column) for column in header.columns)
                        return header, _rows(name, header, kinds, cells, book.epoch)
    except Refusal:
        raise
    except Exception:  # noqa: BLE001 - whatever a damaged archive makes a library raise, it is no workbook
        raise _damaged(name) from None
    text = "Ninguna hoja del libro tiene la cabecera del detalle de FUA (fua_id, fecha_atencion, …)."
    raise Refusal("mapping", "A-281", text, location=name)


def _measure(name: str, source: BinaryIO) -> None:
    """Refuse an archive that would unpack to too much, or that declares a document type."""
    try:
        with zipfile.ZipFile(source) as archive:
            is_large = _unpacks_to_too_much(archive.infolist())
            is_safe = is_large or not any(_declares_a_type(archive, item) for item in archive.infolist())
    except Exception:  # noqa: BLE001 - encrypted, cut off, or no archive at all
        raise _damaged(name) from None
    if is_large:
        raise _too_large(name)
    if not is_safe:
        raise _damaged(name)
    source.seek(0)


def _unpacks_to_too_much(members: list[zipfile.ZipInfo]) -> bool:
    """Whether the directory promises more than the bounds; nothing is ever unpacked beyond what it promises."""
    bounds = (
        _MAX_SHEET_BYTES if item.filename.startswith("xl/worksheets/") else _MAX_MEMBER_BYTES
        for item in members
    )
    return (
        len(members) > _MAX_MEMBERS
        or sum(item.file_size for item in members) > _MAX_ALL_BYTES
        or any(item.file_size > bound for item, bound in zip(members, bounds, strict=True))
    )


def _declares_a_type(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> bool:
    with archive.open(item) as member:
        start = member.read(_FIRST_BYTES).replace(b"\x00", b"").upper()
    return b"<!DOCTYPE" in start or b"<!ENTITY" in start


def _bounded(name: str, sheet: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
    for line, row in enumerate(sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS), 1):
        if line > MAX_ROWS:
            text = f"La hoja tiene más de {MAX_ROWS} filas. Exporte un periodo más corto."
            raise Refusal("mapping", "A-283", text, location=name)
        yield line, row


def _header(texts: list[str]) -> Header:
    while texts and not texts[-1]:
        texts.pop()
    line = BOM + _line(texts)
    return Header(line, "utf-8", ";", tuple(column_name(text) for text in texts))


def _kind(column: str) -> str:
    return "date" if column in DATES else "time" if column in TIMES else ""


def _rows(
    name: str,
    header: Header,
    kinds: tuple[str, ...],
    cells: Iterator[tuple[int, tuple[Any, ...]]],
    epoch: datetime,
) -> Iterator[Row]:
    try:
        for line, row in cells:
            values = [_cell(value, kind, epoch) for value, kind in zip(row, kinds, strict=False)]
            values += [""] * (len(kinds) - len(values))
            if not any(values):
                continue
            fault = "Una celda es demasiado larga." if max(map(len, values)) > MAX_CELL_LETTERS else ""
            values = [value[:MAX_CELL_LETTERS] for value in values]
            named = {} if fault else dict(zip(header.columns, values, strict=True))
            yield Row(line, _line(values), named, fault)
    except Refusal:
        raise
    except Exception:  # noqa: BLE001 - a sheet damaged in its middle
        raise _damaged(name) from None


def _cell(value: Any, kind: str, epoch: datetime) -> str:
    """A cell's text; a bare number in a column of dates is Excel's count of days."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and kind == "date" and 1 <= value <= _LAST_SERIAL:
        return _text(from_excel(value, epoch))
    if is_number and kind == "time" and 0 <= value < 1:
        return _text(from_excel(value, epoch))
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S" if value.time() != time() else "%Y-%m-%d")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.strftime("%H:%M:%S")
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        return str(int(value))
    # a line of its own in a cell would be a row of its own in the kept line
    return " ".join(str(value)[: MAX_CELL_LETTERS + 1].translate(CONTROLS).split())


def _line(values: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\n").writerow(values)
    return text.getvalue().encode("utf-8", "replace")


def _damaged(name: str) -> Refusal:
    text = "El libro de Excel está dañado o no se puede leer con seguridad. Ábralo, guárdelo de nuevo como .xlsx o CSV."
    return Refusal("mapping", "A-282", text, location=name)


def _too_large(name: str) -> Refusal:
    text = "El libro de Excel ocupa demasiado una vez abierto. Exporte un periodo más corto, o como CSV."
    return Refusal("mapping", "A-283", text, location=name)
