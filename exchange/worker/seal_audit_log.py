"""The worker that seals the audit log: a pass every second, a signed head at most one interval old.

Spec:    docs/decisions/0012-audit-log.md.
Leaves:  the pass itself to perform.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from psycopg2 import Error as DatabaseError

from exchange.perform import Spine
from exchange.problems import Problem

LOG: Final = logging.getLogger("exchange.worker")


def seal_until(stopped: threading.Event, spine: Spine, interval_seconds: float) -> None:
    """Seal until told to stop, and once more then. A failing pass is logged and tried again."""
    while True:
        is_last = stopped.wait(interval_seconds)
        try:
            sealed = spine.seal_audit_log()
            if sealed.placed:
                LOG.info("E-301 sealed %d events; the log holds %d", sealed.placed, sealed.size)
        except (Problem, DatabaseError) as problem:
            LOG.warning("E-302 sealing failed: %s", type(problem).__name__)
        if is_last:
            return
