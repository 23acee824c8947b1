"""Tokens, page tokens, dictionaries and signatures under the hub's keys."""

from __future__ import annotations

from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto.hub_crypto import (
    first_dictionary,
    make_hub_keys,
    open_backup_key,
    open_hub_crypto,
    sealed_version,
)
from exchange.crypto.hub_key import DESTROYED, RETIRED
from exchange.crypto.keyring import make_hub_key
from exchange.problems import SealBroken
from tests.sample.root import RootInMemory

ROOT = RootInMemory()
ROWS = make_hub_keys(ROOT)
HUB = open_hub_crypto(ROOT, ROWS, [])
OTHER = open_hub_crypto(ROOT, make_hub_keys(ROOT), [])
ISSUER = "https://hub.example"
CLAIMS = {
    "exp": 4_000_000_000,
    "iat": 1,
    "iss": ISSUER,
    "aud": ISSUER,
    "sub": "c",
    "jti": "1",
    "scope": "system/*.rs",
}


def test_a_token_is_read_by_the_hub_that_signed_it():
    assert HUB.read_access_token(HUB.sign_access_token(CLAIMS), issuer=ISSUER) == CLAIMS


@pytest.mark.parametrize(
    "claims",
    [
        CLAIMS | {"exp": 1},
        CLAIMS | {"iss": "https://other.example"},
        CLAIMS | {"aud": "https://other.example"},
        *({name: value for name, value in CLAIMS.items() if name != missing} for missing in CLAIMS),
    ],
)
def test_expired_foreign_and_incomplete_tokens_are_refused(claims):
    with pytest.raises(jwt.InvalidTokenError):
        HUB.read_access_token(HUB.sign_access_token(claims), issuer=ISSUER)


def test_unsigned_and_foreign_tokens_are_refused():
    forged = jwt.encode(CLAIMS, None, algorithm="none")
    unnamed = jwt.encode(CLAIMS, HUB.keyring.derived("token", b"access token"), algorithm="HS256")
    named = [
        jwt.encode(
            CLAIMS, HUB.keyring.derived("token", b"access token"), algorithm="HS256", headers={"kid": kid}
        )
        for kid in ("0", "2", "01", "-1", "99999", "1 ", "../1")
    ]
    for token in (forged, OTHER.sign_access_token(CLAIMS), "", "a.b.c", unnamed, *named):
        with pytest.raises(jwt.InvalidTokenError):
            HUB.read_access_token(token, issuer=ISSUER)


def test_a_page_token_opens_for_whom_it_was_made():
    sealed = HUB.seal_page(b"[1]", b"client and query")
    assert HUB.open_page(sealed, b"client and query") == b"[1]"
    for other in (b"another client", b""):
        with pytest.raises(SealBroken):
            HUB.open_page(sealed, other)
    for broken in (b"", sealed[:5], sealed[:-1], OTHER.seal_page(b"[1]", b"client and query")):
        with pytest.raises(SealBroken):
            HUB.open_page(broken, b"client and query")


def test_a_dictionary_lies_sealed():
    sealed = HUB.seal_dictionary(first_dictionary(), 1)
    assert first_dictionary()[64:128] not in sealed
    assert open_hub_crypto(ROOT, ROWS, [(1, sealed)]).dictionaries.newest == 1
    with pytest.raises(SealBroken):
        open_hub_crypto(ROOT, ROWS, [(1, sealed[:-1] + bytes([sealed[-1] ^ 1]))])


def test_a_wrapped_key_is_useless_elsewhere():
    version, wrapped = HUB.new_wrapped_key(7)
    HUB.cipher(7, version, wrapped)
    with pytest.raises(SealBroken):
        HUB.cipher(8, version, wrapped)
    with pytest.raises(SealBroken):
        OTHER.cipher(7, version, wrapped)


def test_checkpoints_are_signed_with_ed25519():
    signature = HUB.sign_checkpoint(b"head")
    Ed25519PublicKey.from_public_bytes(HUB.checkpoint_key).verify(signature, b"head")
    assert HUB.checkpoint_key != OTHER.checkpoint_key


def test_an_event_is_authenticated_under_a_key_of_its_own():
    mac = HUB.authenticate_event(b"event")
    assert len(mac) == 16
    assert HUB.is_event_authentic(b"event", mac)
    for text, shown in ((b"Event", mac), (b"event", mac[:-1] + bytes([mac[-1] ^ 1])), (b"event", b"")):
        assert not HUB.is_event_authentic(text, shown)
    assert not OTHER.is_event_authentic(b"event", mac)


def hub_of(*rows):
    return open_hub_crypto(ROOT, [*ROWS, *rows], [])


def without(purpose: str):
    return [row for row in ROWS if row.purpose != purpose]


def row_of(purpose: str):
    return next(row for row in ROWS if row.purpose == purpose)


def test_a_token_of_the_former_key_is_good_until_that_is_retired():
    old = HUB.sign_access_token(CLAIMS)
    second = make_hub_key(ROOT, "token", 2)
    both = hub_of(second)
    assert both.read_access_token(old, issuer=ISSUER) == CLAIMS
    after = open_hub_crypto(ROOT, [*without("token"), replace(row_of("token"), state=RETIRED), second], [])
    new = after.sign_access_token(CLAIMS)
    assert jwt.get_unverified_header(new)["kid"] == "2"
    assert both.read_access_token(new, issuer=ISSUER) == after.read_access_token(new, issuer=ISSUER) == CLAIMS
    page = HUB.seal_page(b"[1]", b"query")
    assert both.open_page(page, b"query") == b"[1]"
    with pytest.raises(jwt.InvalidTokenError):
        after.read_access_token(old, issuer=ISSUER)
    with pytest.raises(SealBroken):
        after.open_page(page, b"query")


@given(st.binary(max_size=200), st.binary(max_size=40), st.binary(max_size=40))
def test_a_secret_opens_in_its_place_alone(text, place, other):
    sealed = HUB.seal_secret(text, place, 1)
    assert sealed_version(sealed) == 1
    assert HUB.open_secret(sealed, place) == text
    if place != other:
        with pytest.raises(SealBroken):
            HUB.open_secret(sealed, other)
    with pytest.raises(SealBroken):
        OTHER.open_secret(sealed, place)
    with pytest.raises(SealBroken):
        HUB.open_page(sealed, place)


@pytest.mark.parametrize("sealed", [b"", b"\x00", b"\x00\x01", bytes(40), b"\x00\x02" + bytes(40)])
def test_what_names_no_key_does_not_open(sealed):
    with pytest.raises(SealBroken):
        HUB.open_secret(sealed, b"")
    with pytest.raises(SealBroken):
        HUB.open_page(sealed, b"")


def test_the_version_that_a_secret_names_is_sealed_with_it():
    both = hub_of(make_hub_key(ROOT, "record", 2))
    sealed = both.seal_secret(b"text", b"place", 2)
    assert sealed_version(sealed) == 2
    with pytest.raises(SealBroken):
        both.open_secret(b"\x00\x01" + sealed[2:], b"place")


@given(st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1))
def test_a_rewrapped_data_key_is_the_same_key(compartment, other):
    version, wrapped = HUB.new_wrapped_key(compartment)
    both = hub_of(make_hub_key(ROOT, "record", 2))
    newer, rewrapped = both.rewrap_data_key(compartment, version, wrapped)
    assert (version, newer) == (1, 2)
    body = HUB.cipher(compartment, version, wrapped).encrypt(bytes(12), b"text", None)
    assert both.cipher(compartment, newer, rewrapped).decrypt(bytes(12), body, None) == b"text"
    for place, number in ((compartment, 1), (other if other != compartment else -other, 2)):
        with pytest.raises(SealBroken):
            both.cipher(place, number, rewrapped)
    with pytest.raises(SealBroken):
        HUB.cipher(compartment, newer, rewrapped)


def test_a_backup_s_key_outlives_the_rotation_of_its_wrapping_key():
    wrapped = HUB.wrap_backup_key(b"k" * 32, b"backup 7")
    second = make_hub_key(ROOT, "backup", 2)
    both = hub_of(second)
    assert open_backup_key(ROOT, row_of("backup"), wrapped, b"backup 7") == b"k" * 32
    assert sealed_version(both.wrap_backup_key(b"k" * 32, b"backup 8")) == 2
    gone = replace(row_of("backup"), state=DESTROYED, wrapped=b"")
    other_hub = next(row for row in OTHER.keyring.rows if row.purpose == "backup")
    other_use = next(row for row in HUB.keyring.rows if row.purpose == "token")
    for root, row, place in (
        (ROOT, gone, b"backup 7"), (ROOT, second, b"backup 7"), (ROOT, other_hub, b"backup 7"), (ROOT, other_use, b"backup 7"),
        (ROOT, row_of("backup"), b"backup 8"), (RootInMemory(), row_of("backup"), b"backup 7"),
    ):  # fmt: skip
        with pytest.raises(SealBroken):
            open_backup_key(root, row, wrapped, place)


def test_every_active_audit_key_signs_until_the_former_is_retired():
    second = make_hub_key(ROOT, "audit", 2)
    both = hub_of(second)
    assert both.checkpoint_keys == [second.public, HUB.checkpoint_key]
    signers = both.checkpoint_signers()
    assert [public for public, _ in signers] == both.checkpoint_keys
    for public, sign in signers:
        Ed25519PublicKey.from_public_bytes(public).verify(sign(b"head"), b"head")
    Ed25519PublicKey.from_public_bytes(second.public).verify(both.sign_checkpoint(b"head"), b"head")
    after = open_hub_crypto(ROOT, [*without("audit"), replace(row_of("audit"), state=RETIRED), second], [])
    assert [public for public, _ in after.checkpoint_signers()] == [second.public]
    assert after.checkpoint_keys == both.checkpoint_keys
    assert after.is_event_authentic(b"event", HUB.authenticate_event(b"event"))


def test_a_destroyed_audit_key_s_public_half_is_believed_where_the_hub_vouched_for_it():
    second = make_hub_key(ROOT, "audit", 2)
    both = hub_of(second)
    gone = replace(row_of("audit"), state=DESTROYED, wrapped=b"", public=both.vouched_public(row_of("audit")))
    after = open_hub_crypto(ROOT, [*without("audit"), gone, second], [])
    assert after.checkpoint_keys == [second.public, HUB.checkpoint_key]
    for forged in (OTHER.checkpoint_key, OTHER.checkpoint_key + gone.public[32:], b""):
        rows = [*without("audit"), replace(gone, public=forged), second]
        assert open_hub_crypto(ROOT, rows, []).checkpoint_keys == [second.public]
    with pytest.raises(SealBroken):
        both.vouched_public(replace(row_of("audit"), public=OTHER.checkpoint_key))
