"""The hospital's column map: which table and column hold each field, and what its codes mean.

Spec:    docs/adapters.md, "GalenHos"; TOML 1.0, https://toml.io/en/v1.0.0.
Leaves:  whether the tables are there to `database`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from adapters.galenhos.fields import KINDS
from adapters.settings import Fault, SettingsError

_NAME: Final = re.compile(r"^[A-Za-z_][\w $#]{0,127}$")
_TABLE: Final = re.compile(r"^(?:[A-Za-z_][\w $#]{0,127}\.){0,2}[A-Za-z_][\w $#]{0,127}$")
_ENTITY_KEYS: Final = frozenset({
    "table", "key", "changed_at", "parent", "parent_field", "columns", "values", "join", "only",
})  # fmt: skip
_JOIN_KEYS: Final = frozenset({"table", "on", "key", "columns"})
_VIA: Final = "via_"  # a field that only leads to a further table
_MAX_MAP_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Join:
    """Words or codes of another table, by its key: `on` is the field that holds it. `line` is the map's."""

    table: str
    on: str
    key: str
    columns: Mapping[str, str]
    line: int


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity's table: field → column, field → its codes' meaning, and the rows that count."""

    name: str
    table: str
    key: str
    changed_at: str
    parent: str
    parent_field: str
    columns: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]
    joins: tuple[Join, ...]
    only: Mapping[str, str | int]
    line: int
    lines: Mapping[str, int] = field(default_factory=dict)

    def meaning(self, name: str, code: str) -> str | None:
        """What a code of the hospital means, where its map says so."""
        return self.values.get(name, {}).get(code)


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """The map of one hospital; entities that it does not name are not read."""

    entities: Mapping[str, Entity]

    def __getitem__(self, name: str) -> Entity:
        return self.entities[name]

    def get(self, name: str) -> Entity | None:
        """An entity, where the hospital has it."""
        return self.entities.get(name)


def read_column_map(path: Path) -> ColumnMap:
    """Read a column map and check all of it.

    Raises: SettingsError - A-141, with every fault and its line.
    """
    try:
        raw = path.read_bytes()[: _MAX_MAP_BYTES + 1]
        text = raw.decode("utf-8")
        tables = tomllib.loads(text) if len(raw) <= _MAX_MAP_BYTES else None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        tables = None
    if tables is None:
        what = (
            f"No se puede leer el mapa de columnas {path.name}: revise la ruta, UTF-8, comillas y corchetes."
        )
        raise SettingsError([Fault("A-141", what)])
    reader = _Reader(_lines_of(text), path.name)
    found = {name: reader.entity(name, content) for name, content in tables.items()}
    for name in ("attention", "patient"):
        if name not in tables:
            reader.fault("", f"falta la sección [{name}]")
    for name, kind in KINDS.items():
        if name in tables and kind.parent and kind.parent not in tables:
            reader.fault(name, f"[{name}] necesita la sección [{kind.parent}]")
    if reader.faults:
        raise SettingsError(sorted(reader.faults, key=lambda fault: fault.line or 0))
    return ColumnMap({name: entity for name, entity in found.items() if entity is not None})


def _lines_of(text: str) -> dict[str, int]:
    """The line of every section and key; of arrays of tables the n-th is `name[n]`."""
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"^\s*(\[+)\s*([\w.-]+)\s*\]+", line):
            section = found.group(2)
            if len(found.group(1)) > 1:
                counts[section] = counts.get(section, -1) + 1
                section = f"{section}[{counts[section]}]"
            lines.setdefault(section, number)
        elif found := re.match(r'^\s*"?([\w-]+)"?\s*=', line):
            lines.setdefault(f"{section}.{found.group(1)}", number)
    return lines


class _Reader:
    """Checks entity by entity, and gathers what is wrong."""

    def __init__(self, lines: Mapping[str, int], name: str) -> None:
        self.lines = lines
        self.name = name
        self.faults: list[Fault] = []

    def fault(self, place: str, text: str) -> None:
        while place and place not in self.lines:
            place = place.rpartition(".")[0]
        self.faults.append(Fault("A-141", f"{self.name}: {text}", self.lines.get(place)))

    def entity(self, name: str, content: Any) -> Entity | None:
        kind = KINDS.get(name)
        if kind is None or not isinstance(content, dict):
            self.fault(name, f"no se conoce la sección [{name}]; use {', '.join(KINDS)}")
            return None
        for key in content.keys() - _ENTITY_KEYS:
            self.fault(f"{name}.{key}", f"no se conoce {key} en [{name}]")
        before = len(self.faults)
        columns = self._columns(f"{name}.columns", content.get("columns", {}), kind.fields)
        joins = self._joins(name, content.get("join", []), kind.fields, columns)
        told = columns.keys() | {column for join in joins for column in join.columns}
        for missing in sorted(kind.needed - told):
            self.fault(f"{name}.columns", f"[{name}.columns] no dice qué columna es {missing}")
        values = self._values(name, content.get("values", {}))
        for coded in sorted(kind.coded.keys() & told - values.keys()):
            self.fault(f"{name}.columns.{coded}", f"falta [{name}.values.{coded}]: qué significa cada código")
        parent_field = content.get("parent_field", "key")
        parent = ""
        if kind.parent:
            parent = self._text(f"{name}.parent", content.get("parent"), _NAME)
            allowed = {"key", *KINDS[kind.parent].fields}
            if not isinstance(parent_field, str) or parent_field not in allowed:
                self.fault(
                    f"{name}.parent_field", f"parent_field de [{name}] debe ser un campo de [{kind.parent}]"
                )
        table = self._text(f"{name}.table", content.get("table"), _TABLE)
        key = self._text(f"{name}.key", content.get("key"), _NAME)
        changed = content.get("changed_at")
        changed_at = self._text(f"{name}.changed_at", changed, _NAME) if changed is not None else ""
        only = content.get("only", {})
        if not isinstance(only, dict) or not all(
            _NAME.match(column) and isinstance(value, str | int) for column, value in only.items()
        ):
            self.fault(f"{name}.only", f'only de [{name}] debe ser {{ Columna = "valor" }}')
        if len(self.faults) > before:
            return None
        lines = {
            place: line for place, line in self.lines.items() if place.split(".")[0].split("[")[0] == name
        }
        line = self.lines.get(name, 0)
        return Entity(
            name,
            table,
            key,
            changed_at,
            parent,
            str(parent_field),
            columns,
            values,
            joins,
            dict(only),
            line,
            lines,
        )

    def _text(self, place: str, value: Any, form: re.Pattern[str]) -> str:
        if isinstance(value, str) and form.match(value):
            return value
        self.fault(place, f"{place} debe ser el nombre de una tabla o columna")
        return ""

    def _columns(self, place: str, content: Any, fields: frozenset[str]) -> dict[str, str]:
        if not isinstance(content, dict):
            self.fault(place, f"[{place}] debe ser una sección")
            return {}
        found = {}
        for name, column in content.items():
            if name not in fields and not name.startswith(_VIA):
                self.fault(f"{place}.{name}", f"no se conoce el campo {name} en [{place}]")
            else:
                found[name] = self._text(f"{place}.{name}", column, _NAME)
        return found

    def _joins(
        self, name: str, content: Any, fields: frozenset[str], columns: Mapping[str, str]
    ) -> tuple[Join, ...]:
        joins: list[Join] = []
        known = {"key", *columns}
        for number, part in enumerate(content if isinstance(content, list) else [content]):
            place = f"{name}.join[{number}]"
            if not isinstance(part, dict) or part.keys() != _JOIN_KEYS or str(part["on"]) not in known:
                self.fault(place, f"cada [[{name}.join]] lleva table, on (un campo ya leído), key y columns")
                continue
            table = self._text(f"{place}.table", part["table"], _TABLE)
            key = self._text(f"{place}.key", part["key"], _NAME)
            told = self._columns(f"{place}.columns", part["columns"], fields)
            known |= told.keys()
            joins.append(Join(table, part["on"], key, told, self.lines.get(place, 0)))
        return tuple(joins)

    def _values(self, name: str, content: Any) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for field_name, codes in content.items() if isinstance(content, dict) else ():
            place = f"{name}.values.{field_name}"
            allowed = KINDS[name].coded.get(field_name)
            if allowed is None or not isinstance(codes, dict):
                self.fault(place, f"[{place}] no es un campo con códigos; use {', '.join(KINDS[name].coded)}")
                continue
            for code, meaning in codes.items():
                if not isinstance(meaning, str) or meaning not in allowed:
                    self.fault(
                        f"{place}.{code}", f"{place}: {code} debe ser uno de {', '.join(sorted(allowed))}"
                    )
            found[field_name] = {str(code): str(meaning) for code, meaning in codes.items()}
        return found
