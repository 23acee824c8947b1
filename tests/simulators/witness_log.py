"""A log for witnesses: it grows, signs its heads, proves that it grew, and can be told to fork."""

from __future__ import annotations

import base64
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.audit.chain import consistency_proof, root_of
from exchange.audit.checkpoint import Checkpoint, signed_note
from exchange.audit.cosignature import LOG_KEY, VerifierKey

ORIGIN = "hub.example/audit"


class WitnessLog:
    """A log of numbered leaves."""

    def __init__(self, seed: int = 1, origin: str = ORIGIN) -> None:
        self.signer = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public = self.signer.public_key().public_bytes_raw()
        self.key = VerifierKey(origin, LOG_KEY, self.public)
        self.origin = origin
        self.leaves: list[bytes] = []

    def grow(self, count: int, mark: str = "") -> WitnessLog:
        start = len(self.leaves)
        self.leaves += [sha256(f"{mark}{start + each}".encode()).digest() for each in range(count)]
        return self

    def head(self, size: int | None = None, signed_at: int = 1_700_000_000) -> Checkpoint:
        found = self.leaves[:size]
        return Checkpoint(self.origin, len(found), root_of(found), signed_at)

    def note(self, size: int | None = None) -> str:
        head = self.head(size)
        return signed_note(head, [(self.public, self.signer.sign(head.body().encode()))])

    def submission(self, old: int, size: int | None = None, *, proof: list[bytes] | None = None) -> bytes:
        found = self.leaves[:size]
        steps = consistency_proof(found, old) if proof is None else proof
        lines = "".join(base64.b64encode(each).decode() + "\n" for each in steps)
        return f"old {old}\n{lines}\n{self.note(size)}".encode()
