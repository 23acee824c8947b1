"""Authorization codes: what an app asks for a person, and the code that it redeems once.

Spec:    RFC 6749, 4.1; RFC 7636; RFC 9700; https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
Leaves:  proving the person to sign_in; access tokens to person_token.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from exchange.authentication.account import Account
from exchange.authentication.registration import Client, find_client
from exchange.problems import Unauthenticated
from exchange.requester import CONTEXTS, Scope, parse_scopes
from exchange.settings import settings
from exchange.store.session import Transaction

CODE_SECONDS: Final = 60
MAX_SCOPE_LETTERS: Final = 1_000
MAX_STATE_LETTERS: Final = 400
MAX_NONCE_LETTERS: Final = 200
IDENTITY_SCOPES: Final = ("openid", "fhirUser")
UNGRANTED_SCOPES: Final = frozenset({"offline_access", "online_access"})
"""Asked for by many apps; there are no refresh tokens, so they are left out of what is granted."""
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_\-]{43}", re.ASCII)
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~\-]{43,128}", re.ASCII)
_PURPOSE: Final = re.compile(r"[A-Z]{2,20}", re.ASCII)
_FIXED_PURPOSES: Final = {"patient": "PATRQT", "privacy-officer": "HOPERAT", "administrator": "HOPERAT",
                          "auditor": "HOPERAT", "operator": "HOPERAT"}  # fmt: skip

INSERT: Final = """
DELETE FROM authorization_code WHERE expires_at < %(past)s;
INSERT INTO authorization_code
  (grant_id, code_hash, client_id, account_id, redirect_uri, challenge, scope, purpose_of_use, nonce, issued_at,
  expires_at)
VALUES (%(grant_id)s, %(code_hash)s, %(client_id)s, %(account_id)s, %(redirect_uri)s, %(challenge)s, %(scope)s,
  %(purpose_of_use)s, %(nonce)s, %(issued_at)s, %(expires_at)s)"""
FIND: Final = """
SELECT grant_id, client_id, account_id, redirect_uri, challenge, scope, purpose_of_use, nonce, issued_at, expires_at,
  is_redeemed, is_revoked
FROM authorization_code"""


class RefusedAuthorization(Unauthenticated):
    """An app's request that is refused to the app, at an address that is registered for it."""

    def __init__(self, error: str, reason: str, redirect_uri: str, state: str) -> None:
        super().__init__("the app's request is refused")
        self.error, self.reason = error, f"authorization refused: {reason}"
        self.redirect_uri, self.state = redirect_uri, state


class UnknownApp(Unauthenticated):
    """A request of nobody known, or one that leads elsewhere than registered: shown, and never redirected."""

    def __init__(self, reason: str) -> None:
        super().__init__("the app is not known, or does not say where it lives")
        self.reason = f"authorization refused: {reason}"


class RefusedGrant(Unauthenticated):
    """A code that is not redeemed. `reason` is for the audit log."""

    def __init__(self, reason: str) -> None:
        super().__init__("the code is not valid")
        self.reason = f"token refused: {reason}"


@dataclass(frozen=True, slots=True)
class Authorization:
    """What an app asks: valid, and within its registration."""

    client_id: str
    redirect_uri: str
    state: str
    scope: str
    challenge: str
    nonce: str = ""
    purpose_of_use: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """One sign-in for one app: its code is redeemed once, its tokens end with it."""

    grant_id: str
    client_id: str
    account_id: str
    redirect_uri: str
    challenge: str
    scope: str
    purpose_of_use: str
    nonce: str
    issued_at: int
    expires_at: int
    is_redeemed: bool = False
    is_revoked: bool = False


def read_authorization(transaction: Transaction, query: Sequence[tuple[str, str]]) -> Authorization:
    """What an app asks.

    Raises: UnknownApp - show it to the person; RefusedAuthorization - send it to the app.
    """
    # 1. Each parameter once: two of a name are read differently by different programs.
    told = dict(query)
    if len(told) != len(query):
        raise UnknownApp("a parameter stands twice")
    # 2. A registered app, and exactly an address of its own.
    client_id = told.get("client_id", "")
    client = find_client(transaction, client_id) if client_id.isprintable() else None
    if client is None or not client.is_active:
        raise UnknownApp("unknown or suspended client")
    redirect_uri = told.get("redirect_uri", "")
    if redirect_uri not in client.redirect_uris:
        raise UnknownApp("redirect_uri is not registered")
    # 3. From here on the app is told, with its own state.
    state = told.get("state", "")
    if not 0 < len(state) <= MAX_STATE_LETTERS or not _is_text(state):
        raise RefusedAuthorization("invalid_request", "state", redirect_uri, "")

    def refused(error: str, reason: str) -> RefusedAuthorization:
        return RefusedAuthorization(error, reason, redirect_uri, state)

    if "request" in told or "request_uri" in told:
        raise refused("request_not_supported", "request object")
    if told.get("response_type") != "code":
        raise refused("unsupported_response_type", "response_type")
    if told.get("response_mode", "query") != "query":
        raise refused("invalid_request", "response_mode")
    # 4. PKCE, and no weaker method than S256.
    challenge = told.get("code_challenge", "")
    if told.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise refused("invalid_request", "PKCE")
    # 5. For this FHIR server and no other.
    if told.get("aud") != settings().fhir_url:
        raise refused("invalid_request", "aud")
    nonce, purpose = told.get("nonce", ""), told.get("purpose_of_use", "")
    if len(nonce) > MAX_NONCE_LETTERS or not _is_text(nonce) or (purpose and not _PURPOSE.fullmatch(purpose)):
        raise refused("invalid_request", "nonce or purpose_of_use")
    # 6. Scopes of a person, within the registration.
    scope = granted_scope(client, told.get("scope", ""))
    if scope is None:
        raise refused("invalid_scope", "scope")
    return Authorization(client.client_id, redirect_uri, state, scope, challenge, nonce, purpose)


def granted_scope(client: Client, asked: str) -> str | None:
    """The scopes that a client is granted for a person, or None: malformed, a system's, or not the client's."""
    parts = asked.split(" ") if len(asked) <= MAX_SCOPE_LETTERS else []
    identity = [each for each in parts if each in IDENTITY_SCOPES]
    if len(set(identity)) != len(identity) or identity == ["fhirUser"]:
        return None
    others = " ".join(each for each in parts if each not in IDENTITY_SCOPES and each not in UNGRANTED_SCOPES)
    scopes = parse_scopes(others)
    if not scopes or scopes[0].context == "system" or not all(map(client.allows, scopes)):
        return None
    return " ".join([*identity, others])


def resource_scopes(scope: str) -> tuple[Scope, ...]:
    """The scopes about resources in what was granted."""
    return parse_scopes(" ".join(each for each in scope.split(" ") if each not in IDENTITY_SCOPES)) or ()


def make_code(
    transaction: Transaction, asked: Authorization, client: Client, account: Account
) -> tuple[str, Grant]:
    """A code for a person who has just signed in.

    Raises: RefusedAuthorization - the person's role has no such scopes, or no such purpose.
    """
    scopes = resource_scopes(asked.scope)
    if not scopes or account.role not in CONTEXTS[scopes[0].context]:
        raise RefusedAuthorization("access_denied", "scopes of another role", asked.redirect_uri, asked.state)
    fixed = _FIXED_PURPOSES.get(account.role)
    purpose = asked.purpose_of_use or fixed or "TREAT"
    if purpose != fixed if fixed else purpose not in client.purposes:
        raise RefusedAuthorization("access_denied", "purpose of use", asked.redirect_uri, asked.state)
    now, code = int(time.time()), secrets.token_urlsafe(32)
    made = Grant(secrets.token_urlsafe(16), client.client_id, account.account_id, asked.redirect_uri, asked.challenge,
                 asked.scope, purpose, asked.nonce, now, now + CODE_SECONDS)  # fmt: skip
    past = now - settings().access_token_seconds - settings().clock_skew_seconds - CODE_SECONDS
    names = ("grant_id", "client_id", "account_id", "redirect_uri", "challenge", "scope", "purpose_of_use", "nonce",
             "issued_at", "expires_at")  # fmt: skip
    row: dict[str, Any] = {name: getattr(made, name) for name in names}
    transaction.run(INSERT, row | {"past": past, "code_hash": _hash(code)})
    return code, made


def redeem(transaction: Transaction, client: Client, code: str, redirect_uri: str, verifier: str) -> Grant:
    """The sign-in that a code stands for. The caller commits, whether it is granted or refused.

    Raises: RefusedGrant - and where the code is a real one, it and its tokens are worth nothing any more.
    """
    rows = transaction.rows(FIND + " WHERE code_hash = %s FOR UPDATE", (_hash(code),))
    if not rows:
        raise RefusedGrant("no such code")
    grant = Grant(*rows[0])
    # 1. Whose it is, where it went, for whom the challenge was made; 2. in time; 3. for the first time.
    reason = ""
    if grant.client_id != client.client_id:
        reason = "code of another client"
    elif grant.redirect_uri != redirect_uri:
        reason = "another redirect_uri"
    elif not _is_verified(verifier, grant.challenge):
        reason = "code_verifier"
    elif time.time() > grant.expires_at:
        reason = "expired code"
    elif grant.is_redeemed or grant.is_revoked:
        reason = "code used again"
    # A code that was shown wrongly, or twice, is in the wrong hands: what came of it ends.
    changed = "is_revoked = true" if reason else "is_redeemed = true"
    transaction.run(f"UPDATE authorization_code SET {changed} WHERE grant_id = %s", (grant.grant_id,))  # noqa: S608
    if reason:
        raise RefusedGrant(reason)
    return grant


def find_grant(transaction: Transaction, grant_id: str) -> Grant | None:
    """A sign-in whose tokens may still live."""
    rows = transaction.rows(FIND + " WHERE grant_id = %s", (grant_id,))
    return Grant(*rows[0]) if rows else None


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier."""
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


def _is_verified(verifier: str, challenge: str) -> bool:
    if not _VERIFIER.fullmatch(verifier):
        return False
    return hmac.compare_digest(challenge_of(verifier), challenge)


def _is_text(value: str) -> bool:
    return value.isascii() and (not value or value.isprintable())


def _hash(code: str) -> bytes:
    return sha256(code.encode()).digest()
