"""Client assertions: private_key_jwt as SMART Backend Services asks for it.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html; RFC 7523
Leaves:  the access token to bearer_token.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

import jwt

from exchange.authentication.jwks import FETCHED
from exchange.authentication.registration import Client, find_client
from exchange.problems import Unauthenticated
from exchange.settings import settings
from exchange.store.session import Store, Transaction

ALGORITHMS: Final = ("ES384", "RS384")
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_ASSERTION_LETTERS: Final = 8_000
MAX_JTI_LETTERS: Final = 200
MIN_RSA_BITS: Final = 2048
_REFUSED: Final = "the client assertion is not valid"

SEEN: Final = """
DELETE FROM assertion WHERE expires_at < %(now)s;
INSERT INTO assertion (client_id, jti, expires_at) VALUES (%(client)s, %(jti)s, %(expires_at)s)
ON CONFLICT DO NOTHING"""


class RefusedAssertion(Unauthenticated):
    """An assertion that does not prove a client. `reason` is for the audit log, never for the caller."""

    def __init__(self, reason: str, client_id: str = "") -> None:
        super().__init__(_REFUSED)
        self.reason = reason
        self.client_id = client_id


def verify_assertion(
    transaction: Transaction, assertion: str, token_url: str
) -> tuple[Client, dict[str, Any]]:
    """The client that an assertion proves, and its claims.

    Raises: RefusedAssertion - with the step that failed; the caller is told the same words for each.
    """
    # 1. Header: an algorithm of the list and a key id. Key material in the header (jku, x5u, jwk) is not looked at.
    header, claimed, client_id = _unverified(assertion)
    # 2. The client, registered and active.
    client = find_client(transaction, client_id)
    if client is None or not client.is_active:
        raise RefusedAssertion("unknown or suspended client", client_id if client else "")
    # 3. Its key, by key id and of the algorithm's kind.
    key = _key(client, header)
    # 4. Signature, issuer, audience, times.
    try:
        claims: dict[str, Any] = jwt.decode(
            assertion,
            key,
            algorithms=[header["alg"]],
            audience=token_url,
            issuer=client_id,
            leeway=settings().clock_skew_seconds,
            options={
                "require": ["iss", "sub", "aud", "exp", "jti"],
                "strict_aud": isinstance(claimed.get("aud"), str),
            },
        )
        if isinstance(claims["aud"], list) and len(claims["aud"]) != 1:
            raise RefusedAssertion("several audiences", client_id)
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as refused:
        raise RefusedAssertion(type(refused).__name__, client_id) from None
    # 5. At most five minutes ahead.
    if int(claims["exp"]) - int(time.time()) > settings().assertion_seconds + settings().clock_skew_seconds:
        raise RefusedAssertion("lives too long", client_id)
    # 6. Used once.
    jti = claims["jti"]
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_LETTERS or not jti.isprintable():
        raise RefusedAssertion("jti", client_id)
    skew = settings().clock_skew_seconds
    seen = {
        "now": int(time.time()) - skew,
        "client": client_id,
        "jti": jti,
        "expires_at": int(claims["exp"]) + 2 * skew,
    }
    if transaction.run(SEEN, seen) != 1:
        raise RefusedAssertion("replayed", client_id)
    return client, claims


def look_for_keys(store: Store, assertion: str) -> None:
    """Fetch the keys of the client that an assertion names, where they lie elsewhere and are not known here.

    To be called before the transaction that verifies: nothing is held open while another machine is asked.
    """
    try:
        header, _, client_id = _unverified(assertion)
    except RefusedAssertion:
        return
    with store.transaction() as transaction:
        client = find_client(transaction, client_id)
    if client is not None and client.is_active and client.jwks_uri:
        FETCHED.look(client.jwks_uri, header.get("kid"))


def _unverified(assertion: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The header and claims that an assertion has, and the client that it names: nothing of it is proven."""
    if len(assertion) > MAX_ASSERTION_LETTERS:
        raise RefusedAssertion("too long")
    try:
        header = jwt.get_unverified_header(assertion)
        claimed = jwt.decode(assertion, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise RefusedAssertion("malformed") from None
    client_id = claimed.get("sub")
    if header.get("alg") not in ALGORITHMS:
        raise RefusedAssertion("algorithm")
    if not isinstance(client_id, str) or not client_id.isprintable():
        raise RefusedAssertion("no subject")
    return header, claimed, client_id


def _keys(client: Client) -> Iterable[dict[str, Any]]:
    if client.is_public:
        return ()
    return FETCHED.keys(client.jwks_uri) if client.jwks_uri else client.jwks["keys"]


def _key(client: Client, header: dict[str, Any]) -> Any:
    for jwk in _keys(client):
        is_named = jwk.get("kid") == header.get("kid") and jwk.get("use", "sig") == "sig"
        if is_named and jwk.get("alg", header["alg"]) == header["alg"]:
            try:
                key = jwt.PyJWK(jwk, algorithm=header["alg"]).key
            except jwt.PyJWTError:
                break
            size = getattr(key, "key_size", 0)
            is_right = (header["alg"] == "ES384" and size == 384) or (  # noqa: PLR2004 - P-384
                header["alg"] == "RS384" and size >= MIN_RSA_BITS
            )
            if is_right:
                return key
    failure = FETCHED.failure(client.jwks_uri) if client.jwks_uri else ""
    raise RefusedAssertion(f"no such key; {failure}" if failure else "no such key", client.client_id)
