"""Reading the whole log: leaves in their order, each beside its event; a batch of either at a time, and no join.

Spec:    docs/decisions/0012-audit-log.md.
Leaves:  what has to hold between the two to verify and export.

Leaves were placed in the order of transactions: the events of a run of leaves are those of a run of transactions.
Where somebody changed one of the two, an event is looked for by its id.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple
from uuid import UUID

from exchange.store.session import Transaction

BATCH_LEAVES: Final = 1_000
"""What fits into a processor's cache: ten times as many take a fifth more time each."""
MOST_EVENTS: Final = 2 * BATCH_LEAVES
"""Of one run of transactions: more means that a leaf's transaction was changed, or that events were slipped in."""

# Every row is as long as the others: what somebody emptied or made longer reads as zeroes, which verify nothing.
_ZEROES: Final = f"'\\x{bytes(32).hex()}'::bytea"
LEAVES: Final = f"""
SELECT leaf_index, coalesce(compartment, 0), coalesce(sequence, 0), coalesce(transaction, 0),
  coalesce(id, '{UUID(int=0)}')::text, CASE WHEN octet_length(leaf) = 32 THEN leaf ELSE {_ZEROES} END
FROM audit_leaf WHERE leaf_index >= {{:d}} ORDER BY leaf_index LIMIT {{:d}}"""  # noqa: S608 - constants only

# What is as long in every row stands first.
EVENT: Final = f"""
SELECT e.compartment, coalesce(e.transaction, 0), coalesce(e.last_updated, 0), e.is_deleted IS TRUE,
  (e.version_id = 1 AND e.members IS NULL) IS NOT TRUE,
  CASE WHEN octet_length(e.text_digest) = 32 THEN e.text_digest ELSE {_ZEROES} END,
  CASE WHEN octet_length(e.commitment) = 32 THEN e.commitment ELSE {_ZEROES} END,
  e.id, coalesce(e.body, ''),
  concat_ws('|', e.compartment, e.custodian, e.clinical_at, e.agent, e.tokens::text, e.ranges::text),
  e.manifest, e.finding FROM audit_event e"""  # noqa: S608 - constants only
OF_RUN: Final = EVENT + " WHERE e.transaction >= {:d} AND e.transaction <= {:d} LIMIT {:d}"
BY_IDS: Final = EVENT + " WHERE e.id = ANY('{{{}}}'::text[])"
_HEADER: Final = struct.Struct(">11sii")
# Of a row: the number of its columns and, before each column, its length are passed over where they are known.
_LEAF: Final = struct.Struct(">6xq4xq4xq4xq4x36s4x32s")
_EVENT: Final = struct.Struct(">6xq4xq4xq4x?4x?4x32s4x32si")
_LENGTH: Final = struct.Struct(">i")
_BOTH_NULL: Final = b"\xff" * 8
_END_BYTES: Final = 2

# Events that have no leaf, though later ones have: their run of transactions was read beside that of the leaves.
STRAYS: Final = f"""{EVENT} WHERE e.transaction <= {{:d}} AND NOT EXISTS (
  SELECT 1 FROM audit_leaf l WHERE l.id::text = e.id AND l.compartment = e.compartment)
ORDER BY e.transaction, e.id LIMIT {{:d}}"""  # noqa: S608 - constants only


class Leaf(NamedTuple):
    """A leaf as it is stored."""

    place: int
    compartment: int
    sequence: int
    transaction: int
    event_id: bytes
    leaf: bytes


class Event(NamedTuple):
    """An event as it is stored. `found_by` is the text of what finds it beside its id and its instant."""

    compartment: int
    transaction: int
    last_updated: int
    is_deleted: bool
    is_marked: bool
    text_digest: bytes
    commitment: bytes
    event_id: bytes
    body: bytes
    found_by: bytes
    manifest: bytes | None
    finding: bytes | None


def leaves_with_events(transaction: Transaction) -> Iterator[tuple[Leaf, Event | None]]:
    """Every leaf in the order of their numbers, with its event; None: there is none of its id in its record."""
    start = -(1 << 63)
    while leaves := _leaves(transaction.copied(LEAVES.format(start, BATCH_LEAVES))):
        events = _events(transaction, leaves)
        for leaf in leaves:
            yield leaf, events.get((leaf.event_id, leaf.compartment))
        start = leaves[-1].place + 1


def strays(transaction: Transaction, last: int, most: int) -> Iterator[Event]:
    """Events of transactions up to one, that nobody gave a place."""
    yield from _read(transaction.copied(STRAYS.format(last, most)))


def _leaves(data: bytes) -> list[Leaf]:
    rows = memoryview(data)[_first(data) : len(data) - _END_BYTES]
    return list(map(Leaf._make, _LEAF.iter_unpack(rows)))


def _events(transaction: Transaction, leaves: list[Leaf]) -> dict[tuple[bytes, int], Event]:
    numbers = [each.transaction for each in leaves]
    rows = transaction.copied(OF_RUN.format(min(numbers), max(numbers), MOST_EVENTS))
    found = {(each.event_id, each.compartment): each for each in _read(rows)}
    lacking = [each.event_id.decode() for each in leaves if (each.event_id, each.compartment) not in found]
    if lacking:  # ids of leaves are UUIDs
        rows = transaction.copied(BY_IDS.format(",".join(lacking)))
        found |= {(each.event_id, each.compartment): each for each in _read(rows)}
    return found


def _first(data: bytes) -> int:
    """Where the first row begins."""
    found: int = _HEADER.unpack_from(data)[2]
    return _HEADER.size + found


def _read(data: bytes) -> Iterator[Event]:
    """The events in what COPY wrote.

    Spec: https://www.postgresql.org/docs/15/sql-copy.html, "Binary Format"
    """
    at, end = _first(data), len(data) - _END_BYTES
    fixed, size, length_at = _EVENT.unpack_from, _EVENT.size, _LENGTH.unpack_from
    while at < end:
        compartment, number, instant, is_deleted, is_marked, text, made, length = fixed(data, at)
        event_id = data[(at := at + size) : (at := at + length)]
        (length,) = length_at(data, at)
        body = data[(at := at + 4) : (at := at + length)]
        (length,) = length_at(data, at)
        found_by = data[(at := at + 4) : (at := at + length)]
        if data.startswith(_BOTH_NULL, at):
            manifest = finding = None
            at += len(_BOTH_NULL)
        else:
            manifest, at = _nullable(data, at)
            finding, at = _nullable(data, at)
        yield Event(
            compartment, number, instant, is_deleted, is_marked, text, made,
            event_id, body, found_by, manifest, finding,
        )  # fmt: skip


def _nullable(data: bytes, at: int) -> tuple[bytes | None, int]:
    """A column that may be null, and where the next one begins."""
    (length,) = _LENGTH.unpack_from(data, at)
    at += 4
    return (None, at) if length < 0 else (data[at : at + length], at + length)
