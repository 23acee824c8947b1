"""Requests counted: by interaction, class of status and duration, in each server process, and summed in the database.

Spec:    https://prometheus.io/docs/practices/histograms/; docs/decisions/0029-adapters-seen-from-the-region.md.
Leaves:  how the sum is written to rest/metrics.

A process counts in memory and writes its counts every few seconds under a name of its own. What a process that ended had
counted is added to the row without a name, so that the sum never falls.
"""

from __future__ import annotations

import secrets
import threading
import time
from bisect import bisect_left
from typing import Final

import msgspec

from exchange.store.session import Transaction

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of durations. Units: seconds."""
ENDED_SECONDS: Final = 3_600
_ALIVE_SECONDS: Final = 300

WRITE: Final = """
INSERT INTO request_tally (process, told_at, counts) VALUES (%(process)s, %(now)s, %(counts)s)
ON CONFLICT (process) DO UPDATE SET told_at = excluded.told_at, counts = excluded.counts"""
IS_THERE: Final = "SELECT 1 FROM request_tally WHERE process = %(process)s FOR UPDATE"
ENDED: Final = """
SELECT process, counts FROM request_tally WHERE process = '' OR told_at < %(before)s ORDER BY process FOR UPDATE"""
DROP: Final = "DELETE FROM request_tally WHERE process = ANY(%(processes)s::text[]) AND process <> ''"
ALL: Final = "SELECT counts FROM request_tally"

Counts = dict[str, list[int]]
"""`interaction|status class|bucket`: how many, and their microseconds together."""


class RequestTally:
    """What one process has answered."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, int, int], list[int]] = {}
        self._lock = threading.Lock()
        self._process = ""
        self._told: Counts = {}
        self._before: Counts = {}
        self._told_at = 0.0

    def count(self, interaction: str, status: int, seconds: float) -> None:
        """Count one answer: one look-up in a dictionary, and two additions."""
        place = (interaction, status // 100, bisect_left(BUCKETS, seconds))
        with self._lock:
            cell = self._cells.get(place)
            if cell is None:
                cell = self._cells[place] = [0, 0]
            cell[0] += 1
            cell[1] += int(seconds * 1_000_000)

    def write(self, transaction: Transaction) -> None:
        """Write what is new, under this process's name. The caller commits.

        1. Nothing new and told a moment ago: nothing to do. 2. A row that was there and is not is this one's, taken for
        ended - the machine slept: what it said is counted elsewhere, and a new one begins behind it. 3. Write.
        """
        # 1.
        now = time.time()
        counts = self._counts()
        if not counts or (counts == self._told and now - self._told_at < _ALIVE_SECONDS):
            return
        # 2.
        told = {"process": self._process, "now": int(now)}
        if not self._process or not transaction.rows(IS_THERE, told):
            self._before = self._told
            self._process = told["process"] = secrets.token_hex(8)
        # 3.
        written = {name: [have - had for have, had in zip(cell, self._before.get(name, (0, 0)), strict=True)]
                   for name, cell in counts.items()}  # fmt: skip
        transaction.run(WRITE, told | {"counts": msgspec.json.encode(written).decode()})
        self._told, self._told_at = counts, now

    def _counts(self) -> Counts:
        with self._lock:
            return {
                f"{name}|{status}|{place}": list(cell) for (name, status, place), cell in self._cells.items()
            }


def all_counts(transaction: Transaction) -> Counts:
    """What every process has answered together, those that ended among them. The caller commits.

    Of the rows of processes that ended one is made, so that there are never more than a few.
    """
    ended = transaction.rows(ENDED, {"before": int(time.time()) - ENDED_SECONDS})
    if any(process for process, _ in ended):
        together = _added([counts for _, counts in ended])
        text = msgspec.json.encode(together).decode()
        transaction.run(DROP, {"processes": [process for process, _ in ended]})
        transaction.run(WRITE, {"process": "", "now": int(time.time()), "counts": text})
    return _added([counts for (counts,) in transaction.rows(ALL)])


def _added(rows: list[Counts]) -> Counts:
    total: Counts = {}
    for counts in rows:
        for name, cell in counts.items():
            have = total.setdefault(name, [0, 0])
            have[0], have[1] = have[0] + cell[0], have[1] + cell[1]
    return total
