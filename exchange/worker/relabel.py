"""The worker that labels what the hub holds anew when the regional policy changed, and what has no label yet.

Spec:    docs/policy.md, "Rolling out a change".
Leaves:  the steps themselves to perform.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from psycopg2 import Error as DatabaseError

from exchange.perform import Spine
from exchange.problems import Problem

LOG: Final = logging.getLogger("exchange.worker")
PAUSE_SECONDS: Final = 1.0


def relabel_until(stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Label until told to stop. A failing step is logged and tried again: it left nothing half done."""
    while not stopped.is_set():
        try:
            is_unfinished = spine.rollout.relabel()
        except (Problem, DatabaseError) as problem:
            LOG.warning("E-304 labelling failed: %s", type(problem).__name__)
            is_unfinished = False
        if not is_unfinished:
            stopped.wait(pause_seconds)
