"""A root key in a file, for demonstrations: whoever copies the disk has it.

Spec:    NIST SP 800-38D (AES-GCM).
Leaves:  refusing it in production to choice.

    1:64 hexadecimal digits    one line a version; lines that begin with # are remarks
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.crypto.roots.private_file import read_private, write_private
from exchange.problems import SealBroken

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
REMARK: Final = "# A root key in a file: for synthetic data only. A production hub refuses it.\n"
_LINE: Final = re.compile(r"([1-9][0-9]{0,4}):([0-9a-f]{64})", re.ASCII)
_WHAT: Final = "the root key file"


class FileRoot:
    """The versions that a file holds. It is read anew each time, so that processes agree on it."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def newest(self) -> int:
        """The newest version; 0 where there is no file yet."""
        return max(self._read()) if self._path.exists() else 0

    def versions(self) -> list[int]:
        """Those that are still there, the oldest first."""
        return sorted(self._read())

    def wrap(self, key: bytes, bound_to: bytes) -> tuple[int, bytes]:
        """A key wrapped under the newest version. Units: nonce 12 random bytes."""
        version, root = max(self._read().items())
        nonce = os.urandom(NONCE_BYTES)
        return version, nonce + AESGCM(root).encrypt(nonce, key, bound_to)

    def unwrap(self, version: int, wrapped: bytes, bound_to: bytes) -> bytes:
        """The key again. Raises: SealBroken."""
        root = self._read().get(version)
        if root is None:
            raise SealBroken(f"the root has no version {version}")
        try:
            return AESGCM(root).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):
            raise SealBroken("the root key does not open a hub key") from None

    def rotate(self) -> int:
        """Add a line with a new version."""
        keys = self._read() if self._path.exists() else {}
        version = max(keys, default=0) + 1
        self._write(keys | {version: secrets.token_bytes(KEY_BYTES)})
        return version

    def destroy(self, version: int) -> None:
        """Remove a version's line. The last one stays: without it nothing would open."""
        keys = self._read()
        if len(keys) == 1:
            raise SealBroken("the only version of the root is not destroyed")
        self._write({number: key for number, key in keys.items() if number != version})

    def _read(self) -> dict[int, bytes]:
        """The versions in the file. Raises: SealBroken - unreadable, open to others, or malformed."""
        keys: dict[int, bytes] = {}
        for line in read_private(self._path, _WHAT).splitlines():
            if line.startswith("#") or not line:
                continue
            found = _LINE.fullmatch(line)
            if found is None or int(found[1]) in keys:
                raise SealBroken(f"{_WHAT} holds a line that is no version and 32 bytes as hex")
            keys[int(found[1])] = bytes.fromhex(found[2])
        if not keys:
            raise SealBroken(f"{_WHAT} holds no key")
        return keys

    def _write(self, keys: dict[int, bytes]) -> None:
        lines = [f"{version}:{key.hex()}\n" for version, key in sorted(keys.items())]
        write_private(self._path, REMARK + "".join(lines))
