"""One hub for the tests that clear it before they begin: a database of its own for each would cost more than the test."""

from __future__ import annotations

import pytest

from tests.passage.world import a_world


@pytest.fixture(scope="session")
def shared_hub(server):
    with a_world(server) as made:
        yield made


@pytest.fixture
def empty(shared_hub):
    """A hub in which nothing stands yet."""
    return shared_hub.clear()
