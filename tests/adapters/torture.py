"""A hospital, its adapter killed again and again, and a hub that misbehaves: what is lost, doubled, out of order?

    python -m tests.adapters.torture --seconds 60 --kills 20

Messages go in over MLLP, each patient's in order, and go in again until they are acknowledged. The hub answers
503, 429, 500 or 401, another's page, or nothing; it applies and drops the line, applies and answers late, applies
long after everybody gave up. The adapter is killed with -9 in between. At the end the hub is good, and everything
that was acknowledged must have been applied once, each patient's in order.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from adapters.hl7v2.framing import frame
from adapters.sender.client_key import make_client_key
from tests.adapters.conftest import write_site
from tests.simulators.hub import HubSimulator
from tests.simulators.mllp_answer import mllp_answer

PATIENTS = 24
FEEDERS = 4
DRAIN_SECONDS = 90
TROUBLES = ("503", "429", "500", "401", "html", "drop", "drop", "stall", "hang", "refuse")
SPEED = """
[retry]
first_seconds = 0.02
cap_seconds = 0.4
timeout_seconds = 0.4
workers = 4
batch_records = 5
"""


@dataclass
class Told:
    """What came of it."""

    sent: int = 0
    applied: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    quarantined: int = 0
    kills: int = 0
    misbehaviours: Counter[str] = field(default_factory=Counter)

    @property
    def is_good(self) -> bool:
        return self.sent > 0 and not (self.lost or self.doubled or self.out_of_order or self.quarantined)


class Runner:
    """The adapter's process, started again whenever it was killed."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.port = 0
        self.kills = 0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "adapters.cli", "run", str(self.site)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        self.port = int(process.stdout.readline().rpartition(b":")[2])
        return process

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait()
        self.process.stdout.close()

    def kill_and_start(self) -> None:
        self.end(signal.SIGKILL)
        self.kills += 1
        self.process = self._start()

    def status(self) -> dict:
        told = subprocess.run(
            [sys.executable, "-m", "adapters.cli", "status", str(self.site), "--json"],
            capture_output=True,
            check=True,
        )
        return json.loads(told.stdout)


def message(patient: int, number: int) -> bytes:
    """The patient's stay, now at place `number`: a version that must follow the one before."""
    fields = [""] * 45
    fields[0:4] = ["PV1", "1", "I", f"{number}"]
    fields[19], fields[44] = f"V{patient}", "20260315100000-0500"
    lines = (
        f"MSH|^~\\&|SIGH|H|C|G|20260315101500-0500||ADT^A02|P{patient}N{number}|P|2.5.1",
        "EVN|A02|20260315101500-0500",
        f"PID|1||HC{patient}^^^00005196^HC||QUISPE MAMANI^ROSA",
        "|".join(fields),
    )
    return "\r".join(lines).encode() + b"\r"


def feed(runner: Runner, patients: list[int], stop: threading.Event, acknowledged: dict[int, int]) -> None:
    """Send each patient's messages in order, each until it is acknowledged."""
    queue = ((patient, number) for number in itertools.count(1) for patient in patients)
    held = next(queue)
    while not stop.is_set():
        try:
            with socket.create_connection(("127.0.0.1", runner.port), timeout=2) as connection:
                while not stop.is_set():
                    connection.sendall(frame(message(*held)))
                    assert b"MSA|AA|P%dN%d" % held in mllp_answer(connection)
                    acknowledged[held[0]] = held[1]
                    held = next(queue)
                    time.sleep(0.02)
        except (OSError, EOFError):
            time.sleep(0.05)


def torture(folder: Path, *, seconds: float, kills: int, seed: int, trouble: float = 0.25) -> Told:
    """Run it, and count."""
    chance = random.Random(seed)
    told = Told()

    def misbehave() -> str:
        action = chance.choice(TROUBLES) if chance.random() < trouble else ""
        if action:
            told.misbehaviours[action] += 1
        return action

    with HubSimulator(hang_seconds=1.0, chaos=misbehave) as hub:
        site = write_site(folder, hub.url, "hl7v2-mllp", "II-1")
        site.write_text(site.read_text("utf-8").partition("[retry]")[0] + SPEED, "utf-8")
        hub.register("prueba", make_client_key(folder / "data").public_jwk)
        runner = Runner(site)
        stop = threading.Event()
        acknowledged: dict[int, int] = {}
        feeders = [
            threading.Thread(
                target=feed, args=(runner, list(range(n, PATIENTS, FEEDERS)), stop, acknowledged)
            )
            for n in range(FEEDERS)
        ]
        try:
            for feeder in feeders:
                feeder.start()
            ends_at = time.monotonic() + seconds
            for left in range(kills, 0, -1):
                pause = (ends_at - time.monotonic()) / left * chance.uniform(0.5, 1.3)
                stop.wait(max(0.05, pause))
                runner.kill_and_start()
            stop.wait(max(0.0, ends_at - time.monotonic()))
            stop.set()
            for feeder in feeders:
                feeder.join()
            hub.chaos = None
            deadline = time.monotonic() + DRAIN_SECONDS
            while (status := runner.status())["pending"] and time.monotonic() < deadline:
                time.sleep(0.2)
            time.sleep(hub.hang_seconds + 0.2)  # what the hub still holds back
        finally:
            stop.set()
            with suppress(ProcessLookupError):
                runner.end(signal.SIGTERM)
        told.kills, told.quarantined = runner.kills, status["quarantined"]
        count(told, hub, acknowledged)
    return told


def count(told: Told, hub: HubSimulator, acknowledged: dict[int, int]) -> None:
    """Compare what was acknowledged with every version that the hub ever held."""
    versions = {
        item["identifier"][0]["value"]: [
            int(version["location"][0]["location"]["display"]) for version in history
        ]
        for url, history in hub.resources.items()
        if url.startswith("Encounter/")
        for item in [history[0]]
    }
    for patient, last in acknowledged.items():
        numbers = versions.get(f"V{patient}", [])
        told.sent += last
        told.applied += len(set(numbers))
        told.lost += len(set(range(1, last + 1)) - set(numbers))
        told.doubled += len(numbers) - len(set(numbers))
        told.out_of_order += sum(after < before for before, after in itertools.pairwise(numbers))
    told.doubled += sum(
        len(history) > 1 for url, history in hub.resources.items() if re.match("Provenance/|Patient/", url)
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = torture(Path(folder), seconds=arguments.seconds, kills=arguments.kills, seed=arguments.seed)
    for name in ("sent", "applied", "lost", "doubled", "out_of_order", "quarantined", "kills"):
        print(f"{name.replace('_', ' '):13} {getattr(told, name)}")
    print(f"misbehaviours {sum(told.misbehaviours.values())}: {dict(told.misbehaviours.most_common())}")
    return 0 if told.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
