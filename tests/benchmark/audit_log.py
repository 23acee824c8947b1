"""The audit log of a large hub: what an event costs, how fast it proves, answers and verifies, how much it takes.

    python -m tests.benchmark.audit_log 1000000

The server, the hub and whoever asks share this machine. Verifying reads everything: the figures are of a warm cache where the
log fits into memory.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exchange import perform
from exchange.audit import export
from exchange.audit.checkpoint import verifier_key
from exchange.audit.proof import stored_tree
from exchange.audit.verify import verify_log
from exchange.embedded import EmbeddedPostgres
from exchange.request import Request
from exchange.settings import settings
from exchange.store.hub import open_store, prepare_keys
from exchange.store.migrate import migrate
from tests.benchmark.audit_log_build import TABLES, USER, WAITING, Build
from tests.passage.world import World
from tests.sample.requester import HOSPITAL
from tests.sample.root import RootInMemory

VERIFIER = Path(export.__file__).parent / "offline" / "verify.py"
GOALS = {
    "append_ms": ("<=", 1), "inclusion_p99_ms": ("<=", 50), "consistency_p99_ms": ("<=", 50),
    "who_saw_100_p50_ms": ("<=", 50), "who_saw_10000_p50_ms": ("<=", 50), "verified_per_second": (">=", 100_000),
    "offline_2_per_second": (">=", 100_000),
}  # fmt: skip
SIZES = """
SELECT t.relname, pg_relation_size(t.oid) + coalesce(pg_relation_size(nullif(t.reltoastrelid, 0)), 0), pg_indexes_size(t.oid)
FROM pg_class t WHERE t.relname = ANY(%s) ORDER BY 1"""


def measured(events: int, folder: Path, samples: int = 200) -> dict[str, float]:
    """Build a log and measure it; the figures."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    cluster = EmbeddedPostgres(folder, settings={"max_wal_size": "8GB"})
    try:
        cluster.start()
        migrate(cluster.url)
        root = RootInMemory(b"k" * 32)
        prepare_keys(cluster.url, settings(), root)
        store = open_store(cluster.url, settings(), root)
        world = World(store, cluster.url)
        figures: dict[str, float] = {"events": events}
        figures["build_seconds"] = round(Build(world, events, folder).run(), 1)
        print(f"built in {figures['build_seconds']} s", flush=True)
        with world.sql() as cursor:
            cursor.execute("CHECKPOINT")
        bench = Bench(world, events, folder, samples, figures)
        for measure in (
            bench.sizes,
            bench.sealing,
            bench.proofs,
            bench.questions,
            bench.append,
            bench.verifying,
        ):
            measure()
        store.close()
        return figures
    finally:
        cluster.stop("immediate")
        shutil.rmtree(cluster.folder, ignore_errors=True)


class Bench:
    """The measurements, one after the other on one log."""

    def __init__(
        self, world: World, events: int, folder: Path, samples: int, figures: dict[str, float]
    ) -> None:
        self.world, self.events, self.folder, self.samples, self.figures = (
            world,
            events,
            folder,
            samples,
            figures,
        )
        self.store = world.database_store

    def note(self, **figures: float) -> None:
        self.figures |= figures
        print(", ".join(f"{name} {value}" for name, value in figures.items()), flush=True)

    def sizes(self) -> None:
        """Bytes an event, table by table."""
        total, events = 0, self.events + WAITING
        with self.world.sql() as cursor:
            cursor.execute(SIZES, (list(TABLES),))
            for name, rows, indexes in cursor.fetchall():
                total += rows + indexes
                self.note(**{f"{name}_bytes": round(rows / events, 1),
                             f"{name}_index_bytes": round(indexes / events, 1)})  # fmt: skip
        self.note(
            bytes_per_event=round(total / events), gb_per_million_requests=round(total / events / 1000, 2)
        )

    def sealing(self) -> None:
        """Events that wait get their places."""
        placed = _seconds(self.world.spine.seal_audit_log)
        self.note(sealed_per_second=round(WAITING / placed))

    def proofs(self) -> None:
        """Proofs of events and of heads anywhere in the log, each from nothing."""
        chance = random.Random(3)

        def prove(kind: str) -> None:
            with self.store.transaction() as transaction:
                getattr(stored_tree(transaction, self.events), kind)(chance.randrange(1, self.events))

        for kind in ("inclusion", "consistency"):
            self._timed(kind, lambda kind=kind: prove(kind))

    def questions(self) -> None:
        """The auditor's questions, as an administrator asks them; each look is an event of its own."""
        last = datetime.now(UTC)
        day = f"{last:%Y-%m-%d}"
        asked = {
            "who_saw_100": "$accesses?patient=posta-p1", "who_saw_10000": "$accesses?patient=posta-p2",
            "user_saw": f"$accesses?user={USER}&facility={HOSPITAL}", "facility_asked": f"$accesses?facility={HOSPITAL}",
            "hours_of_a_day": "$accesses", "statistics_of_a_day": f"$access-statistics?since={day}",
        }  # fmt: skip
        for name, query in asked.items():
            self._timed(
                name, lambda query=query: _answered(self.world, f"AuditEvent/{query}"), self.samples // 4
            )

    def append(self) -> None:
        """A read with and without its event, in turns; and the appending alone."""
        true_append = perform.append_and_commit
        request = Request("read", "Patient", "posta-p5", described="GET /fhir/Patient/posta-p5")
        alone: list[float] = []

        def timed(*given: Any, **more: Any) -> None:
            alone.append(_seconds(lambda: true_append(*given, **more)))

        def unwritten(transaction: Any, *_: Any, **__: Any) -> None:
            transaction.commit()

        spans: dict[Any, list[float]] = {timed: [], unwritten: []}
        try:
            for turn in range(self.samples * 4):
                perform.append_and_commit = (timed, unwritten)[turn % 2]
                spans[perform.append_and_commit].append(_seconds(lambda: self.world.post.ask(request)))
        finally:
            perform.append_and_commit = true_append
        self.note(
            append_ms=round(_at(spans[timed], 0.5) - _at(spans[unwritten], 0.5), 2),
            append_and_commit_p50_ms=round(_at(alone, 0.5), 2), append_and_commit_p99_ms=round(_at(alone, 0.99), 2),
            read_p50_ms=round(_at(spans[timed], 0.5), 2),
        )  # fmt: skip

    def verifying(self) -> None:
        """Everything verified: in the database; out of it."""
        while self.world.spine.seal_audit_log().placed:
            pass
        with self.store.transaction() as transaction:
            spent = _seconds(lambda: self._verified(transaction))
        placed = self._placed()
        self.note(verified_per_second=round(placed / spent))
        log, keys = self.folder / "log", self.folder / "keys.txt"
        with self.store.transaction() as transaction:
            spent = _seconds(lambda: export.export_log(transaction, log))
        self.note(
            exported_per_second=round(placed / spent),
            export_bytes=round(log.stat().st_size / placed, 1),
        )
        keys.write_text(verifier_key(settings().audit_origin, self.store.crypto.checkpoint_key) + "\n")
        for processes in (1, 2):
            words = [
                sys.executable,
                "-I",
                str(VERIFIER),
                str(log),
                "--keys",
                str(keys),
                "--processes",
                str(processes),
            ]
            spent = _seconds(lambda words=words: subprocess.run(words, check=True, stdout=subprocess.DEVNULL))
            self.note(**{f"offline_{processes}_per_second": round(placed / spent)})

    def _placed(self) -> int:
        with self.world.sql() as cursor:
            cursor.execute("SELECT max(size) FROM audit_checkpoint")
            return int(cursor.fetchone()[0])

    def _verified(self, transaction: Any) -> None:
        found = verify_log(transaction)
        if not found.is_verified or found.events < self.events:
            sys.exit(f"the log does not verify: {found.events} events, {found.findings[:3]}")

    def _timed(self, name: str, act: Callable[[], None], samples: int = 0) -> None:
        act()
        spans = [_seconds(act) for _ in range(samples or self.samples)]
        self.note(
            **{f"{name}_p50_ms": round(_at(spans, 0.5), 2), f"{name}_p99_ms": round(_at(spans, 0.99), 2)}
        )


def _answered(world: World, path: str) -> None:
    said = world.administrator.get(path)
    if said.status != 200:
        sys.exit(f"{path}: {said.status} {said.text[:300]!r}")


def _seconds(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _at(spans: list[float], share: float) -> float:
    ordered = sorted(spans)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


def show(figures: dict[str, float]) -> None:
    """The figures, beside the goals."""
    print(f"\n{'figure':34}{'measured':>12}  reach for")
    for name, value in figures.items():
        sign, goal = GOALS.get(name, ("", 0))
        print(f"{name:34}{value:>12}  {f'{sign} {goal}' if sign else ''}")


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("events", type=int, nargs="?", default=1_000_000)
    chosen = arguments.parse_args()
    os.environ["EXCHANGE_MODE"] = "demo"
    with tempfile.TemporaryDirectory(prefix="chlog", dir="/tmp") as place:
        Path(place).chmod(0o711)
        show(measured(chosen.events, Path(place)))


if __name__ == "__main__":
    main()
