"""`python -m tests.benchmark.rewrap KEYS`: data keys wrapped anew while requests run; the figures come last.

A hub with KEYS records' data keys serves a writer and a reader; its key `record` is rotated, everything is wrapped anew, and
the old version is retired and destroyed. Exit code 1 where a request failed or a key was left behind.
"""

from __future__ import annotations

import argparse
import sys
import time

from exchange.store import key_rotation
from exchange.store.rewrapping import Rewrapping, counts
from tests.passage.live_hub import LiveHub, live_hub
from tests.passage.test_keys_rotate_while_serving import UNLIMITED, Traffic
from tests.sample.database import a_server

BATCH = 5_000
FIRST_INVENTED = 2**60
BREATH_SECONDS = 0.02
BASELINE_SECONDS = 5.0


def invent(hub: LiveHub, keys: int) -> None:
    """Data keys of records that hold nothing."""
    store = hub.world.database_store
    for start in range(0, keys, BATCH):
        with store.transaction() as transaction:
            places = list(range(FIRST_INVENTED + start, FIRST_INVENTED + min(start + BATCH, keys)))
            wrapped = [store.crypto.new_wrapped_key(place) for place in places]
            transaction.run(
                "INSERT INTO data_key (compartment, wrapping_version, wrapped) "
                "SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::bytea[])",
                (places, [version for version, _ in wrapped], [key for _, key in wrapped]),
            )
            transaction.commit()


def run(keys: int) -> int:
    with a_server() as server, live_hub(server, **UNLIMITED) as hub:
        print(f"making {keys} data keys")
        invent(hub, keys)
        spine, store = hub.world.spine, hub.world.database_store
        with Traffic(hub) as traffic:
            traffic.passes(20)
            began, before = time.monotonic(), traffic.reads * 2 + len(traffic.written)
            time.sleep(BASELINE_SECONDS)
            alone = (traffic.reads * 2 + len(traffic.written) - before) / (time.monotonic() - began)
            spine.operate("keys rotate record", lambda tx: key_rotation.rotate(tx, "record") and None)
            store.crypto.look()
            began, before, walk = (
                time.monotonic(),
                traffic.reads * 2 + len(traffic.written),
                Rewrapping(store),
            )
            while walk.step():
                time.sleep(BREATH_SECONDS)
            seconds = time.monotonic() - began
            during = (traffic.reads * 2 + len(traffic.written) - before) / seconds
            time.sleep(2)
            while Rewrapping(store).step():
                pass
            spine.operate("keys retire record 1", lambda tx: key_rotation.retire(tx, "record", 1))
            spine.operate("keys destroy record 1", lambda tx: key_rotation.destroy(tx, "record", 1))
            traffic.passes(20)
        with store.transaction() as transaction:
            left = sum(number for version, number in counts(transaction).items() if version < 2)
    print(f"keys wrapped anew       {walk.moved:>10}")
    print(f"seconds                 {seconds:>10.1f}")
    print(f"keys a second           {walk.moved / seconds:>10.0f}")
    print(f"requests a second       {during:>10.1f}   (before: {alone:.1f})")
    print(f"requests                {traffic.reads * 2 + len(traffic.written):>10}")
    print(f"failed requests         {len(traffic.failures):>10}")
    print(f"left behind             {left:>10}")
    for failure in traffic.failures[:3]:
        print(failure)
    return 1 if traffic.failures or left else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("keys", type=int, nargs="?", default=100_000)
    sys.exit(run(parser.parse_args().keys))
