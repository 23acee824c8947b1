"""One process's opened cryptography: what the rooms above may use without touching a key.

Spec:    RFC 7518 (HS256), RFC 8032 (Ed25519); docs/decisions/0008-sealed-by-default.md, 0024-key-tree.md.
Leaves:  where wrapped keys, sealed secrets and dictionaries lie to store.

What is sealed or signed here names the version of its key, so that old and new lie side by side while a key is rotated:

    secret, dictionary, backup key = version 2 bytes │ nonce 12 bytes │ AES-256-GCM + tag 16 bytes
"""

from __future__ import annotations

import hmac
import os
import re
import struct
from collections.abc import Callable, Collection, Iterable
from hashlib import blake2b
from importlib.resources import files
from typing import Any, Final

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.crypto import envelope
from exchange.crypto.blind_index import BlindIndex
from exchange.crypto.hub_key import DESTROYED, PURPOSES, HubKey
from exchange.crypto.keyring import NONCE_BYTES, Keyring, make_hub_key, rewrap_hub_key
from exchange.crypto.roots.provider import Root
from exchange.problems import SealBroken

TOKEN_ALGORITHM: Final = "HS256"  # noqa: S105 - the name of an algorithm
EVENT_MAC_BYTES: Final = 16
PUBLIC_KEY_BYTES: Final = 32
VERSION_BYTES: Final = 2
_KID: Final = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_ACCESS: Final = b"access token"
_PAGE: Final = b"page token"
_SECRET: Final = b"secret"
_ERASURE: Final = b"erasure"
_BACKUP: Final = b"backup"
_EVENT: Final = b"audit event"
_ENROLMENT: Final = b"enrolment code"


class HubCrypto:
    """Sealing, blind indexing and signing under the hub's keys."""

    def __init__(self, keyring: Keyring, dictionaries: dict[int, bytes]) -> None:
        self._keyring = keyring
        self.dictionaries = envelope.Dictionaries(dictionaries)
        self.blind_index = BlindIndex(keyring)

    # -- the keys themselves

    @property
    def keyring(self) -> Keyring:
        """The opened keys, for those who rotate them."""
        return self._keyring

    def watch(self, reread: Callable[[], Iterable[HubKey]]) -> None:
        """Where to look for a version that is not known here."""
        self._keyring.reread = reread

    def learn(self, rows: Iterable[HubKey]) -> None:
        """Take over the hub keys as they lie in the database now."""
        self._keyring.learn(rows)

    def look(self) -> None:
        """Read the hub keys as they lie in the database now."""
        self._keyring.look()

    def make_key(self, purpose: str, version: int) -> HubKey:
        """A new hub key as a row."""
        return make_hub_key(self._keyring.root, purpose, version)

    # -- data keys

    def new_wrapped_key(self, compartment: int) -> tuple[int, bytes]:
        """A fresh data key for a compartment: the wrapping version and the wrapped key."""
        return envelope.wrap_data_key(self._keyring, compartment, envelope.new_data_key())

    def cipher(self, compartment: int, version: int, wrapped: bytes) -> AESGCM:
        """The cipher that a wrapped data key opens. Raises: SealBroken."""
        return envelope.unwrap_data_key(self._keyring, compartment, version, wrapped)

    def rewrap_data_key(self, compartment: int, version: int, wrapped: bytes) -> tuple[int, bytes]:
        """The same data key under the newest version. Raises: SealBroken."""
        return envelope.rewrap_data_key(self._keyring, compartment, version, wrapped)

    # -- access tokens

    def sign_access_token(self, claims: dict[str, Any]) -> str:
        """A signed access token (JWS compact) that names its key's version."""
        version = self._keyring.settled_version("token")
        key = self._keyring.derived("token", _ACCESS, version)
        headers = {"typ": "at+jwt", "kid": str(version)}
        return jwt.encode(claims, key, algorithm=TOKEN_ALGORITHM, headers=headers)

    def read_access_token(self, token: str, *, issuer: str) -> dict[str, Any]:
        """The claims of a valid access token. Raises: jwt.InvalidTokenError."""
        kid = jwt.get_unverified_header(token).get("kid")
        if not isinstance(kid, str) or not _KID.fullmatch(kid):
            raise jwt.InvalidTokenError("the token names no key")
        if self._keyring.told_key("token", int(kid)) is None:
            raise jwt.InvalidTokenError("the token's key is no longer good")
        claims: dict[str, Any] = jwt.decode(
            token,
            self._keyring.derived("token", _ACCESS, int(kid)),
            algorithms=[TOKEN_ALGORITHM],
            issuer=issuer,
            audience=issuer,
            options={"require": ["exp", "iat", "iss", "aud", "sub", "jti", "scope"]},
        )
        return claims

    # -- what passes through a caller's hands sealed

    def seal_page(self, text: bytes, bound_to: bytes) -> bytes:
        """Seal a page token to the caller and query that it was made for."""
        return self._seal("token", _PAGE, self._keyring.settled_version("token"), text, bound_to)

    def open_page(self, sealed: bytes, bound_to: bytes) -> bytes:
        """A page token's text. Raises: SealBroken - another caller's, another query's, altered, or of a retired key."""
        version = sealed_version(sealed)
        if self._keyring.told_key("token", version) is None:
            raise SealBroken("a page token's key is no longer good")
        return self._open("token", _PAGE, version, sealed, bound_to)

    # -- what lies in the database sealed, beside the records

    def seal_secret(self, text: bytes, bound_to: bytes, version: int) -> bytes:
        """Seal a secret of the hub's own to its place. store/sealed_places lists the places, and alone calls this."""
        return self._seal("record", _SECRET, version, text, bound_to)

    def open_secret(self, sealed: bytes, bound_to: bytes) -> bytes:
        """A secret's text. Raises: SealBroken."""
        return self._open("record", _SECRET, sealed_version(sealed), sealed, bound_to)

    def seal_dictionary(self, text: bytes, number: int) -> bytes:
        """Seal a new hub's compression dictionary: it is trained from records and may hold fragments of them."""
        return self.seal_secret(text, dictionary_bound(number), self._keyring.version("record"))

    def wrap_backup_key(self, key: bytes, bound_to: bytes) -> bytes:
        """The key of a backup, wrapped under the hub's newest backup key, whose version it names."""
        return self._seal("backup", _BACKUP, self._keyring.version("backup"), key, bound_to)

    # -- the audit log

    def sign_checkpoint(self, text: bytes) -> bytes:
        """An Ed25519 signature under the newest key. Units: 64 bytes."""
        return self._signer(self._keyring.version("audit")).sign(text)

    def checkpoint_signers(self) -> list[tuple[bytes, Callable[[bytes], bytes]]]:
        """Public keys and what signs under them, the newest first: every active one signs, until the old one is retired.

        Whoever knows the old key alone sees it vouch for the heads from which the new one goes on.
        """
        signers = map(self._signer, self._keyring.active("audit"))
        return [(each.public_key().public_bytes_raw(), each.sign) for each in signers]

    @property
    def checkpoint_key(self) -> bytes:
        """The public key that signs new checkpoints. Units: 32 bytes."""
        return _public(self._signer(self._keyring.version("audit")))

    @property
    def checkpoint_keys(self) -> list[bytes]:
        """Every public key that ever signed checkpoints, the newest first.

        1. An open key's is computed: whoever writes to the database cannot put another one in its place.
        2. A destroyed key's is believed where the hub vouched for it when it was destroyed.
        """
        # 1.
        opened = {each: _public(self._signer(each)) for each in self._keyring.versions("audit")}
        # 2.
        for row in self._keyring.rows:
            if row.purpose == "audit" and row.state == DESTROYED:
                public, mac = row.public[:PUBLIC_KEY_BYTES], row.public[PUBLIC_KEY_BYTES:]
                if self.is_event_authentic(_vouched(row.version, public), mac):
                    opened[row.version] = public
        return [opened[version] for version in sorted(opened, reverse=True)]

    def vouched_public(self, row: HubKey) -> bytes:
        """A destroyed checkpoint key's public half, with what shows that the hub kept it."""
        public = row.public[:PUBLIC_KEY_BYTES]
        if public not in self.checkpoint_keys:
            raise SealBroken("a checkpoint key in the database is none of this hub's")
        return public + self.authenticate_event(_vouched(row.version, public))

    def authenticate_event(self, text: bytes) -> bytes:
        """What shows that the hub wrote an audit event, and not whoever holds the database. Units: 16 bytes."""
        return _event_mac(self._keyring.derived("audit", _EVENT), text)

    def is_event_authentic(self, text: bytes, mac: bytes) -> bool:
        """Whether the hub wrote an audit event, under whichever of its keys."""
        keys = (self._keyring.derived("audit", _EVENT, each) for each in self._keyring.versions("audit"))
        return any(hmac.compare_digest(_event_mac(key, text), mac) for key in keys)

    def authenticate_erasure(self, text: bytes) -> bytes:
        """What shows that the hub erased a record. It has to hold for ever: its key is never rotated. Units: 16 bytes."""
        return _event_mac(self._keyring.derived("place", _ERASURE), text)

    def is_erasure_authentic(self, text: bytes, mac: bytes) -> bool:
        """Whether the hub erased a record, and not whoever holds the database."""
        return hmac.compare_digest(self.authenticate_erasure(text), mac)

    def hash_enrolment_code(self, code: str) -> bytes:
        """What is kept of a one-time code: nobody who holds the database can try codes. Units: 32 bytes."""
        return blake2b(code.encode(), key=self._keyring.derived("place", _ENROLMENT), digest_size=32).digest()

    def _signer(self, version: int) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._keyring.key("audit", version))

    def _seal(self, purpose: str, use: bytes, version: int, text: bytes, bound_to: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        head = struct.pack(">H", version)
        return (
            head
            + nonce
            + AESGCM(self._keyring.derived(purpose, use, version)).encrypt(nonce, text, head + bound_to)
        )

    def _open(self, purpose: str, use: bytes, version: int, sealed: bytes, bound_to: bytes) -> bytes:
        return _opened(self._keyring, purpose, use, version, sealed, bound_to)


def dictionary_bound(number: int) -> bytes:
    """What a compression dictionary is bound to: its place, as store/sealed_places writes it."""
    return f"dictionary.sealed {number}".encode()


def sealed_version(sealed: bytes) -> int:
    """The version of the key that something sealed names; 0 where it names none."""
    return int(struct.unpack_from(">H", sealed)[0]) if len(sealed) > VERSION_BYTES + NONCE_BYTES else 0


def _opened(
    keyring: Keyring, purpose: str, use: bytes, version: int, sealed: bytes, bound_to: bytes
) -> bytes:
    head, nonce, rest = (
        sealed[:VERSION_BYTES],
        sealed[VERSION_BYTES : VERSION_BYTES + NONCE_BYTES],
        sealed[14:],
    )
    if not version:
        raise SealBroken("what is sealed names no key")
    try:
        return AESGCM(keyring.derived(purpose, use, version)).decrypt(nonce, rest, head + bound_to)
    except (InvalidTag, ValueError):
        raise SealBroken("what was sealed for another place, or altered, does not open") from None


def _public(signer: Ed25519PrivateKey) -> bytes:
    return signer.public_key().public_bytes_raw()


def _vouched(version: int, public: bytes) -> bytes:
    return f"checkpoint key {version} ".encode() + public


def _event_mac(key: bytes, text: bytes) -> bytes:
    return blake2b(text, key=key, digest_size=EVENT_MAC_BYTES).digest()


def make_hub_keys(root: Root, without: Collection[str] = ()) -> list[HubKey]:
    """The first versions of the keys that a hub lacks."""
    return [make_hub_key(root, purpose, 1) for purpose in PURPOSES if purpose not in without]


def open_hub_crypto(
    root: Root, rows: Iterable[HubKey], dictionaries: Iterable[tuple[int, bytes]]
) -> HubCrypto:
    """The cryptography that a root opens. Raises: SealBroken - another root made these rows; Unavailable."""
    keyring = Keyring(root, rows)
    return HubCrypto(keyring, {
        number: _opened(keyring, "record", _SECRET, sealed_version(sealed), sealed, dictionary_bound(number))
        for number, sealed in dictionaries
    })  # fmt: skip


def open_backup_key(root: Root, row: HubKey, wrapped: bytes, bound_to: bytes) -> bytes:
    """The key of a backup, by the root and one hub key that the backup brings along.

    Raises: SealBroken - another root's, or another hub's; Unavailable - the root is away.
    """
    return _opened(Keyring(root, [row]), "backup", _BACKUP, row.version, wrapped, bound_to)


def first_dictionary() -> bytes:
    """The dictionary that a new hub starts with, trained from invented records (`make dictionary`)."""
    return files("exchange.crypto").joinpath("dictionary-1.zdict").read_bytes()


__all__ = [
    "HubCrypto",
    "first_dictionary",
    "make_hub_keys",
    "open_backup_key",
    "open_hub_crypto",
    "rewrap_hub_key",
    "sealed_version",
]
