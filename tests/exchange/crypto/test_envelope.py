"""Sealing: what was sealed opens, and nothing else does."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto.envelope import (
    HEADER_BYTES,
    Dictionaries,
    associated_data,
    new_data_key,
    open_sealed,
    seal,
    unwrap_data_key,
    wrap_data_key,
)
from exchange.crypto.hub_crypto import first_dictionary, make_hub_keys
from exchange.crypto.keyring import Keyring
from exchange.problems import SealBroken
from tests.sample.root import RootInMemory

ROOT = RootInMemory()
KEYRING = Keyring(ROOT, make_hub_keys(ROOT))
KEY = AESGCM(new_data_key())
PLAIN = Dictionaries({})
TRAINED = Dictionaries({1: first_dictionary()})
BOUND = associated_data(7, 103, "a-1", 3)

compartments = st.integers(-(2**63), 2**63 - 1)
codes = st.integers(0, 2**15 - 1)
ids = st.from_regex(r"[A-Za-z0-9\-.]{1,64}", fullmatch=True)
versions = st.integers(1, 2**31 - 1)
places = st.tuples(compartments, codes, ids, versions)


@given(st.binary(max_size=5_000), places, st.sampled_from([PLAIN, TRAINED]))
def test_what_was_sealed_opens(text, place, dictionaries):
    bound = associated_data(*place)
    assert open_sealed(KEY, dictionaries, seal(KEY, dictionaries, text, bound), bound) == text


@given(places, places)
def test_every_place_is_bound_differently(one, other):
    assert (associated_data(*one) == associated_data(*other)) == (one == other)


@given(st.binary(max_size=300), st.data())
def test_an_altered_byte_does_not_open(text, data):
    body = bytearray(seal(KEY, TRAINED, text, BOUND))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        open_sealed(KEY, TRAINED, bytes(body), BOUND)


@given(st.binary(max_size=300), st.data())
def test_a_truncated_body_does_not_open(text, data):
    body = seal(KEY, PLAIN, text, BOUND)
    with pytest.raises(SealBroken):
        open_sealed(KEY, PLAIN, body[: data.draw(st.integers(0, len(body) - 1))], BOUND)


@pytest.mark.parametrize(
    ("what", "place"),
    [
        ("moved to another record", (8, 103, "a-1", 3)),
        ("moved to another type", (7, 104, "a-1", 3)),
        ("moved to another id", (7, 103, "a-2", 3)),
        ("rolled back to an older version", (7, 103, "a-1", 2)),
        ("moved to the region", (-7, 103, "a-1", 3)),
    ],
)
def test_a_row_that_was_moved_does_not_open(what, place):
    body = seal(KEY, TRAINED, b'{"resourceType":"Observation"}', BOUND)
    with pytest.raises(SealBroken):
        open_sealed(KEY, TRAINED, body, associated_data(*place))


def test_another_record_s_key_does_not_open():
    with pytest.raises(SealBroken):
        open_sealed(AESGCM(new_data_key()), PLAIN, seal(KEY, PLAIN, b"text", BOUND), BOUND)


def test_two_sealings_of_one_text_are_not_alike():
    sealed = {seal(KEY, PLAIN, b"text", BOUND) for _ in range(200)}
    assert len(sealed) == 200
    assert len({body[2:HEADER_BYTES] for body in sealed}) == 200


def test_a_sealed_body_shows_nothing_of_its_text():
    text = b'{"resourceType":"Patient","name":[{"family":"Huaman Chuquiruna"}]}'
    body = seal(KEY, PLAIN, text, BOUND)
    assert not any(text[at : at + 6] in body for at in range(len(text) - 6))


def test_a_body_opens_after_a_newer_dictionary_came():
    body = seal(KEY, PLAIN, b"sealed before", BOUND)
    assert open_sealed(KEY, TRAINED, body, BOUND) == b"sealed before"


def test_a_body_whose_dictionary_is_not_here_says_so():
    body = seal(KEY, TRAINED, b"sealed", BOUND)
    with pytest.raises(SealBroken, match="dictionary"):
        open_sealed(KEY, PLAIN, body, BOUND)


@given(compartments)
def test_a_wrapped_key_opens_what_it_sealed(compartment):
    data_key = new_data_key()
    version, wrapped = wrap_data_key(KEYRING, compartment, data_key)
    body = seal(AESGCM(data_key), PLAIN, b"text", BOUND)
    assert open_sealed(unwrap_data_key(KEYRING, compartment, version, wrapped), PLAIN, body, BOUND) == b"text"
    assert data_key not in wrapped


def test_a_wrapped_key_is_bound_to_its_record():
    version, wrapped = wrap_data_key(KEYRING, 7, new_data_key())
    with pytest.raises(SealBroken):
        unwrap_data_key(KEYRING, 8, version, wrapped)


def test_another_hub_does_not_unwrap():
    version, wrapped = wrap_data_key(KEYRING, 7, new_data_key())
    other = RootInMemory()
    with pytest.raises(SealBroken):
        unwrap_data_key(Keyring(other, make_hub_keys(other)), 7, version, wrapped)


def test_problems_carry_no_text():
    body = seal(KEY, PLAIN, b"Huaman", BOUND)
    with pytest.raises(SealBroken) as caught:
        open_sealed(KEY, PLAIN, body[:-1] + bytes([body[-1] ^ 1]), BOUND)
    assert caught.value.__cause__ is None
    assert "Huaman" not in str(caught.value)
