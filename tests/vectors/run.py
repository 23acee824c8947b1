"""The decision vectors: every situation of tests/vectors/*.toml, judged in memory and asked of a hub; no difference.

    python -m tests.vectors.run [WORD ...]

prints how many there are, how many are right, and each wrong one with its rule; exits 1 when there is one. Words choose
the vectors whose subject or name has them all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.passage.world import a_world
from tests.sample.database import Server, a_server
from tests.vectors.asker import asker
from tests.vectors.hub import Hub, differences
from tests.vectors.judged import judged
from tests.vectors.situation import situation
from tests.vectors.vector import Vector, vectors


@dataclass
class Result:
    """What came of the vectors. `wrong` are sentences; `judged` is how many the pure judgement answered, too."""

    vectors: int = 0
    judged: int = 0
    requests: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def run(server: Server, chosen: Sequence[Vector]) -> Result:
    """Every vector on one hub."""
    started, result = time.monotonic(), Result()
    with a_world(server) as world:
        hub = Hub(world)
        with hub.clock():
            for each in chosen:
                result.vectors += 1
                wrong = list(_wrong(hub, each, result))
                if wrong:
                    result.wrong.append(
                        f"{each}\n  {each.situation}\n  why: {each.why}\n  " + "\n  ".join(wrong)
                    )
        result.requests = hub.requests
    result.seconds = time.monotonic() - started
    return result


def _wrong(hub: Hub, vector: Vector, result: Result) -> Iterator[str]:
    try:
        made = situation(vector)
        hub.file(made, *made.resources.values())
        if vector.steps:
            for number, text in enumerate(vector.steps, start=1):
                found = hub.step(made, text)
                if found:
                    yield f"step {number} ({text}): {found}"
            return
        asked = asker(vector.asks, made.names)
        pure = judged(made, asked, hub.world.database_store.crypto.blind_index)
        if pure is not None:
            result.judged += 1
        told = hub.ways(asked, made, made.target)
    except Exception as failed:  # noqa: BLE001 - one vector that cannot be run does not hide the others
        yield f"not run: {type(failed).__name__}: {failed}"
        return
    found = differences(vector.expected, ({"judgement": pure} if pure is not None else {}) | told)
    if found:
        yield f"expected: {vector.expected}; {found}"


def main(words: Sequence[str]) -> int:
    chosen = [each for each in vectors() if all(word in str(each) for word in words)]
    with a_server() as server:
        result = run(server, chosen)
    for each in result.wrong:
        print(each, end="\n\n")
    right = result.vectors - len(result.wrong)
    print(
        f"vectors {result.vectors}  right {right}  wrong {len(result.wrong)}  judged in memory too {result.judged}  "
        f"requests {result.requests}  {result.seconds:.0f} s"
    )
    return 1 if result.wrong or not result.vectors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
