"""A served hub, for what only HTTP shows."""

from __future__ import annotations

import pytest

from tests.passage.conftest import _hub, empty
from tests.passage.live_hub import live_hub

__all__ = ["_hub", "empty", "live"]


@pytest.fixture(scope="session")
def live(server):
    with live_hub(server) as hub:
        yield hub
