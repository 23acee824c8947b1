"""Verifying the whole log in its database: every event against its leaf, every leaf against the signed heads.

Spec:    RFC 9162; docs/decisions/0012-audit-log.md.
Leaves:  proofs for single events to proof; verification by others, without the database, to export and its verifier.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.audit.chain import Frontier
from exchange.audit.checkpoint import Checkpoint, read
from exchange.audit.leaf import NO_MANIFEST, commitment, digest, finding_by_rest, finding_text, leaf
from exchange.problems import SealBroken
from exchange.store.erasure import erasure_text
from exchange.store.session import Transaction

BATCH_ROWS: Final = 5_000
MOST_FINDINGS: Final = 50
TOLERATED_SECONDS: Final = 15 * 60
"""How far an event's instant may lie outside of the two signed heads that its place is between."""

LEAVES: Final = """
SELECT l.leaf_index, l.id::text, l.leaf, l.compartment, l.sequence, e.transaction = l.transaction,
  e.is_deleted, e.version_id <> 1 OR e.members IS NOT NULL, e.commitment, e.body, e.text_digest, e.manifest, e.finding,
  e.compartment, e.custodian, e.last_updated, e.id, e.clinical_at, e.agent, e.tokens::text, e.ranges::text
FROM audit_leaf l LEFT JOIN audit_event e ON e.id = l.id::text AND e.compartment = l.compartment
WHERE l.leaf_index >= %s ORDER BY l.leaf_index LIMIT %s"""

CHECKPOINTS: Final = "SELECT size, note FROM audit_checkpoint ORDER BY size"
ERASURES: Final = "SELECT compartment, erased_at, mac FROM erasure"
NODES: Final = "SELECT height, index, hash FROM audit_node"

UNPLACED: Final = """
SELECT count(*), count(*) FILTER (WHERE e.transaction <= (SELECT coalesce(max(transaction), 0) FROM audit_checkpoint))
FROM audit_event e WHERE NOT EXISTS (
  SELECT 1 FROM audit_leaf l WHERE l.id::text = e.id AND l.compartment = e.compartment)"""


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
    """Verify every event, leaf, kept subtree and checkpoint. Nothing is opened: sealed bytes are enough.

    The transaction is a new one: what is sealed meanwhile is not seen.
    """
    transaction.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    result = Verification()
    # 1. Every signed head, by size: their times do not run backwards.
    heads = _heads(transaction, result)
    # 2. Every leaf, in order, against its event; the tree against every head and kept subtree that it passes.
    frontier = Frontier()
    kept = {(height, index): bytes(found) for height, index, found in transaction.rows(NODES)}
    erased = _erased(transaction, result)
    counts: dict[int, int] = {}
    sizes = [0, *sorted(heads)]
    for index, event_id, stored, compartment, sequence, is_same_transaction, *row in _leaves(transaction):
        if index != frontier.size:
            result.add(f"leaf {frontier.size}: missing")
            break
        counts[compartment] = counts.get(compartment, 0) + 1
        is_next = compartment < 0 or sequence == counts[compartment]
        around = heads.get(sizes[0]), heads.get(sizes[1]) if len(sizes) > 1 else None
        for wrong in _wrong(
            bytes(stored),
            (compartment, sequence, is_next, bool(is_same_transaction), compartment in erased),
            around,
            row,
        ):
            result.add(f"leaf {index}: event {event_id} {wrong}")
        for height, place, found in frontier.append(bytes(stored)):
            if kept.pop((height, place), found) != found:
                result.add(f"subtree {place} of height {height}: another root is kept")
        if len(sizes) > 1 and frontier.size == sizes[1]:
            del sizes[0]
            if heads[frontier.size].root != frontier.root():
                result.add(f"checkpoint {frontier.size}: the tree has another root")
    result.events = frontier.size
    for height, place in kept:
        result.add(f"subtree {place} of height {height}: kept without its leaves")
    # 3. The tail: no head may speak of more events than there are, and none may be left out.
    if heads and max(heads) != frontier.size:
        result.add(f"checkpoint {max(heads)}: the log holds {frontier.size} events")
    result.waiting, slipped_in = transaction.rows(UNPLACED)[0]
    if slipped_in:
        result.add(f"{slipped_in} events were slipped in behind a signed head")
    return result


def _erased(transaction: Transaction, result: Verification) -> set[int]:
    """The records that the hub erased; somebody who only says so is found."""
    found = set()
    for compartment, erased_at, mac in transaction.rows(ERASURES):
        if transaction.crypto.is_erasure_authentic(erasure_text(compartment, erased_at), bytes(mac)):
            found.add(compartment)
        else:
            result.add(f"record {compartment}: said to be erased, and not by this hub")
    return found


def _heads(transaction: Transaction, result: Verification) -> dict[int, Checkpoint]:
    heads: dict[int, Checkpoint] = {}
    newest = 0
    for size, note in transaction.rows(CHECKPOINTS):
        result.checkpoints += 1
        try:
            checkpoint = read(note, transaction.crypto.checkpoint_keys)
        except SealBroken as broken:
            result.add(f"checkpoint {size}: {broken}")
            continue
        if checkpoint.size != size:
            result.add(f"checkpoint {size}: signed for {checkpoint.size} events")
        if checkpoint.signed_at < newest:
            result.add(f"checkpoint {size}: signed before the one before it")
        newest = max(newest, checkpoint.signed_at)
        heads[size] = checkpoint
    return heads


def _wrong(
    stored: bytes,
    place: tuple[int, int, bool, bool, bool],
    around: tuple[Checkpoint | None, Checkpoint | None],
    row: list[Any],
) -> Iterator[str]:
    """What is wrong with an event, as it stands now.

    `place` is compartment and sequence, whether that is the next one of its record, whether the event is still of the
    transaction that it was placed for, and whether the record was erased: its events are marked then, and keep the digest
    of what found them.
    """
    compartment, sequence, is_next, is_same_transaction, is_erased = place
    is_deleted, is_marked, committed, body, text_digest, manifest, finding, *found_by = row
    if committed is None:
        yield "was deleted"
        return
    found = digest(
        finding_text(*found_by)
        if finding is None
        else finding_by_rest(found_by[3], found_by[2], bytes(finding))
    )
    shown = NO_MANIFEST if manifest is None else digest(bytes(manifest))
    made = commitment(digest(bytes(body)), bytes(text_digest), found, shown)
    if made != bytes(committed) or leaf(made, compartment, sequence) != stored:
        yield "was altered"
    elif not is_same_transaction:
        yield "was moved in time"
    elif is_marked or is_deleted != (finding is not None) or (is_deleted and not is_erased):
        yield "was marked so that no search finds it"
    if not is_next:
        yield "is not the next of its record"
    if not _is_in_time(found_by[2], *around):
        yield "is dated outside of its place in the log"


def _is_in_time(last_updated: int, before: Checkpoint | None, covering: Checkpoint | None) -> bool:
    seconds = last_updated // 1_000_000
    return (before is None or before.signed_at - TOLERATED_SECONDS <= seconds) and (
        covering is None or seconds <= covering.signed_at + TOLERATED_SECONDS
    )


def _leaves(transaction: Transaction) -> Iterator[tuple]:  # type: ignore[type-arg]
    start = 0
    while rows := transaction.rows(LEAVES, (start, BATCH_ROWS)):
        yield from rows
        start = rows[-1][0] + 1
