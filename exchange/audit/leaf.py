"""What a leaf of the audit log says of an event: digests of it sealed and open, of what finds it, of what it showed.

Spec:    docs/decisions/0012-audit-log.md; FIPS 180-4 (SHA-256).
Leaves:  the tree over leaves to chain; the digests' places in the database to log.

    commitment = SHA-256(sealed event │ open event │ finding │ manifest), each a SHA-256, 32 bytes
    leaf       = SHA-256(0x00 │ commitment │ compartment 8 bytes │ sequence 8 bytes), signed, big-endian

The sealed digest lets the log be verified by whoever has no key; the digest of the open event lets an event be shown to
a court that has none, and says nothing once the event's blinding is gone with the key. The sequence counts the events of
one patient's record from 1: that none of them is missing can be seen. Events about no patient have none: 0.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Final

from exchange.audit.chain import leaf_hash

NO_MANIFEST: Final = bytes(32)
BLINDING_BYTES: Final = 16
_PLACE: Final = struct.Struct(">qq")


def digest(data: bytes) -> bytes:
    """SHA-256. Units: 32 bytes."""
    return sha256(data).digest()


def finding_text(
    compartment: int,
    custodian: int,
    last_updated: int,
    event_id: str,
    clinical_at: int,
    agent: int,
    tokens: str,
    ranges: str,
) -> bytes:
    """What finds an event in the database; arrays as PostgreSQL writes them.

    Whoever changes one of these hides the event from a search, and shows it here. Id and instant stand open, so that
    somebody to whom the rest is a digest can check them.
    """
    rest = found_by_digest(compartment, custodian, clinical_at, agent, tokens, ranges)
    return finding_by_rest(event_id, last_updated, rest)


def finding_by_rest(event_id: str, last_updated: int, rest: bytes) -> bytes:
    """What finds an event whose rest is a digest: of an erased record no more is kept."""
    return f"{event_id}|{last_updated}|{rest.hex()}".encode()


def found_by_digest(
    compartment: int, custodian: int, clinical_at: int, agent: int, tokens: str, ranges: str
) -> bytes:
    """The digest of what finds an event beside its id and its instant."""
    return digest(f"{compartment}|{custodian}|{clinical_at}|{agent}|{tokens}|{ranges}".encode())


def commitment(sealed: bytes, text: bytes, finding: bytes, manifest: bytes = NO_MANIFEST) -> bytes:
    """What an event commits to when it is written. Units: four digests of 32 bytes."""
    return sha256(sealed + text + finding + manifest).digest()


def leaf(event_commitment: bytes, compartment: int, sequence: int) -> bytes:
    """An event's leaf hash, once it has its place among the events of its record."""
    return leaf_hash(event_commitment + _PLACE.pack(compartment, sequence))
