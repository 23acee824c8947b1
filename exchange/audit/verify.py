"""Verifying the whole log in its database: every event against its leaf, every leaf against the signed heads.

Spec:    RFC 9162; docs/decisions/0012-audit-log.md.
Leaves:  proofs for single events to proof; verification by others, without the database, to export and its verifier.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from exchange.audit.chain import Frontier
from exchange.audit.checkpoint import Checkpoint, read
from exchange.audit.leaf import NO_MANIFEST, commitment, digest, finding_by_rest, leaf
from exchange.audit.reading import Event, Leaf, leaves_with_events
from exchange.problems import SealBroken
from exchange.store.erasure import erasure_text
from exchange.store.session import Transaction

BATCH_ROWS: Final = 5_000
EARLIEST: Final = -(1 << 63)
LATEST: Final = 1 << 63
MOST_FINDINGS: Final = 50
TOLERATED_SECONDS: Final = 15 * 60
"""How far an event's instant may lie outside of the two signed heads that its place is between."""

CHECKPOINTS: Final = "SELECT size, note FROM audit_checkpoint WHERE size > %s ORDER BY size LIMIT %s"
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
    before: Checkpoint | None = None
    coming = iter(heads.items())
    size, covering = next(coming, (0, None))
    low, high = _bounds(before, covering)
    for placed, event in leaves_with_events(transaction):
        index, compartment = placed.place, placed.compartment
        if index != frontier.size:
            result.add(f"leaf {frontier.size}: missing")
            break
        number = counts[compartment] = counts.get(compartment, 0) + 1
        is_next = compartment < 0 or placed.sequence == number
        for wrong in _wrong(placed, event, low, high, is_next=is_next, is_erased=compartment in erased):
            result.add(f"leaf {index}: event {placed.event_id.decode()} {wrong}")
        for height, place, found in frontier.append(placed.leaf):
            if kept.pop((height, place), found) != found:
                result.add(f"subtree {place} of height {height}: another root is kept")
        if covering is not None and frontier.size == size:
            if covering.root != frontier.root():
                result.add(f"checkpoint {frontier.size}: the tree has another root")
            before = covering
            size, covering = next(coming, (0, None))
            low, high = _bounds(before, covering)
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
    """The heads that are whole, by size."""
    heads: dict[int, Checkpoint] = {}
    keys = transaction.crypto.checkpoint_keys
    newest, last = 0, -(1 << 63)
    while rows := transaction.rows(CHECKPOINTS, (last, BATCH_ROWS)):
        for last, note in rows:
            result.checkpoints += 1
            try:
                checkpoint = read(note, keys)
            except SealBroken as broken:
                result.add(f"checkpoint {last}: {broken}")
                continue
            if checkpoint.size != last:
                result.add(f"checkpoint {last}: signed for {checkpoint.size} events")
            if checkpoint.signed_at < newest:
                result.add(f"checkpoint {last}: signed before the one before it")
            newest = max(newest, checkpoint.signed_at)
            heads[last] = checkpoint
    return heads


def _wrong(
    placed: Leaf,
    event: Event | None,
    low: int,
    high: int,
    *,
    is_next: bool,
    is_erased: bool,
) -> list[str]:
    """What is wrong with an event, as it stands now.

    `is_next` is whether its number is the next one of its record. Events of an erased record are marked, and keep the
    digest of what found them.

    Units: `low` and `high`, between which its place is, microseconds since 1970.
    """
    if event is None:
        return ["was deleted"]
    wrong = []
    rest = digest(event.found_by) if event.finding is None else event.finding
    found = digest(finding_by_rest(event.event_id.decode(), event.last_updated, rest))
    shown = NO_MANIFEST if event.manifest is None else digest(event.manifest)
    made = commitment(digest(event.body), event.text_digest, found, shown)
    if made != event.commitment or leaf(made, placed.compartment, placed.sequence) != placed.leaf:
        wrong.append("was altered")
    elif event.transaction != placed.transaction:
        wrong.append("was moved in time")
    elif (
        event.is_marked
        or event.is_deleted != (event.finding is not None)
        or (event.is_deleted and not is_erased)
    ):
        wrong.append("was marked so that no search finds it")
    if not is_next:
        wrong.append("is not the next of its record")
    if not low <= event.last_updated < high:
        wrong.append("is dated outside of its place in the log")
    return wrong


def _bounds(before: Checkpoint | None, covering: Checkpoint | None) -> tuple[int, int]:
    """From when and before when the events between two heads are dated. Units: microseconds since 1970."""
    low = EARLIEST if before is None else (before.signed_at - TOLERATED_SECONDS) * 1_000_000
    high = LATEST if covering is None else (covering.signed_at + TOLERATED_SECONDS + 1) * 1_000_000
    return low, high
