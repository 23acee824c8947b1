"""The hub of these tests."""

from __future__ import annotations

from tests.passage.conftest import empty, shared_hub

__all__ = ["empty", "shared_hub"]
