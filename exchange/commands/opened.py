"""What every command works with: the opened hub, and the terminal.

Leaves:  starting servers to running.
"""

from __future__ import annotations

from typing import Final

from rich.console import Console

from exchange.hub import Hub, embedded, open_hub, prepare
from exchange.settings import settings

out: Final = Console(soft_wrap=True, markup=False)
USED_WRONGLY: Final = 2


def opened_hub() -> Hub:
    """The hub that the settings name; an embedded database that does not run is started."""
    chosen = settings()
    if chosen.database_url is None and not embedded(chosen).is_running():
        prepare(chosen)
    return open_hub(chosen)
