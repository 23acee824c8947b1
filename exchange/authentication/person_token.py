"""Access tokens of people: issued for a code, read with the account and the sign-in that they come from.

Spec:    RFC 6749, 4.1.4; https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-access-token
Leaves:  systems' tokens to bearer_token; codes to authorization_code.

A token carries nothing that decides: role, facility and validity are the account's, looked up when it is read.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

from exchange.authentication.account import Account, find_account
from exchange.authentication.authorization_code import (
    Grant,
    RefusedGrant,
    find_grant,
    redeem,
    resource_scopes,
)
from exchange.authentication.id_token import token_hash
from exchange.authentication.registration import Client, find_client
from exchange.authentication.signing_key import ALGORITHM, signing_key
from exchange.problems import Unauthenticated
from exchange.requester import CONTEXTS, Requester, Scope
from exchange.settings import settings
from exchange.store.session import Transaction

KEY_PURPOSE: Final = "identity"
_NOT_VALID: Final = "the access token is not valid"


@dataclass(frozen=True, slots=True)
class PersonIssued:
    """What an app gets for a code."""

    token: str
    scope: str
    expires_in_seconds: int
    requester: Requester
    id_token: str = ""


def issue_for_code(
    transaction: Transaction, client: Client, code: str, redirect_uri: str, verifier: str
) -> PersonIssued:
    """An access token, and an ID token where it was asked for. Raises: RefusedGrant."""
    grant = redeem(transaction, client, code, redirect_uri, verifier)
    account = find_account(transaction, grant.account_id)
    if account is None or not account.is_open():
        raise RefusedGrant(f"account {grant.account_id} is closed")
    now, lifetime, issuer = int(time.time()), settings().access_token_seconds, settings().base_url
    token_id = secrets.token_urlsafe(16)
    scopes = resource_scopes(grant.scope)
    token = transaction.crypto.sign_access_token(
        {
            "iss": issuer, "aud": issuer, "sub": account.account_id, "client_id": client.client_id, "jti": token_id,
            "iat": now, "exp": now + lifetime, "scope": " ".join(map(str, scopes)), "grant": grant.grant_id,
        }
    )  # fmt: skip
    id_token = ""
    if "openid" in grant.scope.split(" "):
        id_token = _id_token(transaction, client, account, grant, token)
    requester = person_requester(client, account, grant, scopes, token_id)
    return PersonIssued(token, grant.scope, lifetime, requester, id_token)


def person_of_token(transaction: Transaction, claims: dict[str, Any], scopes: tuple[Scope, ...]) -> Requester:
    """Who stands behind a person's access token, as account, app and sign-in are now. Raises: Unauthenticated."""
    # 1. The sign-in stands: its code was not shown twice.
    grant = find_grant(transaction, str(claims["grant"]))
    if grant is None or grant.is_revoked or not grant.is_redeemed:
        raise Unauthenticated(_NOT_VALID)
    # 2. The app is registered, and may still act for people.
    client = find_client(transaction, grant.client_id)
    if client is None or not client.is_active or grant.redirect_uri not in client.redirect_uris:
        raise Unauthenticated(_NOT_VALID)
    # 3. The account is open today, and of a role that has such scopes.
    account = find_account(transaction, grant.account_id)
    held = tuple(filter(client.allows, scopes))
    if account is None or not account.is_open() or not held or account.role not in CONTEXTS[held[0].context]:
        raise Unauthenticated(_NOT_VALID)
    return person_requester(client, account, grant, held, str(claims["jti"]))


def person_requester(
    client: Client, account: Account, grant: Grant, scopes: tuple[Scope, ...], token_id: str
) -> Requester:
    """A person who signed in, with the app that asks for them."""
    return Requester(
        client.client_id, client.name, account.organization_id, account.role, scopes, grant.purpose_of_use,
        account.id_prefix, token_id, within=account.within, user=account.user,
        requests_per_minute=client.requests_per_minute,
    )  # fmt: skip


def _id_token(transaction: Transaction, client: Client, account: Account, grant: Grant, token: str) -> str:
    """Who signed in, for the app.

    Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
    """
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": settings().base_url, "aud": client.client_id, "sub": account.account_id, "iat": now,
        "exp": now + settings().access_token_seconds, "auth_time": grant.issued_at,
        "at_hash": token_hash(token, ALGORITHM),
    }  # fmt: skip
    if grant.nonce:
        claims["nonce"] = grant.nonce
    if "fhirUser" in grant.scope.split(" ") and account.reference:
        claims["fhirUser"] = f"{settings().fhir_url}/{account.reference}"
    return signing_key(transaction, KEY_PURPOSE).sign(claims)
