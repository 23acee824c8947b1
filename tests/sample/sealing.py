"""An audit log whose every event has its place."""

from __future__ import annotations

import time
from typing import Final

from exchange.perform import Spine
from exchange.store.session import Store

SETTLED_SECONDS: Final = 60

SETTLED: Final = "SELECT coalesce(max(transaction), 0) < transaction_horizon() FROM audit_event"

UNSEALED: Final = (
    "SELECT count(*) FROM audit_event e WHERE NOT EXISTS"
    " (SELECT 1 FROM audit_leaf l WHERE l.id::text = e.id AND l.compartment = e.compartment)"
)


def seal_every_event(spine: Spine, store: Store) -> int:
    """Seal in one pass; the log's size.

    A transaction of any database of the server may hold the newest events back: this waits for it.
    """
    deadline = time.monotonic() + SETTLED_SECONDS
    while not _ask(store, SETTLED):
        assert time.monotonic() < deadline, "a transaction holds the newest events back"
        time.sleep(0.02)
    size = spine.seal_audit_log().size
    assert _ask(store, UNSEALED) == 0
    return size


def _ask(store: Store, question: str) -> int:
    with store.transaction() as transaction:
        return transaction.rows(question)[0][0]
