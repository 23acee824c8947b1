"""The key with which an adapter proves who it is: made where it is used, and never leaving.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html; RFC 7638.
Leaves:  registering the public half to the region's operator.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

KEY_FILE: Final = "client_key.pem"
_COORDINATE_BYTES: Final = 48


class ClientKeyMissing(Exception):  # noqa: N818 - a state of the folder, told to the IT desk
    """No usable client key in the data folder."""


@dataclass(frozen=True, slots=True)
class ClientKey:
    """An ES384 key pair and the thumbprint by which the hub knows it."""

    private: ec.EllipticCurvePrivateKey

    @property
    def public_jwk(self) -> dict[str, Any]:
        """The public half as a JWK; `kid` is its RFC 7638 thumbprint."""
        numbers = self.private.public_key().public_numbers()
        x, y = (_base64(value.to_bytes(_COORDINATE_BYTES, "big")) for value in (numbers.x, numbers.y))
        required = {"crv": "P-384", "kty": "EC", "x": x, "y": y}
        thumbprint = _base64(hashlib.sha256(msgspec.json.encode(required)).digest())
        return {**required, "kid": thumbprint, "alg": "ES384", "use": "sig", "key_ops": ["verify"]}

    @property
    def kid(self) -> str:
        """The key's name."""
        return str(self.public_jwk["kid"])


def read_client_key(folder: Path) -> ClientKey:
    """Read the key.

    Raises: ClientKeyMissing - there is none, or it is no P-384 key.
    """
    try:
        key = load_pem_private_key((folder / KEY_FILE).read_bytes(), password=None)
    except (OSError, ValueError):
        raise ClientKeyMissing from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp384r1":
        raise ClientKeyMissing
    return ClientKey(key)


def make_client_key(folder: Path) -> ClientKey:
    """Read the key, or make it where there is none; an existing key is never replaced."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / KEY_FILE
    if not path.exists():
        key = ec.generate_private_key(ec.SECP384R1())
        content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return read_client_key(folder)


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
