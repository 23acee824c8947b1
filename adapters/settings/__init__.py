"""The one commented file that a site edits, checked whole, with the line of whatever is wrong.

Spec:    docs/adapters.md, "Site file"; TOML 1.0, https://toml.io/en/v1.0.0.
Leaves:  what one kind of source needs to its own file here; opening folders, ports and databases to those who use
         them.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapters.settings.checker import Checker, is_safe_url, lines_of
from adapters.settings.consent import CONSENT_KEYS, ConsentSettings, check_consent
from adapters.settings.facility import LEVELS, RENIPRESS
from adapters.settings.fault import Fault, SettingsError
from adapters.settings.identifiers import RULE_KEYS, IdentifierRule, check_rules, identifier_kind
from adapters.settings.kinds import KINDS, Kind

__all__ = [
    "ENVIRONMENT",
    "Fault",
    "IdentifierRule",
    "Settings",
    "SettingsError",
    "identifier_kind",
    "read_settings",
]

_ID_PREFIX: Final = re.compile(r"^(?=.*[g-z])[a-z0-9]{2,19}$")  # the hub: an id of its own never begins so
_PROXY: Final = re.compile(
    r"^https?://[A-Za-z0-9.\-\[\]:]{1,255}/?$"
)  # without an account: no secret in this file
_SYSTEM: Final = re.compile(r"^[a-z0-9][a-z0-9-]{0,39}$")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an adapter knows about its site; `own` is what only its kind of source needs.

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
    surname_order: str
    identifier_rules: tuple[IdentifierRule, ...]
    code_folder: Path | None
    retry_first_seconds: float
    retry_cap_seconds: float
    timeout_seconds: float
    workers: int
    batch_records: int
    min_free_megabytes: int
    consent: ConsentSettings
    originals_days: int
    proxy: str | None = None
    metrics_file: Path | None = None
    own: Any = None
    path: Path = field(default=Path())


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
    "ADAPTER_DATABASE_URL": ("source", "url"),
    "ADAPTER_SOURCE_URL": ("source", "url"),
    "ADAPTER_CODE_FOLDER": ("codes", "folder"),
    "ADAPTER_PROXY": ("hub", "proxy"),
    "ADAPTER_CONSENT_MODE": ("consent", "mode"),
    "ADAPTER_CONSENT_FILE": ("consent", "file"),
    "ADAPTER_CONSENT_REASON": ("consent", "reason"),
    "ADAPTER_ORIGINALS_DAYS": ("originals", "days"),
    "ADAPTER_METRICS_FILE": ("metrics", "file"),
    "ADAPTER_RETRY_FIRST_SECONDS": ("retry", "first_seconds"),
    "ADAPTER_RETRY_CAP_SECONDS": ("retry", "cap_seconds"),
    "ADAPTER_TIMEOUT_SECONDS": ("retry", "timeout_seconds"),
    "ADAPTER_WORKERS": ("retry", "workers"),
    "ADAPTER_BATCH_RECORDS": ("retry", "batch_records"),
}

_KNOWN: Final[dict[str, frozenset[str]]] = {
    "facility": frozenset({"renipress", "name", "level", "zone"}),
    "hub": frozenset({"url", "client_id", "id_prefix", "scope", "proxy"}),
    "storage": frozenset({"data_folder", "min_free_megabytes"}),
    "source": frozenset({
        "kind", "system", "folder", "pattern", "settle_seconds", "poll_seconds", "surname_order",
    }).union(*(kind.keys for kind in KINDS.values())),
    "identifier": RULE_KEYS,
    "codes": frozenset({"folder"}),
    "consent": CONSENT_KEYS,
    "originals": frozenset({"days"}),
    "metrics": frozenset({"file"}),
    "retry": frozenset({"first_seconds", "cap_seconds", "timeout_seconds", "workers", "batch_records"}),
} | {section: keys for kind in KINDS.values() for section, keys in kind.sections.items()}  # fmt: skip


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
    checker = Checker(tables, lines_of(text), path)
    settings = _checked(checker)
    if checker.faults:
        raise SettingsError(sorted(checker.faults, key=lambda fault: fault.line or 0))
    return settings


def _checked(checker: Checker) -> Settings:
    checker.refuse_unknown(_KNOWN)
    text, number = checker.text, checker.number
    remedy = "debe tener 8 dígitos, por ejemplo 00005196"
    renipress = text("facility", "renipress", RENIPRESS.match, remedy)
    source_kind = text("source", "kind", KINDS.__contains__, f"debe ser uno de {', '.join(KINDS)}")
    kind = KINDS.get(source_kind, Kind(""))
    return Settings(
        renipress=renipress,
        facility_name=text("facility", "name", bool, "escriba el nombre del establecimiento"),
        level=text("facility", "level", LEVELS.__contains__, f"debe ser uno de {', '.join(LEVELS)}"),
        client_id=text("hub", "client_id", bool, "escriba el identificador que le dio la región"),
        scope=text("hub", "scope", bool, "escriba los permisos que pide al hub", "system/*.cu"),
        id_prefix=text(
            "hub", "id_prefix", _ID_PREFIX.match, "use 2 a 19 minúsculas y dígitos", f"i{renipress}"
        ),
        hub_url=text("hub", "url", is_safe_url, "debe empezar con https://").rstrip("/"),
        data_folder=checker.file("storage", "data_folder") or Path(),
        zone=checker.zone("facility", "zone"),
        source_kind=source_kind,
        source_system=text(
            "source", "system", _SYSTEM.match, "use minúsculas, dígitos y guiones", kind.system
        ),
        source_folder=checker.file("source", "folder", is_needed=bool(kind.pattern)),
        file_pattern=text("source", "pattern", bool, "escriba un patrón como *.csv", kind.pattern),
        settle_seconds=number("source", "settle_seconds", 2.0, 0.0, 3600.0),
        poll_seconds=number("source", "poll_seconds", 30.0, 0.05, 86400.0),
        surname_order=text(
            "source",
            "surname_order",
            {"given", "maternal"}.__contains__,
            "debe ser given (PID-5.3 es otro nombre) o maternal (PID-5.3 es el apellido materno)",
            "given",
        ),
        identifier_rules=check_rules(checker),
        code_folder=checker.file("codes", "folder", is_needed=False),
        retry_first_seconds=number("retry", "first_seconds", 1.0, 0.01, 600.0),
        retry_cap_seconds=number("retry", "cap_seconds", 300.0, 0.01, 86400.0),
        timeout_seconds=number("retry", "timeout_seconds", 60.0, 0.1, 600.0),
        workers=int(number("retry", "workers", 4, 1, 16)),
        batch_records=int(number("retry", "batch_records", 100, 1, 500)),
        min_free_megabytes=int(number("storage", "min_free_megabytes", 100, 0, 1_000_000)),
        consent=check_consent(checker, source_kind),
        originals_days=int(number("originals", "days", 90, 0, 3650)),
        proxy=text("hub", "proxy", _PROXY.match, "debe ser http://servidor:puerto", "") or None,
        metrics_file=checker.file("metrics", "file", is_needed=False),
        own=kind.check(checker),
        path=checker.path,
    )
