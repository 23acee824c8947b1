"""A served hub for what is asked of it over HTTP."""

from __future__ import annotations

import pytest

from tests.passage.live_hub import live_hub


@pytest.fixture(scope="session")
def live(server):
    with live_hub(server) as hub:
        yield hub
