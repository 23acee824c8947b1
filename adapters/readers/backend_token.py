"""A token of a FHIR server of the facility, by a signed assertion: the adapter as a backend service.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html
Leaves:  bearer tokens that the server's administrator hands out to `web`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any, Final

import httpx
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from adapters.settings.web import WebAccess

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS: Final = 240
_LONGEST_SECONDS: Final = 300
_MARGIN_SECONDS: Final = 20
_MAX_ANSWER_BYTES: Final = 100_000


class TokenRefused(Exception):  # noqa: N818 - told to the IT desk by who asked
    """The server gives no token."""


class BackendToken:
    """The token of one client, fetched when needed."""

    def __init__(self, access: WebAccess) -> None:
        self._access = access
        self._token = ""
        self._until = 0.0

    def forget(self) -> None:
        """The token was refused: ask for another."""
        self._token = ""

    def token(self, client: httpx.Client) -> str:
        """A token that is still good. Raises: TokenRefused, httpx.HTTPError."""
        if self._token and time.monotonic() < self._until:
            return self._token
        endpoint = self._access.token_url or self._discover(client)
        is_success, told = _asked(
            client,
            "POST",
            endpoint,
            {
                "grant_type": "client_credentials",
                "scope": self._access.scope,
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": self._assertion(endpoint),
            },
        )
        token, seconds = told.get("access_token"), told.get("expires_in", 60)
        if not is_success or not isinstance(token, str):
            raise TokenRefused
        lifetime = min(float(seconds) if isinstance(seconds, int) else 60.0, _LONGEST_SECONDS)
        self._token, self._until = token, time.monotonic() + max(lifetime - _MARGIN_SECONDS, lifetime / 2)
        return token

    def _discover(self, client: httpx.Client) -> str:
        """The token endpoint; the assertion goes to the server that the site file names, and no other."""
        _, found = _asked(client, "GET", f"{self._access.url}/.well-known/smart-configuration")
        endpoint = found.get("token_endpoint")
        base = httpx.URL(self._access.url)
        if not isinstance(endpoint, str):
            raise TokenRefused
        try:
            told = httpx.URL(endpoint)
        except httpx.InvalidURL:
            raise TokenRefused from None
        if (told.scheme, told.host, told.port) != (base.scheme, base.host, base.port):
            raise TokenRefused  # a token endpoint elsewhere is named in the site file: token_url
        return endpoint

    def _assertion(self, endpoint: str) -> str:
        assert self._access.key_file is not None
        try:
            key: Any = load_pem_private_key(self._access.key_file.read_bytes(), None)
        except (OSError, ValueError, TypeError):
            raise TokenRefused from None
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise TokenRefused
        now = int(time.time())
        claims = {
            "iss": self._access.client_id, "sub": self._access.client_id, "aud": endpoint, "jti": uuid.uuid4().hex,
            "iat": now, "exp": now + _ASSERTION_SECONDS,
        }  # fmt: skip
        algorithm = "RS384" if isinstance(key, rsa.RSAPrivateKey) else "ES384"
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": self._access.key_file.stem})


def _asked(
    client: httpx.Client, method: str, url: str, data: Mapping[str, str] | None = None
) -> tuple[bool, dict[str, Any]]:
    """Whether a request succeeded, and the object that was answered; an empty one where it was something else."""
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    body = b""
    with client.stream(method, url, headers=headers, data=data) as answer:
        for piece in answer.iter_raw(16_384):
            body += piece
            if len(body) > _MAX_ANSWER_BYTES:
                raise TokenRefused
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    return answer.is_success, found if isinstance(found, dict) else {}
