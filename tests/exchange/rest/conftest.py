"""A served hub, for what only HTTP shows."""

from __future__ import annotations

import pytest

from tests.passage.conftest import empty, shared_hub
from tests.passage.live_hub import live_hub

__all__ = ["empty", "live", "shared_hub"]


@pytest.fixture(scope="session")
def live(server):
    with live_hub(server) as hub:
        yield hub
