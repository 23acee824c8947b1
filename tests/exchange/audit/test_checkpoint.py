"""Signed tree heads in C2SP's form, and the notes that are refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit.checkpoint import Checkpoint, key_id, read, signed_note, verifier_key
from exchange.problems import SealBroken

SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = SIGNER.public_key().public_bytes_raw()
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
HEAD = Checkpoint("chasqui.hub/audit", 1234, bytes(range(32)), 1_780_000_000)


def sign(head, *signers):
    body = head.body().encode()
    return signed_note(head, [(each.public_key().public_bytes_raw(), each.sign(body)) for each in signers])


NOTE = sign(HEAD, SIGNER)


def test_the_form_of_a_note():
    body, _, signatures = NOTE.partition("\n\n")
    assert body == f"chasqui.hub/audit\n1234\n{base64.b64encode(bytes(range(32))).decode()}\ntime 1780000000"
    assert signatures.startswith("— chasqui.hub/audit ")
    assert signatures.endswith("\n")
    raw = base64.b64decode(signatures.split()[2])
    assert raw[:4] == key_id("chasqui.hub/audit", PUBLIC)
    assert len(raw) == 4 + 64


@given(st.integers(0, 2**60), st.binary(min_size=32, max_size=32), st.integers(0, 2**40))
def test_what_was_signed_is_read(size, root, when):
    head = Checkpoint("hub.example/audit", size, root, when)
    assert read(sign(head, SIGNER), [PUBLIC]) == head
    assert read(sign(head, OTHER, SIGNER), [PUBLIC]) == head


def test_a_cosignature_after_the_hub_s_own_is_no_matter():
    assert read(NOTE + "— witness.example " + base64.b64encode(bytes(68)).decode() + "\n", [PUBLIC]) == HEAD


def test_another_key_s_note_is_refused():
    with pytest.raises(SealBroken, match="another key"):
        read(sign(HEAD, OTHER), [PUBLIC])


def test_a_signature_by_another_key_under_this_key_s_name_is_refused():
    with pytest.raises(SealBroken, match="does not hold"):
        read(signed_note(HEAD, [(PUBLIC, OTHER.sign(HEAD.body().encode()))]), [PUBLIC])


@given(st.data())
def test_no_byte_of_what_is_signed_can_change(data):
    signed = NOTE.partition("\n\n")[0].encode()
    at = data.draw(st.integers(0, len(signed) - 1))
    altered = bytearray(NOTE.encode())
    altered[at] ^= data.draw(st.integers(1, 127))
    with pytest.raises(SealBroken):
        read(altered.decode(errors="replace"), [PUBLIC])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        NOTE.partition("\n\n")[0],
        NOTE.replace("\n1234\n", "\n1235\n"),
        NOTE.replace("\n1234\n", "\n01234\n"),
        NOTE.replace("\n1234\n", "\n1_234\n"),
        NOTE.replace("\n1234\n", "\n+1234\n"),
        NOTE.replace("\n1234\n", "\n-1\n"),
        NOTE.replace("\n1234\n", "\n 1234\n"),
        NOTE.replace("\n1234\n", "\nmany\n"),
        NOTE.replace("\n1234\n", "\n1234\nextra\n"),
        NOTE.replace("\ntime 1780000000", ""),
        NOTE.replace("time 1780000000", "time 1780000001"),
        NOTE.replace("time 1780000000", "time  1780000000"),
        NOTE.replace("time 1780000000", "time soon"),
        NOTE.replace("time 1780000000", "time 1780000000\ntime 1780000000"),
        NOTE + "x" * 70_000,
        NOTE.replace("— chasqui", "— other"),
        NOTE.replace("chasqui.hub/audit\n", "other.hub/audit\n"),
        NOTE.replace("— ", "- "),
        NOTE[:-20],
    ],
)
def test_a_malformed_or_altered_note_is_refused(note):
    with pytest.raises(SealBroken):
        read(note, [PUBLIC])


def test_of_two_signatures_each_has_to_hold():
    body = HEAD.body().encode()
    other = OTHER.public_key().public_bytes_raw()
    forged = signed_note(HEAD, [(PUBLIC, SIGNER.sign(body)), (other, SIGNER.sign(body))])
    assert read(forged, [PUBLIC]) == HEAD
    with pytest.raises(SealBroken, match="does not hold"):
        read(forged, [PUBLIC, other])


def test_a_key_as_it_is_handed_out():
    name, number, key = verifier_key("chasqui.hub/audit", PUBLIC).split("+", 2)
    assert (name, number) == ("chasqui.hub/audit", key_id("chasqui.hub/audit", PUBLIC).hex())
    assert base64.b64decode(key) == b"\x01" + PUBLIC
