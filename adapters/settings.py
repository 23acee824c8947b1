"""The one commented file that a site edits, checked whole, with the line of whatever is wrong.

Spec:    docs/adapters.md, "Site file"; TOML 1.0, https://toml.io/en/v1.0.0.
Leaves:  opening folders, ports and databases to those who use them.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SOURCE_KINDS: Final = ("his-trama", "hl7v2-mllp", "hl7v2-folder", "ccda-folder")
LEVELS: Final = ("I-1", "I-2", "I-3", "I-4", "II-1", "II-2", "II-E", "III-1", "III-2", "III-E")
_RENIPRESS: Final = re.compile(r"^\d{8}$")
_ID_PREFIX: Final = re.compile(r"^(?=.*[g-z])[a-z0-9]{2,19}$")  # the hub: an id of its own never begins so
_SYSTEM: Final = re.compile(r"^[a-z0-9][a-z0-9-]{0,39}$")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a site file: where, and what to do about it."""

    code: str
    text: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"línea {self.line}: " if self.line else ""
        return f"{self.code} {place}{self.text}"


class SettingsError(Exception):
    """A site file that cannot be used; `faults` has everything that is wrong, not the first thing only."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class IdentifierRule:
    """What an identifier is, by who assigned it and its type at the source; `*` stands for anything."""

    kind: str
    authority: str = "*"
    type: str = "*"
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an adapter knows about its site.

    Units:  seconds, bytes and megabytes as the names say; renipress has 8 digits.
    """

    renipress: str
    facility_name: str
    level: str
    client_id: str
    scope: str
    id_prefix: str
    hub_url: str
    data_folder: Path
    zone: ZoneInfo
    source_kind: str
    source_system: str
    source_folder: Path | None
    file_pattern: str
    settle_seconds: float
    poll_seconds: float
    mllp_host: str
    mllp_port: int
    mllp_idle_seconds: float
    max_message_bytes: int
    max_connections: int
    surname_order: str
    internal_ids: Mapping[str, str]
    identifier_rules: tuple[IdentifierRule, ...]
    code_folder: Path | None
    retry_first_seconds: float
    retry_cap_seconds: float
    timeout_seconds: float
    workers: int
    batch_records: int
    min_free_megabytes: int
    path: Path = field(default=Path())

    @property
    def is_listener(self) -> bool:
        """Whether records come in over a port instead of a folder."""
        return self.source_kind == "hl7v2-mllp"


# What identifiers are where a site's own rules say nothing: types of HL7 table 0203 and of local use.
DEFAULT_RULES: Final = (
    IdentifierRule("dni", type="DNI"),
    IdentifierRule("dni", authority="RENIEC", type="NI"),
    IdentifierRule("dni", authority="RENIEC", type=""),
    IdentifierRule("ce", type="CE"),
    IdentifierRule("ce", authority="MIGRACIONES", type=""),
    IdentifierRule("passport", type="PAS"),
    IdentifierRule("passport", type="PPN"),
    IdentifierRule("cnv", type="CNV"),
    IdentifierRule("cnv", type="BCT"),
    IdentifierRule("hc", type="HC"),
    *(IdentifierRule("hc-*", type=name) for name in ("MR", "MRN", "PI", "PT", "")),
    IdentifierRule("id-*"),
)


def identifier_kind(rules: tuple[IdentifierRule, ...], authority: str, kind: str) -> tuple[str, str | None]:
    """What an identifier is, and its system where a rule names one: the first rule that fits.

    A local number of another assigner gets a kind of its own (`hc-lab`): two may give one number twice.
    """
    authority, kind = authority.strip().upper(), kind.strip().upper()
    for rule in (*rules, *DEFAULT_RULES):
        if rule.authority.upper() in {"*", authority} and rule.type.upper() in {"*", kind}:
            if not rule.kind.endswith("-*"):
                return rule.kind, rule.system
            family = rule.kind.removesuffix("-*")
            named = authority if family == "hc" else f"{authority}-{kind}"
            slug = re.sub(r"[^a-z0-9]+", "-", named.lower()).strip("-")[:40]
            return f"{family}-{slug}".rstrip("-"), None
    return "hc", None


ENVIRONMENT: Final[dict[str, tuple[str, str]]] = {
    "ADAPTER_RENIPRESS": ("facility", "renipress"),
    "ADAPTER_FACILITY_NAME": ("facility", "name"),
    "ADAPTER_LEVEL": ("facility", "level"),
    "ADAPTER_HUB_URL": ("hub", "url"),
    "ADAPTER_CLIENT_ID": ("hub", "client_id"),
    "ADAPTER_SCOPE": ("hub", "scope"),
    "ADAPTER_ID_PREFIX": ("hub", "id_prefix"),
    "ADAPTER_DATA_FOLDER": ("storage", "data_folder"),
    "ADAPTER_SOURCE_FOLDER": ("source", "folder"),
    "ADAPTER_SOURCE_KIND": ("source", "kind"),
    "ADAPTER_SETTLE_SECONDS": ("source", "settle_seconds"),
    "ADAPTER_POLL_SECONDS": ("source", "poll_seconds"),
    "ADAPTER_MLLP_HOST": ("source", "mllp_host"),
    "ADAPTER_MLLP_PORT": ("source", "mllp_port"),
    "ADAPTER_CODE_FOLDER": ("codes", "folder"),
    "ADAPTER_RETRY_FIRST_SECONDS": ("retry", "first_seconds"),
    "ADAPTER_RETRY_CAP_SECONDS": ("retry", "cap_seconds"),
    "ADAPTER_TIMEOUT_SECONDS": ("retry", "timeout_seconds"),
    "ADAPTER_WORKERS": ("retry", "workers"),
    "ADAPTER_BATCH_RECORDS": ("retry", "batch_records"),
}

_KNOWN: Final[dict[str, frozenset[str]]] = {
    "facility": frozenset({"renipress", "name", "level", "zone"}),
    "hub": frozenset({"url", "client_id", "id_prefix", "scope"}),
    "storage": frozenset({"data_folder", "min_free_megabytes"}),
    "source": frozenset({
        "kind", "system", "folder", "pattern", "settle_seconds", "poll_seconds", "mllp_host", "mllp_port",
        "idle_seconds", "max_message_bytes", "max_connections", "surname_order", "internal_ids",
    }),
    "identifier": frozenset({"authority", "type", "kind", "system"}),
    "codes": frozenset({"folder"}),
    "retry": frozenset({"first_seconds", "cap_seconds", "timeout_seconds", "workers", "batch_records"}),
}  # fmt: skip


def read_settings(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read a site file, let the environment replace single values, and check all of it.

    Raises: SettingsError - with every fault and its line.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        text_fault = f"No se puede leer {path}. Revise la ruta y que el archivo esté en UTF-8."
        raise SettingsError([Fault("A-101", text_fault)]) from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found.group(1)) if found else None
        fault = Fault("A-102", "El archivo no es TOML válido: revise comillas, corchetes y el signo =.", line)
        raise SettingsError([fault]) from None
    for name, (table, key) in ENVIRONMENT.items():
        value = (os.environ if environment is None else environment).get(name)
        if value is not None:
            section = tables.setdefault(table, {})
            if isinstance(section, dict):
                section[key] = value
    return _Checker(tables, _lines_of(text), path).settings()


def _lines_of(text: str) -> dict[str, int]:
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


class _Checker:
    """Takes values out of the tables, one check each, and gathers what is wrong."""

    def __init__(self, tables: dict[str, Any], lines: dict[str, int], path: Path) -> None:
        self.tables = tables
        self.lines = lines
        self.path = path
        self.faults: list[Fault] = []

    def settings(self) -> Settings:
        self._refuse_unknown()
        renipress = self._text(
            "facility", "renipress", _RENIPRESS.match, "debe tener 8 dígitos, por ejemplo 00005196"
        )
        kind = self._text(
            "source", "kind", lambda text: text in SOURCE_KINDS, f"debe ser uno de {', '.join(SOURCE_KINDS)}"
        )
        is_listener = kind == "hl7v2-mllp"
        default_system = {"his-trama": "his", "ccda-folder": "ccda"}.get(kind, "hl7v2")
        default_pattern = {"his-trama": "*.csv", "ccda-folder": "*.xml"}.get(kind, "*.hl7")
        settings = Settings(
            renipress=renipress,
            facility_name=self._text("facility", "name", bool, "escriba el nombre del establecimiento"),
            level=self._text(
                "facility", "level", lambda text: text in LEVELS, f"debe ser uno de {', '.join(LEVELS)}"
            ),
            client_id=self._text("hub", "client_id", bool, "escriba el identificador que le dio la región"),
            scope=self._text("hub", "scope", bool, "escriba los permisos que pide al hub", "system/*.cu"),
            id_prefix=self._text(
                "hub", "id_prefix", _ID_PREFIX.match, "use 2 a 19 minúsculas y dígitos", f"i{renipress}"
            ),
            hub_url=self._text("hub", "url", _is_safe_url, "debe empezar con https://").rstrip("/"),
            data_folder=self._path("storage", "data_folder") or Path(),
            zone=self._zone(),
            source_kind=kind,
            source_system=self._text(
                "source", "system", _SYSTEM.match, "use minúsculas, dígitos y guiones", default_system
            ),
            source_folder=self._path("source", "folder", is_needed=not is_listener),
            file_pattern=self._text(
                "source", "pattern", bool, "escriba un patrón como *.csv", default_pattern
            ),
            settle_seconds=self._number("source", "settle_seconds", 2.0, 0.0, 3600.0),
            poll_seconds=self._number("source", "poll_seconds", 30.0, 0.05, 86400.0),
            mllp_host=self._text(
                "source", "mllp_host", bool, "escriba la dirección en la que escucha", "127.0.0.1"
            ),
            mllp_port=int(self._number("source", "mllp_port", 2575, 0, _MAX_PORT)),
            mllp_idle_seconds=self._number("source", "idle_seconds", 300.0, 0.1, 86400.0),
            max_message_bytes=int(self._number("source", "max_message_bytes", 16_000_000, 1000, 200_000_000)),
            max_connections=int(self._number("source", "max_connections", 32, 1, 1000)),
            surname_order=self._text(
                "source",
                "surname_order",
                lambda text: text in {"given", "maternal"},
                "debe ser given (PID-5.3 es otro nombre) o maternal (PID-5.3 es el apellido materno)",
                "given",
            ),
            internal_ids=self._internal_ids(),
            identifier_rules=self._rules(),
            code_folder=self._path("codes", "folder", is_needed=False),
            retry_first_seconds=self._number("retry", "first_seconds", 1.0, 0.01, 600.0),
            retry_cap_seconds=self._number("retry", "cap_seconds", 300.0, 0.01, 86400.0),
            timeout_seconds=self._number("retry", "timeout_seconds", 60.0, 0.1, 600.0),
            workers=int(self._number("retry", "workers", 4, 1, 16)),
            batch_records=int(self._number("retry", "batch_records", 20, 1, 100)),
            min_free_megabytes=int(self._number("storage", "min_free_megabytes", 100, 0, 1_000_000)),
            path=self.path,
        )
        if self.faults:
            raise SettingsError(sorted(self.faults, key=lambda fault: fault.line or 0))
        return settings

    def _refuse_unknown(self) -> None:
        for table, content in self.tables.items():
            if table not in _KNOWN:
                self._fault("A-103", table, f"no se conoce la sección [{table}]; corrija o borre la línea")
                continue
            for part in content if isinstance(content, list) else [content]:
                if not isinstance(part, dict):
                    self._fault("A-103", table, f"{table} debe ser una sección")
                    continue
                for key in part.keys() - _KNOWN[table]:
                    self._fault(
                        "A-103",
                        f"{table}.{key}",
                        f"no se conoce {key} en [{table}]; corrija o borre la línea",
                    )

    def _fault(self, code: str, place: str, text: str) -> None:
        line = self.lines.get(place) or self.lines.get(place.partition(".")[0])
        self.faults.append(Fault(code, text, line))

    def _value(self, table: str, key: str) -> Any:
        section = self.tables.get(table, {})
        return section.get(key) if isinstance(section, dict) else None

    def _text(
        self, table: str, key: str, is_good: Callable[[str], Any], remedy: str, default: str | None = None
    ) -> str:
        value = self._value(table, key)
        if value is None and default is not None:
            return default
        if value is None:
            self._fault("A-104", f"{table}.{key}", f"falta {key} en [{table}]: {remedy}")
            return ""
        if not isinstance(value, str) or not is_good(value):
            self._fault("A-105", f"{table}.{key}", f"{key} en [{table}] no es válido: {remedy}")
            return ""
        return value

    def _number(self, table: str, key: str, default: float, low: float, high: float) -> float:
        value = self._value(table, key)
        if value is None:
            return default
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if isinstance(value, bool) or not low <= number <= high:
            self._fault(
                "A-106", f"{table}.{key}", f"{key} en [{table}] debe ser un número entre {low:g} y {high:g}"
            )
            return default
        return number

    def _path(self, table: str, key: str, *, is_needed: bool = True) -> Path | None:
        value = self._value(table, key)
        if value is None and not is_needed:
            return None
        text = self._text(table, key, bool, "escriba la ruta de una carpeta")
        return (self.path.parent / text) if text else None

    def _zone(self) -> ZoneInfo:
        name = self._text("facility", "zone", bool, "escriba una zona horaria", "America/Lima")
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            self._fault("A-107", "facility.zone", "zone en [facility] no existe; use America/Lima")
            return ZoneInfo("UTC")

    def _internal_ids(self) -> dict[str, str]:
        value = self._value("source", "internal_ids")
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(
            isinstance(item, str) and _RENIPRESS.match(item) for item in value.values()
        ):
            self._fault("A-108", "source.internal_ids", 'internal_ids debe ser { "39058" = "00029333" }')
            return {}
        return dict(value)

    def _rules(self) -> tuple[IdentifierRule, ...]:
        rules = []
        tables = self.tables.get("identifier", [])
        for part in tables if isinstance(tables, list) else [tables]:
            if not isinstance(part, dict) or not all(isinstance(item, str) for item in part.values()):
                self._fault(
                    "A-109", "identifier", "cada [[identifier]] lleva textos: authority, type, kind, system"
                )
            elif not _SYSTEM.match(part.get("kind", "")):
                self._fault(
                    "A-109",
                    "identifier.kind",
                    "a un [[identifier]] le falta kind (dni, ce, passport, die, cnv, hc, ignore)",
                )
            else:
                known = {key: part[key] for key in _KNOWN["identifier"] & part.keys()}
                rules.append(IdentifierRule(**known))
        return tuple(rules)


def _is_safe_url(text: str) -> bool:
    """Whether a hub may be spoken to at this URL: https, or loopback for a demonstration."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))
