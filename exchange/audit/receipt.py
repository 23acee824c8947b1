"""Receipts: that one event lies in the log, in a form that can be printed and checked without the hub.

Spec:    docs/audit.md, "The formats"; RFC 9162, 2.1.3.
Leaves:  who gets one to the interactions that show events; whole records to evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from exchange.audit.chain import is_included
from exchange.audit.checkpoint import Checkpoint, read
from exchange.audit.leaf import NO_MANIFEST, commitment, digest, finding_by_rest, finding_text, leaf
from exchange.audit.log import AUDIT_TYPE
from exchange.audit.manifest import MANIFEST_VERSION
from exchange.audit.proof import Tree, stored_tree
from exchange.crypto.envelope import associated_data, open_sealed
from exchange.problems import NotFound, SealBroken
from exchange.store.data_keys import key_place
from exchange.store.session import Transaction

BATCH_ROWS: Final = 1_000

_EVENT: Final = """
  l.sequence, l.leaf_index, l.leaf, l.id::text, e.body, e.text_digest, e.manifest, e.finding, e.commitment,
  e.last_updated,
  e.compartment, e.custodian, e.last_updated, e.id, e.clinical_at, e.agent, e.tokens::text, e.ranges::text
FROM audit_leaf l JOIN audit_event e ON e.id = l.id::text AND e.compartment = l.compartment
WHERE l.compartment = %s"""

OF_RECORD: Final = f"SELECT {_EVENT} AND l.sequence > %s AND l.sequence <= %s ORDER BY l.sequence LIMIT %s"
ONE: Final = f"SELECT {_EVENT} AND l.id = %s::uuid"
AT: Final = f"SELECT {_EVENT} AND l.sequence = %s"

# A head that witnesses signed is worth more than one that is a few seconds newer.
HEAD: Final = """
SELECT note, (SELECT string_agg(c.line, '' ORDER BY c.witness) FROM audit_cosignature c WHERE c.size = h.size) AS lines
FROM audit_checkpoint h WHERE size > %s
ORDER BY EXISTS (SELECT 1 FROM audit_cosignature c WHERE c.size = h.size) DESC, size DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Placed:
    """One event with its place in the log, still sealed: its row agrees with its leaf."""

    compartment: int
    sequence: int
    leaf_index: int
    leaf: bytes
    event_id: str
    last_updated: int
    digests: tuple[bytes, bytes, bytes, bytes]
    body: bytes
    manifest: bytes | None

    def text(self, transaction: Transaction) -> bytes:
        """The event's JSON exactly as it was written. Raises: KeyDestroyed; SealBroken - it is another one."""
        opened = _opened(transaction, self.compartment, self.event_id, self.body, 1)
        if digest(opened) != self.digests[1]:
            raise SealBroken(f"event {self.event_id} does not open to what the log commits to")
        return opened

    def shown(self, transaction: Transaction) -> bytes | None:
        """The list of what the event showed, where it has one. Raises: KeyDestroyed, SealBroken."""
        if self.manifest is None:
            return None
        return _opened(transaction, self.compartment, self.event_id, self.manifest, MANIFEST_VERSION)

    def listed(self) -> dict[str, Any]:
        """The event as a receipt or a pack lists it, without its proof."""
        return {
            "sequence": self.sequence,
            "leaf": self.leaf_index,
            "commitment": commitment(*self.digests).hex(),
            "digests": [each.hex() for each in self.digests],
        }


def receipt(
    transaction: Transaction, compartment: int, event_id: str, *, is_shown: bool = True
) -> dict[str, Any]:
    """That an event lies in the log: its place, its proof, the newest cosigned head over it, and its text if it is shown.

    Raises: NotFound - no such event, or none that has its place already; SealBroken - the log was changed.
    """
    rows = transaction.rows(ONE, (compartment, event_id))
    if not rows:
        raise NotFound("the event has no place in the log yet: ask again in a minute")
    event = _placed(rows[0])
    note, head = head_over(transaction, event.leaf_index)
    path = proved(stored_tree(transaction, head.size), head, event)
    text = {"text": event.text(transaction).decode()} if is_shown else {}
    return {
        "format": "chasqui-receipt/v1",
        "record": str(compartment),
        "note": note,
        "hashes": [each.hex() for each in path],
        "event": event.listed() | {"path": list(range(len(path)))} | text,
    }


def events_of(transaction: Transaction, compartment: int, last: int) -> Iterator[Placed]:
    """The events of one record in their order, up to a number. Raises: SealBroken - one of them is missing or changed."""
    expected = 0
    while rows := transaction.rows(OF_RECORD, (compartment, expected, last, BATCH_ROWS)):
        for row in rows:
            expected += 1
            if row[0] != expected:
                raise SealBroken(f"event {expected} of the record is missing: verify the log")
            yield _placed(row)


def event_at(transaction: Transaction, compartment: int, number: int) -> Placed:
    """One event of a record, by its number. Raises: NotFound, SealBroken."""
    rows = transaction.rows(AT, (compartment, number))
    if not rows:
        raise NotFound("the record has no event of that number in the log")
    return _placed(rows[0])


def head_over(transaction: Transaction, leaf_index: int) -> tuple[str, Checkpoint]:
    """The newest head over a leaf that witnesses cosigned, else the newest: its note with their lines.

    Raises: NotFound - no head covers it yet; SealBroken - the head is not the hub's.
    """
    rows = transaction.rows(HEAD, (leaf_index,))
    if not rows:
        raise NotFound("no signed head covers the event yet: ask again in a minute")
    note, lines = rows[0]
    return note + (lines or ""), read(note, transaction.crypto.checkpoint_keys)


def proved(tree: Tree, head: Checkpoint, event: Placed) -> list[bytes]:
    """The proof that an event lies under a head, checked before it is given away. Raises: SealBroken."""
    path = tree.inclusion(event.leaf_index)
    if not is_included(event.leaf, event.leaf_index, head.size, path, head.root):
        raise SealBroken(
            f"leaf {event.leaf_index} is not under the head of {head.size} events: verify the log"
        )
    return path


def _placed(row: tuple[Any, ...]) -> Placed:
    """An event, held against its leaf. Raises: SealBroken."""
    sequence, index, stored, event_id, body, text, manifest, finding, committed, last_updated, *found_by = row
    compartment = found_by[0]
    digests = (
        digest(bytes(body)),
        bytes(text),
        digest(
            finding_text(*found_by)
            if finding is None
            else finding_by_rest(event_id, last_updated, bytes(finding))
        ),
        NO_MANIFEST if manifest is None else digest(bytes(manifest)),
    )
    made = commitment(*digests)
    if made != bytes(committed) or leaf(made, compartment, sequence) != bytes(stored):
        raise SealBroken(f"event {event_id} does not agree with its leaf {index}: verify the log")
    return Placed(
        compartment, sequence, index, bytes(stored), event_id, last_updated, digests, bytes(body),
        None if manifest is None else bytes(manifest),
    )  # fmt: skip


def _opened(transaction: Transaction, compartment: int, event_id: str, sealed: bytes, version: int) -> bytes:
    cipher = transaction.store.data_keys.ciphers(transaction, (compartment,))[key_place(compartment)]
    bound_to = associated_data(compartment, AUDIT_TYPE, event_id, version)
    return open_sealed(cipher, transaction.crypto.dictionaries, sealed, bound_to)
