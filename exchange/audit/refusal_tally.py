"""Refusals that anybody can cause without end: the first of a minute are listed one by one, the rest by their number.

Spec:    docs/decisions/0005-one-act-one-event.md
Leaves:  writing events to log, by way of the spine.

Whoever floods the hub would fill its log otherwise. Nothing is passed over in silence: the number is an event, too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from exchange.problems import Problem
from exchange.requester import Requester

LOG: Final = logging.getLogger("exchange.audit.refusal_tally")
MINUTE_SECONDS: Final = 60.0
MOST_CALLERS: Final = 1_000

Write = Callable[[Requester | None, Problem, int], None]


class RefusalTally:
    """The refusals of one process in this minute, by client; those of nobody known together."""

    def __init__(self, most_listed: int, write: Write, minute_seconds: float = MINUTE_SECONDS) -> None:
        self._most = most_listed
        self._write = write
        self._minute_seconds = minute_seconds
        self._counts: dict[str, tuple[int, Requester | None, Problem]] = {}
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def is_listed(self, requester: Requester | None, problem: Problem) -> bool:
        """Count a refusal; whether it is written as an event of its own."""
        name = requester.client_id if requester is not None else ""
        with self._lock:
            if name not in self._counts and len(self._counts) >= MOST_CALLERS:
                name, requester = "", None
            count = self._counts[name][0] + 1 if name in self._counts else 1
            self._counts[name] = (count, requester, problem)
            if self._timer is None:
                self._timer = threading.Timer(self._minute_seconds, self.flush)
                self._timer.daemon = True
                self._timer.start()
        if count == self._most + 1:
            LOG.warning("W-302 refusals are counted from here on, until the minute ends")
        return count <= self._most

    def flush(self) -> None:
        """End the minute: what was not listed is written as a number; what cannot be written now is kept."""
        with self._lock:
            counts, self._counts, self._timer = self._counts, {}, None
        for name, (count, requester, problem) in counts.items():
            if count <= self._most:
                continue
            try:
                self._write(requester, problem, count - self._most)
            except Exception as failed:  # noqa: BLE001 - whatever it is, the number must not be lost
                LOG.error("E-306 a number of refusals was not written: %s", type(failed).__name__)  # noqa: TRY400
                with self._lock:
                    held = self._counts.get(name, (0, requester, problem))
                    self._counts[name] = (held[0] + count, requester, problem)

    def close(self) -> None:
        """End the last minute."""
        timer = self._timer
        if timer is not None:
            timer.cancel()
        self.flush()
