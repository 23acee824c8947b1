"""The whole log as one file of digests: whoever has it verifies the log without the hub, and learns of nobody.

Spec:    docs/audit.md, "The formats"; docs/decisions/0012-audit-log.md, 0026-proofs-and-witnesses.md.
Leaves:  verifying to offline/verify.py; who may have it to the command, which is an operator's act.

Digests of sealed events are computed here and not by the database: it may be the database that is doubted.
"""

from __future__ import annotations

import os
import struct
from binascii import unhexlify
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from exchange.audit.leaf import NO_MANIFEST, commitment, digest, finding_by_rest
from exchange.audit.reading import Event, Leaf, leaves_with_events, strays
from exchange.settings import settings
from exchange.store.session import Transaction

BATCH_ROWS: Final = 5_000
MOST_STRAYS: Final = 100_000
MOST_MINUTES: Final = 60
RECORD: Final = struct.Struct(">32s32s32s32s32sqqqqq16s32sB")
"""Leaf; digests of the sealed event, the open one, its finding, its manifest; compartment, sequence; leaf index,
transaction, instant in microseconds; event id; digest of what finds the event beside id and instant; marks."""
GONE, ERASED, MARKED, MOVED, OTHER = 1, 2, 4, 8, 16
"""Deleted; of an erased record; marked so that no search finds it; of another transaction; of another commitment."""
_NOTHING: Final = bytes(32)

HEAD: Final = "SELECT size, transaction FROM audit_checkpoint ORDER BY size DESC LIMIT 1"

NOTES: Final = """
SELECT size, note, (SELECT string_agg(c.line, '' ORDER BY c.witness) FROM audit_cosignature c WHERE c.size = h.size)
FROM audit_checkpoint h WHERE size > %s ORDER BY size LIMIT %s"""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: events with leaves, events without, signed heads."""

    leaves: int
    strays: int
    heads: int


def export_log(transaction: Transaction, out: Path) -> Exported:
    """Write the log to a new file, whole or not at all, as a new transaction sees it. Raises: FileExistsError."""
    transaction.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    transaction.run(f"SET LOCAL statement_timeout = '{MOST_MINUTES}min'")
    beside = out.with_name(out.name + ".part")
    if out.exists():
        raise FileExistsError(out)
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(_header(Exported(0, 0, 0)))
        head = transaction.rows(HEAD)
        leaves = _written(file, leaves_with_events(transaction))
        unplaced = _written(file, _strays(transaction, head[0][1]) if head else ())
        heads = 0
        for note in _notes(transaction):
            file.write(struct.pack(">I", len(note)) + note)
            heads += 1
        exported = Exported(leaves, unplaced, heads)
        file.seek(0)
        file.write(_header(exported))
        file.flush()
        os.fsync(file.fileno())
    beside.rename(out)
    return exported


def _header(exported: Exported) -> bytes:
    return (
        f"chasqui-audit-log/v1\norigin {settings().audit_origin}\nleaves {exported.leaves:018d}\n"
        f"strays {exported.strays:018d}\nheads {exported.heads:018d}\n\n"
    ).encode()


def _written(file: BinaryIO, rows: Iterable[tuple[Leaf, Event | None]]) -> int:
    count = 0
    for placed, event in rows:
        file.write(_record(placed, event))
        count += 1
    return count


def _record(placed: Leaf, event: Event | None) -> bytes:
    place = placed.compartment, placed.sequence, placed.place, placed.transaction
    if event is None:
        return RECORD.pack(placed.leaf, *[_NOTHING] * 4, *place, 0, _raw(placed.event_id), _NOTHING, GONE)
    rest = digest(event.found_by) if event.finding is None else event.finding
    marks = 0 if event.finding is None else ERASED
    if event.is_marked or event.is_deleted != bool(marks):
        marks |= MARKED
    if event.transaction != placed.transaction:
        marks |= MOVED
    digests = (
        digest(event.body), event.text_digest, digest(finding_by_rest(event.event_id.decode(), event.last_updated, rest)),
        NO_MANIFEST if event.manifest is None else digest(event.manifest),
    )  # fmt: skip
    if commitment(*digests) != event.commitment:
        marks |= OTHER
    return RECORD.pack(placed.leaf, *digests, *place, event.last_updated, _raw(event.event_id), rest, marks)


def _strays(transaction: Transaction, last: int) -> Iterator[tuple[Leaf, Event]]:
    """Events without a leaf, as if they had an empty one."""
    for event in strays(transaction, last, MOST_STRAYS):
        yield Leaf(-1, event.compartment, 0, event.transaction, event.event_id, b""), event


def _raw(event_id: bytes) -> bytes:
    """An event id's 16 bytes; one that is none - somebody inserted it - stands as zeroes."""
    try:
        return unhexlify(event_id.replace(b"-", b"")).ljust(16, b"\0")[:16]
    except ValueError:
        return bytes(16)


def _notes(transaction: Transaction) -> Iterator[bytes]:
    last = -(1 << 63)
    while rows := transaction.rows(NOTES, (last, BATCH_ROWS)):
        for last, note, cosignatures in rows:  # noqa: B007 - the last one is where the next batch begins
            yield (note + (cosignatures or "")).encode()
