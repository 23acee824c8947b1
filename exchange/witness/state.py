"""What a witness has seen: its own key, and the last head of each log, durable before anybody is answered.

Spec:    https://c2sp.org/tlog-witness (the head is persisted before the answer)
Leaves:  which heads may follow to judgement.

    FOLDER/witness.key      name and Ed25519 seed, readable by their owner alone
    FOLDER/heads/NAME.head  the last cosigned head of one log; NAME is a digest of the log's origin
    FOLDER/lock             held by the process that runs: a second one does not start
"""

from __future__ import annotations

import base64
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.audit.checkpoint import MAX_NOTE_LETTERS
from exchange.audit.cosignature import WITNESS_KEY, VerifierKey, is_key_name
from exchange.problems import Conflict, Invalid, SealBroken, Unavailable

SEED_BYTES: Final = 32
ROOT_BYTES: Final = 32
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Seen:
    """The last head of one log that the witness cosigned. `body` is the text that was signed."""

    origin: str
    size: int
    root: bytes
    body: str


def make(folder: Path, name: str) -> VerifierKey:
    """Make a witness: its folder and its key. Raises: Invalid, Conflict - there is one already."""
    if not is_key_name(name):
        raise Invalid(
            "a witness's name has no spaces and no plus; an address such as witness.example/1 is usual"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = folder / "witness.key"
    if place.exists():
        raise Conflict("this folder holds a witness already: its key is never replaced")
    (folder / "heads").mkdir(mode=0o700, exist_ok=True)
    seed = os.urandom(SEED_BYTES)
    _write(place, f"{name}\n{base64.b64encode(seed).decode()}\n")
    return open_key(folder)[0]


def open_key(folder: Path) -> tuple[VerifierKey, Ed25519PrivateKey]:
    """A witness's key. Raises: SealBroken - no key, a broken one, or one that others can read."""
    place = folder / "witness.key"
    try:
        if place.stat().st_mode & 0o077:
            raise SealBroken("witness.key is open to others: chmod 600 it")
        name, encoded, rest = place.read_text("utf-8").split("\n")
        seed = base64.b64decode(encoded, validate=True)
        if rest or len(seed) != SEED_BYTES or not is_key_name(name):
            raise SealBroken("witness.key is broken: restore it")
    except OSError:
        raise SealBroken("the folder holds no witness: run 'exchange witness init' first") from None
    except ValueError:
        raise SealBroken("witness.key is broken: restore it") from None
    signer = Ed25519PrivateKey.from_private_bytes(seed)
    return VerifierKey(name, WITNESS_KEY, signer.public_key().public_bytes_raw()), signer


class State:
    """The heads of an opened folder. Only one process has it open: see `opened`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "heads"

    def last(self, origin: str) -> Seen | None:
        """The last head of a log; None: it was never seen. Raises: SealBroken - a head that cannot be read.

        A head that is broken is not one that was never seen: taking it for one would let the log begin anew.
        """
        place = self._place(origin)
        try:
            with place.open(encoding="utf-8", newline="\n") as file:
                body = file.read(MAX_NOTE_LETTERS)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise SealBroken("a kept head cannot be read: restore the witness's folder") from None
        seen = _parsed(body)
        if seen.origin != origin:
            raise SealBroken("a kept head is of another log: restore the witness's folder")
        return seen

    def keep(self, seen: Seen) -> None:
        """Replace a log's last head, durably. Raises: Unavailable - it could not be written."""
        try:
            _write(self._place(seen.origin), seen.body)
        except OSError:
            raise Unavailable("the witness cannot write its state") from None

    def all(self) -> list[Seen]:
        """Every log's last head, by origin."""
        found = [_parsed(each.read_text("utf-8")) for each in self._folder.glob("*.head")]
        return sorted(found, key=lambda each: each.origin)

    def _place(self, origin: str) -> Path:
        return self._folder / f"{sha256(origin.encode()).hexdigest()}.head"


@contextmanager
def opened(folder: Path) -> Iterator[State]:
    """The state of a folder, for one process. Raises: SealBroken - no witness; Conflict - another process has it."""
    if not (folder / "heads").is_dir():
        raise SealBroken("the folder holds no witness: run 'exchange witness init' first")
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict("another witness runs on this folder") from None
        yield State(folder)


def _parsed(body: str) -> Seen:
    try:
        origin, size, root, *_ = body.split("\n")
        found = Seen(origin, int(size), base64.b64decode(root, validate=True), body)
    except ValueError:
        raise SealBroken("a kept head is broken: restore the witness's folder") from None
    if found.size < 0 or len(found.root) != ROOT_BYTES or not body.endswith("\n"):
        raise SealBroken("a kept head is broken: restore the witness's folder")
    return found


def _write(place: Path, text: str) -> None:
    """Write a file whole or not at all: a new one beside it, synced, renamed, and the folder synced."""
    beside = place.with_suffix(".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(place)
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
