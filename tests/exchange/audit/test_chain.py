"""The Merkle tree, held against RFC 6962's own words and numbers."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit.chain import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    consistency_ranges,
    full_subtrees,
    inclusion_proof,
    inclusion_ranges,
    is_consistent,
    is_included,
    leaf_hash,
    node_hash,
    root_of,
)

# The inputs and roots of the reference implementation's tests (Certificate Transparency, RFC 6962).
INPUTS = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(bytes.fromhex(each)) for each in INPUTS]

leaves = st.lists(st.binary(min_size=32, max_size=32), max_size=70)


def naive_root(found):
    """MTH(D[n]) as RFC 6962, 2.1 writes it."""
    if not found:
        return sha256(b"").digest()
    if len(found) == 1:
        return found[0]
    split = 1
    while split * 2 < len(found):
        split *= 2
    return node_hash(naive_root(found[:split]), naive_root(found[split:]))


def naive_proof(found, index):
    """PATH(m, D[n]) as RFC 6962, 2.1.1 writes it."""
    if len(found) == 1:
        return []
    split = 1
    while split * 2 < len(found):
        split *= 2
    if index < split:
        return [*naive_proof(found[:split], index), naive_root(found[split:])]
    return [*naive_proof(found[split:], index - split), naive_root(found[:split])]


@pytest.mark.parametrize("size", range(1, 9))
def test_known_roots(size):
    assert root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_the_empty_tree():
    assert root_of([]) == EMPTY_ROOT == Frontier().root()
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(leaves)
def test_the_growing_root_is_the_recursive_one(found):
    assert root_of(found) == naive_root(found)


@given(leaves.filter(bool), st.data())
def test_proofs_are_rfc_6962_s_and_hold(found, data):
    index = data.draw(st.integers(0, len(found) - 1))
    proof = inclusion_proof(found, index)
    assert proof == naive_proof(found, index)
    assert is_included(found[index], index, len(found), proof, naive_root(found))


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=2, max_size=40, unique=True), st.data())
def test_a_proof_holds_for_nothing_else(found, data):
    index = data.draw(st.integers(0, len(found) - 1))
    other = data.draw(st.integers(0, len(found) - 1).filter(lambda each: each != index))
    proof, root = inclusion_proof(found, index), root_of(found)
    assert not is_included(found[other], index, len(found), proof, root)
    assert not is_included(found[index], other, len(found), proof, root)
    assert not is_included(found[index], index, len(found), proof[:-1], root)
    assert not is_included(found[index], index, len(found), [*proof, root], root)
    assert not is_included(
        found[index], index, len(found), proof, root_of(found[::-1]) if found != found[::-1] else b""
    )


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0), (5, 3)])
def test_a_place_outside_of_the_tree_is_not_in_it(index, size):
    assert not is_included(LEAVES[0], index, size, [], LEAVES[0])


@given(leaves, leaves)
def test_a_frontier_grows_on_after_it_was_stored(first, second):
    frontier = Frontier()
    for leaf in first:
        frontier.append(leaf)
    stored = Frontier.of(frontier.size, frontier.to_bytes())
    for leaf in second:
        stored.append(leaf)
    assert stored.root() == naive_root(first + second)
    assert len(stored.roots) == stored.size.bit_count()


@given(leaves.filter(lambda found: len(found) > 1), st.data())
def test_any_change_changes_the_root(found, data):
    at = data.draw(st.integers(0, len(found) - 1))
    changed = [*found]
    changed[at] = sha256(changed[at]).digest()
    swapped = [*found]
    swapped[at], swapped[at - 1] = swapped[at - 1], swapped[at]
    root = root_of(found)
    assert root_of(changed) != root
    assert root_of(found[:at] + found[at + 1 :]) != root
    assert root_of([*found, found[0]]) != root
    assert (root_of(swapped) == root) == (swapped == found)


@pytest.mark.parametrize(("size", "length"), [(1, 0), (0, 32), (3, 32), (2, 33), (4, 64)])
def test_a_frontier_that_does_not_fit_its_size_is_refused(size, length):
    with pytest.raises(ValueError, match="does not fit"):
        Frontier.of(size, bytes(length))


def test_a_leaf_is_not_a_node():
    assert leaf_hash(b"a" * 64) != node_hash(b"a" * 32, b"a" * 32)


# --- consistency


def naive_subproof(found, old, is_whole):
    """SUBPROOF(m, D[n], b) as RFC 6962, 2.1.2 writes it."""
    if old == len(found):
        return [] if is_whole else [naive_root(found)]
    split = 1
    while split * 2 < len(found):
        split *= 2
    if old <= split:
        return [*naive_subproof(found[:split], old, is_whole), naive_root(found[split:])]
    return [*naive_subproof(found[split:], old - split, False), naive_root(found[:split])]


def test_the_example_of_the_specification():
    """RFC 6962, 2.1.3: seven leaves, named a to j with their nodes."""
    a, b, c, d, e, f, j = LEAVES[:7]
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l = node_hash(g, h), node_hash(i, j)  # noqa: E741
    assert inclusion_proof(LEAVES[:7], 0) == [b, h, l]
    assert inclusion_proof(LEAVES[:7], 3) == [c, g, l]
    assert inclusion_proof(LEAVES[:7], 4) == [f, j, k]
    assert inclusion_proof(LEAVES[:7], 6) == [i, k]
    assert consistency_proof(LEAVES[:7], 3) == [c, d, g, l]
    assert consistency_proof(LEAVES[:7], 4) == [l]
    assert consistency_proof(LEAVES[:7], 6) == [i, j, k]


@pytest.mark.parametrize("size", range(1, 34))
def test_every_small_tree_grew_out_of_every_smaller_one(size):
    found = [sha256(bytes((number,))).digest() for number in range(size)]
    for old in range(1, size + 1):
        proof = consistency_proof(found, old)
        assert proof == naive_subproof(found, old, True)
        assert is_consistent(old, size, naive_root(found[:old]), naive_root(found), proof)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=2, max_size=70, unique=True), st.data())
def test_no_other_history_is_consistent(found, data):
    old = data.draw(st.integers(1, len(found) - 1))
    proof, root = consistency_proof(found, old), root_of(found)
    changed = [*found]
    where = data.draw(st.integers(0, old - 1))
    changed[where] = sha256(changed[where]).digest()
    assert not is_consistent(old, len(found), root_of(changed[:old]), root, proof)
    assert not is_consistent(old, len(found), root_of(found[:old]), root_of(changed), proof)
    assert not is_consistent(
        old, len(found), root_of(found[:old]), root_of(changed), consistency_proof(changed, old)
    )
    assert not is_consistent(old, len(found), root_of(found[:old]), root, proof[:-1])
    assert not is_consistent(old, len(found), root_of(found[:old]), root, [*proof, root])
    at = data.draw(st.integers(0, len(proof) - 1))
    assert not is_consistent(
        old,
        len(found),
        root_of(found[:old]),
        root,
        [*proof[:at], sha256(proof[at]).digest(), *proof[at + 1 :]],
    )
    assert not is_consistent(len(found), old, root, root_of(found[:old]), proof)


def test_the_empty_and_the_same_tree_need_no_proof():
    root = root_of(LEAVES)
    assert is_consistent(0, 8, EMPTY_ROOT, root, [])
    assert not is_consistent(0, 8, EMPTY_ROOT, root, [root])
    assert not is_consistent(0, 8, root, root, [])
    assert is_consistent(8, 8, root, root, [])
    assert not is_consistent(8, 8, root, ROOTS[0].encode(), [])
    assert not is_consistent(8, 8, root, root, [root])
    assert not is_consistent(3, 8, root_of(LEAVES[:3]), root, [])
    assert not is_consistent(-1, 8, root, root, [])


def test_a_tree_does_not_grow_out_of_a_larger_one():
    with pytest.raises(ValueError, match="larger"):
        consistency_ranges(9, 8)


@given(st.integers(1, 2**40), st.data())
def test_the_ranges_of_a_proof_are_the_rest_of_the_tree(size, data):
    index = data.draw(st.integers(0, size - 1))
    ranges = sorted([*inclusion_ranges(index, size), (index, index + 1)])
    assert ranges[0][0] == 0
    assert ranges[-1][1] == size
    assert all(left[1] == right[0] for left, right in pairwise(ranges))
    assert len(ranges) <= 41
    for first, end in ranges:
        covered = first
        for height, number in full_subtrees(first, end):
            assert number << height == covered
            covered += 1 << height
        assert covered == end
