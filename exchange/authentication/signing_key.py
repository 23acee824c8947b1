"""The keys that sign identity tokens: one RSA key for each purpose, made when first needed, sealed at rest.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html; RFC 7517
Leaves:  what is signed to person_token and to the demonstration's provider.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from exchange.problems import SealBroken
from exchange.store.sealed_places import SIGNING_KEY
from exchange.store.session import Transaction

ALGORITHM: Final = "RS256"
_BITS: Final = 2048
_EXPONENT: Final = 65537

INSERT: Final = "INSERT INTO signing_key (purpose, sealed) VALUES (%s, %s) ON CONFLICT DO NOTHING"
FIND: Final = "SELECT sealed FROM signing_key WHERE purpose = %s"


class SigningKey:
    """One opened key."""

    def __init__(self, key: RSAPrivateKey) -> None:
        self._key = key
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
        self.kid = sha256(public["n"].encode()).hexdigest()[:16]
        self.public: dict[str, Any] = {name: public[name] for name in ("kty", "n", "e")} | {
            "kid": self.kid, "alg": ALGORITHM, "use": "sig",
        }  # fmt: skip

    def sign(self, claims: dict[str, Any]) -> str:
        """A signed token (JWS compact)."""
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self.kid})


def signing_key(transaction: Transaction, purpose: str) -> SigningKey:
    """The key of a purpose. The caller commits: it may have been made just now."""
    rows = transaction.rows(FIND, (purpose,))
    if not rows:
        made = generate_private_key(_EXPONENT, _BITS)
        text = made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        transaction.run(INSERT, (purpose, SIGNING_KEY.seal(transaction, purpose, text)))
        rows = transaction.rows(FIND, (purpose,))
    opened = load_der_private_key(SIGNING_KEY.open(transaction, purpose, bytes(rows[0][0])), None)
    if not isinstance(opened, RSAPrivateKey):
        raise SealBroken("a signing key is of another kind")
    return SigningKey(opened)
