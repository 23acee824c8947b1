"""What a site does besides reading and sending: asks who may leave, tells whose history lacks something, makes room.

Spec:    docs/adapters.md, "Sending consent", "History incomplete", "Originals" and "Watching over it".
Leaves:  each of them to the outbox.
"""

from __future__ import annotations

import logging
import shutil
import threading
from typing import Any, Final

from adapters.cycle.metrics import exposition, write_metrics
from adapters.cycle.notice import incomplete_history
from adapters.outbox import Outbox
from adapters.outbox.sealing import OutboxFull
from adapters.sender.state_report import certificate_expiry
from adapters.settings import Settings
from adapters.source_record.moment import now_instant
from adapters.sources import Source

_log = logging.getLogger("adapters.upkeep")
EVERY_SECONDS: Final = 30.0
ALARM_PERCENT: Final = 70
_MEGABYTE: Final = 1_000_000


class Upkeep:
    """One run's upkeep: once when asked, or again and again in a thread of its own."""

    def __init__(
        self, settings: Settings, outbox: Outbox, source: Source, *, every_seconds: float = EVERY_SECONDS
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._source = source
        self._every_seconds = every_seconds
        self._wake = threading.Event()
        self._is_alarmed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Keep at it in a thread of its own."""
        self._thread = threading.Thread(target=self._keep_on, name="upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Come to an end."""
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def once(self) -> int:
        """All of it, once; how many notices were queued.

        1. Who may leave now, and who may not any more.
        2. Who is identified by now.
        3. Whose history lacks something.
        4. Room: the alarm, and originals whose time is over or for which there is no room.
        5. The metrics' file.
        """
        outbox, origin = self._outbox, self._source.origin
        # 1.
        outbox.review_consent()
        # 2.
        if numbers := outbox.identified_since():
            self._source.retry(outbox, numbers=numbers)
        # 3.
        count = outbox.refresh_notices(
            lambda key, since, until: incomplete_history(origin, key, since, until), now_instant()
        )
        # 4.
        self._look_at_disk()
        # 5.
        if self._settings.metrics_file is not None:
            self._write_metrics()
        return count

    def _keep_on(self) -> None:
        while not self._wake.wait(self._every_seconds):
            try:
                self.once()
            except OutboxFull:
                _log.error("A-501 no room for upkeep: it is tried again")
            except Exception as fault:  # noqa: BLE001 - what watches must not end what it watches
                _log.error("A-298 upkeep failed and is tried again: %s", type(fault).__name__)

    def _look_at_disk(self) -> None:
        settings = self._settings
        usage = shutil.disk_usage(settings.data_folder)
        percent = 100 * usage.used / usage.total
        if percent >= ALARM_PERCENT and not self._is_alarmed:
            _log.error("A-505 disk used percent=%d: make room before nothing is accepted", percent)
        self._is_alarmed = percent >= ALARM_PERCENT
        is_short = usage.free < 2 * settings.min_free_megabytes * _MEGABYTE
        self._outbox.drop_originals(settings.originals_days, is_short=is_short)

    def _write_metrics(self) -> None:
        assert self._settings.metrics_file is not None
        try:
            write_metrics(self._settings.metrics_file, metrics_of(self._settings, self._outbox))
        except OSError:
            _log.warning("A-506 the metrics file cannot be written")


def status_of(settings: Settings, outbox: Outbox) -> dict[str, Any]:
    """How a site stands: what the outbox knows, and what its files say."""
    found = outbox.status()
    return {
        "renipress": settings.renipress,
        "source": settings.source_kind,
        **found,
        "disk_alarm": found["disk_used_percent"] >= ALARM_PERCENT,
        "certificate_expires_at": certificate_expiry(settings),
    }


def metrics_of(settings: Settings, outbox: Outbox) -> str:
    """How a site stands, for Prometheus."""
    labels = {"renipress": settings.renipress, "source": settings.source_kind}
    return exposition(status_of(settings, outbox), labels)
