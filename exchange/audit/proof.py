"""Proofs from a log of any size: an event lies under a head, a head grew out of another.

Spec:    RFC 9162, 2.1.3 and 2.1.4; docs/decisions/0012-audit-log.md, 0026-proofs-and-witnesses.md.
Leaves:  which hashes a proof has to chain; signing heads to seal; what goes with a proof to receipt and evidence.

A tree is kept in tiles: 256 neighbouring hashes of height 0 (leaves), 8, 16 … A proof lies in two tiles of each of these
heights at most, so that it costs a handful of queries in a log of ten million events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from exchange.audit.chain import (
    KEPT_HEIGHTS,
    consistency_ranges,
    full_subtrees,
    inclusion_ranges,
    joined,
    root_of,
)
from exchange.problems import SealBroken
from exchange.store.session import Transaction

TILE_HEIGHT: Final = KEPT_HEIGHTS
TILE_HASHES: Final = 1 << TILE_HEIGHT
MOST_TILES: Final = 64

Read = Callable[[int, int, int], Sequence[bytes]]
"""The hashes of full subtrees of a height that is stored: the height, the first one's index, one behind the last's."""

LEAVES: Final = """
SELECT leaf FROM audit_leaf WHERE leaf_index >= %s AND leaf_index < %s ORDER BY leaf_index"""

NODES: Final = """
SELECT hash FROM audit_node WHERE height = %s AND index >= %s AND index < %s ORDER BY index"""


class Tree:
    """The tree under one head, read tile by tile; the last tiles are remembered."""

    def __init__(self, size: int, read: Read) -> None:
        self.size = size
        self._read = read
        self._tiles: dict[tuple[int, int], Sequence[bytes]] = {}

    def inclusion(self, index: int) -> list[bytes]:
        """The proof that a leaf lies in this tree. Raises: SealBroken - the log lacks what the tree stands on."""
        if not 0 <= index < self.size:
            raise SealBroken(f"leaf {index} is not under the head of {self.size} events")
        return [self._root(first, end) for first, end in inclusion_ranges(index, self.size)]

    def consistency(self, old: int) -> list[bytes]:
        """The proof that this tree grew out of its first `old` leaves.

        Raises: SealBroken - the older tree is larger than this one, or the log lacks what the tree stands on.
        """
        if old > self.size:
            raise SealBroken(f"a head of {old} events is newer than the log's, which holds {self.size}")
        return [self._root(first, end) for first, end in consistency_ranges(old, self.size)]

    def _root(self, first: int, end: int) -> bytes:
        return joined([self._subtree(height, index) for height, index in full_subtrees(first, end)])

    def _subtree(self, height: int, index: int) -> bytes:
        """The root of a full subtree, from the hashes of the highest stored height that is not above it."""
        stored = height - height % TILE_HEIGHT
        count = 1 << height - stored
        tile, offset = divmod(index * count, TILE_HASHES)
        return root_of(self._tile(stored, tile)[offset : offset + count])

    def _tile(self, height: int, number: int) -> Sequence[bytes]:
        found = self._tiles.get((height, number))
        if found is None:
            first = number * TILE_HASHES
            end = min(first + TILE_HASHES, self.size >> height)
            found = self._read(height, first, end)
            if len(found) != end - first:
                raise SealBroken(f"the log lacks hashes of height {height} between {first} and {end}")
            if len(self._tiles) == MOST_TILES:
                del self._tiles[next(iter(self._tiles))]
            self._tiles[height, number] = found
        return found


def stored_tree(transaction: Transaction, size: int) -> Tree:
    """The tree of the first `size` leaves, as the database holds it.

    Whoever holds the database may have changed it: a proof is checked against a signed head before it is given away.
    """

    def read(height: int, first: int, end: int) -> list[bytes]:
        if height == 0:
            return [bytes(row[0]) for row in transaction.rows(LEAVES, (first, end))]
        return [bytes(row[0]) for row in transaction.rows(NODES, (height, first, end))]

    return Tree(size, read)
