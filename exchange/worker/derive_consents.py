"""Reading Consents anew after the policy or a catalogue changed: the worker's part.

Leaves:  what is read to consent/rules_store, by way of the spine.
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


def derive_until(stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Derive until told to stop; a database that is away is waited for."""
    while not stopped.is_set():
        try:
            is_unfinished = spine.derive_consents()
        except (Problem, DatabaseError) as problem:
            LOG.warning("E-305 consents were not read anew: %s", type(problem).__name__)
            is_unfinished = False
        if not is_unfinished:
            stopped.wait(pause_seconds)
