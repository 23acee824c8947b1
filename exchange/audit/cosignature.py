"""Cosignatures: what a witness signs, and keys in the form in which they are published.

Spec:    https://c2sp.org/tlog-cosignature (Ed25519, key type 0x04); https://c2sp.org/signed-note (verifier keys)
Leaves:  the log's own signature to checkpoint; asking witnesses to witnessing; being one to witness.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exchange.audit.checkpoint import KEY_ID_BYTES
from exchange.problems import Invalid, SealBroken

LOG_KEY: Final = 1
WITNESS_KEY: Final = 4
MOST_KEY_LETTERS: Final = 512
_PUBLIC_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and its kind: of a log (1) or of a witness (4)."""

    name: str
    kind: int
    public: bytes

    @property
    def number(self) -> bytes:
        """The four bytes by which a signature line names this key."""
        return sha256(self.name.encode() + b"\n" + bytes((self.kind,)) + self.public).digest()[:KEY_ID_BYTES]

    def text(self) -> str:
        """The key as it is handed out."""
        key = base64.b64encode(bytes((self.kind,)) + self.public).decode()
        return f"{self.name}+{self.number.hex()}+{key}"


def read_key(text: str) -> VerifierKey:
    """A key as it was handed out. Raises: Invalid - it is none, or its number is another key's."""
    parts = text.split("+", 2)
    if len(text) > MOST_KEY_LETTERS or len(parts) != 3:  # noqa: PLR2004 - name, number, key
        raise Invalid("a verifier key is written as NAME+NUMBER+KEY")
    name, _, encoded = parts
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise Invalid("a verifier key is no base64") from None
    if len(raw) != 1 + _PUBLIC_BYTES or raw[0] not in (LOG_KEY, WITNESS_KEY) or not is_key_name(name):
        raise Invalid("a verifier key is no Ed25519 key of a log or a witness")
    found = VerifierKey(name, raw[0], raw[1:])
    if found.text() != text:
        raise Invalid("a verifier key does not bear its own number")
    return found


def is_key_name(name: str) -> bool:
    """Whether a key may bear a name. Spec: C2SP signed-note: no spaces, no plus; here, letters that can be printed."""
    return bool(name) and name.isprintable() and "+" not in name and not any(each.isspace() for each in name)


def cosigned_text(body: str, seconds: int) -> bytes:
    """What a witness signs: when it saw the head, and the head. Spec: C2SP tlog-cosignature."""
    return f"cosignature/v1\ntime {seconds}\n{body}".encode()


def cosign(body: str, seconds: int, key: VerifierKey, sign: Callable[[bytes], bytes]) -> str:
    """A witness's line under a head. Units: seconds since 1970 UTC."""
    raw = key.number + struct.pack(">Q", seconds) + sign(cosigned_text(body, seconds))
    return f"— {key.name} {base64.b64encode(raw).decode()}\n"


def read_cosignature(line: str, body: str, key: VerifierKey) -> int:
    """When a witness saw a head, by its line.

    1. The line names this witness's key. 2. It is as long as a timed signature. 3. The signature holds.

    Units:  seconds since 1970 UTC.
    Raises: SealBroken - no cosignature of this head by this witness.
    """
    # 1.
    start = f"— {key.name} "
    if key.kind != WITNESS_KEY or not line.startswith(start) or not line.endswith("\n"):
        raise SealBroken("a line is no cosignature of this witness")
    try:
        raw = base64.b64decode(line[len(start) : -1], validate=True)
    except (ValueError, binascii.Error):
        raise SealBroken("a cosignature is no base64") from None
    # 2.
    if len(raw) != KEY_ID_BYTES + 8 + _SIGNATURE_BYTES or raw[:KEY_ID_BYTES] != key.number:
        raise SealBroken("a cosignature is of another key or form")
    seconds: int = struct.unpack_from(">Q", raw, KEY_ID_BYTES)[0]
    # 3.
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(
            raw[KEY_ID_BYTES + 8 :], cosigned_text(body, seconds)
        )
    except (InvalidSignature, ValueError):
        raise SealBroken("a cosignature does not hold") from None
    if seconds >= 1 << 63:
        raise SealBroken("a cosignature's time is out of bounds")
    return seconds
