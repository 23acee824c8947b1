"""The offline verifier's own arithmetic: RFC 8032's vectors, the hub's proofs, and that it needs nothing but Python."""

from __future__ import annotations

import ast
import importlib.util
import random
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exchange.audit import export
from exchange.audit.chain import consistency_proof, inclusion_proof, root_of
from exchange.audit.checkpoint import Checkpoint, signed_note
from exchange.audit.cosignature import LOG_KEY, WITNESS_KEY, VerifierKey, cosign
from tests.simulators.witness_log import WitnessLog

PLACE = Path(export.__file__).parent / "offline" / "verify.py"
SOURCE = PLACE.read_text("utf-8")
_spec = importlib.util.spec_from_file_location("offline_verifier", PLACE)
assert _spec is not None
verifier = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(verifier)

# RFC 8032, 7.1: public key, message, signature.
VECTORS = [
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
    ("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"),
]  # fmt: skip
# Every point of small order, and encodings of them that are not canonical.
SMALL = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
]
NOT_CANONICAL = [
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0200000000000000000000000000000000000000000000000000000000000000",
]
ORDER = 2**252 + 27742317777372353535851937790883648493


def a_key(public: bytes):
    return verifier.Key(VerifierKey("k", LOG_KEY, public).text())


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_the_vectors_of_rfc_8032(public, message, signature):
    key = a_key(bytes.fromhex(public))
    assert key.verifies(bytes.fromhex(message), bytes.fromhex(signature))
    assert not key.verifies(bytes.fromhex(message) + b"x", bytes.fromhex(signature))
    for at in (0, 31, 32, 63):
        altered = bytearray(bytes.fromhex(signature))
        altered[at] ^= 1
        assert not key.verifies(bytes.fromhex(message), bytes(altered))


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_a_signature_has_one_form(public, message, signature):
    raw = bytes.fromhex(signature)
    larger = int.from_bytes(raw[32:], "little") + ORDER
    key = a_key(bytes.fromhex(public))
    assert not key.verifies(bytes.fromhex(message), raw[:32] + larger.to_bytes(32, "little"))
    assert not key.verifies(bytes.fromhex(message), raw + b"\0")
    assert not key.verifies(bytes.fromhex(message), raw[:-1])
    assert not key.verifies(bytes.fromhex(message), b"")


@pytest.mark.parametrize("public", SMALL)
def test_a_key_that_would_verify_anything_is_refused(public):
    with pytest.raises(verifier.Wrong, match="anything"):
        a_key(bytes.fromhex(public))


@pytest.mark.parametrize("public", NOT_CANONICAL)
def test_a_key_that_is_no_point_in_its_one_form_is_refused(public):
    with pytest.raises(verifier.Wrong, match="no point"):
        a_key(bytes.fromhex(public))


def test_a_signature_with_a_point_of_small_order_is_refused():
    """R of small order, S = 0: holds under a careless verifier for a key of small order alone; refused for every key."""
    key = a_key(bytes.fromhex(VECTORS[0][0]))
    for point in SMALL:
        assert not key.verifies(b"", bytes.fromhex(point) + bytes(32))


@hypothesis_settings(max_examples=40)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 511))
def test_it_agrees_with_another_implementation(seed, message, bit):
    signer = Ed25519PrivateKey.from_private_bytes(seed)
    key, signature = a_key(signer.public_key().public_bytes_raw()), signer.sign(message)
    assert key.verifies(message, signature)
    altered = bytearray(signature)
    altered[bit // 8] ^= 1 << bit % 8
    assert not key.verifies(message, bytes(altered))


# --- the tree


LEAVES = [sha256(bytes((number,))).digest() for number in range(70)]


@given(st.integers(1, 70), st.data())
def test_it_takes_the_hub_s_inclusion_proofs_and_no_others(size, data):
    index = data.draw(st.integers(0, size - 1))
    path, root = inclusion_proof(LEAVES[:size], index), root_of(LEAVES[:size])
    assert verifier.rooted(LEAVES[index], index, size, path) == root
    for other in ([*path, root], path[:-1], path[1:]):
        if other == path:
            continue
        with suppress(verifier.Wrong):
            assert verifier.rooted(LEAVES[index], index, size, other) != root
    for place in range(-1, size + 1):
        if place != index:
            with suppress(verifier.Wrong):
                assert verifier.rooted(LEAVES[index], place, size, path) != root


@given(st.integers(2, 70), st.data())
def test_it_takes_the_hub_s_consistency_proofs_and_no_others(size, data):
    old = data.draw(st.integers(1, size - 1))
    path, roots = consistency_proof(LEAVES[:size], old), (root_of(LEAVES[:old]), root_of(LEAVES[:size]))
    start = None if old & (old - 1) else roots[0]
    assert verifier.grown(old, size, path, start) == roots
    fork = [sha256(b"fork").digest(), *LEAVES[1:size]]
    forked = consistency_proof(fork, old)
    assert verifier.grown(old, size, forked, start) != (roots[0], root_of(fork))
    for other in ([*path, LEAVES[0]], path[:-1], []):
        if other != path:
            with suppress(verifier.Wrong):
                assert verifier.grown(old, size, other, start) != roots


# --- heads


LOG = WitnessLog().grow(7)
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS_KEY_TEXT = VerifierKey("w.example/1", WITNESS_KEY, WITNESS.public_key().public_bytes_raw())


def keys(*texts: VerifierKey):
    return [verifier.Key(each.text()) for each in texts]


def test_a_head_and_its_cosignature_are_read():
    note = LOG.note() + cosign(LOG.head().body(), 1_700_000_007, WITNESS_KEY_TEXT, WITNESS.sign)
    head = verifier.signed_head(note, keys(LOG.key, WITNESS_KEY_TEXT))
    assert (head.size, head.root, head.seconds) == (7, root_of(LOG.leaves), 1_700_000_000)
    assert head.cosigned == [("w.example/1", 1_700_000_007)]
    assert verifier.signed_head(note, keys(LOG.key)).cosigned == []


def test_a_cosignature_from_before_the_head_says_that_the_head_s_time_is_wrong():
    note = LOG.note() + cosign(LOG.head().body(), 1_699_990_000, WITNESS_KEY_TEXT, WITNESS.sign)
    with pytest.raises(verifier.Wrong, match="before that"):
        verifier.signed_head(note, keys(LOG.key, WITNESS_KEY_TEXT))


def test_heads_that_are_refused():
    known = keys(LOG.key, WITNESS_KEY_TEXT)
    good = LOG.note()
    with pytest.raises(verifier.Wrong, match="not signed"):
        verifier.signed_head(good, keys(WITNESS_KEY_TEXT))
    for changed in (
        good.replace("\n7\n", "\n8\n"), good.replace("time 1", "time 2"), good.replace("hub.", "hun."), good.replace("\n7\n", "\n07\n"),
        good.split("\n\n")[0] + "\n", "", "x" * 70_000, good.replace("— ", "- "),
        good + cosign(LOG.head(6).body(), 1_700_000_007, WITNESS_KEY_TEXT, WITNESS.sign),
        signed_note(Checkpoint("other", 7, bytes(32), 5), [(LOG.public, bytes(64))]),
    ):  # fmt: skip
        with pytest.raises(verifier.Wrong):
            verifier.signed_head(changed, known)


@pytest.mark.parametrize(
    "text", ["", "a+b", "a+00000000+AAAA", LOG.key.text()[:-4], LOG.key.text().replace("hub", "hun")]
)
def test_what_is_no_key(text):
    with pytest.raises(verifier.Unreadable):
        verifier.Key(text)


# --- whoever runs it


def test_it_needs_nothing_but_python():
    imported = {
        alias.name.split(".")[0]
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    imported |= {
        node.module.split(".")[0] for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.ImportFrom)
    }
    assert imported <= sys.stdlib_module_names
    assert not imported & {
        "socket",
        "urllib",
        "http",
        "ssl",
        "subprocess",
        "ctypes",
        "os",
        "shutil",
        "tempfile",
        "pickle",
    }
    assert not [node for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("eval", "exec", "compile", "__import__")]  # fmt: skip


def test_it_is_read_in_an_afternoon_and_by_python_3_9():
    ast.parse(SOURCE, feature_version=(3, 9))
    assert len(SOURCE.splitlines()) < 500


def test_its_records_are_the_export_s():
    assert verifier.RECORD.size == export.RECORD.size
    fields = [random.randbytes(32) for _ in range(5)]
    packed = export.RECORD.pack(*fields, 7, -8, 9, 10, 11, b"i" * 16, b"r" * 32, 16)
    row = verifier.RECORD.unpack(packed)
    assert (row[0], row[1], row[3], row[5], row[6], row[8]) == (
        fields[0],
        b"".join(fields[1:]),
        9,
        11,
        b"i" * 16,
        16,
    )
