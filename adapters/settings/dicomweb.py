"""What the reading of an image archive over DICOMweb needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from adapters.settings.checker import Checker
from adapters.settings.galenhos import Hours
from adapters.settings.hours import hours_of
from adapters.settings.web import WEB_KEYS, WebAccess, check_web

DICOMWEB_KEYS: Final = WEB_KEYS | {
    "region_url", "changes_url", "since", "reread_days", "page_studies", "compare_hours", "compare_days",
    "accession_system",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DicomwebSettings:
    """An image archive. `region_url` is where the region's systems may fetch images; nothing where they may not.

    Units:  days as the names say; page_studies is a count.
    """

    access: WebAccess
    region_url: str
    changes_url: str
    since: date | None
    reread_days: int
    page_studies: int
    compare_hours: Hours | None
    compare_days: int
    accession_system: str


def check_dicomweb(checker: Checker) -> DicomwebSettings:
    """The keys of the archive in `[source]`."""
    return DicomwebSettings(
        access=check_web(checker),
        region_url=checker.text(
            "source",
            "region_url",
            _is_https,
            "escriba la dirección WADO-RS que alcanza la región, con https://",
            "",
        ).rstrip("/"),
        changes_url=checker.text(
            "source",
            "changes_url",
            _is_http,
            "escriba la raíz REST de Orthanc, como http://127.0.0.1:8042",
            "",
        ).rstrip("/"),
        since=day_of(checker, "since"),
        reread_days=int(checker.number("source", "reread_days", 7, 0, 366)),
        page_studies=int(checker.number("source", "page_studies", 100, 1, 1000)),
        compare_hours=hours_of(checker, "compare_hours"),
        compare_days=int(checker.number("source", "compare_days", 365, 1, 36_500)),
        accession_system=checker.text("source", "accession_system", bool, "escriba el system del pedido", ""),
    )


def day_of(checker: Checker, key: str) -> date | None:
    """A day of `[source]`, written as a date or as text."""
    value: Any = checker.value("source", key)
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            value = 0
    if value is not None and type(value) is not date:
        checker.fault("A-105", f"source.{key}", f'{key} en [source] debe ser una fecha como "2026-01-01"')
        return None
    return value


def _is_https(text: str) -> bool:
    return text.startswith(("https://", "http://127.0.0.1", "http://localhost"))


def _is_http(text: str) -> bool:
    return text.startswith(("https://", "http://"))
