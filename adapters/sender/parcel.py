"""What travels in one transaction: the next records of one patient or of many, each patient's in order.

Spec:    docs/adapters.md, "Delivery"; https://hl7.org/fhir/R4/http.html#transaction.
Leaves:  what the hub's answer means for each of them to the sender.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.outbox import Outbox, Waiting, WireEntry

MOST_BYTES: Final = 4_000_000
"""Of a transaction of several records, before it is compressed; one record alone may be larger."""
_NAMED_ENTRY: Final = re.compile(r"^Bundle\.entry\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Parcel:
    """Records and their entries, in the order in which they are written; `owners` has the patient of each entry."""

    groups: tuple[str, ...]
    records: tuple[Waiting, ...]
    entries: tuple[WireEntry, ...]
    owners: tuple[str, ...]

    @property
    def request_id(self) -> str:
        """The name of this transaction: the same records make the same name."""
        if len(self.records) == 1:
            return self.records[0].message_id
        return hashlib.sha256("|".join(record.message_id for record in self.records).encode()).hexdigest()[
            :32
        ]

    def blamed(self, expressions: Sequence[str]) -> set[str]:
        """The patients whose entries a refusal names; none where it names no entry."""
        found = (_NAMED_ENTRY.match(each) for each in expressions)
        return {
            self.owners[int(each.group(1))]
            for each in found
            if each and int(each.group(1)) < len(self.owners)
        }


def pack(outbox: Outbox, groups: Sequence[str], most_records: int) -> Parcel:
    """As much of these patients as fits: none writes a resource twice with different content.

    A patient of whom nothing is left to send counts as packed.
    """
    entries: dict[str, WireEntry] = {}
    owners: dict[str, str] = {}
    taken: list[Waiting] = []
    used: list[str] = []
    size = 0
    for group in groups:
        if len(taken) >= most_records or size >= MOST_BYTES:
            break
        waiting = outbox.batch(group, most_records - len(taken))
        before = len(taken)
        for record in waiting:
            weight = sum(len(bytes(item.resource)) for item in record.entries)
            if taken and (size + weight > MOST_BYTES or _contradicts(record, entries)):
                break
            size += weight
            taken.append(record)
            entries.update({item.url: item for item in record.entries})
            owners.update(dict.fromkeys((item.url for item in record.entries), group))
        if len(taken) > before or not waiting:
            used.append(group)
    return Parcel(tuple(used), tuple(taken), tuple(entries.values()), tuple(owners[url] for url in entries))


def _contradicts(record: Waiting, entries: dict[str, WireEntry]) -> bool:
    return any(item.url in entries and entries[item.url].resource != item.resource for item in record.entries)
