"""Checkpoints: signed tree heads in the form of C2SP's tlog-checkpoint.

Spec:    https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note (Ed25519)
Leaves:  signing keys to crypto; cosignatures of witnesses to cosignature.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exchange.problems import SealBroken

KEY_ID_BYTES: Final = 4
MAX_NOTE_LETTERS: Final = 65_536
_TIME: Final = "time "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the log: its origin, its number of leaves, its root, and when it was signed.

    Units:  signed_at in seconds since 1970 UTC; it stands in an extension line.
    """

    origin: str
    size: int
    root: bytes
    signed_at: int

    def body(self) -> str:
        """The text that is signed."""
        return (
            f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n{_TIME}{self.signed_at}\n"
        )


def key_id(name: str, public_key: bytes) -> bytes:
    """The four bytes by which a note names its key. Spec: C2SP signed-note, algorithm 0x01."""
    return sha256(name.encode() + b"\n\x01" + public_key).digest()[:KEY_ID_BYTES]


def verifier_key(name: str, public_key: bytes) -> str:
    """A public key in the form in which it is handed out. Spec: C2SP signed-note, verifier keys."""
    number = key_id(name, public_key).hex()
    return f"{name}+{number}+{base64.b64encode(bytes((1,)) + public_key).decode()}"


def signed_note(checkpoint: Checkpoint, signatures: Iterable[tuple[bytes, bytes]]) -> str:
    """The checkpoint as a signed note; `signatures` are pairs of a public key and its signature of the body."""
    lines = [
        f"— {checkpoint.origin} {base64.b64encode(key_id(checkpoint.origin, key) + signature).decode()}\n"
        for key, signature in signatures
    ]
    return f"{checkpoint.body()}\n{''.join(lines)}"


def read(note: str, public_keys: Collection[bytes]) -> Checkpoint:
    """The checkpoint in a note that one of the log's keys signed.

    1. The body is exactly what is signed. 2. A line names a key that is known. 3. Each such signature holds.

    Raises: SealBroken - malformed, or not signed by these keys.
    """
    if len(note) > MAX_NOTE_LETTERS:
        raise SealBroken("a checkpoint is malformed")
    try:
        # 1.
        body, _, signatures = note.partition("\n\n")
        origin, size, root, time_line = body.split("\n")
        if not time_line.startswith(_TIME):
            raise SealBroken("a checkpoint is malformed")
        found = Checkpoint(
            origin, int(size), base64.b64decode(root, validate=True), int(time_line.removeprefix(_TIME))
        )
        if found.body() != body + "\n":
            raise SealBroken("a checkpoint is not written as it was signed")
        # 2.
        known = {key_id(origin, key): key for key in public_keys}
        raw = [
            base64.b64decode(line.rsplit(" ", 1)[1], validate=True)
            for line in signatures.splitlines()
            if line.startswith(f"— {origin} ")
        ]
        if not raw:
            raise SealBroken("a checkpoint is malformed")
        own = [each for each in raw if each[:KEY_ID_BYTES] in known]
        if not own:
            raise SealBroken("a checkpoint was signed by another key")
        # 3.
        for each in own:
            key = Ed25519PublicKey.from_public_bytes(known[each[:KEY_ID_BYTES]])
            key.verify(each[KEY_ID_BYTES:], found.body().encode())
    except (ValueError, binascii.Error):
        raise SealBroken("a checkpoint is malformed") from None
    except InvalidSignature:
        raise SealBroken("a checkpoint's signature does not hold") from None
    return found
