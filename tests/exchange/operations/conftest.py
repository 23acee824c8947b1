"""The hub of these tests."""

from __future__ import annotations

from tests.passage.conftest import _hub, empty

__all__ = ["_hub", "empty"]
