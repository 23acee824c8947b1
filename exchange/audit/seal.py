"""Sealing the log: committed events get their places in the Merkle tree, and the head is signed.

Spec:    docs/decisions/0012-audit-log.md; RFC 9162.
Leaves:  when to run to worker.

Events are taken in commit order: what is newer than the oldest running transaction waits for the next pass, so that no
event can appear behind a place that was already given.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from exchange.audit.chain import Frontier
from exchange.audit.checkpoint import Checkpoint, signed_note
from exchange.audit.leaf import leaf
from exchange.audit.log import event_authentication
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import array_text

LOG: Final = logging.getLogger("exchange.audit.seal")
LOCK: Final = 0x61756469740001
BATCH_ROWS: Final = 20_000

HEAD: Final = """
SELECT pg_advisory_xact_lock(%s);
SELECT size, transaction, frontier FROM audit_checkpoint ORDER BY size DESC LIMIT 1"""

PENDING: Final = """
SELECT transaction, compartment, id, commitment, mac FROM audit_event
WHERE transaction > %s AND transaction < transaction_horizon()
ORDER BY transaction, id LIMIT %s"""

# A batch must not end inside a transaction: its last transaction is taken whole.
REST_OF: Final = """
SELECT transaction, compartment, id, commitment, mac FROM audit_event WHERE transaction = %s AND id > %s ORDER BY id"""

COUNTED: Final = """
SELECT c, (SELECT max(l.sequence) FROM audit_leaf l WHERE l.compartment = c AND l.sequence > 0)
FROM unnest(%s::bigint[]) c"""

LEAVES: Final = """
INSERT INTO audit_leaf (leaf_index, transaction, compartment, id, sequence, leaf)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::uuid[], %s::bigint[], %s::bytea[])"""

NODES: Final = """
INSERT INTO audit_node (height, index, hash) SELECT * FROM unnest(%s::smallint[], %s::bigint[], %s::bytea[])"""

SIGN: Final = """
INSERT INTO audit_checkpoint (size, transaction, frontier, note, signed_at) VALUES (%s, %s, %s, %s, %s)"""

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one pass did: how many events it placed, the size of the tree, how many events nobody here wrote."""

    placed: int
    size: int
    foreign: int = 0


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
    # 3. What the hub did not write gets no place: verification finds it.
    own = [row for row in rows if _is_own(transaction, row)]
    foreign = len(rows) - len(own)
    if foreign:
        LOG.error("E-307 %d audit events were not written by this hub: they get no place", foreign)
    # 4. The rest get their numbers and leaves.
    nodes = _place(transaction, frontier, own)
    if nodes:
        heights, indexes, hashes = zip(*nodes, strict=True)
        transaction.run(NODES, (list(heights), list(indexes), list(hashes)))
    # 5. The signed head.
    if own:
        _sign(transaction, frontier, rows[-1][0])
    return Sealed(len(own), frontier.size, foreign)


def _is_own(transaction: Transaction, row: Row) -> bool:
    _, compartment, event_id, committed, mac = row
    claimed = event_authentication(bytes(committed), compartment, event_id)
    return transaction.crypto.is_event_authentic(claimed, bytes(mac))


def _place(transaction: Transaction, frontier: Frontier, rows: list[Row]) -> list[tuple[int, int, bytes]]:
    """Store the leaves of events; the subtrees that they completed."""
    counts = _counted(transaction, (row[1] for row in rows))
    start, sequences, leaves = frontier.size, [], []
    nodes: list[tuple[int, int, bytes]] = []
    for _, compartment, _, committed, _ in rows:
        sequence = 0
        if compartment > 0:
            sequence = counts[compartment] = counts[compartment] + 1
        found = leaf(bytes(committed), compartment, sequence)
        sequences.append(sequence)
        leaves.append(found)
        nodes += frontier.append(found)
    transaction.run(
        LEAVES,
        (
            array_text(range(start, start + len(rows))),
            array_text(row[0] for row in rows),
            array_text(row[1] for row in rows),
            array_text(row[2] for row in rows),
            array_text(sequences),
            leaves,
        ),
    )
    return nodes


def _counted(transaction: Transaction, compartments: Iterable[int]) -> dict[int, int]:
    """How many events each patient's record has in the tree."""
    asked = sorted({each for each in compartments if each > 0})
    return {place: number or 0 for place, number in transaction.rows(COUNTED, (array_text(asked),))}


def _sign(transaction: Transaction, frontier: Frontier, last: int) -> None:
    crypto = transaction.crypto
    checkpoint = Checkpoint(
        settings().audit_origin, frontier.size, frontier.root(), transaction.now // 1_000_000
    )
    body = checkpoint.body().encode()
    note = signed_note(checkpoint, [(key, sign(body)) for key, sign in crypto.checkpoint_signers()])
    transaction.run(SIGN, (frontier.size, last, frontier.to_bytes(), note, transaction.now))
