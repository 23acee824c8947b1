"""The worker that indexes what the hub holds by search parameters that have been posted to it.

Spec:    docs/decisions/0017-search-parameters-of-its-own.md.
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


def index_until(stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Index until told to stop. A failing step is logged and tried again: it left nothing half done."""
    while not stopped.is_set():
        try:
            is_unfinished = spine.index_parameters()
        except (Problem, DatabaseError) as problem:
            LOG.warning("E-303 indexing a search parameter failed: %s", type(problem).__name__)
            is_unfinished = False
        if not is_unfinished:
            stopped.wait(pause_seconds)
