"""Sign-in of people: to the provider and back, in one browser, once.

Spec:    https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth; RFC 7636; RFC 9207; RFC 9700
Leaves:  what an app may ask to authorization_code; ID tokens to id_token; cookies and pages to rest/sign_in.

What is under way lies sealed in a cookie of the browser that began it: nothing is kept for those who never come back,
and nobody finishes what another browser began.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec

from exchange.authentication.account import Account, account_of
from exchange.authentication.authorization_code import Authorization, challenge_of
from exchange.authentication.bounded_fetch import ProviderUnavailable, fetch_json
from exchange.authentication.id_token import Expected, RefusedSignIn, verify_id_token
from exchange.authentication.openid_provider_metadata import OpenIdProvider, ProviderMetadata
from exchange.crypto.hub_crypto import HubCrypto
from exchange.crypto.page_token import open_token, seal_token
from exchange.problems import NotSupported, SealBroken
from exchange.settings import settings
from exchange.store.session import Transaction

SIGN_IN_SECONDS: Final = 600
MAX_CODE_LETTERS: Final = 2_000
_BOUND: Final = ["sign-in"]
_SECRET_LETTERS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in under way, as its cookie tells it."""

    issuer: str
    state: str
    nonce: str
    verifier: str
    expires_at: int
    asked: Authorization


def begin(crypto: HubCrypto, metadata: ProviderMetadata, asked: Authorization) -> tuple[str, str]:
    """Where the browser goes, and the cookie that it takes along."""
    expires_at = int(time.time()) + SIGN_IN_SECONDS
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    pending = Pending(metadata.issuer, state, nonce, verifier, expires_at, asked)
    location = with_query(
        metadata.authorization_endpoint,
        {
            "response_type": "code", "client_id": settings().openid_client_id, "redirect_uri": callback_url(),
            "scope": "openid", "state": state, "nonce": nonce, "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
        },
    )  # fmt: skip
    return location, seal_token(crypto, _BOUND, [asdict(pending)])


def pending_of(crypto: HubCrypto, cookie: str, query: Sequence[tuple[str, str]]) -> Pending:
    """The sign-in that a browser comes back with. Raises: RefusedSignIn - of another browser, or too late."""
    told = dict(query)
    if len(told) != len(query):
        raise RefusedSignIn("a parameter stands twice")
    try:
        pending = msgspec.convert(open_token(crypto, _BOUND, cookie)[0], Pending)
    except (NotSupported, msgspec.ValidationError, IndexError):
        raise RefusedSignIn("no sign-in under way in this browser") from None
    if not hmac.compare_digest(told.get("state", "").encode(), pending.state.encode()):
        raise RefusedSignIn("state")
    if time.time() > pending.expires_at:
        raise RefusedSignIn("too late")
    return pending


def subject_of(provider: OpenIdProvider, pending: Pending, query: Sequence[tuple[str, str]]) -> str:
    """Who signed in, as the provider's subject. It is asked over the network: no transaction may be open.

    Raises: RefusedSignIn; ProviderUnavailable.
    """
    told = dict(query)
    metadata = provider.metadata()
    # 1. From the provider that the browser was sent to, and no other (RFC 9207).
    if pending.issuer != metadata.issuer:
        raise RefusedSignIn("the provider was changed")
    if (metadata.names_issuer or "iss" in told) and told.get("iss") != metadata.issuer:
        raise RefusedSignIn("issuer of the answer")
    # 2. With a code.
    if "error" in told:
        raise RefusedSignIn("the provider refused")
    code = told.get("code", "")
    if not 0 < len(code) <= MAX_CODE_LETTERS or not code.isascii() or not code.isprintable():
        raise RefusedSignIn("no code")
    # 3. The code for an ID token, with the verifier that never left the hub's sealed cookie.
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": callback_url(),
        "client_id": settings().openid_client_id, "code_verifier": pending.verifier,
    }  # fmt: skip
    answer = fetch_json(metadata.token_endpoint, form, _credentials())
    id_token, access_token = answer.get("id_token"), answer.get("access_token", "")
    if not isinstance(id_token, str) or not isinstance(access_token, str):
        raise RefusedSignIn("no ID token")
    # 4. That says it.
    expected = Expected(metadata.issuer, settings().openid_client_id, pending.nonce, access_token)
    return verify_id_token(id_token, expected, provider.key, time.time())


def open_account(transaction: Transaction, pending: Pending, subject: str) -> Account:
    """The account of who signed in. Raises: RefusedSignIn - none, suspended, or past its last day."""
    account = account_of(transaction, pending.issuer, subject)
    if account is None:
        raise RefusedSignIn("no account")
    if not account.is_open():
        raise RefusedSignIn(f"account {account.account_id} is closed")
    return account


def with_query(address: str, parameters: dict[str, str]) -> str:
    """An address with further parameters."""
    return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(parameters)}"


def callback_url() -> str:
    """Where the provider sends the browser back to."""
    return f"{settings().base_url}/auth/callback"


def _credentials() -> tuple[str, str] | None:
    """The hub's credentials at the provider; None where PKCE is all.

    Raises: SealBroken - a secret file that others can read.
    Spec:   RFC 6749, 2.3.1
    """
    path = settings().openid_client_secret_file
    if path is None:
        return None
    try:
        if path.stat().st_mode & 0o077:
            raise SealBroken("the file of EXCHANGE_OPENID_CLIENT_SECRET_FILE is open to others: chmod 600 it")
        secret = path.read_text()[:_SECRET_LETTERS].strip()
    except (OSError, UnicodeDecodeError):
        raise ProviderUnavailable("the client secret cannot be read") from None
    return quote_plus(settings().openid_client_id), quote_plus(secret)
