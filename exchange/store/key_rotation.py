"""Making, retiring and destroying versions of the hub's keys and of their root: an operator's acts.

Spec:    NIST SP 800-57 part 1, 5.3.5 and 8.2.5; docs/keys.md.
Leaves:  moving what an old version wraps to rewrapping; the audit event and the commit to the spine.

A version goes in three steps that cannot be confused: a newer one is made, nothing needs the old one any more, the old
one is wiped. Each act holds the lock that makes key acts wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from exchange.crypto.hub_crypto import rewrap_hub_key
from exchange.crypto.hub_key import ACTIVE, DESTROYED, RETIRED, HubKey
from exchange.problems import Conflict, NotSupported
from exchange.store import index_rotation
from exchange.store.backups import note_root
from exchange.store.hub_keys import REWRAP, add, hub_keys
from exchange.store.rewrapping import COUNTS
from exchange.store.sealed_places import PLACES
from exchange.store.session import Transaction

LOCK: Final = "SELECT pg_advisory_xact_lock(7038329)"
MOST_VERSIONS: Final = 32_767
TOKEN_REST_SECONDS: Final = 900
"""The longest life of what is sealed or signed under `token`: sign-ins take ten minutes, access tokens five."""

AUDIT_REST_SECONDS: Final = 60
"""How long after a new audit key events may wait for their place that were authenticated under the old one."""

HOLD: Final = "SELECT state FROM hub_key WHERE purpose = %s AND version = %s FOR UPDATE"
SET_STATE: Final = "UPDATE hub_key SET state = %s WHERE purpose = %s AND version = %s"
WIPE: Final = "UPDATE hub_key SET state = 'destroyed', wrapped = '' WHERE purpose = %s AND version = %s"
KEEP_PUBLIC: Final = "UPDATE hub_key SET public = %s WHERE purpose = 'audit' AND version = %s"
SIGNED_SINCE: Final = "SELECT EXISTS (SELECT 1 FROM audit_checkpoint WHERE signed_at > %s)"


def rotate(transaction: Transaction, purpose: str) -> int:
    """Make the next version of a purpose's key; its number. Raises: Conflict, NotSupported."""
    if purpose not in NEEDS:
        raise NotSupported(f"the key '{purpose}' is not rotated")
    keys = _locked_keys(transaction, purpose)
    active = [key.version for key in keys if key.state == ACTIVE]
    if len(active) > 1:
        raise Conflict(
            f"'{purpose}' is being rotated: versions {_listed(active)} are active; retire version {min(active)} first"
        )
    version = max((key.version for key in keys), default=0) + 1
    if version > MOST_VERSIONS:
        raise Conflict(f"'{purpose}' has had all the versions that there can be")
    add(transaction, transaction.crypto.make_key(purpose, version))
    return version


def retire(transaction: Transaction, purpose: str, version: int, *, ends_tokens: bool = False) -> None:
    """Take a version out of use. Raises: Conflict - it is the newest, or something needs it; NotSupported.

    `ends_tokens` is for a stolen key: the tokens of the old version end at once, with whatever was forged.

    1. The row is held exclusively: a writer that uses this version has committed, or waits and finds it retired.
    2. Only then is counted what needs it.
    """
    if purpose not in NEEDS:
        raise NotSupported(f"the key '{purpose}' is not rotated")
    keys = _locked_keys(transaction, purpose)
    newer = [key for key in keys if key.version > version and key.state == ACTIVE]
    # 1.
    state = transaction.rows(HOLD, (purpose, version))
    if not state or state[0][0] != ACTIVE:
        raise Conflict(f"'{purpose}' has no active version {version}")
    if not newer:
        raise Conflict(f"version {version} of '{purpose}' is the newest: rotate first")
    # 2.
    needed = NEEDS[purpose](transaction, version, newer[0])
    if needed and not (ends_tokens and purpose == "token"):
        raise Conflict(f"version {version} of '{purpose}' is still needed: {needed}")
    transaction.run(SET_STATE, (RETIRED, purpose, version))


def destroy(transaction: Transaction, purpose: str, version: int) -> None:
    """Wipe a retired version: what it wrapped and nobody moved, such as an old backup, never opens again.

    Raises: Conflict - it is not retired.
    """
    keys = _locked_keys(transaction, purpose)
    if not any(key.version == version and key.state == RETIRED for key in keys):
        raise Conflict(f"'{purpose}' has no retired version {version}")
    if purpose == "audit":
        # The public halves stay, vouched for by the newest key: those of before too, since theirs may be this one.
        transaction.crypto.learn(hub_keys(transaction))
        for key in keys:
            if key.version == version or key.state == DESTROYED:
                transaction.run(KEEP_PUBLIC, (transaction.crypto.vouched_public(key), key.version))
    transaction.run(WIPE, (purpose, version))


def rotate_root(transaction: Transaction) -> tuple[int, int]:
    """Make a new version of the root, and wrap every hub key under it; its number, and how many were wrapped.

    Where an earlier try made a version and was cut off, that one is used.
    """
    transaction.rows(LOCK)
    root = transaction.crypto.keyring.root
    keys = [key for key in hub_keys(transaction) if key.state != DESTROYED]
    newest = root.newest()
    if all(key.root_version == newest for key in keys):
        newest = root.rotate()
    note_root(transaction, newest)
    number = 0
    for key in keys:
        if key.root_version != newest:
            moved = rewrap_hub_key(root, key)
            transaction.run(REWRAP, (moved.root_version, moved.wrapped, key.purpose, key.version))
            number += 1
    return newest, number


def destroy_root(transaction: Transaction, version: int) -> None:
    """Destroy a version of the root, and with it the backups from before it was rotated. Raises: Conflict."""
    transaction.rows(LOCK)
    root = transaction.crypto.keyring.root
    keys = [key for key in hub_keys(transaction) if key.state != DESTROYED]
    wrapped = sum(key.root_version <= version for key in keys)
    if wrapped:
        raise Conflict(
            f"version {version} of the root is still needed: it wraps {wrapped} keys of the hub; rotate first"
        )
    if not 0 < version < root.newest():
        raise Conflict(f"the root has no older version {version}")
    root.destroy(version)


def _record_needs(transaction: Transaction, version: int, _newer: HubKey) -> str:
    data_keys: dict[int, int] = dict(transaction.rows(COUNTS))
    found = [("data keys", data_keys.get(version, 0))]
    found += [
        (f"{place.table}.{place.column}", place.counts(transaction).get(version, 0)) for place in PLACES
    ]
    return ", ".join(f"{number} {what}" for what, number in found if number)


def _token_needs(transaction: Transaction, _version: int, newer: HubKey) -> str:
    rest_seconds = TOKEN_REST_SECONDS - (transaction.now - newer.made_at) // 1_000_000
    return f"tokens may live for {rest_seconds} seconds more" if rest_seconds > 0 else ""


def _audit_needs(transaction: Transaction, _version: int, newer: HubKey) -> str:
    is_signed = transaction.rows(SIGNED_SINCE, (newer.made_at + AUDIT_REST_SECONDS * 1_000_000,))[0][0]
    return (
        ""
        if is_signed
        else f"no checkpoint was signed {AUDIT_REST_SECONDS} seconds after the new key was made"
    )


def _backup_needs(_transaction: Transaction, _version: int, _newer: HubKey) -> str:
    return ""


NEEDS: Final[dict[str, Callable[[Transaction, int, HubKey], str]]] = {
    "record": _record_needs,
    "index": index_rotation.needs,
    "token": _token_needs,
    "audit": _audit_needs,
    "backup": _backup_needs,
}
"""What is rotated, and for each what still needs an old version: '' where nothing does."""


def _locked_keys(transaction: Transaction, purpose: str) -> list[HubKey]:
    transaction.rows(LOCK)
    return [key for key in hub_keys(transaction) if key.purpose == purpose]


def _listed(numbers: list[int]) -> str:
    return " and ".join(map(str, sorted(numbers)))
