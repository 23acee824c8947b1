"""The OpenID Connect provider at which people sign in: its metadata and its keys, fetched and kept for minutes.

Spec:    https://openid.net/specs/openid-connect-discovery-1_0.html; RFC 8414
Leaves:  fetching to bounded_fetch; what an ID token says to id_token.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import jwt

from exchange.authentication.bounded_fetch import MOST_SECONDS, ProviderUnavailable, fetch_json, is_fetchable
from exchange.settings import settings

KEPT_SECONDS: Final = 300.0
AGAIN_SECONDS: Final = 20.0
REFUSED_SECONDS: Final = 3.0
MOST_KEYS: Final = 50
MIN_RSA_BITS: Final = 2048
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """What the hub uses of a provider's metadata."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    names_issuer: bool
    """Whether its answers carry `iss`: then one without it is somebody else's (RFC 9207)."""


class OpenIdProvider:
    """The provider that the settings name, as one process knows it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._metadata: ProviderMetadata | None = None
        self._keys: list[dict[str, Any]] = []
        self._read_at = -KEPT_SECONDS
        self._keys_at = -KEPT_SECONDS
        self._refused_until = 0.0

    def metadata(self) -> ProviderMetadata:
        """The provider's metadata. Raises: ProviderUnavailable."""
        with self._lock:
            if self._metadata is None or time.monotonic() > self._read_at + KEPT_SECONDS:
                # Those who wait for the lock do not each wait for a provider that has just failed.
                if time.monotonic() < self._refused_until:
                    raise ProviderUnavailable("the provider did not answer just now")
                self._refused_until = time.monotonic() + MOST_SECONDS + REFUSED_SECONDS
                self._metadata = read_metadata(settings().openid_issuer_url)
                self._refused_until, self._read_at = 0.0, time.monotonic()
            return self._metadata

    def key(self, kid: str | None, algorithm: str) -> Any:
        """The public key of an ID token's header, or None. Raises: ProviderUnavailable.

        Keys that are not known are looked for again, at most every 20 seconds.
        """
        address = self.metadata().jwks_uri
        with self._lock:
            age = time.monotonic() - self._keys_at
            found = _public_key(self._keys, kid, algorithm) if age < KEPT_SECONDS else None
            if found is None and age > AGAIN_SECONDS:
                self._keys_at = time.monotonic()
                self._keys = _keys(fetch_json(address))
                found = _public_key(self._keys, kid, algorithm)
            return found


def read_metadata(issuer: str) -> ProviderMetadata:
    """The metadata that an issuer publishes.

    Raises: ProviderUnavailable - not to be had, another issuer's, or with endpoints that the hub does not speak to.
    Spec:   OpenID Connect Discovery 1.0, 4.3
    """
    if not issuer:
        raise ProviderUnavailable("no provider is set")
    found = fetch_json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if found.get("issuer") != issuer:
        raise ProviderUnavailable("metadata of another issuer")
    endpoints = [found.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    if not all(isinstance(each, str) and is_fetchable(each) for each in endpoints):
        raise ProviderUnavailable("metadata: an endpoint is missing or not https")
    methods = found.get("code_challenge_methods_supported")
    if methods is not None and not (isinstance(methods, list) and "S256" in methods):
        raise ProviderUnavailable("metadata: no PKCE")
    authorization, token, jwks = (str(each) for each in endpoints)
    names_issuer = found.get("authorization_response_iss_parameter_supported") is True
    return ProviderMetadata(issuer, authorization, token, jwks, names_issuer)


def _keys(found: dict[str, Any]) -> list[dict[str, Any]]:
    keys = found.get("keys")
    if not isinstance(keys, list) or len(keys) > MOST_KEYS:
        raise ProviderUnavailable("no JWKS")
    return [each for each in keys if isinstance(each, dict) and each.get("use", "sig") == "sig"]


def _public_key(keys: list[dict[str, Any]], kid: str | None, algorithm: str) -> Any:
    """The key of a header: by its id, or the only one where the header names none."""
    fitting = [each for each in keys if kid is None or each.get("kid") == kid]
    if len(fitting) != 1 or fitting[0].get("kty") != ("EC" if algorithm.startswith("ES") else "RSA"):
        return None
    if fitting[0].get("alg", algorithm) != algorithm or "d" in fitting[0]:
        return None
    try:
        key = jwt.PyJWK(fitting[0], algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if algorithm in _CURVES:
        return key if getattr(getattr(key, "curve", None), "name", "") == _CURVES[algorithm] else None
    return key if getattr(key, "key_size", 0) >= MIN_RSA_BITS else None
