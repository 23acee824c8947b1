"""Peers that misbehave at a port: is every acknowledged message kept once, and every answer the right one's?

    python -m tests.adapters.mllp_torture --seconds 120 --connections 8

They cut messages anywhere, send several at once, leave before the answer and send again, put rubbish between
frames, begin a message instead of ending one, write no CR; others say nothing at all, or stay half open.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from adapters.outbox import Outbox
from adapters.settings import read_settings
from adapters.sources.message_port import MessagePort
from tests.adapters.conftest import write_site
from tests.simulators.mllp_peer import Line, Peer, an_adt


@dataclass
class Outcome:
    """What came of it."""

    sent: int = 0
    resent: int = 0
    acknowledged: int = 0
    kept: int = 0
    lost: int = 0
    doubled: int = 0
    for_another: int = 0
    unanswered: int = 0
    did: Counter[str] = field(default_factory=Counter)

    @property
    def is_good(self) -> bool:
        return self.sent > 0 and not (self.lost or self.doubled or self.for_another or self.unanswered)


def torture(folder: Path, *, seconds: float, connections: int, seed: int) -> Outcome:
    """Run it, and count."""
    settings = read_settings(write_site(folder, "http://127.0.0.1:1/fhir", "hl7v2-mllp", "II-1"), {})
    outbox = Outbox(settings.data_folder)
    port = MessagePort(settings, outbox.id_key)
    stop, ready = threading.Event(), threading.Event()
    heard: list[str] = []

    def announce(text: str) -> None:
        heard.append(text)
        ready.set()

    listener = threading.Thread(target=port.run, args=(outbox, stop, announce))
    listener.start()
    assert ready.wait(10)
    number = int(heard[0].rpartition(":")[2])
    peers = [Peer(number, index, seed + index) for index in range(connections)]
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=peer.work, args=(until,)) for peer in peers]
    try:
        with ExitStack() as held:
            for _ in range(3):  # who says nothing, and who never ends what was begun
                held.enter_context(Line(number))
                held.enter_context(Line(number)).send(b"\x0b" + an_adt("NEVER")[:50])
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        stop.set()
        listener.join()
        kept = _kept(outbox)
        outbox.close()
    return _count(peers, kept)


def _kept(outbox: Outbox) -> Counter[str]:
    """How often each control id stands in the outbox as a message that will be sent."""
    rows = outbox._rows("SELECT message_id, detail FROM record WHERE state = 'pending'")
    details = (outbox._open_detail(name, sealed) for name, sealed in rows)
    return Counter(detail.natural_key.split("|")[2] for detail in details)


def _count(peers: list[Peer], kept: Counter[str]) -> Outcome:
    outcome = Outcome(kept=len(kept), doubled=sum(count - 1 for count in kept.values()))
    for peer in peers:
        tally = peer.tally
        outcome.sent += tally.sent
        outcome.resent += tally.resent
        outcome.acknowledged += len(tally.acknowledged)
        outcome.lost += sum(name not in kept for name in tally.acknowledged)
        outcome.for_another += tally.for_another
        outcome.unanswered += len(peer._unanswered)
        outcome.did += tally.did
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        outcome = torture(
            Path(folder), seconds=arguments.seconds, connections=arguments.connections, seed=arguments.seed
        )
    for name in ("sent", "resent", "acknowledged", "kept", "lost", "doubled", "for_another", "unanswered"):
        print(f"{name.replace('_', ' '):13} {getattr(outcome, name)}")
    print(f"behaviours    {dict(outcome.did.most_common())}")
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
