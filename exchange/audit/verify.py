"""Verifying the whole log: every event against its leaf, every leaf against the signed heads.

Spec:    RFC 9162; docs/decisions/0012-audit-log.md.
Leaves:  proofs for single events and outside witnesses to the evidence pack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.audit.chain import Frontier, commitment, leaf_hash, row_text
from exchange.audit.checkpoint import read
from exchange.problems import SealBroken
from exchange.store.session import Transaction

BATCH_ROWS: Final = 5_000
MOST_FINDINGS: Final = 50

LEAVES: Final = """
SELECT l.leaf_index, l.id, l.leaf, e.leaf, e.salt, e.body, e.transaction = l.transaction,
  e.is_deleted OR e.version_id <> 1 OR e.members IS NOT NULL,
  e.compartment, e.custodian, e.last_updated, e.id, e.clinical_at, e.tokens::text, e.ranges::text
FROM audit_leaf l LEFT JOIN audit_event e ON e.id = l.id AND e.compartment = l.compartment
WHERE l.leaf_index >= %s ORDER BY l.leaf_index LIMIT %s"""

CHECKPOINTS: Final = "SELECT size, note FROM audit_checkpoint ORDER BY size"

UNPLACED: Final = """
SELECT count(*), count(*) FILTER (WHERE e.transaction <= (SELECT coalesce(max(transaction), 0) FROM audit_checkpoint))
FROM audit_event e WHERE NOT EXISTS (SELECT 1 FROM audit_leaf l WHERE l.id = e.id AND l.compartment = e.compartment)"""


@dataclass(slots=True)
class Verification:
    """What was found. `findings` say what and where; an empty list is a verified log."""

    events: int = 0
    checkpoints: int = 0
    waiting: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def is_verified(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.findings

    def add(self, finding: str) -> None:
        """Note a finding; the first ones are kept."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)


def verify_log(transaction: Transaction) -> Verification:
    """Verify every event, leaf and checkpoint. Nothing is opened: sealed bytes are enough."""
    result = Verification()
    # 1. Every signed head, by size.
    heads: dict[int, bytes] = {}
    for size, note in transaction.rows(CHECKPOINTS):
        result.checkpoints += 1
        try:
            checkpoint = read(note, transaction.crypto.checkpoint_key)
        except SealBroken as broken:
            result.add(f"checkpoint {size}: {broken}")
            continue
        if checkpoint.size != size:
            result.add(f"checkpoint {size}: signed for {checkpoint.size} events")
        heads[size] = checkpoint.root
    # 2. Every leaf, in order, against its event; the tree against every head that it passes.
    frontier = Frontier()
    for index, event_id, leaf, event_leaf, salt, body, is_same_transaction, is_marked, *row in _leaves(
        transaction
    ):
        if index != frontier.size:
            result.add(f"leaf {frontier.size}: missing")
            break
        if event_leaf is None:
            result.add(f"leaf {index}: event {event_id} was deleted")
        elif not bytes(leaf) == bytes(event_leaf) == _leaf(salt, body, row):
            result.add(f"leaf {index}: event {event_id} was altered")
        elif not is_same_transaction:
            result.add(f"leaf {index}: event {event_id} was moved in time")
        elif is_marked:
            result.add(f"leaf {index}: event {event_id} was marked so that no search finds it")
        frontier.append(bytes(leaf))
        if frontier.size in heads and heads[frontier.size] != frontier.root():
            result.add(f"checkpoint {frontier.size}: the tree has another root")
    result.events = frontier.size
    # 3. The tail: no head may speak of more events than there are, and none may be left out.
    if heads and max(heads) != frontier.size:
        result.add(f"checkpoint {max(heads)}: the log holds {frontier.size} events")
    result.waiting, slipped_in = transaction.rows(UNPLACED)[0]
    if slipped_in:
        result.add(f"{slipped_in} events were slipped in behind a signed head")
    return result


def _leaf(salt: memoryview, body: memoryview, row: list[Any]) -> bytes:
    return leaf_hash(commitment(bytes(salt), bytes(body), row_text(*row)))


def _leaves(transaction: Transaction) -> Iterator[tuple]:  # type: ignore[type-arg]
    start = 0
    while rows := transaction.rows(LEAVES, (start, BATCH_ROWS)):
        yield from rows
        start = rows[-1][0] + 1
