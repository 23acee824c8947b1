"""The hub of these tests."""

from __future__ import annotations

import pytest

from tests.passage.conftest import empty, shared_hub
from tests.passage.world import a_world

__all__ = ["empty", "shared_hub"]


@pytest.fixture(scope="module")
def shared_module(server):
    """A hub for one file, whose tests read more than they write."""
    with a_world(server) as made:
        yield made
