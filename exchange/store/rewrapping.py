"""Wrapping anew, after the key `record` was rotated: data keys and the hub's own secrets, step by step while all goes on.

Spec:    docs/decisions/0024-key-tree.md.
Leaves:  when to step to worker; letting the old version go to key_rotation.

A step is a transaction of its own that any process may take, at any time, as often as it likes: a row says itself under
which version it lies, so that a step that was lost is simply taken again. Rows that somebody holds are left for later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exchange.crypto.hub_key import ACTIVE
from exchange.store.hub_keys import hub_keys, locked_version
from exchange.store.sealed_places import PLACES, SECRETS

if TYPE_CHECKING:
    from exchange.store.session import Store, Transaction

BATCH_ROWS: Final = 1_000
FIRST: Final = -(2**63)

OLDER: Final = """
SELECT compartment, wrapping_version, wrapped FROM data_key
WHERE compartment > %s AND wrapping_version < %s AND wrapped <> '' ORDER BY compartment LIMIT %s FOR UPDATE SKIP LOCKED"""

MOVE: Final = """
UPDATE data_key SET wrapping_version = %s, wrapped = given.wrapped
FROM unnest(%s::bigint[], %s::bytea[]) AS given (compartment, wrapped) WHERE data_key.compartment = given.compartment"""

COUNTS: Final = """
SELECT wrapping_version, count(*) FROM data_key WHERE wrapped <> '' GROUP BY wrapping_version"""


class Rewrapping:
    """One process's way through the keys; where it stands is nobody else's matter."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._after = FIRST
        self.moved = 0
        """How many this process has moved."""

    def step(self) -> bool:
        """One step; whether there is more to do at once."""
        with self._store.transaction() as transaction:
            keys = hub_keys(transaction)
            transaction.crypto.learn(keys)
            if sum(key.purpose == SECRETS and key.state == ACTIVE for key in keys) < 2:  # noqa: PLR2004 - nothing rotates
                return False
            version = locked_version(transaction, SECRETS)
            moved = sum(place.move(transaction, version) for place in PLACES)
            last, number = _move(transaction, self._after, version)
            transaction.commit()
        self._after = last
        self.moved += moved + number
        return bool(moved or number)


def counts(transaction: Transaction) -> dict[int, int]:
    """How many data keys and secrets lie under each version."""
    found: dict[int, int] = dict(transaction.rows(COUNTS))
    for place in PLACES:
        for version, number in place.counts(transaction).items():
            found[version] = found.get(version, 0) + number
    return found


def _move(transaction: Transaction, after: int, version: int) -> tuple[int, int]:
    """Wrap the next data keys anew; up to which compartment, and how many. From the beginning after the last ones."""
    rows = transaction.rows(OLDER, (after, version, BATCH_ROWS))
    if not rows:
        return FIRST, 0
    crypto = transaction.crypto
    wrapped = [crypto.rewrap_data_key(place, older, bytes(key))[1] for place, older, key in rows]
    transaction.run(MOVE, (version, [row[0] for row in rows], wrapped))
    return rows[-1][0], len(rows)
