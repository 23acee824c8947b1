"""The data keys of source patient records: fetched wrapped, opened in memory, forgotten after seconds.

Spec:    docs/decisions/0008-sealed-by-default.md, 0024-key-tree.md.
Leaves:  the envelope to crypto; wrapping them anew to rewrapping; what else goes when a record is erased to its caller.

A key that was destroyed leaves its row, empty: nobody makes another one for the same record.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from exchange.problems import KeyDestroyed, SealBroken, Unavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from exchange.crypto.hub_crypto import HubCrypto
    from exchange.store.session import Transaction

REGION: Final = 0
"""The compartment whose key seals the resources of no patient."""

KEPT_SECONDS: Final = 5.0
MOST_KEPT: Final = 10_000
TRIES: Final = 3
ERASED: Final = "the record was erased"

FETCH: Final = (
    "SELECT compartment, wrapping_version, wrapped FROM data_key WHERE compartment = ANY(%s::bigint[])"
)

# One round trip: new keys are kept where none stands; the answer tells which keys stand now. A version that is no longer
# active makes none: the lock holds `keys retire` until this transaction is over, and whoever comes later sees it retired.
MAKE: Final = """
WITH wrapping AS (
  SELECT version FROM hub_key WHERE purpose = 'record' AND version = %(version)s AND state = 'active' FOR KEY SHARE),
made AS (
  INSERT INTO data_key (compartment, wrapping_version, wrapped)
  SELECT given.compartment, wrapping.version, given.wrapped
  FROM wrapping, unnest(%(compartments)s::bigint[], %(keys)s::bytea[]) AS given (compartment, wrapped)
  ON CONFLICT DO NOTHING RETURNING compartment, wrapping_version, wrapped)
SELECT compartment, wrapping_version, wrapped, true FROM made UNION ALL
SELECT compartment, wrapping_version, wrapped, false FROM data_key WHERE compartment = ANY(%(compartments)s::bigint[])
"""

DESTROY: Final = """
INSERT INTO data_key (compartment, wrapping_version, wrapped) VALUES (%s, 0, '')
ON CONFLICT (compartment) DO UPDATE SET wrapping_version = 0, wrapped = ''"""


def key_place(compartment: int) -> int:
    """The compartment whose data key seals a row."""
    return compartment if compartment > 0 else REGION


class DataKeys:
    """Opened data keys of one process. A destroyed key is forgotten within KEPT_SECONDS."""

    def __init__(self, crypto: HubCrypto) -> None:
        self._crypto = crypto
        self._kept: dict[int, tuple[float, AESGCM]] = {}
        self._lock = threading.Lock()

    def ciphers(self, transaction: Transaction, compartments: Collection[int]) -> dict[int, AESGCM]:
        """The ciphers of existing records. Raises: KeyDestroyed - one has no key any more."""
        found, missing = self._recall(transaction, compartments)
        if missing:
            found |= self._fetch(transaction, sorted(missing))
            if len(found) < len({key_place(each) for each in compartments}):
                raise KeyDestroyed(ERASED)
        return found

    def ciphers_to_write(self, transaction: Transaction, compartments: Collection[int]) -> dict[int, AESGCM]:
        """The ciphers of records that are written, made where they are new.

        Raises: KeyDestroyed - one was erased: it is not written again; Unavailable - no wrapping key is active here.
        """
        found, missing = self._recall(transaction, compartments)
        for attempt in range(TRIES):
            if not missing:
                return found
            # A version that was retired meanwhile makes nothing: the newest one is heard of here.
            if attempt:
                self._crypto.look()
            made, standing = self._make(transaction, sorted(missing))
            # A key that this transaction made is its own until the commit: a body that another one sealed under it
            # would never open again after a rollback.
            transaction.made_keys |= self._open(made)
            found |= transaction.made_keys | self._keep(standing)
            missing = missing - found.keys()
        if missing:
            raise Unavailable("no key of the hub wraps new records here")
        return found

    def destroy(self, transaction: Transaction, compartment: int) -> None:
        """Destroy a record's key, for ever. The caller commits. Other processes forget it within KEPT_SECONDS."""
        if compartment == REGION:
            raise SealBroken("the region's own key is never destroyed")
        transaction.run(DESTROY, (compartment,))
        transaction.made_keys.pop(compartment, None)
        with self._lock:
            self._kept.pop(compartment, None)

    def _make(
        self, transaction: Transaction, places: list[int]
    ) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Keys for records; those that were made, and those that stand. One order: two bundles cannot deadlock."""
        wrapped = [self._crypto.new_wrapped_key(place) for place in places]
        told = {"compartments": places, "version": wrapped[0][0], "keys": [key for _, key in wrapped]}
        rows = transaction.rows(MAKE, told)
        return [row[:3] for row in rows if row[3]], [row[:3] for row in rows if not row[3]]

    def _fetch(self, transaction: Transaction, places: list[int]) -> dict[int, AESGCM]:
        """The ciphers that stand. A key that was wrapped anew, its old version destroyed, meanwhile is fetched again."""
        try:
            return self._keep(transaction.rows(FETCH, (places,)))
        except SealBroken:
            return self._keep(transaction.rows(FETCH, (places,)))

    def _recall(
        self, transaction: Transaction, compartments: Collection[int]
    ) -> tuple[dict[int, AESGCM], set[int]]:
        oldest = time.monotonic() - KEPT_SECONDS
        found: dict[int, AESGCM] = {}
        missing: set[int] = set()
        for place in {key_place(each) for each in compartments}:
            kept = self._kept.get(place)
            if place in transaction.made_keys:
                found[place] = transaction.made_keys[place]
            elif kept is not None and kept[0] >= oldest:
                found[place] = kept[1]
            else:
                missing.add(place)
        return found, missing

    def _open(self, rows: list[tuple[Any, ...]]) -> dict[int, AESGCM]:
        if not all(wrapped for _, _, wrapped in rows):
            raise KeyDestroyed(ERASED)
        return {
            place: self._crypto.cipher(place, version, bytes(wrapped)) for place, version, wrapped in rows
        }

    def _keep(self, rows: list[tuple[Any, ...]]) -> dict[int, AESGCM]:
        opened = self._open(rows)
        now = time.monotonic()
        with self._lock:
            if len(self._kept) + len(opened) > MOST_KEPT:
                self._kept.clear()
            self._kept.update({place: (now, cipher) for place, cipher in opened.items()})
        return opened
