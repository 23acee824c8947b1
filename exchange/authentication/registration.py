"""Registered clients: who they are, which facility they speak for, what they may ask, their public keys.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#registering-a-client
Leaves:  verifying assertions to assertion.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from exchange.problems import Invalid
from exchange.requester import ROLES, Role, Scope, parse_registered_scopes
from exchange.store.session import Transaction

_CLIENT_ID: Final = re.compile(r"[a-z0-9][a-z0-9.\-]{1,62}", re.ASCII)
_PREFIX: Final = re.compile(r"[a-z0-9]{2,20}-", re.ASCII)
_NOT_HEXADECIMAL: Final = re.compile(r"[g-z]", re.ASCII)
_ORGANIZATION: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
MOST_KEYS: Final = 10

SELECT: Final = """
SELECT client_id, name, organization_id, role, scopes, purposes, id_prefix, jwks, is_active FROM client"""
UPSERT: Final = """
INSERT INTO client (client_id, name, organization_id, role, scopes, purposes, id_prefix, jwks)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (client_id) DO UPDATE SET name = excluded.name, organization_id = excluded.organization_id,
  role = excluded.role, scopes = excluded.scopes, purposes = excluded.purposes, jwks = excluded.jwks
WHERE client.id_prefix = excluded.id_prefix"""


@dataclass(frozen=True, slots=True)
class Client:
    """One registered system. `jwks` holds public keys only."""

    client_id: str
    name: str
    organization_id: str
    role: Role
    scopes: tuple[Scope, ...]
    purposes: tuple[str, ...]
    id_prefix: str
    jwks: dict[str, Any]
    is_active: bool = True


def register(transaction: Transaction, client: Client) -> None:
    """Register a client or change its registration; its id prefix stays for ever.

    Raises: Invalid - a malformed field, a private key, or a prefix that is another client's.
    """
    # 1. Names that can stand in ids, logs and tokens.
    if not _CLIENT_ID.fullmatch(client.client_id) or not _ORGANIZATION.fullmatch(client.organization_id):
        raise Invalid("a client id is lower-case letters, digits, dots and hyphens", "client_id")
    if client.role not in ROLES or not client.scopes or not client.purposes:
        raise Invalid("a client has a role, scopes and purposes", "role")
    # 2. A prefix that no id of the hub's own (a UUID) and no other client's can begin with.
    if not _PREFIX.fullmatch(client.id_prefix) or not _NOT_HEXADECIMAL.search(client.id_prefix):
        raise Invalid(
            "an id prefix is letters and digits, one of them g to z, and a hyphen at its end", "id_prefix"
        )
    # 3. Public keys, and nothing private.
    keys = client.jwks.get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= MOST_KEYS:
        raise Invalid(f"a JWKS has 1 to {MOST_KEYS} keys", "jwks")
    for key in keys:
        if not isinstance(key, dict) or key.get("kty") not in ("EC", "RSA") or not key.get("kid"):
            raise Invalid("a key is EC or RSA and has a kid", "jwks")
        if "d" in key or "k" in key:
            raise Invalid("a JWKS holds public keys; this one holds a private key", "jwks")
    changed = transaction.run(
        UPSERT,
        (client.client_id, client.name, client.organization_id, client.role, " ".join(map(str, client.scopes)),
         list(client.purposes), client.id_prefix, json.dumps(client.jwks)),
    )  # fmt: skip
    if changed != 1:
        raise Invalid("the client is registered under another id prefix", "id_prefix")


def find_client(transaction: Transaction, client_id: str) -> Client | None:
    """A client by its id."""
    rows = transaction.rows(SELECT + " WHERE client_id = %s", (client_id,))
    return _client(rows[0]) if rows else None


def all_clients(transaction: Transaction) -> list[Client]:
    """Every client, by id."""
    return [_client(row) for row in transaction.rows(SELECT + " ORDER BY client_id")]


def set_active(transaction: Transaction, client_id: str, *, is_active: bool) -> bool:
    """Suspend a client or let it back; whether it exists."""
    return (
        transaction.run("UPDATE client SET is_active = %s WHERE client_id = %s", (is_active, client_id)) == 1
    )


def _client(row: tuple[Any, ...]) -> Client:
    scopes = parse_registered_scopes(row[4])
    if scopes is None:
        raise Invalid("a stored registration has malformed scopes", "scopes")
    return Client(row[0], row[1], row[2], row[3], scopes, tuple(row[5]), row[6], row[7], row[8])
