"""The hub's keys as rows: read by every process, written by whoever makes, retires or destroys a version.

Spec:    docs/decisions/0024-key-tree.md.
Leaves:  opening them to crypto/keyring; when a version may go to key_rotation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from exchange.crypto.hub_key import HubKey
from exchange.problems import Unavailable

if TYPE_CHECKING:
    from exchange.store.session import Store, Transaction

TRIES: Final = 3

COLUMNS: Final = "purpose, version, state, root_version, wrapped, fingerprint, public, made_at"

READ: Final = f"SELECT {COLUMNS} FROM hub_key ORDER BY purpose, version"  # noqa: S608 - constants only

ADD: Final = f"INSERT INTO hub_key ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"  # noqa: S608

HOLD: Final = "SELECT 1 FROM hub_key WHERE purpose = %s AND version = %s AND state = 'active' FOR KEY SHARE"

REWRAP: Final = """
UPDATE hub_key SET root_version = %s, wrapped = %s WHERE purpose = %s AND version = %s AND state <> 'destroyed'"""


def hub_keys(transaction: Transaction) -> list[HubKey]:
    """Every version of every key."""
    return [hub_key_of(row) for row in transaction.rows(READ)]


def hub_key_of(row: Sequence[Any]) -> HubKey:
    """A row of READ."""
    purpose, version, state, root_version, wrapped, fingerprint, public, made_at = row
    return HubKey(
        purpose, version, state, root_version, bytes(wrapped), bytes(fingerprint), bytes(public), made_at
    )


def add(transaction: Transaction, key: HubKey) -> None:
    """Enter a new version."""
    row = (key.purpose, key.version, key.state, key.root_version, key.wrapped, key.fingerprint, key.public)
    transaction.run(ADD, (*row, transaction.now))


def reread(store: Store) -> list[HubKey]:
    """The rows as they are committed now, whatever the caller's own transaction is doing."""
    with store.transaction() as transaction:
        return hub_keys(transaction)


def locked_version(transaction: Transaction, purpose: str) -> int:
    """The version that makes what is new, held active until this transaction is over.

    Raises: Unavailable - this process cannot open the version that took the place of the one it knows.
    """
    for _ in range(TRIES):
        version = transaction.crypto.keyring.version(purpose)
        if transaction.rows(HOLD, (purpose, version)):
            return version
        transaction.crypto.look()
    raise Unavailable("no key of the hub seals here")
