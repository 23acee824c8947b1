"""Access tokens: issued for an assertion, read on every request.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html; RFC 6750
Leaves:  assertions to assertion; what a token may reach to consent.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import jwt

from exchange.authentication.assertion import RefusedAssertion, verify_assertion
from exchange.authentication.registration import Client, find_client
from exchange.problems import Unauthenticated
from exchange.requester import Requester, Scope, parse_scopes
from exchange.settings import settings
from exchange.store.session import Store, Transaction

MOST_KEPT: Final = 5_000
ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACT_REASON_OID: Final = "urn:oid:2.16.840.1.113883.5.8"


class InvalidScope(Unauthenticated):
    """The scopes asked for are malformed, or more than the client's registration allows."""

    code = "forbidden"


@dataclass(frozen=True, slots=True)
class Issued:
    """An access token and what it is good for."""

    token: str
    scope: str
    expires_in_seconds: int
    requester: Requester


def issue(transaction: Transaction, assertion: str, scope: str, token_url: str) -> Issued:
    """An access token for a valid assertion.

    Raises: RefusedAssertion - see assertion; InvalidScope - malformed, unknown or not the client's.
    """
    client, claims = verify_assertion(transaction, assertion, token_url)
    granted = _granted(client, scope)
    purpose = _purpose(client, claims)
    now = int(time.time())
    token_id = secrets.token_urlsafe(16)
    issuer = settings().base_url
    lifetime = settings().access_token_seconds
    token = transaction.crypto.sign_access_token(
        {
            "iss": issuer, "aud": issuer, "sub": client.client_id, "jti": token_id, "iat": now,
            "exp": now + lifetime, "scope": " ".join(map(str, granted)), "purpose_of_use": purpose,
        }
    )  # fmt: skip
    requester = _requester(client, granted, purpose, token_id)
    return Issued(token, " ".join(map(str, granted)), lifetime, requester)


class BearerTokens:
    """Reads access tokens; remembers the good ones for seconds, so that a suspended client is out within five."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[bytes, tuple[float, Requester]] = {}
        self._lock = threading.Lock()

    def requester(self, authorization: str) -> Requester:
        """Who stands behind an Authorization header. Raises: Unauthenticated."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("an access token is needed")
        key = sha256(token.encode()).digest()
        kept = self._kept.get(key)
        if kept is not None and kept[0] > time.monotonic():
            return kept[1]
        requester, expires_at = self._read(token)
        until = time.monotonic() + min(settings().client_cache_seconds, expires_at - time.time())
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = (until, requester)
        return requester

    def _read(self, token: str) -> tuple[Requester, float]:
        try:
            claims = self._store.crypto.read_access_token(token, issuer=settings().base_url)
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise Unauthenticated("the access token is not valid") from None
        scopes = parse_scopes(claims["scope"])
        with self._store.transaction() as transaction:
            client = find_client(transaction, claims["sub"])
        if client is None or not client.is_active or scopes is None:
            raise Unauthenticated("the access token is not valid")
        # A registration that was narrowed narrows the tokens that are out.
        held = tuple(scope for scope in scopes if _is_allowed(client, scope))
        requester = _requester(client, held, claims["purpose_of_use"], claims["jti"])
        return requester, float(claims["exp"])


def _requester(client: Client, scopes: tuple[Scope, ...], purpose: str, token_id: str) -> Requester:
    return Requester(
        client.client_id, client.name, client.organization_id, client.role, scopes, purpose,
        client.id_prefix, token_id,
    )  # fmt: skip


def _granted(client: Client, text: str) -> tuple[Scope, ...]:
    scopes = parse_scopes(text)
    if scopes is None:
        raise InvalidScope("a scope is system/[type].[cruds], letters in order, once each, of one context")
    if not all(_is_allowed(client, scope) for scope in scopes):
        raise InvalidScope("the client is not registered for a scope that it asks for")
    return scopes


def _is_allowed(client: Client, scope: Scope) -> bool:
    """Whether the registration covers every letter of a scope."""
    return all(
        any(
            held.context == scope.context and held.covers(scope.resource_type, letter)
            for held in client.scopes
        )
        for letter in scope.actions
    )


def _purpose(client: Client, claims: dict[str, Any]) -> str:
    """The purpose of use: what the assertion's hl7-b2b extension says, if the registration allows it.

    Raises: RefusedAssertion - a purpose that the client is not registered for, or several.
    Spec:   https://hl7.org/fhir/us/udap-security/STU1/b2b.html#b2b-authorization-extension-object
    """
    extensions = claims.get("extensions", {})
    told = extensions.get("hl7-b2b", {}) if isinstance(extensions, dict) else {}
    purposes = told.get("purpose_of_use") if isinstance(told, dict) else None
    if purposes is None:
        return client.purposes[0]
    if not isinstance(purposes, list) or len(purposes) != 1 or not isinstance(purposes[0], str):
        raise RefusedAssertion("purpose of use", client.client_id)
    for system in (ACT_REASON, ACT_REASON_OID):
        code = purposes[0].removeprefix(system).lstrip("#|")
        if purposes[0].startswith(system) and code in client.purposes:
            return code
    raise RefusedAssertion("purpose of use", client.client_id)
