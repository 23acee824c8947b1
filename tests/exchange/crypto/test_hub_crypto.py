"""Tokens, page tokens, dictionaries and signatures under the hub's keys."""

from __future__ import annotations

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exchange.crypto.hub_crypto import first_dictionary, make_wrapped_keys, open_hub_crypto
from exchange.problems import SealBroken

ROOT = bytes(range(32))
WRAPPED = make_wrapped_keys(ROOT)
HUB = open_hub_crypto(ROOT, WRAPPED, [])
OTHER = open_hub_crypto(ROOT, make_wrapped_keys(ROOT), [])
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
    for token in (forged, OTHER.sign_access_token(CLAIMS), "", "a.b.c"):
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
    sealed = HUB.seal_dictionary(first_dictionary())
    assert first_dictionary()[64:128] not in sealed
    assert open_hub_crypto(ROOT, WRAPPED, [(1, sealed)]).dictionaries.newest == 1
    with pytest.raises(SealBroken):
        open_hub_crypto(ROOT, WRAPPED, [(1, sealed[:-1] + bytes([sealed[-1] ^ 1]))])


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
