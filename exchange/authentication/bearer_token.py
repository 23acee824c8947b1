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
from exchange.authentication.person_token import person_of_token
from exchange.authentication.registration import Client, find_client
from exchange.authentication.revocation import is_revoked
from exchange.authentication.user_context import RefusedContext, UserContext, may_hold, user_context
from exchange.problems import Unauthenticated
from exchange.requester import Requester, Scope, User, parse_scopes
from exchange.settings import settings
from exchange.store.session import Store, Transaction

MOST_KEPT: Final = 5_000
NOT_VALID: Final = "the access token is not valid"


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
    # 1. The client, by its key.
    client, claims = verify_assertion(transaction, assertion, token_url)
    # 2. Scopes of one context, all of them registered.
    granted = _granted(client, scope)
    # 3. The user, the organisation and the purpose, within the registration.
    try:
        context = user_context(client, claims, granted[0].context)
    except RefusedContext as refused:
        raise RefusedAssertion(refused.reason, client.client_id) from None
    # 4. A token that says so.
    now, issuer, lifetime = int(time.time()), settings().base_url, settings().access_token_seconds
    token_id = secrets.token_urlsafe(16)
    text = " ".join(map(str, granted))
    token = transaction.crypto.sign_access_token(
        {
            "iss": issuer, "aud": issuer, "sub": client.client_id, "client_id": client.client_id, "jti": token_id,
            "iat": now, "exp": now + lifetime, "scope": text, **_claims(context),
        }
    )  # fmt: skip
    return Issued(token, text, lifetime, _requester(client, granted, context, token_id))


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
        with self._store.transaction() as transaction:
            requester, claims = read_token(transaction, token)
        until = time.monotonic() + min(settings().client_cache_seconds, float(claims["exp"]) - time.time())
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = (until, requester)
        return requester


def read_token(transaction: Transaction, token: str) -> tuple[Requester, dict[str, Any]]:
    """Who stands behind one of the hub's own tokens, as everything is now, and its claims. Raises: Unauthenticated."""
    # 1. Signed here, for here, and in time.
    try:
        claims = transaction.crypto.read_access_token(token, issuer=settings().base_url)
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise Unauthenticated(NOT_VALID) from None
    # 2. Not revoked.
    if is_revoked(transaction, claims["jti"]):
        raise Unauthenticated(NOT_VALID)
    scopes = parse_scopes(claims["scope"])
    if "grant" in claims:  # a person's: the account and the sign-in are looked up too
        return person_of_token(transaction, claims, scopes or ()), claims
    # 3. The client is registered, active, and may still act in this role, for this organisation and purpose.
    client = find_client(transaction, claims["sub"])
    if client is None or not client.is_active or not scopes:
        raise Unauthenticated(NOT_VALID)
    context = _context(client, claims)
    if not may_hold(client, context, scopes[0].context):
        raise Unauthenticated(NOT_VALID)
    # 4. A registration that was narrowed narrows the tokens that are out.
    return _requester(client, tuple(filter(client.allows, scopes)), context, claims["jti"]), claims


def _claims(context: UserContext) -> dict[str, Any]:
    """What a token says of the user."""
    told: dict[str, Any] = {
        "purpose_of_use": context.purpose_of_use,
        "role": context.role,
        "subject_organization_id": context.organization_id,
    }
    if context.user is not None:
        user = context.user
        told |= {"subject_id": user.id, "subject_name": user.name, "subject_role": user.role,
                 "subject_reference": user.reference}  # fmt: skip
    return told


def _context(client: Client, claims: dict[str, Any]) -> UserContext:
    """What a token says of the user, with what its organisation is within today."""
    organization_id = claims["subject_organization_id"]
    user = None
    if "subject_id" in claims:
        user = User(
            claims["subject_id"], claims["subject_name"], claims["subject_role"], claims["subject_reference"]
        )
    within = client.within_of(organization_id)
    if within is None:
        raise Unauthenticated(NOT_VALID)
    return UserContext(organization_id, within, claims["role"], claims["purpose_of_use"], user)


def _requester(client: Client, scopes: tuple[Scope, ...], context: UserContext, token_id: str) -> Requester:
    return Requester(
        client.client_id, client.name, context.organization_id, context.role, scopes, context.purpose_of_use,
        client.id_prefix, token_id, within=context.within, user=context.user,
        requests_per_minute=client.requests_per_minute,
    )  # fmt: skip


def _granted(client: Client, text: str) -> tuple[Scope, ...]:
    scopes = parse_scopes(text)
    if scopes is None:
        raise InvalidScope("a scope is system/[type].[cruds], letters in order, once each, of one context")
    if not all(map(client.allows, scopes)):
        raise InvalidScope("the client is not registered for a scope that it asks for")
    return scopes
