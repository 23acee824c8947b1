"""The Merkle tree of RFC 6962 as pure functions: leaves, a growing frontier, roots, proofs and their verification.

Spec:    RFC 9162, 2.1 (tree hashes and proofs).
Leaves:  what a leaf says to leaf; finding a proof's hashes in the database to proof.

pymerkle implements the same under the GPL, which an Apache-2.0 program cannot ship; these are its few lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
KEPT_HEIGHTS: Final = 8
"""Full subtrees of 2^8, 2^16, 2^24 ... leaves are kept: a proof over any number of leaves reads a few rows."""
EMPTY_ROOT: Final = sha256(b"").digest()


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

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add one leaf hash; the full subtrees of the kept heights that it completed: height, index, root."""
        completed = []
        found, index, height = leaf, self.size, 0
        while index & 1:
            found = node_hash(self.roots.pop(), found)
            index >>= 1
            height += 1
            if height % KEPT_HEIGHTS == 0:
                completed.append((height, index, found))
        self.roots.append(found)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root of all leaves so far."""
        return joined(self.roots) if self.roots else EMPTY_ROOT

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


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Which leaves each hash of an inclusion proof stands for, from the leaf upwards: first, and one behind the last.

    Spec: RFC 9162, 2.1.3.1.
    """
    first, end, found = 0, size, []
    while end - first > 1:
        split = first + _largest_below(end - first)
        if index < split:
            found.append((split, end))
            end = split
        else:
            found.append((first, split))
            first = split
    return found[::-1]


def consistency_ranges(old: int, size: int) -> list[tuple[int, int]]:
    """Which leaves each hash of a consistency proof stands for.

    Raises: ValueError - no tree of `old` leaves can have grown to `size`.
    Spec:   RFC 9162, 2.1.4.1.
    """
    if not 0 <= old <= size:
        raise ValueError("the older tree is larger than the newer one")
    if old == 0:
        return []
    first, end, found = 0, size, []
    while old < end:
        split = first + _largest_below(end - first)
        if old <= split:
            found.append((split, end))
            end = split
        else:
            found.append((first, split))
            first = split
    if first:
        found.append((first, end))
    return found[::-1]


def full_subtrees(first: int, end: int) -> list[tuple[int, int]]:
    """The full subtrees under a range that a proof names, left to right: height, and index among those of that height."""
    found = []
    while first < end:
        height = (end - first).bit_length() - 1
        found.append((height, first >> height))
        first += 1 << height
    return found


def joined(roots: Sequence[bytes]) -> bytes:
    """The root over subtrees that lie beside each other, the largest first."""
    found = roots[-1]
    for left in reversed(roots[:-1]):
        found = node_hash(left, found)
    return found


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that prove a leaf. Spec: RFC 9162, 2.1.3.1."""
    return [root_of(leaves[first:end]) for first, end in inclusion_ranges(index, len(leaves))]


def consistency_proof(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """The hashes that prove that a tree grew out of its first `old` leaves. Spec: RFC 9162, 2.1.4.1."""
    return [root_of(leaves[first:end]) for first, end in consistency_ranges(old, len(leaves))]


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


def is_consistent(old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree with `root` is one that has grown out of the tree with `old_root`.

    1. The empty tree and the same tree need no proof. 2. Where the old tree is a full subtree, its root begins the proof.
    3. Both roots are rebuilt from the proof at once. 4. Both have to be those that were given.

    Spec: RFC 9162, 2.1.4.2.
    """
    # 1.
    if not 0 <= old <= size:
        return False
    if old in (0, size):
        return not proof and old_root == (root if old == size else EMPTY_ROOT)
    # 2.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    # 3.
    place, last = old - 1, size - 1
    while place % 2:
        place //= 2
        last //= 2
    old_found = found = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if place % 2 or place == last:
            old_found, found = node_hash(step, old_found), node_hash(step, found)
            while place % 2 == 0 and place:
                place //= 2
                last //= 2
        else:
            found = node_hash(found, step)
        place //= 2
        last //= 2
    # 4.
    return last == 0 and old_found == old_root and found == root


def _largest_below(number: int) -> int:
    """The largest power of two that is smaller than a number of at least two."""
    return 1 << (number - 1).bit_length() - 1
