"""What witnesses are handed, and what they gave: the newest head, proofs that it grew, verified cosignatures.

Spec:    https://c2sp.org/tlog-witness; https://c2sp.org/tlog-cosignature
Leaves:  speaking HTTP, and when, to worker/witnesses.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from exchange.audit.checkpoint import Checkpoint, read
from exchange.audit.cosignature import WITNESS_KEY, VerifierKey, read_cosignature, read_key
from exchange.audit.proof import stored_tree
from exchange.problems import Invalid, SealBroken
from exchange.store.session import Store

MOST_WITNESSES: Final = 16
MOST_LINES: Final = 32
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

NEWEST: Final = "SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1"

LAST: Final = "SELECT size, taken_at FROM audit_cosignature WHERE witness = %s ORDER BY size DESC LIMIT 1"

KEEP: Final = """
INSERT INTO audit_cosignature (size, witness, line, taken_at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"""


@dataclass(frozen=True, slots=True)
class OutsideWitness:
    """A witness that is asked: where, and by which key its answers are believed."""

    url: str
    key: VerifierKey


@dataclass(frozen=True, slots=True)
class Head:
    """The log's newest head, as it is handed out."""

    note: str
    checkpoint: Checkpoint


class Witnesses:
    """The hub's side of witnessing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def newest(self) -> Head | None:
        """The newest head; None: the log is empty. Raises: SealBroken - it is not the hub's."""
        with self._store.transaction() as transaction:
            rows = transaction.rows(NEWEST)
            return Head(rows[0][0], read(rows[0][0], transaction.crypto.checkpoint_keys)) if rows else None

    def last(self, witness: OutsideWitness) -> tuple[int, int]:
        """The size of the last head that a witness cosigned, and when; zeroes: none. Units: microseconds."""
        with self._store.transaction() as transaction:
            rows = transaction.rows(LAST, (witness.key.name,))
            return (rows[0][0], rows[0][1]) if rows else (0, 0)

    def submission(self, head: Head, old: int) -> bytes:
        """What a witness is sent that last saw `old` events. Raises: SealBroken - the log is smaller than that."""
        with self._store.transaction() as transaction:
            proof = stored_tree(transaction, head.checkpoint.size).consistency(old)
        lines = "".join(f"{base64.b64encode(each).decode()}\n" for each in proof)
        return f"old {old}\n{lines}\n{head.note}".encode()

    def keep(self, witness: OutsideWitness, head: Head, answer: str) -> None:
        """Store what a witness signed. Raises: SealBroken - nothing in its answer is its cosignature of this head."""
        body = head.checkpoint.body()
        for line in answer.splitlines(keepends=True)[:MOST_LINES]:
            try:
                read_cosignature(line, body, witness.key)
            except SealBroken:
                continue
            with self._store.transaction() as transaction:
                transaction.run(KEEP, (head.checkpoint.size, witness.key.name, line, transaction.now))
                transaction.commit()
            return
        raise SealBroken("the answer holds no cosignature of this head by this witness")


def outside_witnesses(setting: str) -> list[OutsideWitness]:
    """The witnesses that an operator names: `URL KEY` each, one a line or between semicolons; or the file of such lines.

    Raises: Invalid - an address that is not asked, no key of a witness, one named twice, too many.
    """
    if setting and " " not in setting and not setting.startswith("http"):
        try:
            setting = Path(setting).read_text("utf-8")
        except (OSError, ValueError):
            raise Invalid("EXCHANGE_WITNESSES names a file that cannot be read") from None
    lines = [each.strip() for each in setting.replace(";", "\n").splitlines()]
    found = [_witness(each) for each in lines if each and not each.startswith("#")]
    if len(found) > MOST_WITNESSES or len({each.key.name for each in found}) < len(found):
        raise Invalid("EXCHANGE_WITNESSES names a witness twice, or too many")
    return found


def _witness(line: str) -> OutsideWitness:
    url, _, key = line.partition(" ")
    try:
        parts = urlsplit(url)
        is_asked = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    except ValueError:
        is_asked = False
    if (
        not is_asked
        or not url.isascii()
        or not parts.hostname
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        raise Invalid("a witness is asked by https, or by http on this machine")
    found = read_key(key.strip())
    if found.kind != WITNESS_KEY:
        raise Invalid("a key in EXCHANGE_WITNESSES is not a witness's")
    return OutsideWitness(url.rstrip("/"), found)
