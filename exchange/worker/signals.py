"""The worker that looks through new events for signals, in small steps beside everything else.

Spec:    docs/audit.md, "Signals".
Leaves:  the step itself to perform; what a signal is to audit/signals.
"""

from __future__ import annotations

import threading
from typing import Final

from exchange.perform import Spine
from exchange.worker.steps import repeat

PAUSE_SECONDS: Final = 5.0


def signal_until(stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Look until told to stop. A failing step is logged and tried again: it left nothing half done."""
    repeat(stopped, spine.find_signals, "E-312 looking for signals", pause_seconds)
