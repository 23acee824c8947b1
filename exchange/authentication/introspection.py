"""What a token is good for, told to those who may know; and the end of one that is theirs.

Spec:    RFC 7662; RFC 7009
Leaves:  proving the client to assertion; the notes of revoked tokens to revocation.

A token is shown to the client that holds it, and to an administrator's. Another's, an unknown and an expired one
look alike.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.authentication.bearer_token import read_token
from exchange.authentication.registration import Client
from exchange.authentication.revocation import revoke
from exchange.problems import Unauthenticated
from exchange.requester import Requester
from exchange.store.session import Transaction

MAX_TOKEN_LETTERS: Final = 8_000
INACTIVE: Final[dict[str, Any]] = {"active": False}


def introspect(transaction: Transaction, client: Client, token: str) -> dict[str, Any]:
    """What RFC 7662 answers about a token, with the claims of IHE IUA."""
    found = _own(transaction, client, token)
    if found is None:
        return INACTIVE
    requester, claims = found
    told: dict[str, Any] = {
        "active": True,
        "token_type": "bearer",
        "client_id": requester.client_id,
        "scope": " ".join(map(str, requester.scopes)),
        **{name: claims[name] for name in ("iss", "aud", "sub", "jti", "iat", "exp")},
    }
    user = requester.user
    context: dict[str, Any] = {
        "subject_organization_id": requester.organization_id,
        "purpose_of_use": [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": requester.purpose_of_use}
        ],
    }
    if user is not None:
        context |= {"subject_id": user.id, "subject_name": user.name}
        if user.role:
            context["subject_role"] = [{"system": "urn:chasqui:functional-role", "code": user.role}]
    return told | {"extensions": {"ihe_iua": context}}


def revoke_token(transaction: Transaction, client: Client, token: str) -> str:
    """End a token; its id, or "" where there is nothing that this client may end."""
    found = _own(transaction, client, token)
    if found is None:
        return ""
    revoke(transaction, found[1])
    return str(found[1]["jti"])


def client_requester(client: Client) -> Requester:
    """A client that proved itself and asks about tokens: it reaches no record."""
    return Requester(
        client.client_id, client.name, client.organization_id, client.role, (), client.purposes[0], client.id_prefix,
        "none", within=client.within, requests_per_minute=client.requests_per_minute,
    )  # fmt: skip


def _own(transaction: Transaction, client: Client, token: str) -> tuple[Requester, dict[str, Any]] | None:
    """A valid token that a client may know of."""
    if not 0 < len(token) <= MAX_TOKEN_LETTERS:
        return None
    try:
        requester, claims = read_token(transaction, token)
    except Unauthenticated:
        return None
    is_own = requester.client_id == client.client_id or "administrator" in client.roles
    return (requester, claims) if is_own else None
