"""A root of the key tree that lives in memory: what a test opens a hub with."""

from __future__ import annotations

import secrets
from pathlib import Path

from exchange.crypto.roots.file import FileRoot


class RootInMemory(FileRoot):
    """The versions of a root, without a file."""

    def __init__(self, *keys: bytes) -> None:
        super().__init__(Path())
        self.keys = dict(enumerate(keys or (secrets.token_bytes(32),), start=1))

    def newest(self) -> int:
        return max(self.keys, default=0)

    def _read(self) -> dict[int, bytes]:
        return self.keys

    def _write(self, keys: dict[int, bytes]) -> None:
        self.keys = keys
