"""A week of three sites on weak lines, everything killed at random: `make torture DAYS=7 KILLS=1000`.

A hospital over MLLP, a post that restates its month every evening, an institute with documents, each with a real adapter
process; a real hub of several processes with PostgreSQL; between them lines of 32 kbit/s that lose a fifth. Adapters and
hub are killed with -9, clocks jump, the hospital's disk is full for a while, the lines are down for a while, and one
patient's merge cannot be read. At the end the killing stops, and what was acknowledged is looked for on the hub.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from exchange.authentication.registration import Client, register
from exchange.crypto.roots.choice import open_root
from exchange.requester import parse_registered_scopes
from exchange.settings import Settings
from exchange.store.hub import open_store, prepare_keys
from exchange.store.migrate import migrate
from tests.crash.killed import Killed
from tests.passage.world import World
from tests.sample.requester import EVERY_SCOPE
from tests.torture.adapter import Adapter
from tests.torture.checks import Told, check_hospital, check_institute, check_post
from tests.torture.disk import SmallDisk
from tests.torture.hospital import POISONED, SURNAME, Hospital
from tests.torture.institute import Institute
from tests.torture.post import INTERNAL, Post
from tests.torture.weak_link import WeakLink

HUB_SHARE = 0.25
DRAIN_SECONDS = 900


class Torture:
    """One run."""

    def __init__(self, folder: Path, *, days: int, kills: int, seconds: float, seed: int = 1,
                 bits_per_second: int = 32_000, timeout: int = 60, say: bool = False) -> None:  # fmt: skip
        self.days, self.kills, self.day_seconds, self.say = days, kills, seconds / days, say
        self.chance = random.Random(seed)
        self.stop = threading.Event()
        self.failures: list[BaseException] = []
        self.hub = Killed()
        self.link = WeakLink(self.hub.port, bits_per_second=bits_per_second, seed=seed)
        self.hub.environment["EXCHANGE_BASE_URL"] = f"http://127.0.0.1:{self.link.port}"
        url = f"http://127.0.0.1:{self.link.port}/fhir"
        self.disk = SmallDisk(folder / "hospital" / "data")
        self.adapters = [
            Adapter(folder / "hospital", "hospital", "00005197", "hl7v2-mllp", url, timeout, "mllp_port = 0"),
            Adapter(folder / "post", "post", "00005196", "his-trama", url, timeout, f'internal_ids = {{ "{INTERNAL}" = "00005196" }}'),
            Adapter(folder / "institute", "institute", "00007277", "ccda-folder", url, timeout),
        ]  # fmt: skip
        self.hospital = Hospital(self.adapters[0], 150, self.day_seconds)
        self.post = Post(self.adapters[1].source, "00005196", 30)
        self.institute = Institute(self.adapters[2].source)
        self.hub_kills = 0

    def run(self) -> Told:
        try:
            world = self._prepared()
            self.hub.start()
            for each in self.adapters:
                each.start()
            self.hospital.start()
            hub_kills = round(self.kills * HUB_SHARE)
            shares = [
                (self.kills - hub_kills + number) // len(self.adapters)
                for number in range(len(self.adapters))
            ]
            trouble = [self._thread(self._kill_hub, hub_kills), self._thread(self._weather)]
            trouble += [
                self._thread(self._kill_adapter, each, count)
                for each, count in zip(self.adapters, shares, strict=True)
            ]
            for day in range(1, self.days + 1):
                self._day(day)
            self.stop.set()
            for each in trouble:
                each.join()
            self.hospital.stop()
            if self.failures:
                raise self.failures[0]
            return self._counted(world)
        finally:
            self._end()

    def _day(self, number: int) -> None:
        """Documents by day, the month by night."""
        for _ in range(3):
            self.institute.write()
            self.stop.wait(self.day_seconds / 4)
        self.post.export()
        self.stop.wait(self.day_seconds / 4)
        if self.say:
            kills = sum(each.kills for each in self.adapters) + self.hub_kills
            sent = sum(self.hospital.acknowledged.values())
            print(
                f"day {number}: {kills} kills, {sent} messages acknowledged, {dict(self.link.counts)}",
                flush=True,
            )

    # --- what happens to them

    def _kill_hub(self, count: int) -> None:
        for left in range(count, 0, -1):
            self._pause(left)
            self.hub.kill()
            self.hub_kills += 1
            self.hub.start()

    def _kill_adapter(self, adapter: Adapter, count: int) -> None:
        for left in range(count, 0, -1):
            self._pause(left)
            adapter.kill()

    def _pause(self, left: int) -> None:
        """Wait so that what is left is done by the end of the last day."""
        remaining = max(self.ends_at - time.monotonic(), 0)
        self.stop.wait(max(0.02, remaining / left * self.chance.uniform(0.3, 1.5)))

    def _weather(self) -> None:
        """The line goes down and the disk fills up, now and then."""
        while not self.stop.wait(self.day_seconds * self.chance.uniform(0.2, 0.5)):
            self.link.go_down()
            self.disk.fill()
            self.stop.wait(min(self.day_seconds * 0.1, 20))
            self.disk.free()
            self.link.come_up()
            for each in self.adapters:
                each.revive()

    # --- the end

    def _counted(self, world: World) -> Told:
        """Nothing is killed any more: what is left arrives, and the poisoned patient alone waits."""
        told = Told()
        self.disk.free()
        self.link.come_up()
        self.hub.start()
        for each in self.adapters:
            each.set_clock_right()
        self._drain(told)
        before = replace(told, wrong=[])
        check_hospital(before, world, self.hospital, without=frozenset({POISONED}))
        told.fault("delayed", "patients beside the poisoned one wait", before.lost)
        [item] = self._quarantined(self.adapters[0]) or [None]
        if item is not None:
            self.adapters[0].command("quarantine", "discard", str(self.adapters[0].site), str(item))
        self._drain(told)
        for each in self.adapters:
            told.fault("quarantined", each.name, len(self._quarantined(each)))
        world.settle()
        check_hospital(told, world, self.hospital)
        check_post(told, world, self.post)
        check_institute(told, world, self.institute, self.adapters[2].organization)
        self._look_for_names(told)
        world.database_store.close()
        return told

    def _drain(self, told: Told) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        for each in self.adapters:
            while each.status()["pending"] or not self._has_read(each):
                if time.monotonic() > deadline:
                    told.fault("delayed", f"{each.name}: {each.status()['pending']} records wait")
                    return
                time.sleep(1)

    def _has_read(self, adapter: Adapter) -> bool:
        """Whether a folder's newest file is taken."""
        known = adapter.status()["applied"]
        return known >= (len(self.institute.written) if adapter is self.adapters[2] else 1)

    def _quarantined(self, adapter: Adapter) -> list[int]:
        return [
            each["number"]
            for each in json.loads(adapter.command("quarantine", "list", str(adapter.site), "--json"))
        ]

    def _look_for_names(self, told: Told) -> None:
        """No name and no number of a document lies in an outbox or a log."""
        needles = [text.encode(code) for text in (SURNAME, "40000001") for code in ("utf-8", "utf-16-le")]
        for each in self.adapters:
            for path in [each.folder / "log", *(each.folder / "data").rglob("*")]:
                content = path.read_bytes() if path.is_file() else b""
                told.fault(
                    "readable", f"{each.name}: {path.name}", sum(needle in content for needle in needles)
                )

    # --- beginnings and ends

    def _prepared(self) -> World:
        values = {name.removeprefix("EXCHANGE_").lower(): value for name, value in self.hub.environment.items()
                  if name.startswith("EXCHANGE_")}  # fmt: skip
        settings = Settings(**values)
        migrate(self.hub.cluster.url)
        root = open_root(settings)
        prepare_keys(self.hub.cluster.url, settings, root)
        world = World(open_store(self.hub.cluster.url, settings, root), self.hub.cluster.url)
        scopes = parse_registered_scopes(EVERY_SCOPE)
        assert scopes is not None
        for each in self.adapters:
            name, prefix = each.settings.client_id, f"{each.settings.id_prefix}-"
            client = Client(
                name,
                name,
                each.organization,
                "system",
                scopes,
                ("TREAT",),
                prefix,
                each.jwks,
                is_adapter=True,
            )
            world.spine.operate(f"clients register {name}", lambda tx, client=client: register(tx, client))
        self.ends_at = time.monotonic() + self.days * self.day_seconds
        return world

    def _thread(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        def kept() -> None:
            try:
                work(*arguments)
            except BaseException as failure:  # noqa: BLE001 - told by the one who waits
                self.failures.append(failure)
                self.stop.set()

        thread = threading.Thread(target=kept)
        thread.start()
        return thread

    def _end(self) -> None:
        self.stop.set()
        with ExitStack() as ends:
            ends.callback(self.disk.close)
            ends.callback(self.hub.close)
            ends.callback(self.link.close)
            for each in self.adapters:
                ends.callback(each.stop)
            ends.callback(self.hospital.stop)


def main() -> int:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--days", type=int, default=7)
    arguments.add_argument("--kills", type=int, default=1000)
    arguments.add_argument(
        "--seconds", type=float, help="how long the week takes; a second a kill where it is not told"
    )
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    seconds = chosen.seconds or max(60.0, float(chosen.kills))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ch") as folder:
        run = Torture(
            Path(folder), days=chosen.days, kills=chosen.kills, seconds=seconds, seed=chosen.seed, say=True
        )
        told = run.run()
    for each in told.wrong[:40]:
        print(f"WRONG {each}")
    kills = {each.name: each.kills for each in run.adapters} | {"hub": run.hub_kills}
    print(f"{chosen.days} days in {time.monotonic() - began:.0f} s; kills {sum(kills.values())}: {kills}")
    print(
        f"clocks that were wrong {sum(each.skews for each in run.adapters)}; disk full {run.disk.fillings}; line {dict(run.link.counts)}"
    )
    for name in ("sent", "applied", "lost", "doubled", "out_of_order", "delayed", "quarantined", "readable"):
        print(f"{name.replace('_', ' '):13} {getattr(told, name)}")
    return 0 if told.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
