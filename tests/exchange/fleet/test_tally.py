"""Requests of several processes add up, and what one that ended had counted is never lost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from exchange.fleet.tally import RequestTally, all_counts


def write(world, tally) -> None:
    with world.database_store.transaction() as transaction:
        tally.write(transaction)
        transaction.commit()


def total(world) -> dict[str, int]:
    with world.database_store.transaction() as transaction:
        found = all_counts(transaction)
        transaction.commit()
    return {name: cell[0] for name, cell in found.items()}


def rows(world) -> int:
    with world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM request_tally")
        return cursor.fetchone()[0]


def end(world) -> None:
    with world.sql() as cursor:
        cursor.execute("UPDATE request_tally SET told_at = 1 WHERE process <> ''")


def test_processes_add_up(empty):
    one, two = RequestTally(), RequestTally()
    for _ in range(3):
        one.count("read", 200, 0.004)
    one.count("read", 404, 0.004)
    two.count("read", 200, 0.3)
    two.count("read", 200, 0.004)
    for each in (one, two, one):
        write(empty, each)
    assert total(empty) == {"read|2|0": 4, "read|4|0": 1, "read|2|6": 1}
    assert rows(empty) == 2


def test_what_an_ended_process_counted_stays(empty):
    for number in range(5):
        tally = RequestTally()
        tally.count("update", 201, 0.02)
        write(empty, tally)
        end(empty)
        assert total(empty) == {"update|2|2": number + 1}
    assert rows(empty) == 1


def test_a_process_that_slept_is_not_counted_twice(empty):
    tally = RequestTally()
    tally.count("read", 200, 0.001)
    write(empty, tally)
    end(empty)
    assert total(empty) == {"read|2|0": 1}
    tally.count("read", 200, 0.001)
    write(empty, tally)
    write(empty, tally)
    assert total(empty) == {"read|2|0": 2}
    tally.count("read", 200, 0.001)
    write(empty, tally)
    assert total(empty) == {"read|2|0": 3}


def test_no_count_is_lost_between_threads():
    tally = RequestTally()
    barrier = threading.Barrier(4)

    def count() -> None:
        barrier.wait()
        for _ in range(2_000):
            tally.count("read", 200, 0.001)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(count) for _ in range(4)]:
            done.result()
    assert tally._counts() == {"read|2|0": [8_000, 8_000_000]}
