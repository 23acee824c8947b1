"""Checkpoints: signed tree heads in the form of C2SP's tlog-checkpoint.

Spec:    https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note (Ed25519)
Leaves:  signing keys to crypto.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exchange.problems import SealBroken


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the log: its origin, its number of leaves, its root."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_id(origin: str, public_key: bytes) -> bytes:
    """The four bytes by which a note names its key. Spec: C2SP signed-note, algorithm 0x01."""
    return sha256(origin.encode() + b"\n\x01" + public_key).digest()[:4]


def sign(checkpoint: Checkpoint, public_key: bytes, signer: Callable[[bytes], bytes]) -> str:
    """The checkpoint as a signed note."""
    body = checkpoint.body()
    signature = key_id(checkpoint.origin, public_key) + signer(body.encode())
    return f"{body}\n— {checkpoint.origin} {base64.b64encode(signature).decode()}\n"


def read(note: str, public_key: bytes) -> Checkpoint:
    """The checkpoint in a note. Raises: SealBroken - malformed, or not signed by this key."""
    try:
        body, _, signatures = note.partition("\n\n")
        origin, size, root = body.split("\n")
        found = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
        line = next(each for each in signatures.splitlines() if each.startswith(f"— {origin} "))
        raw = base64.b64decode(line.rsplit(" ", 1)[1], validate=True)
        if raw[:4] != key_id(origin, public_key):
            raise SealBroken("a checkpoint was signed by another key")
        if found.body() != body + "\n":
            raise SealBroken("a checkpoint is not written as it was signed")
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw[4:], found.body().encode())
    except (ValueError, StopIteration, binascii.Error):
        raise SealBroken("a checkpoint is malformed") from None
    except InvalidSignature:
        raise SealBroken("a checkpoint's signature does not hold") from None
    return found
