"""What a worker does step by step until it is told to stop: index posted parameters, label anew, read Consents anew.

Spec:    docs/decisions/0017-search-parameters-of-its-own.md, 0018-decision-inside-queries.md; docs/policy.md.
Leaves:  the steps themselves to perform.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from psycopg2 import Error as DatabaseError

from exchange.perform import Spine
from exchange.problems import Problem

LOG: Final = logging.getLogger("exchange.worker")
PAUSE_SECONDS: Final = 1.0

Step = Callable[[], bool]
"""One step: whether there is more to do at once."""


def index_until(stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Index search parameters that were posted."""
    repeat(stopped, spine.index_parameters, "E-303 indexing a search parameter", pause_seconds)


def relabel_until(stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Label what the hub holds by the policy that counts, and what has no label yet."""
    repeat(stopped, spine.rollout.relabel, "E-304 labelling", pause_seconds)


def derive_until(stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Read Consents by the policy and the catalogues that count."""
    repeat(stopped, spine.derive_consents, "E-305 reading Consents anew", pause_seconds)


def rekey_until(stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Move the index to a new version of its key."""
    repeat(stopped, spine.rekey_index, "E-309 moving the index to a new key", pause_seconds)


def sweep_until(stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Remove what was written late into records that were erased."""
    repeat(stopped, spine.sweep_erased, "E-310 sweeping erased records", pause_seconds)


def repeat(stopped: threading.Event, step: Step, what: str, pause_seconds: float) -> None:
    """Do steps until told to stop. One that fails is logged and tried again: it left nothing half done."""
    while not stopped.is_set():
        try:
            is_unfinished = step()
        except (Problem, DatabaseError) as problem:
            LOG.warning("%s failed: %s", what, type(problem).__name__)
            is_unfinished = False
        if not is_unfinished:
            stopped.wait(pause_seconds)
