"""The worker that seals the audit log: it goes on through failures, and seals once more when it is told to stop."""

from __future__ import annotations

import threading
import time

from exchange.audit.verify import verify_log
from exchange.worker.seal_audit_log import seal_until
from tests.passage.world import patient_of, seal_all
from tests.sample.requester import POST


def _waiting(world) -> int:
    with world.database_store.transaction() as transaction:
        found = verify_log(transaction)
    assert found.findings == []
    return found.waiting


def test_it_seals_what_is_committed_and_once_more_at_the_end(empty):
    stopped = threading.Event()
    worker = threading.Thread(target=seal_until, args=(stopped, empty.spine, 0.05))
    worker.start()
    empty.post.store(patient_of(POST, 1))
    deadline = time.monotonic() + 10
    while _waiting(empty):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    empty.post.store(patient_of(POST, 2))
    stopped.set()
    worker.join(10)
    assert not worker.is_alive()
    seal_all(empty)
    assert _waiting(empty) == 0


def test_a_pass_that_fails_is_tried_again(empty):
    empty.post.store(patient_of(POST, 1))
    stopped = threading.Event()
    with empty.sql() as cursor:
        cursor.execute("ALTER TABLE audit_checkpoint RENAME TO away")
        worker = threading.Thread(target=seal_until, args=(stopped, empty.spine, 0.05))
        worker.start()
        time.sleep(0.3)
        assert worker.is_alive()
        cursor.execute("ALTER TABLE away RENAME TO audit_checkpoint")
    time.sleep(0.3)
    stopped.set()
    worker.join(10)
    seal_all(empty)
    assert _waiting(empty) == 0


def test_two_workers_give_each_event_one_place(empty):
    stopped = threading.Event()
    workers = [threading.Thread(target=seal_until, args=(stopped, empty.spine, 0.01)) for _ in range(3)]
    for each in workers:
        each.start()
    for number in range(1, 9):
        empty.post.store(patient_of(POST, number))
    stopped.set()
    for each in workers:
        each.join(10)
    seal_all(empty)
    assert _waiting(empty) == 0


def test_an_event_of_a_transaction_that_still_runs_holds_the_later_ones_back(empty):
    """A place is given in the order of commits: what is newer than the oldest running transaction waits."""
    with empty.sql() as slow:
        slow.execute("BEGIN; SELECT pg_current_xact_id()")
        empty.post.store(patient_of(POST, 1))
        assert empty.spine.seal_audit_log().placed == 0
        slow.execute("COMMIT")
    seal_all(empty)
    assert _waiting(empty) == 0
