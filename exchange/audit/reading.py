"""Reading the whole log: leaves in their order, each beside its event; a batch of either at a time, and no join.

Spec:    docs/decisions/0012-audit-log.md.
Leaves:  what has to hold between the two to verify and export.

Leaves were placed in the order of transactions: the events of a run of leaves are those of a run of transactions.
Where somebody changed one of the two, an event is looked for by its id.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from exchange.store.session import Transaction

BATCH_LEAVES: Final = 10_000
MOST_EVENTS: Final = 2 * BATCH_LEAVES
"""Of one run of transactions: more means that a leaf's transaction was changed, or that events were slipped in."""

LEAVES: Final = """
SELECT leaf_index, id::text, compartment, sequence, transaction, leaf FROM audit_leaf
WHERE leaf_index >= %s ORDER BY leaf_index LIMIT %s"""

# Numbers first: they are as long in every row.
EVENT: Final = """
SELECT e.compartment, e.transaction, e.last_updated, e.is_deleted, e.version_id <> 1 OR e.members IS NOT NULL,
  e.id, e.body, e.text_digest, e.manifest, e.finding, e.commitment,
  concat_ws('|', e.compartment, e.custodian, e.clinical_at, e.agent, e.tokens::text, e.ranges::text) FROM audit_event e"""
OF_RUN: Final = EVENT + " WHERE e.transaction >= {:d} AND e.transaction <= {:d} LIMIT {:d}"
BY_IDS: Final = EVENT + " WHERE e.id = ANY('{{{}}}'::text[])"
_HEADER: Final = struct.Struct(">11sii")
_NUMBERS: Final = struct.Struct(">hiqiqiqi?i?")
_LENGTH: Final = struct.Struct(">i")
_TEXTS: Final = 7
_END: Final = b"\xff\xff"

# Events that have no leaf, though later ones have: their run of transactions was read beside that of the leaves.
STRAYS: Final = f"""{EVENT} WHERE e.transaction <= {{:d}} AND NOT EXISTS (
  SELECT 1 FROM audit_leaf l WHERE l.id::text = e.id AND l.compartment = e.compartment)
ORDER BY e.transaction, e.id LIMIT {{:d}}"""  # noqa: S608 - constants only


class Leaf(NamedTuple):
    """A leaf as it is stored."""

    place: int
    event_id: str
    compartment: int
    sequence: int
    transaction: int
    leaf: bytes


class Event(NamedTuple):
    """An event as it is stored. `found_by` is the text of what finds it beside its id and its instant."""

    compartment: int
    transaction: int
    last_updated: int
    is_deleted: bool
    is_marked: bool
    event_id: str
    body: bytes
    text_digest: bytes
    manifest: bytes | None
    finding: bytes | None
    commitment: bytes
    found_by: bytes


def leaves_with_events(transaction: Transaction) -> Iterator[tuple[Leaf, Event | None]]:
    """Every leaf in the order of their numbers, with its event; None: there is none of its id in its record."""
    start = -(1 << 63)
    while rows := transaction.rows(LEAVES, (start, BATCH_LEAVES)):
        leaves = [Leaf(row[0], row[1], row[2], row[3], row[4], bytes(row[5])) for row in rows]
        events = _events(transaction, leaves)
        for leaf in leaves:
            yield leaf, events.get((leaf.event_id, leaf.compartment))
        start = leaves[-1].place + 1


def strays(transaction: Transaction, last: int, most: int) -> Iterator[Event]:
    """Events of transactions up to one, that nobody gave a place."""
    yield from _read(transaction.copied(STRAYS.format(last, most)))


def _events(transaction: Transaction, leaves: list[Leaf]) -> dict[tuple[str, int], Event]:
    numbers = [each.transaction for each in leaves]
    rows = transaction.copied(OF_RUN.format(min(numbers), max(numbers), MOST_EVENTS))
    found = {(each.event_id, each.compartment): each for each in _read(rows)}
    lacking = [each.event_id for each in leaves if (each.event_id, each.compartment) not in found]
    if lacking:  # ids of leaves are UUIDs
        rows = transaction.copied(BY_IDS.format(",".join(lacking)))
        found |= {(each.event_id, each.compartment): each for each in _read(rows)}
    return found


def _read(data: bytes) -> Iterator[Event]:
    """The events in what COPY wrote.

    Spec: https://www.postgresql.org/docs/15/sql-copy.html, "Binary Format"
    """
    at = _HEADER.size + _HEADER.unpack_from(data)[2]
    while data[at : at + 2] != _END:
        _, _, compartment, _, number, _, instant, _, is_deleted, _, is_marked = _NUMBERS.unpack_from(data, at)
        at += _NUMBERS.size
        texts: list[Any] = []
        for _ in range(_TEXTS):
            end = at + 4 + (length := _LENGTH.unpack_from(data, at)[0])
            texts.append(data[at + 4 : end] if length >= 0 else None)
            at = max(end, at + 4)
        texts[0] = texts[0].decode()
        yield Event(compartment, number, instant, is_deleted, is_marked, *texts)
