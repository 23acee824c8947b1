"""ID tokens of the provider: whether one says who has just signed in, here and now.

Spec:    https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation; RFC 8725
Leaves:  keys to openid_provider_metadata; what the person may do to account.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256, sha384, sha512
from typing import Any, Final

import jwt

from exchange.authentication.openid_provider_metadata import ALGORITHMS
from exchange.problems import Unauthenticated
from exchange.settings import settings

MAX_TOKEN_LETTERS: Final = 16_384
MAX_SUBJECT_LETTERS: Final = 255
MOST_AGE_SECONDS: Final = 600
_HASHES: Final = {"256": sha256, "384": sha384, "512": sha512}


class RefusedSignIn(Unauthenticated):
    """A sign-in that does not come to an account. `reason` is for the audit log, never for the person."""

    def __init__(self, reason: str) -> None:
        super().__init__("the sign-in could not be completed")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token has to say to be the answer to this sign-in."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str = ""


def verify_id_token(
    token: str, expected: Expected, key_of: Callable[[str | None, str], Any], now: float
) -> str:
    """The subject that an ID token names.

    Raises: RefusedSignIn - with the step that failed.
    """
    # 1. An algorithm of the list. Key material in the header (jku, x5u, jwk) is not looked at.
    if len(token) > MAX_TOKEN_LETTERS:
        raise RefusedSignIn("id token: too long")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise RefusedSignIn("id token: malformed") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS or not (kid is None or isinstance(kid, str)):
        raise RefusedSignIn("id token: algorithm")
    # 2. A key of the provider, of the algorithm's kind.
    key = key_of(kid, algorithm)
    if key is None:
        raise RefusedSignIn("id token: no such key")
    # 3. Signature, issuer, audience - the hub and nobody else - and times.
    skew = settings().clock_skew_seconds
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=expected.issuer,
            audience=expected.client_id,
            leeway=skew,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError) as refused:
        raise RefusedSignIn(f"id token: {type(refused).__name__}") from None
    if claims["aud"] not in (expected.client_id, [expected.client_id]):
        raise RefusedSignIn("id token: further audiences")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise RefusedSignIn("id token: authorized party")
    if not -skew <= int(now) - int(claims["iat"]) <= MOST_AGE_SECONDS:
        raise RefusedSignIn("id token: age")
    # 4. This sign-in's, by its nonce.
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise RefusedSignIn("id token: nonce")
    # 5. Issued together with the access token, where it says so.
    if "at_hash" in claims and claims["at_hash"] != token_hash(expected.access_token, algorithm):
        raise RefusedSignIn("id token: at_hash")
    subject = claims["sub"]
    if not subject or len(subject) > MAX_SUBJECT_LETTERS or not subject.isprintable():
        raise RefusedSignIn("id token: subject")
    return str(subject)


def token_hash(token: str, algorithm: str) -> str:
    """at_hash: the left half of the token's hash.

    Spec: OpenID Connect Core 1.0, 3.1.3.6
    """
    digest = _HASHES[algorithm[-3:]](token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
