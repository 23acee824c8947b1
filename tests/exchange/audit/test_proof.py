"""Proofs put together from tiles are those of the specification, at any size, from few reads."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exchange.audit.chain import consistency_proof, inclusion_proof, is_consistent, is_included, root_of
from exchange.audit.proof import TILE_HASHES, Tree
from exchange.problems import SealBroken

LEAVES = [sha256(str(number).encode()).digest() for number in range(70_000)]
NODES = {
    8: [root_of(LEAVES[first : first + 256]) for first in range(0, len(LEAVES) - 255, 256)],
    16: [root_of(LEAVES[:65_536])],
}


class Shelf:
    """Hashes as a database would give them, and how often it was asked."""

    def __init__(self, lacking: tuple[int, int] | None = None) -> None:
        self.reads: list[tuple[int, int, int]] = []
        self.lacking = lacking

    def __call__(self, height: int, first: int, end: int):
        self.reads.append((height, first, end))
        assert 0 < end - first <= TILE_HASHES
        found = (NODES[height] if height else LEAVES)[first:end]
        if self.lacking and self.lacking[0] == height and first <= self.lacking[1] < end:
            return found[:-1]
        return found


sizes = st.one_of(
    st.integers(1, 1000),
    st.integers(1, len(LEAVES)),
    st.sampled_from([255, 256, 257, 65_535, 65_536, 65_537]),
)


@hypothesis_settings(max_examples=40)
@given(sizes, st.data())
def test_an_inclusion_proof_is_the_specification_s(size, data):
    index = data.draw(st.integers(0, size - 1))
    proof = Tree(size, Shelf()).inclusion(index)
    assert proof == inclusion_proof(LEAVES[:size], index)
    assert is_included(LEAVES[index], index, size, proof, root_of(LEAVES[:size]))


@hypothesis_settings(max_examples=40)
@given(sizes, st.data())
def test_a_consistency_proof_is_the_specification_s(size, data):
    old = data.draw(st.integers(1, size))
    proof = Tree(size, Shelf()).consistency(old)
    assert proof == consistency_proof(LEAVES[:size], old)
    assert is_consistent(old, size, root_of(LEAVES[:old]), root_of(LEAVES[:size]), proof)


@given(st.integers(1, 2**40), st.data())
def test_few_reads_whatever_the_size(size, data):
    """The shape alone: nobody hashes 2^40 leaves here."""
    asked: list[tuple[int, int, int]] = []

    def read(height: int, first: int, end: int):
        asked.append((height, first, end))
        assert height % 8 == 0
        assert first % 256 == 0
        assert first < end <= min(first + 256, size >> height)
        return [bytes(32)] * (end - first)

    tree = Tree(size, read)
    proof = tree.inclusion(data.draw(st.integers(0, size - 1)))
    levels = (size.bit_length() - 1) // 8 + 1
    assert len(asked) == len(set(asked)) <= 2 * levels
    assert len(proof) <= size.bit_length()
    asked.clear()
    assert len(Tree(size, read).consistency(data.draw(st.integers(1, size)))) <= size.bit_length() + 1
    assert len(asked) <= 3 * levels


def test_neighbours_share_what_was_read():
    shelf = Shelf()
    tree = Tree(70_000, shelf)
    for index in range(300, 400):
        tree.inclusion(index)
    assert len(shelf.reads) <= 5


@pytest.mark.parametrize("lacking", [(0, 300), (8, 2), (16, 0)])
def test_a_proof_is_not_made_of_what_is_missing(lacking):
    with pytest.raises(SealBroken, match="lacks"):
        Tree(70_000, Shelf(lacking)).inclusion(300 if lacking[0] < 16 else 69_000)


@pytest.mark.parametrize("index", [-1, 10, 11])
def test_no_proof_for_a_leaf_that_is_not_under_the_head(index):
    with pytest.raises(SealBroken, match="not under the head"):
        Tree(10, Shelf()).inclusion(index)


def test_no_proof_from_a_head_that_is_newer():
    with pytest.raises(SealBroken, match="newer"):
        Tree(10, Shelf()).consistency(11)
    assert Tree(10, Shelf()).consistency(0) == []
    assert Tree(10, Shelf()).consistency(10) == []
