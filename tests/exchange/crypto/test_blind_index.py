"""Blind indexes: equal values are found, nothing is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto.blind_index import BlindIndex
from exchange.crypto.hub_crypto import make_hub_keys
from exchange.crypto.keyring import Keyring
from tests.sample.root import RootInMemory

ROOT = RootInMemory(bytes(range(32)))
WRAPPED = make_hub_keys(ROOT)
ONE = BlindIndex(Keyring(ROOT, WRAPPED))
OTHER = BlindIndex(Keyring(ROOT, make_hub_keys(ROOT)))


@given(st.text(), st.text())
def test_equal_values_have_equal_tokens_and_others_do_not(one, other):
    assert (ONE.value(one) == ONE.value(other)) == (one == other)


@given(st.text())
def test_tokens_depend_on_the_hub_s_key(text):
    assert ONE.value(text) != OTHER.value(text)
    assert ONE.value(text) == BlindIndex(Keyring(ROOT, WRAPPED)).value(text)


@given(st.text(max_size=70))
def test_a_token_fits_a_bigint(text):
    assert -(2**63) <= ONE.value(text) < 2**63


@given(st.from_regex(r"[A-Za-z0-9\-.]{1,64}", fullmatch=True))
def test_a_patient_s_record_is_positive_and_everything_else_negative(logical):
    assert 0 < ONE.patient_compartment(logical) < 2**63
    assert -(2**63) < ONE.own_compartment("Organization", logical) < 0


def test_values_and_compartments_share_no_hash():
    assert ONE.value("Patient/p1") >> 1 != ONE.patient_compartment("p1")
