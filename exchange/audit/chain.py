"""The Merkle tree of RFC 6962 as pure functions: leaves, a growing frontier, roots, inclusion proofs.

Spec:    RFC 9162, 2.1 (tree hashes and proofs).
Leaves:  reading and storing to log, seal and verify.

pymerkle implements the same under the GPL, which an Apache-2.0 program cannot ship; these are its few lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


def commitment(salt: bytes, sealed_body: bytes, row: bytes = b"") -> bytes:
    """What a leaf commits to: the sealed event, so that destroying its key breaks no proof.

    `row` is what the event is found by: whoever empties an event's index hides it, and shows it here.
    """
    found_by = sha256(row).digest() if row else b""
    return sha256(salt + found_by + sealed_body).digest()


def row_text(
    compartment: int,
    custodian: int,
    last_updated: int,
    event_id: str,
    clinical_at: int,
    tokens: str,
    ranges: str,
) -> bytes:
    """What finds an event, as its leaf commits to it; arrays as PostgreSQL writes them."""
    return f"{compartment}|{custodian}|{last_updated}|{event_id}|{clinical_at}|{tokens}|{ranges}".encode()


def leaf_hash(data: bytes) -> bytes:
    """A leaf's hash. Spec: RFC 9162, 2.1.1."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """An inner node's hash. Spec: RFC 9162, 2.1.1."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """A tree of `size` leaves by the roots of its full subtrees, largest first: enough to grow it."""

    size: int = 0
    roots: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self.roots.append(leaf)
        self.size += 1
        grown = self.size
        while grown % 2 == 0:
            right = self.roots.pop()
            self.roots[-1] = node_hash(self.roots[-1], right)
            grown //= 2

    def root(self) -> bytes:
        """The root of all leaves so far."""
        if not self.roots:
            return EMPTY_ROOT
        found = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            found = node_hash(left, found)
        return found

    def to_bytes(self) -> bytes:
        """The subtree roots, one after the other."""
        return b"".join(self.roots)

    @staticmethod
    def of(size: int, roots: bytes) -> Frontier:
        """A stored frontier. Raises: ValueError - not as many roots as the size has ones."""
        if len(roots) != HASH_BYTES * size.bit_count():
            raise ValueError("the frontier does not fit its size")
        return Frontier(size, [roots[at : at + HASH_BYTES] for at in range(0, len(roots), HASH_BYTES)])


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that prove a leaf. Spec: RFC 9162, 2.1.3.1."""
    if len(leaves) <= 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*inclusion_proof(leaves[:split], index), root_of(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), root_of(leaves[:split])]


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof holds. Spec: RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if place % 2 or place == last:
            found = node_hash(step, found)
            while place % 2 == 0 and place:
                place //= 2
                last //= 2
        else:
            found = node_hash(found, step)
        place //= 2
        last //= 2
    return last == 0 and found == root
