"""The key tree: a root key opens the hub's keys, the hub's keys open everything else.

Spec:    NIST SP 800-57 part 1; RFC 5869 (HKDF); docs/decisions/0008-sealed-by-default.md.
Leaves:  per-patient data keys to envelope; rotation and other providers of the root to `exchange keys`.

    root (file, demo only) ─► hub keys, one row each, wrapped:
        record  wraps the data keys of patients                  index   keys the hashes of search values
        token   signs access tokens and seals page tokens        audit   signs checkpoints, authenticates events
        backup  wraps the keys of backups                        place   names compartments; never rotated

`place` never changes: a compartment is the number under which a record's rows, data key and audit events lie, and audit
leaves commit to it. A new key would be a new number for every record, and would break every proof that was given.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.problems import SealBroken

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
PURPOSES: Final = ("record", "index", "place", "token", "audit", "backup")
DEMO_MARK: Final = "# DEMO KEY: for synthetic data only. A production hub refuses this file.\n"


@dataclass(frozen=True, slots=True)
class HubKey:
    """One wrapped hub key as it lies in the table `hub_key`."""

    purpose: str
    version: int
    wrapped: bytes


class Keyring:
    """The opened hub keys of one process. Never logged, never pickled, never sent."""

    def __init__(self, keys: Mapping[tuple[str, int], bytes]) -> None:
        self._keys = dict(keys)

    def __repr__(self) -> str:
        return f"Keyring({len(self._keys)} keys)"

    def __reduce__(self) -> str:
        raise TypeError("a keyring is never serialised")

    def version(self, purpose: str) -> int:
        """The newest version of a purpose's key."""
        return max(version for name, version in self._keys if name == purpose)

    def key(self, purpose: str, version: int | None = None) -> bytes:
        """The key itself. Units: 32 bytes. Raises: SealBroken - no such version."""
        try:
            return self._keys[purpose, self.version(purpose) if version is None else version]
        except (KeyError, ValueError):
            raise SealBroken(f"the hub has no key for '{purpose}' of that version") from None

    def keys(self, purpose: str) -> list[bytes]:
        """All versions of a purpose's key, the newest first."""
        versions = sorted((version for name, version in self._keys if name == purpose), reverse=True)
        return [self._keys[purpose, version] for version in versions]


def _wrapping_key(root: bytes, purpose: str) -> AESGCM:
    derived = HKDF(SHA256(), KEY_BYTES, salt=None, info=b"chasqui hub key " + purpose.encode()).derive(root)
    return AESGCM(derived)


def make_hub_keys(root: bytes, purposes: tuple[str, ...] = PURPOSES, version: int = 1) -> list[HubKey]:
    """New random hub keys, wrapped under the root key."""
    made = []
    for purpose in purposes:
        nonce = os.urandom(NONCE_BYTES)
        bound = f"{purpose}:{version}".encode()
        sealed = _wrapping_key(root, purpose).encrypt(nonce, secrets.token_bytes(KEY_BYTES), bound)
        made.append(HubKey(purpose, version, nonce + sealed))
    return made


def open_hub_keys(root: bytes, wrapped: list[HubKey]) -> Keyring:
    """The keyring that the root key opens. Raises: SealBroken - another root made these keys."""
    keys = {}
    for row in wrapped:
        nonce, sealed = row.wrapped[:NONCE_BYTES], row.wrapped[NONCE_BYTES:]
        try:
            opened = _wrapping_key(root, row.purpose).decrypt(
                nonce, sealed, f"{row.purpose}:{row.version}".encode()
            )
        except InvalidTag:
            raise SealBroken(f"the root key does not open the hub key '{row.purpose}'") from None
        keys[row.purpose, row.version] = opened
    return Keyring(keys)


def make_root_key_file(path: Path) -> None:
    """Write a new demo root key that its owner alone can read. An existing file is left as it is."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(DEMO_MARK + secrets.token_bytes(KEY_BYTES).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_root_key_file(path: Path, *, is_demo: bool) -> bytes:
    """The root key in a file.

    Raises: SealBroken - unreadable, open to others, malformed, or a demo key on a production hub.
    """
    # 1. Nobody but the owner may be able to read it.
    try:
        if path.stat().st_mode & 0o077:
            raise SealBroken(f"the root key file {path.name} is open to others: chmod 600 it")
        text = path.read_text(errors="replace")
    except OSError as error:
        raise SealBroken(f"the root key file {path.name} cannot be read: {error.strerror}") from None
    # 2. A key made for a demonstration never opens real data.
    if text.startswith(DEMO_MARK) and not is_demo:
        raise SealBroken("the root key file is marked as a demo key, and this hub runs in production mode")
    # 3. Exactly 32 bytes.
    try:
        key = bytes.fromhex("".join(line for line in text.splitlines() if not line.startswith("#")))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SealBroken("the root key file does not hold 32 bytes as hex")
    return key
