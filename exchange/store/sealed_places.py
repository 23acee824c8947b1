"""Where secrets of the hub's own lie sealed: the one list of what moves when the key `record` is rotated.

Spec:    docs/decisions/0024-key-tree.md.
Leaves:  sealing to crypto; data keys, which the same key wraps, to data_keys; moving both to rewrapping.

A secret is bound to its table, column and row. No other file seals one: a test says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exchange.store.hub_keys import locked_version

if TYPE_CHECKING:
    from exchange.store.session import Transaction

BATCH_ROWS: Final = 100
SECRETS: Final = "record"
"""The purpose of the key that seals them."""


@dataclass(frozen=True, slots=True)
class SealedPlace:
    """A column that holds secrets; an empty one holds none."""

    table: str
    row: str
    column: str

    def seal(self, transaction: Transaction, row: str, text: bytes) -> bytes:
        """What to write into a row. The version that seals it stands until this transaction is over."""
        return transaction.crypto.seal_secret(text, self.bound_to(row), locked_version(transaction, SECRETS))

    def open(self, transaction: Transaction, row: str, sealed: bytes) -> bytes:
        """A row's secret. Raises: SealBroken - altered, or moved here from another place."""
        return transaction.crypto.open_secret(sealed, self.bound_to(row))

    def bound_to(self, row: str) -> bytes:
        """What a row's secret is bound to."""
        return f"{self.table}.{self.column} {row}".encode()

    def counts(self, transaction: Transaction) -> dict[int, int]:
        """How many secrets each version seals."""
        sql = f"SELECT {self._version}, count(*) FROM {self.table} WHERE length({self.column}) > 0 GROUP BY 1"  # noqa: S608
        return dict(transaction.rows(sql))

    def move(self, transaction: Transaction, version: int) -> int:
        """Seal anew, under a version that the caller has locked, some of what older ones seal; how many."""
        rows = transaction.rows(
            f"SELECT {self.row}::text, {self.column} FROM {self.table} WHERE length({self.column}) > 0 "  # noqa: S608
            f"AND {self._version} < %s ORDER BY {self.row} LIMIT %s FOR UPDATE SKIP LOCKED",
            (version, BATCH_ROWS),
        )
        for row, sealed in rows:
            text = self.open(transaction, row, bytes(sealed))
            moved = transaction.crypto.seal_secret(text, self.bound_to(row), version)
            transaction.run(
                f"UPDATE {self.table} SET {self.column} = %s WHERE {self.row}::text = %s",  # noqa: S608
                (moved, row),
            )
        return len(rows)

    @property
    def _version(self) -> str:
        """The first two bytes, which name the version; 0 for what is too short to name one."""
        column = self.column
        return f"CASE WHEN length({column}) > 1 THEN get_byte({column}, 0) * 256 + get_byte({column}, 1) ELSE 0 END"


DICTIONARY: Final = SealedPlace("dictionary", "number", "sealed")
SIGNING_KEY: Final = SealedPlace("signing_key", "purpose", "sealed")
ONE_TIME_CODE: Final = SealedPlace("provider_person", "subject", "totp_sealed")

PLACES: Final = (DICTIONARY, SIGNING_KEY, ONE_TIME_CODE)
