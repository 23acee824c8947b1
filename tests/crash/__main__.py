"""Kill a hub at random points while it is asked without pause, and count what was lost: `make crash POINTS=200`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from exchange.authentication.registration import Client, register
from exchange.crypto.roots.choice import open_root
from exchange.demo.client import FhirClient, make_client_key
from exchange.requester import parse_registered_scopes
from exchange.settings import Settings
from exchange.store.hub import open_store, prepare_keys
from exchange.store.migrate import migrate
from tests.crash.asking import Asker
from tests.crash.checks import Checks, Told
from tests.crash.killed import Killed
from tests.passage.world import PREFIXES, World, patient_of
from tests.sample.requester import EVERY_SCOPE, HOSPITAL, POST

CLIENTS = 4
WHOLE_EVERY = 10


def crash(points: int, *, longest_seconds: float = 1.5, seed: int = 1, say: bool = False) -> Told:
    """Kill and start again so many times; what came of it."""
    chance, told, stop = random.Random(seed), Told(), threading.Event()
    killed = Killed()
    try:
        world, clients = _prepared(killed)
        killed.start()
        askers = [
            Asker(number, killed.port, *(each.token for each in clients), stop) for number in range(CLIENTS)
        ]
        checks = Checks(world, told)
        for asker in askers:
            asker.start()
        for point in range(1, points + 1):
            stop.wait(chance.uniform(0.05, longest_seconds))
            kind = killed.kill()
            told.kills[kind] += 1
            told.points = point
            noted = [note for asker in askers for note in list(asker.notes)]
            killed.start()
            checks.after(noted)
            if point % WHOLE_EVERY == 0:
                checks.whole()
            if say:
                print(
                    f"{point:4} {kind:12} {told.acknowledged} acknowledged, {told.events} events", flush=True
                )
        stop.set()
        for asker in askers:
            asker.join()
        checks.after(note for asker in askers for note in asker.notes)
        fresh = Checks(world, told)
        fresh.after(note for asker in askers for note in asker.notes)
        fresh.whole()
        with tempfile.TemporaryDirectory() as place:
            fresh.offline(Path(place))
        for number in range(CLIENTS):
            if world.post.get(f"Observation?patient=Patient/posta-p{number + 1}&_count=1000").status != 200:
                told.wrong.append(f"the record of client {number} does not open")
        world.database_store.close()
        for client in clients:
            client.close()
    finally:
        stop.set()
        killed.close()
    return told


def _prepared(killed: Killed):
    """The hub's second way in, and the clients of who writes and of who is refused."""
    told = {name.removeprefix("EXCHANGE_").lower(): value for name, value in killed.environment.items()
            if name.startswith("EXCHANGE_")}  # fmt: skip
    settings = Settings(**told)
    migrate(killed.cluster.url)
    root = open_root(settings)
    prepare_keys(killed.cluster.url, settings, root)
    world = World(open_store(killed.cluster.url, settings, root), killed.cluster.url)
    world.post.store(*(patient_of(POST, number + 1) for number in range(CLIENTS)))
    scopes = parse_registered_scopes(EVERY_SCOPE)
    assert scopes is not None
    clients = []
    for name, organization in (("posta", POST), ("hospital", HOSPITAL)):
        key = killed.folder / f"{name}.pem"
        client = Client(
            name,
            name,
            organization,
            "system",
            scopes,
            ("TREAT",),
            PREFIXES[organization],
            make_client_key(key),
        )
        world.spine.operate(f"clients register {name}", lambda tx, client=client: register(tx, client))
        clients.append(_Shared(FhirClient(f"http://127.0.0.1:{killed.port}", name, key, EVERY_SCOPE)))
    return world, clients


class _Shared:
    """One client's token for several threads."""

    def __init__(self, client: FhirClient) -> None:
        self._client, self._lock = client, threading.Lock()

    def token(self) -> str:
        with self._lock:
            return self._client.token()

    def close(self) -> None:
        self._client.close()


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("points", type=int, nargs="?", default=200)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    began = time.monotonic()
    told = crash(chosen.points, seed=chosen.seed, say=True)
    for each in told.wrong:
        print(f"WRONG {each}")
    print(
        f"{told.points} points in {time.monotonic() - began:.0f} s; kills: {dict(told.kills.most_common())}"
    )
    print(
        f"{told.asked} requests, {told.answered} answers arrived, {told.in_part} of them in part; {told.events} events"
    )
    print(f"acknowledged versions {told.acknowledged}, lost {told.lost}")
    print(
        f"answers without an event {told.without_event}, doubled events {told.doubled}, other findings {len(told.wrong)}"
    )
    return 0 if told.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
