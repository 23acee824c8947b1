"""Cosignatures and published keys, in C2SP's form, and those that are refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit.checkpoint import Checkpoint, verifier_key
from exchange.audit.cosignature import LOG_KEY, WITNESS_KEY, VerifierKey, cosign, read_cosignature, read_key
from exchange.problems import Invalid, SealBroken

SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = SIGNER.public_key().public_bytes_raw()
KEY = VerifierKey("witness.example/1", WITNESS_KEY, PUBLIC)
BODY = Checkpoint("hub.example/audit", 7, bytes(range(32)), 1_700_000_000).body()
LINE = cosign(BODY, 1_700_000_009, KEY, SIGNER.sign)


def test_the_form_of_a_cosignature():
    assert LINE.startswith("— witness.example/1 ")
    raw = base64.b64decode(LINE.split()[2])
    assert (raw[:4], int.from_bytes(raw[4:12], "big"), len(raw)) == (KEY.number, 1_700_000_009, 76)
    SIGNER.public_key().verify(
        raw[12:],
        f"cosignature/v1\ntime 1700000009\nhub.example/audit\n7\n{base64.b64encode(bytes(range(32))).decode()}\n"
        "time 1700000000\n".encode(),
    )


def test_it_says_when():
    assert read_cosignature(LINE, BODY, KEY) == 1_700_000_009


@pytest.mark.parametrize(
    ("line", "body", "key"),
    [
        (LINE, BODY.replace("\n7\n", "\n8\n"), KEY),
        (LINE, BODY, VerifierKey("witness.example/2", WITNESS_KEY, PUBLIC)),
        (LINE, BODY, VerifierKey("witness.example/1", LOG_KEY, PUBLIC)),
        (LINE, BODY, VerifierKey("witness.example/1", WITNESS_KEY, bytes(32))),
        (LINE.strip(), BODY, KEY),
        (LINE + LINE, BODY, KEY),
        ("", BODY, KEY),
        ("— witness.example/1 AAAA\n", BODY, KEY),
        ("— witness.example/1 ****\n", BODY, KEY),
    ],
)
def test_what_is_no_cosignature_of_this_head_by_this_witness(line, body, key):
    with pytest.raises(SealBroken):
        read_cosignature(line, body, key)


@given(st.integers(0, 75), st.integers(1, 255))
def test_no_byte_of_it_can_change(at, mask):
    raw = bytearray(base64.b64decode(LINE.split()[2]))
    raw[at] ^= mask
    with pytest.raises(SealBroken):
        read_cosignature(f"— {KEY.name} {base64.b64encode(raw).decode()}\n", BODY, KEY)


@pytest.mark.parametrize("kind", [LOG_KEY, WITNESS_KEY])
def test_a_key_is_read_as_it_was_handed_out(kind):
    key = VerifierKey("hub.example/audit", kind, PUBLIC)
    assert read_key(key.text()) == key


def test_a_log_s_key_has_the_form_that_the_log_hands_out():
    assert VerifierKey("hub.example/audit", LOG_KEY, PUBLIC).text() == verifier_key(
        "hub.example/audit", PUBLIC
    )


GOOD = KEY.text()


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "a+b+c", GOOD + "\n", " " + GOOD, GOOD.replace("/1+", "/2+"), GOOD.replace("+", " "), GOOD[:-4],
        GOOD.replace("witness", "wit ness"), GOOD + "A" * 600, "+" + GOOD.split("+", 1)[1],
        VerifierKey("w", 2, PUBLIC).text(), VerifierKey("w", 4, PUBLIC[:-1]).text(),
    ],
)  # fmt: skip
def test_what_is_no_key(text):
    with pytest.raises(Invalid):
        read_key(text)
