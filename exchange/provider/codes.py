"""The provider's codes and ID tokens.

Spec:    https://openid.net/specs/openid-connect-core-1_0.html#TokenEndpoint; RFC 7636
Leaves:  people to people; HTTP to routes.
"""

from __future__ import annotations

import hmac
import secrets
import time
from hashlib import sha256
from typing import Any, Final

from exchange.authentication.authorization_code import challenge_of
from exchange.authentication.id_token import token_hash
from exchange.authentication.signing_key import ALGORITHM, signing_key
from exchange.settings import settings
from exchange.store.session import Transaction

CODE_SECONDS: Final = 60
TOKEN_SECONDS: Final = 120
KEY_PURPOSE: Final = "provider"
INSERT: Final = """
DELETE FROM provider_code WHERE expires_at < %(now)s;
INSERT INTO provider_code (code_hash, subject, nonce, challenge, expires_at)
VALUES (%(code_hash)s, %(subject)s, %(nonce)s, %(challenge)s, %(expires_at)s)"""
TAKE: Final = "DELETE FROM provider_code WHERE code_hash = %s RETURNING subject, nonce, challenge, expires_at"


def make_provider_code(transaction: Transaction, subject: str, nonce: str, challenge: str) -> str:
    """A code for a person who has just signed in."""
    now, code = int(time.time()), secrets.token_urlsafe(32)
    row = {"now": now, "code_hash": _hash(code), "subject": subject, "nonce": nonce, "challenge": challenge,
           "expires_at": now + CODE_SECONDS}  # fmt: skip
    transaction.run(INSERT, row)
    return code


def provider_tokens(transaction: Transaction, code: str, verifier: str) -> dict[str, Any] | None:
    """What the token endpoint answers to a code, which is used up in any case; None: refused. The caller commits."""
    rows = transaction.rows(TAKE, (_hash(code),))
    if not rows:
        return None
    subject, nonce, challenge, expires_at = rows[0]
    if time.time() > expires_at or not hmac.compare_digest(challenge_of(verifier), challenge):
        return None
    now, access_token = int(time.time()), secrets.token_urlsafe(16)
    claims = {
        "iss": settings().openid_issuer_url, "sub": subject, "aud": settings().openid_client_id, "iat": now,
        "exp": now + TOKEN_SECONDS, "auth_time": now, "nonce": nonce, "amr": ["pwd", "otp"],
        "at_hash": token_hash(access_token, ALGORITHM),
    }  # fmt: skip
    # The access token opens nothing: the hub wants to know who it is, and the ID token says so.
    return {"access_token": access_token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS,
            "id_token": signing_key(transaction, KEY_PURPOSE).sign(claims)}  # fmt: skip


def _hash(code: str) -> bytes:
    return sha256(code.encode()).digest()
