"""Tells the region how this adapter stands: at start and stop, every five minutes, and when trouble begins or ends.

Spec:    docs/region.md, "What an adapter reports".
Leaves:  the way to the hub to hub; what is counted to the outbox.

Counts, codes and instants leave, and nothing of a patient: a code that could be somebody's number stays here.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters import MAPPING_VERSION, __version__
from adapters.outbox import Outbox
from adapters.sender.hub import HubClient
from adapters.settings import Settings
from adapters.source_record.moment import now_instant

_log = logging.getLogger("adapters.sender.state")
EVERY_SECONDS: Final = 300.0
MOST_REASONS: Final = 50
MOST_UNMAPPED: Final = 20
OTHER: Final = "other"
_CLASSES: Final = frozenset({"mapping", "validation", "identity", "consent", "transport"})
_TABLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}", re.ASCII)
_CODE: Final = re.compile(r"(?!.*[0-9]{8})[A-Za-z0-9][A-Za-z0-9./^_+*-]{0,31}", re.ASCII)


class StateReporter:
    """One run's reports. They are best effort: what is not taken is not tried again, the next one says it all."""

    def __init__(
        self, settings: Settings, outbox: Outbox, hub: HubClient, *, every_seconds: float = EVERY_SECONDS
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._hub = hub
        self._every_seconds = every_seconds
        self._started_at = now_instant()
        self._wake = threading.Event()
        self._is_ended = False
        self._thread: threading.Thread | None = None
        self._failure = ""

    def start(self) -> None:
        """Report now, and then again and again in a thread of its own."""
        self._thread = threading.Thread(target=self._keep_telling, name="state", daemon=True)
        self._thread.start()

    def tell_soon(self) -> None:
        """Something changed that the region should know: trouble began, or ended."""
        self._wake.set()

    def stop(self) -> None:
        """Say once more how things stand, and that this adapter stops: nobody has to miss it."""
        self._is_ended = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._tell("stopped")

    def _keep_telling(self) -> None:
        while not self._is_ended:
            self._wake.clear()
            self._tell("running")
            self._wake.wait(self._every_seconds)

    def _tell(self, phase: str) -> None:
        try:
            failure = self._hub.report(msgspec.json.encode(self.report(phase)))
        except Exception as defect:  # noqa: BLE001 - a report must never end what it reports of
            failure = type(defect).__name__
        if failure and failure != self._failure:
            _log.warning("A-321 the region was not told how this adapter stands: %s", failure)
        self._failure = failure

    def report(self, phase: str) -> dict[str, Any]:
        """One report, within the bounds that the hub sets."""
        settings, status = self._settings, self._outbox.status()
        told = {
            "number": self._outbox.next_report_number(),
            "phase": phase,
            "version": __version__,
            "mapping_version": MAPPING_VERSION,
            "source_kind": settings.source_kind,
            "source_system": settings.source_system,
            "reported_at": now_instant(),
            "started_at": self._started_at,
            "pending": status["pending"],
            "disk_used_percent": min(max(int(status["disk_used_percent"]), 0), 100),
            "last_received_at": _instant(status["last_received_at"]),
            "last_applied_at": _instant(status["last_applied_at"]),
            "trouble": status["trouble"],
            "waiting_consent": status["waiting_consent"],
            "quarantine": _reasons(status["quarantine_reasons"]),
            "unmapped": _unmapped(status["unmapped_codes"]),
            "certificate_expires_at": certificate_expiry(settings),
            **self._outbox.standing(),
            **self._outbox.timeliness(),
        }
        told["oldest_pending_at"] = _instant(told["oldest_pending_at"])
        return {name: value for name, value in told.items() if value is not None}


def _reasons(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    known = [each for each in found if each["reason_class"] in _CLASSES]
    return [
        {"reason_class": each["reason_class"], "code": each["code"], "times": each["times"]}
        for each in known[:MOST_REASONS]
    ]


def _unmapped(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The most frequent codes that no table translates; what may be no code at all is told by its number alone."""
    times: dict[tuple[str, str], int] = {}
    for each in found:
        table = each["table"] if _TABLE.fullmatch(each["table"]) else OTHER
        code = each["code"] if _CODE.fullmatch(each["code"]) else OTHER
        times[table, code] = times.get((table, code), 0) + each["times"]
    ranked = sorted(times.items(), key=lambda item: (-item[1], item[0]))[:MOST_UNMAPPED]
    return [{"table": table, "code": code, "times": number} for (table, code), number in ranked]


def certificate_expiry(settings: Settings) -> str | None:
    """When the certificate of this site's port ends, where it has one that can be read."""
    path = getattr(getattr(settings.own, "tls", None), "certificate", None)
    if not isinstance(path, Path):
        return None
    from adapters.readers.mllp.tls import certificate_expires_at  # noqa: PLC0415 - only a site with TLS pays for it

    try:
        ends = certificate_expires_at(path)
    except (OSError, ValueError):
        return None
    return ends.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _instant(text: str | None) -> str | None:
    """An instant as the hub takes it; None for what is less exact."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return text if moment.tzinfo is not None else None
