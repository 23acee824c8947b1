"""A clinic system's side of SMART Backend Services: a key, a token, requests.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html
Leaves:  what to ask to the demonstration, the benchmark and the tests.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS: Final = 120
RENEW_SECONDS: Final = 30
TIMEOUT_SECONDS: Final = 60


def make_client_key(path: Path) -> dict[str, Any]:
    """A client's ES384 key, made where there is none; its public half as a JWKS."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        pem = ec.generate_private_key(ec.SECP384R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
    key: Any = load_pem_private_key(path.read_bytes(), None)
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    return {"keys": [jwk | {"kid": path.stem, "alg": "ES384", "use": "sig"}]}


class FhirClient:
    """One registered client. Tokens are fetched when needed and renewed before they end."""

    def __init__(self, base_url: str, client_id: str, key_file: Path, scope: str) -> None:
        self.base_url = base_url
        self.client_id = client_id
        self._key: Any = load_pem_private_key(key_file.read_bytes(), None)
        self._kid = key_file.stem
        self._scope = scope
        self._http = httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
        self._token = ""
        self._until = 0.0

    def assertion(self, **changed: Any) -> str:
        """A client assertion; `changed` claims are for tests of refusals."""
        now = int(time.time())
        claims = {
            "iss": self.client_id, "sub": self.client_id, "aud": f"{self.base_url}/auth/token",
            "jti": str(uuid.uuid4()), "iat": now, "exp": now + ASSERTION_SECONDS,
        }  # fmt: skip
        return jwt.encode(claims | changed, self._key, algorithm="ES384", headers={"kid": self._kid})

    def token(self) -> str:
        """An access token. Raises: httpx.HTTPStatusError - refused."""
        if time.monotonic() > self._until:
            answer = self._http.post(
                f"{self.base_url}/auth/token",
                data={
                    "grant_type": "client_credentials", "scope": self._scope,
                    "client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion(),
                },
            )  # fmt: skip
            answer.raise_for_status()
            granted = answer.json()
            self._token = granted["access_token"]
            self._until = time.monotonic() + granted["expires_in"] - RENEW_SECONDS
        return self._token

    def request(
        self,
        method: str,
        path: str,
        *,
        parameters: Sequence[tuple[str, str]] = (),
        body: bytes | dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """One request below the FHIR base."""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        told = {"Authorization": f"Bearer {self.token()}", "Content-Type": "application/fhir+json"}
        url = path if path.startswith("http") else f"{self.base_url}/fhir/{path}".rstrip("/")
        return self._http.request(
            method, url, params=list(parameters) or None, content=content, headers=told | (headers or {})
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
