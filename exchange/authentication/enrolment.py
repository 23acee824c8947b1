"""Enrolment: a system that was invited brings its public key, by a one-time code and a proof that it holds the key.

Spec:    docs/clients.md, "Invite"; RFC 7800 (proof of possession); RFC 7638; docs/region.md.
Leaves:  what a registration may say to registration; the form of codes to enrolment_code; HTTP to rest/enrolment.
"""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Any, Final

import jwt
import msgspec

from exchange.authentication.enrolment_code import make_code, read_code
from exchange.authentication.introspection import client_requester
from exchange.authentication.jwks import checked_keys
from exchange.authentication.limits import Limits
from exchange.authentication.registration import NO_KEYS, Client, find_client, register
from exchange.fleet.state import note_contact
from exchange.problems import Invalid, Throttled, Unauthenticated
from exchange.request import Request
from exchange.settings import settings
from exchange.store.session import Store, Transaction

ALGORITHM: Final = "ES384"
CURVE_BITS: Final = 384
PROOF_SECONDS: Final = 300
USUAL_HOURS: Final = 72
MOST_HOURS: Final = 720
_REFUSED: Final = "the invitation is not valid"

INVITE: Final = """
INSERT INTO client_invitation (client_id, code_hash, expires_at, replaces_keys, key_hash) VALUES (%s, %s, %s, %s, NULL)
ON CONFLICT (client_id) DO UPDATE SET code_hash = excluded.code_hash, expires_at = excluded.expires_at,
  replaces_keys = excluded.replaces_keys, key_hash = NULL"""
FIND: Final = """
SELECT client_id, code_hash, expires_at, replaces_keys, key_hash FROM client_invitation WHERE code_hash = %s FOR UPDATE"""
USE: Final = "UPDATE client_invitation SET key_hash = %s WHERE client_id = %s"
WITHDRAW: Final = "DELETE FROM client_invitation WHERE client_id = %s AND key_hash IS NULL"
WAITING: Final = (
    "SELECT client_id, expires_at FROM client_invitation WHERE key_hash IS NULL ORDER BY client_id"
)


class RefusedEnrolment(Unauthenticated):
    """A try that enrols nobody. `why` is for the audit log, never for the caller: every refusal is one answer."""

    def __init__(self, why: str) -> None:
        super().__init__(_REFUSED)
        self.why = why


class Brought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a system brings: the code as it was typed, its public key, and its signature over the code's digest."""

    code: Annotated[str, msgspec.Meta(max_length=100)]
    jwks: dict[str, Any]
    proof: Annotated[str, msgspec.Meta(max_length=4_000)]


_BROUGHT: Final = msgspec.json.Decoder(Brought)


@dataclass(frozen=True, slots=True)
class _Invitation:
    client_id: str
    code_hash: bytes
    expires_at: int
    replaces_keys: bool
    key_hash: bytes | None


_NOBODY: Final = _Invitation("", b"", 0, replaces_keys=False, key_hash=None)


def invite(transaction: Transaction, client: Client, *, hours: int, replaces_keys: bool) -> str:
    """Register a system without its key, or anew with the keys that it has, and the code by which it brings one, bare.

    What it had keeps working until the new key comes. An earlier code is worth nothing from now on.
    Raises: Invalid - see register; or it has keys, and nobody said that they are to be replaced.
    """
    standing = find_client(transaction, client.client_id)
    has_keys = standing is not None and has_any_key(standing)
    if has_keys and not replaces_keys:
        raise Invalid("the client has keys: only --replace-keys invites it to bring another", "jwks")
    kept = (
        replace(client, jwks=standing.jwks, jwks_uri=standing.jwks_uri)
        if standing is not None and has_keys
        else replace(client, jwks=NO_KEYS)
    )
    register(transaction, kept, is_invited=True)
    code = make_code()
    hashed = transaction.crypto.hash_enrolment_code(code)
    until = int(time.time()) + hours * 3600
    transaction.run(INVITE, (client.client_id, hashed, until, replaces_keys))
    return code


def withdraw_invitation(transaction: Transaction, client_id: str) -> bool:
    """Take an invitation back that nobody used; whether there was one."""
    return transaction.run(WITHDRAW, (client_id,)) == 1


def waiting_invitations(transaction: Transaction) -> dict[str, int]:
    """Until when each client that waits may bring its key. Units: seconds since 1970."""
    return dict(transaction.rows(WAITING))


def has_any_key(client: Client) -> bool:
    """Whether a registration names keys, or where they lie."""
    return bool(client.jwks.get("keys") or client.jwks_uri)


def code_digest(code: str) -> str:
    """What a proof says of the code: whoever reads the proof alone does not have it."""
    return urlsafe_b64encode(sha256(code.encode()).digest()).decode().rstrip("=")


class Enrolments:
    """How invited systems come in.

    append  writes an act's event and commits it with the act; record enters a refusal. Both are the spine's.
    """

    def __init__(
        self, store: Store, limits: Limits, append: Callable[..., None], record: Callable[..., None]
    ) -> None:
        self._store = store
        self._limits = limits
        self._append = append
        self._record = record

    def enrol(self, body: bytes | None, url: str, request: Request, address: str) -> Client:
        """The registration that a code and a key complete; granted or refused, the log has it. None: not read, too long.

        Raises: RefusedEnrolment - one answer for all that may be wrong; Throttled.
        """
        try:
            # 1. Counted before anything is looked at: by address, and all together.
            self._limits.enrolment(address)
            # 2. What was brought, and that whoever brings it holds the key: the same work whatever the code is worth.
            brought, code, jwk = _read(body)
            _require_proof(brought.proof, jwk, code, url)
            # 3. The code, once; with its event in one transaction.
            with self._store.transaction() as transaction:
                client, reason = _use(transaction, code, jwk)
                self._append(transaction, request, client_requester(client), (), reason)
                return client
        except RefusedEnrolment as refused:
            self._record(request, None, f"enrolment refused: {refused.why}", refused)
            raise
        except Throttled as refused:
            self._record(request, None, "enrolment refused: too many", refused)
            raise


def _read(body: bytes | None) -> tuple[Brought, str, dict[str, Any]]:
    """What was brought, its bare code, and its one key. A code that cannot be one is looked for all the same."""
    if body is None:
        raise RefusedEnrolment("too long, or too slow")
    try:
        brought = _BROUGHT.decode(body)
        keys = checked_keys(brought.jwks)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Invalid):
        raise RefusedEnrolment("malformed") from None
    if len(keys) != 1:
        raise RefusedEnrolment("several keys")
    return brought, read_code(brought.code) or "", keys[0]


def _require_proof(proof: str, jwk: dict[str, Any], code: str, url: str) -> None:
    """Hold a proof against the key that comes with it. Raises: RefusedEnrolment.

    1. The key is one with which systems may sign in. 2. It signed this, for here, a moment ago. 3. It names this code.
    """
    # 1.
    try:
        header = jwt.get_unverified_header(proof)
        key: Any = jwt.PyJWK(jwk, algorithm=ALGORITHM).key
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise RefusedEnrolment("key") from None
    if header.get("alg") != ALGORITHM or getattr(key, "key_size", 0) != CURVE_BITS:
        raise RefusedEnrolment("algorithm")
    # 2.
    skew = settings().clock_skew_seconds
    try:
        claims = jwt.decode(
            proof, key, algorithms=[ALGORITHM], audience=url, leeway=skew,
            options={"require": ["aud", "exp", "code_sha256"], "strict_aud": True},
        )  # fmt: skip
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError):
        raise RefusedEnrolment("proof") from None
    if int(claims["exp"]) - int(time.time()) > PROOF_SECONDS + skew:
        raise RefusedEnrolment("proof lives too long")
    # 3.
    told = claims["code_sha256"]
    if not isinstance(told, str) or not hmac.compare_digest(told.encode(), code_digest(code).encode()):
        raise RefusedEnrolment("proof of another code")


def _use(transaction: Transaction, code: str, jwk: dict[str, Any]) -> tuple[Client, str]:
    """Complete a registration. Raises: RefusedEnrolment.

    1. The invitation is found by a keyed hash and locked: two that bring one code wait for each other.
    2. It stands, is in time, and its client may come in.
    3. Used already: by this very key, the answer was lost and is given again; by another, refused.
    4. Keys make way only where the operator said so. 5. The key, and the first contact of an adapter.
    """
    # 1.
    hashed = transaction.crypto.hash_enrolment_code(code)
    rows = transaction.rows(FIND, (hashed,))
    found = _Invitation(*rows[0]) if rows else _NOBODY
    client = find_client(transaction, found.client_id)
    # 2.
    if not code or not hmac.compare_digest(bytes(found.code_hash), hashed):
        raise RefusedEnrolment("unknown code")
    if found.expires_at <= time.time():
        raise RefusedEnrolment("expired code")
    if client is None or not client.is_active:
        raise RefusedEnrolment("suspended client")
    # 3.
    key_hash = sha256(f"{jwk.get('crv')}|{jwk.get('x')}|{jwk.get('y')}".encode()).digest()
    if found.key_hash is not None:
        if not hmac.compare_digest(bytes(found.key_hash), key_hash):
            raise RefusedEnrolment("used code")
        return client, "enrolment answered again: the same key"
    # 4.
    if has_any_key(client) and not found.replaces_keys:
        raise RefusedEnrolment("the client has keys")
    # 5.
    enrolled = replace(client, jwks={"keys": [jwk]}, jwks_uri="")
    register(transaction, enrolled)
    transaction.run(USE, (key_hash, client.client_id))
    note_contact(transaction, client.client_id)
    return enrolled, "enrolled by a one-time code"
