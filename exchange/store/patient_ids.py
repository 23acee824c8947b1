"""The Patient id of each record, remembered: a record's id never changes.

Leaves:  who may know an id to the rooms that ask - audit events name the patient whose record was touched.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from exchange.store.session import Transaction

MOST_KEPT: Final = 20_000
FETCH: Final = "SELECT compartment, patient_id FROM patient_record WHERE compartment = ANY(%s::bigint[])"


class PatientIds:
    """The ids seen by one process."""

    def __init__(self) -> None:
        self._kept: dict[int, str] = {}

    def of(self, transaction: Transaction, compartments: Collection[int]) -> dict[int, str]:
        """The Patient id of each compartment that has a record."""
        missing = [each for each in compartments if each not in self._kept]
        found: dict[int, str] = {}
        if missing:
            found = dict(transaction.rows(FETCH, (missing,)))
            if len(self._kept) + len(found) > MOST_KEPT:
                self._kept = {}
        ids = {each: self._kept[each] for each in compartments if each in self._kept} | found
        self._kept |= found
        return ids
