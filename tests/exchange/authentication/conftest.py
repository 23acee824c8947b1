"""A served hub for the attacks on its authentication."""

from __future__ import annotations

import pytest

from tests.passage.live_hub import live_hub


@pytest.fixture(scope="session")
def live(server):
    with live_hub(server) as hub:
        yield hub
