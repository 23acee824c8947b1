"""Sealing the log: committed events get their places in the Merkle tree, and the head is signed.

Spec:    docs/decisions/0012-audit-log.md; RFC 9162.
Leaves:  when to run to worker.

Events are taken in commit order: what is newer than the oldest running transaction waits for the next pass, so that no
event can appear behind a place that was already given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchange.audit.chain import Frontier
from exchange.audit.checkpoint import Checkpoint, sign
from exchange.settings import settings
from exchange.store.session import Transaction

LOCK: Final = 0x61756469740001
BATCH_ROWS: Final = 20_000

HEAD: Final = """
SELECT pg_advisory_xact_lock(%s);
SELECT size, transaction, frontier FROM audit_checkpoint ORDER BY size DESC LIMIT 1"""

PENDING: Final = """
SELECT transaction, compartment, id, leaf FROM audit_event
WHERE transaction > %s AND transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ORDER BY transaction, id LIMIT %s"""

# A batch must not end inside a transaction: its last transaction is taken whole.
REST_OF: Final = """
SELECT transaction, compartment, id, leaf FROM audit_event WHERE transaction = %s AND id > %s ORDER BY id"""

LEAVES: Final = """
INSERT INTO audit_leaf (leaf_index, transaction, compartment, id, leaf)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::bytea[])"""

SIGN: Final = """
INSERT INTO audit_checkpoint (size, transaction, frontier, note, signed_at) VALUES (%s, %s, %s, %s, %s)"""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one pass did: how many events it placed, and the size of the tree."""

    placed: int
    size: int


def seal_log(transaction: Transaction) -> Sealed:
    """Place what is committed and sign the new head. The caller commits. One pass runs at a time."""
    # 1. The head, locked against another pass.
    head = transaction.rows(HEAD, (LOCK,))
    size, last, frontier_bytes = head[0] if head else (0, 0, b"")
    frontier = Frontier.of(size, bytes(frontier_bytes))
    # 2. Committed events behind it, in commit order, the last transaction whole.
    rows = transaction.rows(PENDING, (last, BATCH_ROWS))
    if len(rows) == BATCH_ROWS:
        rows += transaction.rows(REST_OF, (rows[-1][0], rows[-1][2]))
    if not rows:
        return Sealed(0, size)
    # 3. Their leaves.
    for row in rows:
        frontier.append(bytes(row[3]))
    transaction.run(
        LEAVES,
        (
            list(range(size, size + len(rows))),
            [row[0] for row in rows],
            [row[1] for row in rows],
            [row[2] for row in rows],
            [bytes(row[3]) for row in rows],
        ),
    )
    # 4. The signed head.
    crypto = transaction.crypto
    checkpoint = Checkpoint(settings().audit_origin, frontier.size, frontier.root())
    note = sign(checkpoint, crypto.checkpoint_key, crypto.sign_checkpoint)
    transaction.run(SIGN, (frontier.size, rows[-1][0], frontier.to_bytes(), note, transaction.now))
    return Sealed(len(rows), frontier.size)
