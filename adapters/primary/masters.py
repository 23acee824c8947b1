"""The masters that come beside a trama: staff, facilities, items; and the post that reads them.

Spec:    docs/adapters.md, "HIS": MaestroPersonal, MAESTRO_HIS_ESTABLECIMIENTO, MAESTRO_HIS_CIE_CPMS.
Leaves:  patients to `patients`, since each becomes a record of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

from adapters.code_map import CodeMap
from adapters.primary.tables import Row, Table
from adapters.source_record import Origin, Resource
from adapters.source_record.facility import eight_digits
from adapters.source_record.person import clean_name
from exchange.fhir.peru import CMP_SYSTEM

_NO_COLLEGE: Final = frozenset({"", "0", "00"})


@dataclass(frozen=True, slots=True)
class Post:
    """A first-level site that exports from HIS."""

    origin: Origin
    zone: ZoneInfo
    codes: CodeMap
    internal_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """What the master says about an item: its kind (`CX` CIE-10, `CP` CPMS), its words, its vaccine."""

    kind: str
    text: str
    cvx: str = ""


@dataclass(slots=True)
class Masters:
    """Everything that visits are read with. Absent masters are empty: nothing is invented for them."""

    staff: dict[str, Row] = field(default_factory=dict)
    facilities: dict[str, str] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    patients: set[str] = field(default_factory=set)

    def add(self, table: Table) -> None:
        """Take a master; later rows of the same key replace earlier ones."""
        for row in table.rows:
            if row.fault:
                continue
            if table.kind == "staff":
                self.staff[row.get("Id_Personal")] = row
            elif table.kind == "facilities":
                self.facilities[row.get("Id_Establecimiento")] = row.get("Codigo_Unico")
            elif table.kind == "items":
                text, cvx = row.get("Descripcion_Item"), row.get("Codigo_CVX")
                self.items[row.get("Codigo_Item").upper()] = Item(row.get("Fg_Tipo").upper(), text, cvx)
            elif table.kind == "patients":
                self.patients.add(row.get("Id_Paciente"))

    def renipress(self, post: Post, code: str) -> str | None:
        """The RENIPRESS code of 8 digits behind a code of 5, 8 or 9, or behind an internal number of HIS."""
        known = post.internal_ids.get(code) or self.facilities.get(code)
        return eight_digits(known) if known else eight_digits(code)

    def practitioner(self, personal_id: str) -> Resource | None:
        """Who attended, by college number and name; the directory of professionals is the hub's."""
        row = self.staff.get(personal_id)
        if row is None:
            return None
        names = ("Nombres_Personal", "Apellido_Paterno_Personal", "Apellido_Materno_Personal")
        display = " ".join(name for column in names if (name := clean_name(row.get(column))))
        result: Resource = {}
        college, number = row.get("Id_Colegio"), row.get("Numero_Colegiatura")
        if number and college not in _NO_COLLEGE:
            result = {
                "type": "Practitioner",
                "identifier": {"system": CMP_SYSTEM, "value": f"{college}-{number}"},
            }
        if display:
            result["display"] = display
        return result or None
