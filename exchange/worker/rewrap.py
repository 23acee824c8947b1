"""The worker that wraps keys anew after a rotation, in small steps beside everything else.

Spec:    docs/decisions/0024-key-tree.md.
Leaves:  the step itself to perform; retiring the old version to an operator.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from psycopg2 import Error as DatabaseError

from exchange.perform import Spine
from exchange.problems import Problem

LOG: Final = logging.getLogger("exchange.worker")
PAUSE_SECONDS: Final = 5.0
BREATH_SECONDS: Final = 0.02


def rewrap_until(stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Step until told to stop. A failing step is logged and tried again: it left nothing half done.

    Between steps requests get their turn.
    """
    while not stopped.is_set():
        try:
            is_unfinished = spine.rewrap_keys()
        except (Problem, DatabaseError) as problem:
            LOG.warning("E-702 wrapping keys anew failed: %s", type(problem).__name__)
            is_unfinished = False
        stopped.wait(BREATH_SECONDS if is_unfinished else pause_seconds)
