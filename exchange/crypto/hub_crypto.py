"""One process's opened cryptography: what the rooms above may use without touching a key.

Spec:    RFC 7518 (HS256), RFC 8032 (Ed25519); docs/decisions/0008-sealed-by-default.md.
Leaves:  loading wrapped keys and dictionaries to store/session.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Collection
from hashlib import blake2b
from importlib.resources import files
from typing import Any, Final

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.crypto import envelope
from exchange.crypto.blind_index import BlindIndex
from exchange.crypto.keyring import NONCE_BYTES, PURPOSES, HubKey, Keyring, make_hub_keys, open_hub_keys
from exchange.problems import SealBroken

TOKEN_ALGORITHM: Final = "HS256"  # noqa: S105 - the name of an algorithm
EVENT_MAC_BYTES: Final = 16


class HubCrypto:
    """Sealing, blind indexing and signing under the hub's keys."""

    def __init__(self, keyring: Keyring, dictionaries: dict[int, bytes]) -> None:
        self._keyring = keyring
        self.dictionaries = envelope.Dictionaries(dictionaries)
        self.blind_index = BlindIndex(keyring)
        self._token_key = _derive(keyring.key("token"), b"access token")
        self._page = AESGCM(_derive(keyring.key("token"), b"page token"))
        self._dictionary = AESGCM(_derive(keyring.key("record", 1), b"dictionary"))
        self._signer = Ed25519PrivateKey.from_private_bytes(keyring.key("audit"))
        self._event_macs = [_derive(key, b"audit event") for key in keyring.keys("audit")]

    def new_wrapped_key(self, compartment: int) -> tuple[int, bytes]:
        """A fresh data key for a compartment: the wrapping version and the wrapped key."""
        return envelope.wrap_data_key(self._keyring, compartment, envelope.new_data_key())

    def cipher(self, compartment: int, version: int, wrapped: bytes) -> AESGCM:
        """The cipher that a wrapped data key opens. Raises: SealBroken."""
        return envelope.unwrap_data_key(self._keyring, compartment, version, wrapped)

    def sign_access_token(self, claims: dict[str, Any]) -> str:
        """A signed access token (JWS compact)."""
        return jwt.encode(claims, self._token_key, algorithm=TOKEN_ALGORITHM, headers={"typ": "at+jwt"})

    def read_access_token(self, token: str, *, issuer: str) -> dict[str, Any]:
        """The claims of a valid access token. Raises: jwt.InvalidTokenError."""
        claims: dict[str, Any] = jwt.decode(
            token,
            self._token_key,
            algorithms=[TOKEN_ALGORITHM],
            issuer=issuer,
            audience=issuer,
            options={"require": ["exp", "iat", "iss", "aud", "sub", "jti", "scope"]},
        )
        return claims

    def seal_page(self, text: bytes, bound_to: bytes) -> bytes:
        """Seal a page token to the caller and query that it was made for."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._page.encrypt(nonce, text, bound_to)

    def open_page(self, sealed: bytes, bound_to: bytes) -> bytes:
        """A page token's text. Raises: SealBroken - another caller's, another query's, or altered."""
        try:
            return self._page.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):
            raise SealBroken("a page token does not open") from None

    def seal_dictionary(self, text: bytes) -> bytes:
        """Seal a compression dictionary: it is trained from records and holds fragments of them."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._dictionary.encrypt(nonce, text, b"dictionary")

    def sign_checkpoint(self, text: bytes) -> bytes:
        """An Ed25519 signature. Units: 64 bytes."""
        return self._signer.sign(text)

    def authenticate_event(self, text: bytes) -> bytes:
        """What shows that the hub wrote an audit event, and not whoever holds the database. Units: 16 bytes."""
        return _event_mac(self._event_macs[0], text)

    def is_event_authentic(self, text: bytes, mac: bytes) -> bool:
        """Whether the hub wrote an audit event, under whichever of its keys."""
        return any(hmac.compare_digest(_event_mac(key, text), mac) for key in self._event_macs)

    @property
    def checkpoint_key(self) -> bytes:
        """The public key of checkpoints. Units: 32 bytes."""
        return self._signer.public_key().public_bytes_raw()


def open_dictionary(keyring: Keyring, sealed: bytes) -> bytes:
    """A sealed compression dictionary's bytes. Raises: SealBroken."""
    try:
        key = AESGCM(_derive(keyring.key("record", 1), b"dictionary"))
        return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], b"dictionary")
    except InvalidTag:
        raise SealBroken("a compression dictionary does not open") from None


def _event_mac(key: bytes, text: bytes) -> bytes:
    return blake2b(text, key=key, digest_size=EVENT_MAC_BYTES).digest()


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"chasqui " + purpose).derive(key)


def make_wrapped_keys(root: bytes, without: Collection[str] = ()) -> list[tuple[str, int, bytes]]:
    """The keys that a hub lacks, as rows: purpose, version, wrapped."""
    lacking = tuple(purpose for purpose in PURPOSES if purpose not in without)
    return [(key.purpose, key.version, key.wrapped) for key in make_hub_keys(root, lacking)]


def open_hub_crypto(
    root: bytes, wrapped: list[tuple[str, int, bytes]], dictionaries: list[tuple[int, bytes]]
) -> HubCrypto:
    """The cryptography that a root key opens. Raises: SealBroken - another root made these rows."""
    keyring = open_hub_keys(root, [HubKey(*row) for row in wrapped])
    return HubCrypto(keyring, {number: open_dictionary(keyring, sealed) for number, sealed in dictionaries})


def first_dictionary() -> bytes:
    """The dictionary that a new hub starts with, trained from invented records (`make dictionary`)."""
    return files("exchange.crypto").joinpath("dictionary-1.zdict").read_bytes()
