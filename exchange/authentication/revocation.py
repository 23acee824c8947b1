"""Tokens that end before their time: revoked by the client that holds them, or by an administrator's.

Spec:    RFC 7009; RFC 7662
Leaves:  who may ask to assertion; reading tokens to bearer_token.

A process remembers a good token for `EXCHANGE_CLIENT_CACHE_SECONDS`: after so long a revoked one is refused everywhere.
"""

from __future__ import annotations

import time
from typing import Any, Final

from exchange.settings import settings
from exchange.store.session import Transaction

REVOKE: Final = """
DELETE FROM revoked_token WHERE expires_at < %(now)s;
INSERT INTO revoked_token (jti, expires_at) VALUES (%(jti)s, %(expires_at)s) ON CONFLICT DO NOTHING"""
IS_REVOKED: Final = "SELECT EXISTS (SELECT 1 FROM revoked_token WHERE jti = %(jti)s)"


def revoke(transaction: Transaction, claims: dict[str, Any]) -> None:
    """End a token. The note of it is kept for as long as the token could live."""
    now = int(time.time()) - settings().clock_skew_seconds
    until = int(claims["exp"]) + settings().clock_skew_seconds
    transaction.run(REVOKE, {"now": now, "jti": claims["jti"], "expires_at": until})


def is_revoked(transaction: Transaction, token_id: str) -> bool:
    """Whether a token was ended."""
    return bool(transaction.rows(IS_REVOKED, {"jti": token_id})[0][0])
