"""The key tree: the root opens the hub's keys, the hub's keys open everything else.

Spec:    NIST SP 800-57 part 1; RFC 5869 (HKDF); docs/decisions/0024-key-tree.md.
Leaves:  the root to roots; data keys to envelope; where wrapped keys lie, and their rotation, to store.

    root (outside of the hub) ─► hub keys, one row a version, wrapped:
        record  wraps the data keys of patients                  index   keys the hashes of search values
        token   signs access tokens and seals page tokens        audit   signs checkpoints, authenticates events
        backup  wraps the keys of backups                        place   names compartments; never rotated

`place` never changes: a compartment is the number under which a record's rows, data key and audit events lie, and audit
leaves commit to it. A new key would be a new number for every record, and would break every proof that was given.
"""

from __future__ import annotations

import hmac
import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.crypto.hub_key import ACTIVE, DESTROYED, PURPOSES, HubKey
from exchange.crypto.roots.provider import Root
from exchange.problems import SealBroken, Unavailable

LOG: Final = logging.getLogger("exchange.crypto")
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
FINGERPRINT_BYTES: Final = 8
CLOSED: Final = "the root does not answer, and a key of the hub is not open"
TOLD_SECONDS: Final = 1.0
"""How often callers can make this process look for versions that it does not know."""
SETTLED_SECONDS: Final = 2.0
"""How long a version is known here before it signs what other processes read: by then they know it too."""
AWAY_SECONDS: Final = 10.0
"""How long a root that did not answer is left alone."""

__all__ = ["KEY_BYTES", "NONCE_BYTES", "PURPOSES", "HubKey", "Keyring", "make_hub_key", "rewrap_hub_key"]


class Keyring:
    """The opened hub keys of one process. Never logged, never pickled, never sent.

    It learns of new versions while the process serves: whoever looks at the table tells it by `learn`, and a version that
    it does not know makes it look itself. What is open stays open while the root is away.
    """

    def __init__(self, root: Root, rows: Iterable[HubKey]) -> None:
        self.root = root
        self.reread: Callable[[], Iterable[HubKey]] = lambda: ()
        """Reads the table; the store sets it."""
        self.generation = 0
        """Counts what was learned: who keeps something made of a key compares it."""
        self._keys: dict[tuple[str, int], bytes] = {}
        self._rows: tuple[HubKey, ...] = ()
        self._known_at: dict[tuple[str, int], float] = {}
        self._derived: dict[tuple[str, int, bytes], bytes] = {}
        self._looked_at = self._away_at = -math.inf
        self._lock = threading.Lock()
        self._open(tuple(rows))

    def __repr__(self) -> str:
        return f"Keyring({len(self._keys)} keys)"

    def __reduce__(self) -> str:
        raise TypeError("a keyring is never serialised")

    @property
    def rows(self) -> tuple[HubKey, ...]:
        """The rows of the table as they were last read."""
        return self._rows

    def version(self, purpose: str) -> int:
        """The version that makes what is new: the newest active one.

        Raises: SealBroken - there is none; Unavailable - there is, and the root that opens it is away.
        """
        active = self.active(purpose)
        if not active:
            if any(row.purpose == purpose and row.state == ACTIVE for row in self._rows):
                raise Unavailable(CLOSED)
            raise SealBroken(f"the hub has no key for '{purpose}'")
        return active[0]

    def settled_version(self, purpose: str) -> int:
        """The newest active version that every process knows by now: for what is made here and read elsewhere."""
        active = self.active(purpose)
        heard = time.monotonic() - SETTLED_SECONDS
        settled = [each for each in active if self._known_at[purpose, each] <= heard]
        return settled[0] if settled else (active[-1] if active else self.version(purpose))

    def active(self, purpose: str) -> list[int]:
        """The active versions that are open here, the newest first."""
        found = [row.version for row in self._rows
                 if row.purpose == purpose and row.state == ACTIVE and (purpose, row.version) in self._keys]  # fmt: skip
        return sorted(found, reverse=True)

    def versions(self, purpose: str) -> list[int]:
        """All versions that are open here, active or retired, the newest first."""
        return sorted((version for name, version in self._keys if name == purpose), reverse=True)

    def key(self, purpose: str, version: int | None = None) -> bytes:
        """The key itself; a version that is not known here is looked for.

        Units:  32 bytes.
        Raises: SealBroken - no such version, or a destroyed one; Unavailable - the root is away.
        """
        place = purpose, self.version(purpose) if version is None else version
        found = self._keys.get(place)
        if found is None:
            self.look()
            found = self._keys.get(place)
        if found is None:
            if any((row.purpose, row.version) == place and row.state != DESTROYED for row in self._rows):
                raise Unavailable(CLOSED)
            raise SealBroken(f"the hub has no key for '{purpose}' of that version")
        return found

    def told_key(self, purpose: str, version: int) -> bytes | None:
        """An active version that a caller named, who may name anything: looked for once a second at most."""
        if (purpose, version) not in self._keys and time.monotonic() - self._looked_at >= TOLD_SECONDS:
            try:
                self.look()
            except Unavailable:
                return None
        return self._keys.get((purpose, version)) if version in self.active(purpose) else None

    def derived(self, purpose: str, use: bytes, version: int | None = None) -> bytes:
        """A key for one use, derived from a purpose's. Units: 32 bytes. Spec: RFC 5869."""
        place = purpose, self.version(purpose) if version is None else version, use
        found = self._derived.get(place)
        if found is None:
            found = self._derived[place] = derive(self.key(*place[:2]), use)
        return found

    def look(self) -> None:
        """Read the table, and open what is new there."""
        self._looked_at = time.monotonic()
        self.learn(self.reread())

    def learn(self, rows: Iterable[HubKey]) -> None:
        """Take over the table's rows. A root that is away leaves the new ones closed, and what is open open."""
        told = tuple(rows)
        if not told or (told == self._rows and self._is_open(told)):
            return
        with self._lock:
            try:
                self._open(told)
            except (Unavailable, SealBroken) as problem:
                self._away_at = time.monotonic()
                LOG.warning("E-701 a new version of a hub key stays closed: %s", type(problem).__name__)

    def _is_open(self, rows: tuple[HubKey, ...]) -> bool:
        wanted = {(row.purpose, row.version) for row in rows if row.state != DESTROYED}
        return wanted <= self._keys.keys() or time.monotonic() - self._away_at < AWAY_SECONDS

    def _open(self, rows: tuple[HubKey, ...]) -> None:
        """Open what is not open, forget what was destroyed."""
        now = time.monotonic()
        standing = {(row.purpose, row.version): row for row in rows if row.state != DESTROYED}
        keys = {place: key for place, key in self._keys.items() if place in standing}
        is_away = now - self._away_at < AWAY_SECONDS
        try:
            for place, row in standing.items():
                if place not in keys and not is_away:
                    keys[place] = open_hub_key(self.root, row)
        finally:
            # A reader without the lock finds a key before the row that says that it may be used.
            self._known_at = {place: self._known_at.get(place, now) for place in keys}
            self._keys = keys
            self._derived = {place: key for place, key in self._derived.items() if place[:2] in keys}
            self._rows = rows
            self.generation += 1


def make_hub_key(root: Root, purpose: str, version: int) -> HubKey:
    """A new random key for a purpose, wrapped under the root."""
    key = secrets.token_bytes(KEY_BYTES)
    public = Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
    blank = HubKey(purpose, version, ACTIVE, 0, b"", _fingerprint(purpose, version, key))
    return _wrapped(root, replace(blank, public=public if purpose == "audit" else b""), key)


def rewrap_hub_key(root: Root, row: HubKey) -> HubKey:
    """A hub key under the root's newest version."""
    return _wrapped(root, row, open_hub_key(root, row))


def open_hub_key(root: Root, row: HubKey) -> bytes:
    """The key in a row.

    1. The root opens it, for this purpose and version.
    2. What it gave back is held against the fingerprint: a root that errs or lies would have the hub seal records under a
       key that nobody finds again, and a row that was moved would be used for what it was not made for.

    Raises: SealBroken - another root made this key, or the row was altered; Unavailable - the root is away.
    """
    # 1.
    key = root.unwrap(row.root_version, row.wrapped, _bound(row.purpose, row.version))
    # 2.
    if not hmac.compare_digest(_fingerprint(row.purpose, row.version, key), row.fingerprint):
        raise SealBroken(f"the root gave back another key than the hub's '{row.purpose}'")
    return key


def derive(key: bytes, use: bytes) -> bytes:
    """A key for one use. Units: 32 bytes. Spec: RFC 5869."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"chasqui " + use).derive(key)


def _wrapped(root: Root, row: HubKey, key: bytes) -> HubKey:
    """Wrap, and see that it opens again before anything depends on it."""
    version, wrapped = root.wrap(key, _bound(row.purpose, row.version))
    made = replace(row, root_version=version, wrapped=wrapped)
    open_hub_key(root, made)
    return made


def _bound(purpose: str, version: int) -> bytes:
    return f"chasqui hub key {purpose}:{version}".encode()


def _fingerprint(purpose: str, version: int, key: bytes) -> bytes:
    """What shows that a key is this one, and tells nobody anything of it."""
    if len(key) != KEY_BYTES:
        raise SealBroken(f"the root gave back no key for the hub's '{purpose}'")
    return blake2b(
        _bound(purpose, version), key=key, digest_size=FINGERPRINT_BYTES, person=b"fingerprint"
    ).digest()
