"""The data keys of source patient records: fetched wrapped, opened in memory, forgotten after seconds.

Spec:    docs/decisions/0008-sealed-by-default.md.
Leaves:  the envelope to crypto; destroying keys to `exchange keys`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from exchange.problems import KeyDestroyed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from exchange.crypto.hub_crypto import HubCrypto
    from exchange.store.session import Transaction

REGION: Final = 0
"""The compartment whose key seals the resources of no patient."""

KEPT_SECONDS: Final = 5.0
MOST_KEPT: Final = 10_000

FETCH: Final = (
    "SELECT compartment, wrapping_version, wrapped FROM data_key WHERE compartment = ANY(%s::bigint[])"
)

# One round trip: new keys are kept where none stands; the answer tells which keys stand now.
MAKE: Final = """
WITH made AS (
  INSERT INTO data_key (compartment, wrapping_version, wrapped)
  SELECT * FROM unnest(%(compartments)s::bigint[], %(versions)s::smallint[], %(keys)s::bytea[])
  ON CONFLICT DO NOTHING RETURNING compartment, wrapping_version, wrapped)
SELECT compartment, wrapping_version, wrapped, true FROM made UNION ALL
SELECT compartment, wrapping_version, wrapped, false FROM data_key WHERE compartment = ANY(%(compartments)s::bigint[])
"""


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
            found |= self._keep(transaction.rows(FETCH, (sorted(missing),)))
            if len(found) < len({key_place(each) for each in compartments}):
                raise KeyDestroyed("the record was erased")
        return found

    def ciphers_to_write(self, transaction: Transaction, compartments: Collection[int]) -> dict[int, AESGCM]:
        """The ciphers of records that are written, made where they are new."""
        found, missing = self._recall(transaction, compartments)
        while missing:
            places = sorted(missing)  # one order for every writer: two bundles cannot deadlock
            made = [self._crypto.new_wrapped_key(place) for place in places]
            rows = transaction.rows(
                MAKE,
                {
                    "compartments": places,
                    "versions": [version for version, _ in made],
                    "keys": [wrapped for _, wrapped in made],
                },
            )
            # A key that this transaction made is its own until the commit: a body that another one sealed under it
            # would never open again after a rollback.
            transaction.made_keys |= self._open([row[:3] for row in rows if row[3]])
            found |= transaction.made_keys | self._keep([row[:3] for row in rows if not row[3]])
            missing = missing - found.keys()
        return found

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
