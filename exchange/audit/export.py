"""The whole log as one file of digests: whoever has it verifies the log without the hub, and learns of nobody.

Spec:    docs/audit.md, "The formats"; docs/decisions/0012-audit-log.md, 0026-proofs-and-witnesses.md.
Leaves:  verifying to offline/verify.py; who may have it to the command, which is an operator's act.

Digests of sealed events are computed here and not by the database: it may be the database that is doubted.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

from exchange.audit.leaf import NO_MANIFEST, commitment, digest, finding_by_rest
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

_EVENT: Final = """
  e.body, e.text_digest, e.manifest, e.finding, e.commitment, e.transaction, e.last_updated, e.id,
  e.is_deleted, e.version_id <> 1 OR e.members IS NOT NULL,
  concat_ws('|', e.compartment, e.custodian, e.clinical_at, e.agent, e.tokens::text, e.ranges::text)"""

HEAD: Final = "SELECT size, transaction FROM audit_checkpoint ORDER BY size DESC LIMIT 1"

LEAVES: Final = f"""
SELECT l.leaf, l.compartment, l.sequence, l.leaf_index, l.transaction, l.id::text,{_EVENT}
FROM audit_leaf l LEFT JOIN audit_event e ON e.id = l.id::text AND e.compartment = l.compartment
WHERE l.leaf_index >= %s ORDER BY l.leaf_index LIMIT %s"""  # noqa: S608 - constants only

# Events that nobody placed, though later ones have their places.
STRAYS: Final = f"""
SELECT ''::bytea, e.compartment, 0::bigint, -1::bigint, e.transaction, e.id,{_EVENT}
FROM audit_event e WHERE e.transaction <= %s AND NOT EXISTS (
  SELECT 1 FROM audit_leaf l WHERE l.id::text = e.id AND l.compartment = e.compartment)
ORDER BY e.transaction, e.id LIMIT %s"""  # noqa: S608

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
        leaves = _written(file, _leaves(transaction))
        strays = _written(file, transaction.rows(STRAYS, (head[0][1], MOST_STRAYS)) if head else ())
        heads = 0
        for note in _notes(transaction):
            file.write(struct.pack(">I", len(note)) + note)
            heads += 1
        exported = Exported(leaves, strays, heads)
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


def _written(file: BinaryIO, rows: Any) -> int:
    count = 0
    for row in rows:
        file.write(_record(row))
        count += 1
    return count


def _record(row: tuple[Any, ...]) -> bytes:
    leaf, compartment, sequence, index, transaction, leaf_id, body, text, manifest, finding, *event = row
    if body is None:
        return RECORD.pack(
            bytes(leaf),
            *[_NOTHING] * 4,
            compartment,
            sequence,
            index,
            transaction,
            0,
            _raw(leaf_id),
            _NOTHING,
            GONE,
        )
    committed, event_transaction, last_updated, event_id, is_deleted, is_marked, found_by = event
    rest = sha256(found_by.encode()).digest() if finding is None else bytes(finding)
    marks = 0 if finding is None else ERASED
    if is_marked or is_deleted != bool(marks):
        marks |= MARKED
    if event_transaction != transaction:
        marks |= MOVED
    digests = (
        sha256(body).digest(), bytes(text), digest(finding_by_rest(event_id, last_updated, rest)),
        NO_MANIFEST if manifest is None else sha256(manifest).digest(),
    )  # fmt: skip
    if commitment(*digests) != bytes(committed):
        marks |= OTHER
    return RECORD.pack(
        bytes(leaf), *digests, compartment, sequence, index, transaction, last_updated, _raw(event_id), rest, marks,
    )  # fmt: skip


def _raw(event_id: str) -> bytes:
    """An event id's 16 bytes; one that is none - somebody inserted it - stands as zeroes."""
    try:
        return bytes.fromhex(event_id.replace("-", "")).ljust(16, b"\0")[:16]
    except ValueError:
        return bytes(16)


def _leaves(transaction: Transaction) -> Iterator[tuple[Any, ...]]:
    start = -(1 << 63)
    while rows := transaction.rows(LEAVES, (start, BATCH_ROWS)):
        yield from rows
        start = rows[-1][3] + 1


def _notes(transaction: Transaction) -> Iterator[bytes]:
    last = -(1 << 63)
    while rows := transaction.rows(NOTES, (last, BATCH_ROWS)):
        for last, note, cosignatures in rows:  # noqa: B007 - the last one is where the next batch begins
            yield (note + (cosignatures or "")).encode()
