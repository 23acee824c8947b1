"""Codes of a site turned into standard ones by tables that the site may edit; what is unknown stays text.

Spec:    https://hl7.org/fhir/R4/datatypes.html#CodeableConcept; docs/adapters.md, "Code tables".
Leaves:  counting what had no translation to the outbox, and validating standard codes to the hub.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from exchange.fhir.peru import CIE10_SYSTEM

_CIE10: Final = re.compile(r"^([A-Z]\d{2})\.?(\d[0-9A-Z]?|X)?$")
# MINSA reuses most of chapter U for administrative acts: only the codes that WHO assigned are diagnoses.
_ASSIGNED_U: Final = frozenset(
    {"U04", "U06", "U07", "U08", "U09", "U10", "U11", "U12", "U82", "U83", "U84", "U85"}
)
_COLUMNS: Final = ("code", "system", "target", "display")


# Units whose local spelling is already UCUM's.
_UCUM: Final = frozenset(
    {
        "%", "/min", "10*12/L", "10*3/uL", "10*6/uL", "10*9/L", "Cel", "U/L", "[IU]/L", "a",
        "cm", "d", "fL", "g", "g/L", "g/dL", "h", "kPa", "kg", "kg/m2", "m", "mEq/L", "meq/L",
        "mL", "mL/min", "mg", "mg/L", "mg/dL", "min", "mm", "mm/h", "mm[Hg]", "mmol/L", "mo",
        "ng/dL", "ng/mL", "pg", "pg/mL", "s", "ug/L", "ug/dL", "umol/L", "wk",
    }
)  # fmt: skip


class CodeTableError(Exception):
    """A code table that cannot be read, in words for the IT desk, with its line."""


@dataclass(frozen=True, slots=True)
class Coding:
    """A standard code: system, code, display."""

    system: str
    code: str
    display: str = ""

    def as_fhir(self) -> dict[str, str]:
        """The FHIR Coding, whose code has no two spaces in a row."""
        result = {"system": self.system, "code": " ".join(self.code.split())}
        if self.display:
            result["display"] = self.display
        return result


@dataclass(frozen=True, slots=True)
class CodeMap:
    """The tables of a site: name of the table → local code, upper case → standard code."""

    tables: dict[str, dict[str, Coding]] = field(default_factory=dict)

    def find(self, table: str, code: str) -> Coding | None:
        """The standard code of a local one, or None: never a guess."""
        return self.tables.get(table, {}).get(code.strip().upper())


def read_code_tables(folder: Path | None) -> CodeMap:
    """Read every `*.csv` of a folder; the name of the file is the name of the table.

    Raises: CodeTableError - a table lacks a column or a value.
    """
    if folder is None:
        return CodeMap()
    if not folder.is_dir():
        message = f"A-121 No existe la carpeta de tablas de códigos {folder}. Revise [codes] folder."
        raise CodeTableError(message)
    return CodeMap({path.stem: _read_table(path) for path in sorted(folder.glob("*.csv"))})


def ucum(code_map: CodeMap, unit: str) -> str | None:
    """The UCUM code of a unit: itself where it is one, else what the site's table `units` says."""
    if unit in _UCUM:
        return unit
    found = code_map.find("units", unit)
    return found.code if found else None


def _read_table(path: Path) -> dict[str, Coding]:
    table: dict[str, Coding] = {}
    text = path.read_text("utf-8-sig")
    first = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(), delimiter=";" if ";" in first else ",")
    if tuple(reader.fieldnames or ()) != _COLUMNS:
        message = f"A-122 {path.name}, línea 1: las columnas deben ser {';'.join(_COLUMNS)}."
        raise CodeTableError(message)
    for row in reader:
        if not (row["code"] and row["system"] and row["target"]):
            message = f"A-123 {path.name}, línea {reader.line_num}: falta code, system o target."
            raise CodeTableError(message)
        table[row["code"].strip().upper()] = Coding(row["system"], row["target"], row["display"] or "")
    return table


def cie10(code: str) -> str | None:
    """`F101` → `F10.1`, `A09X` → `A09`; None where the text is no CIE-10 diagnosis."""
    found = _CIE10.match(code.strip().upper())
    if not found:
        return None
    category, rest = found.groups()
    if category[0] == "U" and category not in _ASSIGNED_U:
        return None
    return f"{category}.{rest}" if rest and rest != "X" else category


def concept(original: Coding, *standards: Coding | None, text: str = "") -> dict[str, Any]:
    """A CodeableConcept: standard codes first, the original beside them, and the words as they were."""
    codings = [item.as_fhir() for item in standards if item is not None]
    if original.code and original.system:
        codings.append(original.as_fhir())
    result: dict[str, Any] = {}
    if codings:
        result["coding"] = codings
    words = text or original.display or original.code
    if words:
        result["text"] = words
    return result


def cie10_coding(code: str, display: str = "") -> Coding | None:
    """The ICD-10 coding of a HIS or HL7 diagnosis code."""
    dotted = cie10(code)
    return Coding(CIE10_SYSTEM, dotted, display) if dotted else None
