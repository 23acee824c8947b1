"""Which backups were made and verified, and which erasures older ones still contradict.

Spec:    docs/backup.md, "Erasing and backups"; NIST SP 800-88 rev. 1, 2.5 (cryptographic erase).
Leaves:  the files to backup; events and commits to the spine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exchange.problems import Conflict

if TYPE_CHECKING:
    from exchange.store.session import Transaction

BEGIN: Final = "INSERT INTO backup (number, made_at) VALUES (%s, %s)"
FINISH: Final = """
UPDATE backup SET root_version = %s, key_version = %s, record_version = %s, log_size = %s, size = %s, digest = %s
WHERE number = %s"""
VERIFIED: Final = "UPDATE backup SET verified_at = %s WHERE number = %s AND digest = %s"
IS_REPLACED: Final = (
    "SELECT EXISTS (SELECT 1 FROM backup WHERE verified_at IS NOT NULL AND root_version > %s)"
)
LIST: Final = """
SELECT number, made_at, root_version, key_version, log_size, size, verified_at
FROM backup ORDER BY made_at DESC LIMIT %s"""

NOTE_ROOT: Final = "INSERT INTO root_version (version, made_at) VALUES (%s, %s) ON CONFLICT DO NOTHING"
# A version of which nobody noted when it was made has been there from the beginning.
WAITING: Final = """
SELECT count(*) FROM erasure
WHERE erased_at >= coalesce((SELECT made_at FROM root_version WHERE version = %s), 0)"""


@dataclass(frozen=True, slots=True)
class Finished:
    """What is known of a backup once its file is whole.

    Units:  log_size events; size bytes; digest SHA-256 of the file.
    """

    number: str
    root_version: int
    key_version: int
    record_version: int
    log_size: int
    size: int
    digest: bytes


def begin(transaction: Transaction, number: str) -> None:
    """Note that a backup is being made: before its first byte is written."""
    transaction.run(BEGIN, (number, transaction.now))


def finish(transaction: Transaction, made: Finished) -> None:
    """Note a backup's file."""
    transaction.run(
        FINISH,
        (made.root_version, made.key_version, made.record_version, made.log_size, made.size, made.digest, made.number),
    )  # fmt: skip


def note_verified(transaction: Transaction, number: str, digest: bytes) -> None:
    """Note that a file of this hub's was restored and found whole. Raises: Conflict - this hub made no such file."""
    if not transaction.run(VERIFIED, (transaction.now, number, digest)):
        raise Conflict(
            "this hub has no note of this backup's file: it is another one's, or older than what was restored here"
        )


def newest(transaction: Transaction, limit: int) -> Sequence[tuple[str, int, int, int, int, int, int]]:
    """The newest backups: number, made, root and key version, size of the log and of the file, verified."""
    return transaction.rows(LIST, (limit,))


def require_replaced(transaction: Transaction, root_version: int) -> None:
    """Refuse to let the last verified backups become unreadable. Raises: Conflict - none stands under a newer root."""
    if not transaction.rows(IS_REPLACED, (root_version,))[0][0]:
        raise Conflict(
            f"no verified backup stands under a newer version of the root than {root_version}: "
            "run 'exchange backup' first, or say --without-backup"
        )


def note_root(transaction: Transaction, version: int) -> None:
    """Note when a version of the root was made: backups from before are under older ones."""
    transaction.run(NOTE_ROOT, (version, transaction.now))


def waiting_erasures(transaction: Transaction, oldest_root_version: int) -> int:
    """How many erasures some backup may contradict: those since the oldest version of the root that is still there."""
    found: int = transaction.rows(WAITING, (oldest_root_version,))[0][0]
    return found
