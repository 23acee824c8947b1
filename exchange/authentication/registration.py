"""Registered clients: who they are, which facility they speak for, what they may ask, their public keys.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#registering-a-client
Leaves:  verifying assertions to assertion.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from exchange.authentication.jwks import checked_keys
from exchange.authentication.jwks_fetch import is_jwks_url
from exchange.problems import Invalid
from exchange.requester import ROLES, Role, Scope, parse_registered_scopes
from exchange.settings import settings
from exchange.store.session import Transaction

_CLIENT_ID: Final = re.compile(r"[a-z0-9][a-z0-9.\-]{1,62}", re.ASCII)
_PREFIX: Final = re.compile(r"[a-z0-9]{2,20}-", re.ASCII)
_NOT_HEXADECIMAL: Final = re.compile(r"[g-z]", re.ASCII)
_ORGANIZATION: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_FUNCTIONAL_ROLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,63}", re.ASCII)
_PURPOSE: Final = re.compile(r"[A-Z][A-Z0-9\-]{1,31}", re.ASCII)
MOST_WITHIN: Final = 8
MOST_NAME_LETTERS: Final = 200
MOST_PURPOSES: Final = 20
MOST_PER_MINUTE: Final = 10_000_000
MOST_USER_ORGANIZATIONS: Final = 50
MOST_USER_ROLES: Final = 50
MOST_REDIRECT_URIS: Final = 10
MOST_REDIRECT_LETTERS: Final = 400
NO_KEYS: Final[dict[str, Any]] = {"keys": []}
_REDIRECT: Final = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()+,;=%-]+", re.ASCII)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

_COLUMNS: Final = (
    "client_id", "name", "organization_id", "role", "scopes", "purposes", "id_prefix", "jwks", "is_active",
    "redirect_uris", "is_public", "further_roles", "within", "jwks_uri", "user_roles", "user_organizations",
    "requests_per_minute", "is_adapter",
)  # fmt: skip
_KEPT: Final = ("client_id", "id_prefix", "is_active")
"""What a change of a registration leaves as it is."""
SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM client"  # noqa: S608 - constants only
UPSERT: Final = f"""
INSERT INTO client ({", ".join(_COLUMNS)}) VALUES ({", ".join(["%s"] * len(_COLUMNS))})
ON CONFLICT (client_id) DO UPDATE SET {", ".join(f"{each} = excluded.{each}" for each in _COLUMNS if each not in _KEPT)}
WHERE client.id_prefix = excluded.id_prefix"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Client:
    """One registered system. `jwks` holds public keys only.

    redirect_uris        where people who signed in are sent back to; none for a system that acts alone
    is_public            whether it keeps no key, as an app in a browser or on a phone: it may act for people alone
    further_roles        roles beside its own that it may ask for, in the order in which they are chosen
    within               the organisations that its own belongs to, nearest first
    jwks_uri             where it keeps its keys, instead of `jwks`
    user_roles           functional roles that its users may have there; none: its users have no role
    user_organizations   further organisations that its users may work for, each with those that it is within
    requests_per_minute  a limit of its own instead of the settings'; 0: none
    is_adapter           whether it reports how it stands, and is missed when it is silent
    """

    client_id: str
    name: str
    organization_id: str
    role: Role
    scopes: tuple[Scope, ...]
    purposes: tuple[str, ...]
    id_prefix: str
    jwks: dict[str, Any]
    is_active: bool = True
    redirect_uris: tuple[str, ...] = ()
    is_public: bool = False
    further_roles: tuple[Role, ...] = ()
    within: tuple[str, ...] = ()
    jwks_uri: str = ""
    user_roles: tuple[str, ...] = ()
    user_organizations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requests_per_minute: int | None = None
    is_adapter: bool = False

    @property
    def roles(self) -> tuple[Role, ...]:
        """Every role that it may ask for, its own first."""
        return (self.role, *self.further_roles)

    def allows(self, scope: Scope) -> bool:
        """Whether the registration covers every letter of a scope."""
        held = [each for each in self.scopes if each.context == scope.context]
        return all(any(each.covers(scope.resource_type, letter) for each in held) for letter in scope.actions)

    def within_of(self, organization_id: str) -> tuple[str, ...] | None:
        """What an organisation is within, if the client speaks for it; None if it does not."""
        if organization_id == self.organization_id:
            return self.within
        return self.user_organizations.get(organization_id)


def register(transaction: Transaction, client: Client, *, is_invited: bool = False) -> None:
    """Register a client or change its registration; its id prefix stays for ever. Invited, it may have no key.

    Raises: Invalid - a malformed field, a private key, or a prefix that is another client's.
    """
    # 1. Names that can stand in ids, logs and tokens.
    if not _CLIENT_ID.fullmatch(client.client_id) or not _is_name(client.name):
        raise Invalid(
            "a client id is lower-case letters, digits, dots and hyphens; a name is printable", "client_id"
        )
    # 2. A prefix that no id of the hub's own (a UUID) and no other client's can begin with.
    if not _PREFIX.fullmatch(client.id_prefix) or not _NOT_HEXADECIMAL.search(client.id_prefix):
        raise Invalid(
            "an id prefix is letters and digits, one of them g to z, and a hyphen at its end", "id_prefix"
        )
    # 3. What it may ask for, in whose name, and for whom.
    _require_reach(client)
    _require_users(client)
    if client.is_adapter and (client.is_public or client.role != "system"):
        raise Invalid("an adapter acts alone, in the role system, with a key of its own", "is_adapter")
    # 4. Public keys, and nothing private; or an address where they lie; or, for an app that can keep none, neither.
    if not (is_invited and client.jwks == NO_KEYS and not client.is_public and not client.jwks_uri):
        _require_keys(client)
    # 5. Addresses that a person may be sent back to.
    if len(client.redirect_uris) > MOST_REDIRECT_URIS or not all(map(is_redirect_uri, client.redirect_uris)):
        raise Invalid("a redirect address is https and exact: no wildcard, user or fragment", "redirect_uris")
    if transaction.run(UPSERT, _row(client)) != 1:
        raise Invalid("the client is registered under another id prefix", "id_prefix")


def _require_reach(client: Client) -> None:
    if not client.scopes or not client.purposes or len(client.purposes) > MOST_PURPOSES:
        raise Invalid("a client has a role, scopes and purposes", "role")
    if not all(map(_PURPOSE.fullmatch, client.purposes)):
        raise Invalid("a purpose of use is a code of v3 ActReason", "purposes")
    if len(set(client.roles)) != len(client.roles) or not set(client.roles) <= set(ROLES):
        raise Invalid("a role is one of: " + ", ".join(ROLES), "role")
    if "patient" in client.further_roles:
        raise Invalid("a patient signs in: no system vouches for one beside its own work", "further_roles")


def _require_users(client: Client) -> None:
    organizations = (client.organization_id, *client.within, *client.user_organizations)
    nested = [each for within in client.user_organizations.values() for each in within]
    if not all(map(_ORGANIZATION.fullmatch, (*organizations, *nested))):
        raise Invalid("an organisation is named by the id of its Organization", "organization_id")
    if any(len(each) > MOST_WITHIN for each in (client.within, *client.user_organizations.values())):
        raise Invalid(f"an organisation is within at most {MOST_WITHIN} others", "within")
    if len(client.user_organizations) > MOST_USER_ORGANIZATIONS:
        raise Invalid(f"users work for at most {MOST_USER_ORGANIZATIONS} organisations", "user_organizations")
    if len(client.user_roles) > MOST_USER_ROLES or not all(
        map(_FUNCTIONAL_ROLE.fullmatch, client.user_roles)
    ):
        raise Invalid("a functional role is a code of letters, digits, dots and hyphens", "user_roles")
    if client.requests_per_minute is not None and not 0 <= client.requests_per_minute <= MOST_PER_MINUTE:
        raise Invalid("a limit is a number of requests a minute; 0 is none", "requests_per_minute")


def _require_keys(client: Client) -> None:
    if client.is_public:
        is_for_people = all(each.context != "system" for each in client.scopes)
        if client.jwks.get("keys") or client.jwks_uri or not client.redirect_uris or not is_for_people:
            raise Invalid("a public client has redirect addresses, no keys and no system scope", "is_public")
    elif client.jwks_uri:
        if client.jwks.get("keys") or not is_jwks_url(client.jwks_uri):
            raise Invalid("keys are in the registration or at an https address, not both", "jwks_uri")
    else:
        checked_keys(client.jwks)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MOST_NAME_LETTERS and text.isprintable()


def is_redirect_uri(uri: str) -> bool:
    """Whether an address may be registered: https, or http to this machine in a demonstration.

    Spec: RFC 6749, 3.1.2; OAuth 2.1 (draft), 2.3.1
    """
    if len(uri) > MOST_REDIRECT_LETTERS or not _REDIRECT.fullmatch(uri):
        return False
    try:
        parts = urlsplit(uri)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_local = parts.hostname in _LOOPBACK and settings().mode == "demo"
    is_named = bool(parts.hostname) and "@" not in parts.netloc and "%" not in parts.netloc and has_port
    return is_named and (parts.scheme == "https" or (parts.scheme == "http" and is_local))


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


def change_keys(transaction: Transaction, client_id: str, added: object, retired: tuple[str, ...]) -> Client:
    """Add keys to a registration and take others out, by key id; what it is then.

    Raises: Invalid - no such client, keys at an address of its own, no such key, or none left.
    """
    rows = transaction.rows(SELECT + " WHERE client_id = %s FOR UPDATE", (client_id,))
    client = _client(rows[0]) if rows else None
    if client is None or client.is_public or client.jwks_uri:
        raise Invalid("there is no client of this id that keeps its keys here", "client_id")
    held = list(client.jwks["keys"])
    if not set(retired) <= {each["kid"] for each in held}:
        raise Invalid("there is no such key to retire", "jwks")
    kept = [each for each in held if each["kid"] not in retired]
    changed = replace(client, jwks={"keys": [*kept, *(checked_keys(added) if added is not None else ())]})
    register(transaction, changed)
    return changed


def _row(client: Client) -> list[Any]:
    organizations = {each: list(within) for each, within in client.user_organizations.items()}
    return [
        client.client_id, client.name, client.organization_id, client.role, " ".join(map(str, client.scopes)),
        list(client.purposes), client.id_prefix, json.dumps(client.jwks), client.is_active,
        list(client.redirect_uris), client.is_public, list(client.further_roles), list(client.within),
        client.jwks_uri, list(client.user_roles), json.dumps(organizations), client.requests_per_minute,
        client.is_adapter,
    ]  # fmt: skip


def _client(row: tuple[Any, ...]) -> Client:
    told = dict(zip(_COLUMNS, row, strict=True))
    scopes = parse_registered_scopes(told["scopes"])
    if scopes is None:
        raise Invalid("a stored registration has malformed scopes", "scopes")
    lists = {name: tuple(value) for name, value in told.items() if isinstance(value, list)}
    organizations = {each: tuple(within) for each, within in told["user_organizations"].items()}
    return Client(**told | lists | {"scopes": scopes, "user_organizations": organizations})
