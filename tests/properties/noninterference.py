"""Hidden equals absent, at length: random regions, random requests, each answered with what is hidden and without it.

    python -m tests.properties.noninterference [CASES] [SEED] [PROCESSES]

A case is one request in one region. What an asker may not see is judged in memory (see region_judged), taken out, and
the same is asked again: the two answers are equal byte for byte, random ids, clocks and sealed page tokens aside. A
difference is shrunk to few acts and one request, and printed as JSON; then the command ends with 1.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl

from exchange.request import Request
from exchange.search import include, matches
from exchange.settings import settings
from tests.passage.world import Caller, Said, World, a_world
from tests.properties.region import Region, a_region, build
from tests.properties.region_judged import Judged, Key
from tests.properties.region_requests import Asked, Asker, a_request, an_asker, requester_of
from tests.properties.rehearsal import Rehearsal
from tests.sample.database import a_server

ASKERS_A_REGION = 3
REQUESTS_AN_ASKER = 20
MOST_PAGES = 30

Answers = list[Any]


@dataclass
class Difference:
    """A request that is answered otherwise where the hidden is there."""

    region: Region
    asker: Asker
    request: Asked
    hidden: list[str]
    with_hidden: Answers
    without: Answers

    def __str__(self) -> str:
        told = {"region": self.region, "asker": self.asker, "hidden": self.hidden, "request": self.request,
                "answer with the hidden": _readable(self.with_hidden), "answer without": _readable(self.without)}  # fmt: skip
        return json.dumps(told, ensure_ascii=False, indent=1)


@dataclass
class Result:
    """What a run came to."""

    cases: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    seen_of_others: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, other: Result) -> None:
        self.cases += other.cases
        self.answered += other.answered
        self.hidden += other.hidden
        self.seen_of_others += other.seen_of_others
        self.differences += other.differences


def run(world: World, cases: int, seed: int, *, most_differences: int = 1) -> Result:
    """Ask so many cases of one hub."""
    result, number = Result(), 0
    while result.cases < cases and len(result.differences) < most_differences:
        random = Random(seed * 1_000_003 + number)
        number += 1
        asked = a_region(random)
        accepted, judged = built(world, asked)
        with rehearsed(world) as stage:
            for _ in range(ASKERS_A_REGION):
                asker = an_asker(random)
                requests = [a_request(random) for _ in range(min(REQUESTS_AN_ASKER, cases - result.cases))]
                hidden, pairs = answered_twice(stage, judged, asker, requests)
                result.cases += len(pairs)
                result.hidden += len(hidden)
                facility = requester_of(asker).organization_id
                result.seen_of_others += sum(
                    each.facility != facility and key not in hidden and bool(each.patients)
                    for key, each in judged.kept.items()
                )
                for request, with_hidden, without in pairs:
                    result.answered[f"{request['ask']} {with_hidden[0][0]}"] += 1
                    if with_hidden != without:
                        found = Difference(accepted, asker, request, _names(hidden), with_hidden, without)
                        result.differences.append(found)
                        break
    result.differences = [shrunk(world, each) for each in result.differences]
    return result


def built(world: World, region: Region) -> tuple[Region, Judged]:
    """The region in an empty hub; the acts that it accepted, and what follows from them."""
    fresh = world.clear()
    fresh.spine._limits = _no_limits()
    accepted = build(fresh, region)
    fresh.settle()
    blind = world.database_store.crypto.blind_index
    return accepted, Judged(accepted, blind, time.time_ns() // 1000)


def _no_limits() -> Any:
    from tests.properties.rehearsal import _Unlimited

    return _Unlimited()


@contextmanager
def rehearsed(world: World) -> Iterator[Rehearsal]:
    """The hub as it stands, for acts that are undone."""
    made = Rehearsal(world.database_store)
    try:
        yield made
    finally:
        made.close()


def answered_twice(
    stage: Rehearsal, judged: Judged, asker: Asker, requests: list[Asked]
) -> tuple[set[Key], list[tuple[Asked, Answers, Answers]]]:
    """Each request with its answers: where everything is there, and without what is hidden."""
    requester = requester_of(asker)
    caller = Caller(stage.spine, requester)
    hidden = judged.hidden(requester)
    full = [_undone(stage, caller, each) for each in requests]
    with stage.undone():
        stage.without(judged, hidden)
        bare = [_undone(stage, caller, each) for each in requests]
    return hidden, list(zip(requests, full, bare, strict=True))


def _undone(stage: Rehearsal, caller: Caller, request: Asked) -> Answers:
    with stage.undone(is_written=request["ask"] != "GET"), _bounds(are_low=request.get("low", False)):
        return ask(caller, request)


def ask(caller: Caller, request: Asked) -> Answers:
    """The answer, normalised; of a Bundle in pages, each of them."""
    request = deepcopy(request)
    match request["ask"]:
        case "GET":
            return _pages(caller, request["path"])
        case "PUT" if "where" in request:
            return [caller.put_where(request["where"], request["body"]).normalised()]
        case "PUT":
            return [caller.put(request["body"]).normalised()]
        case "POST":
            return [caller.post(request["body"], if_none_exist=request["if_none_exist"]).normalised()]
        case "PATCH":
            return [caller.patch(request["path"], request["body"]).normalised()]
        case "DELETE":
            return [caller.delete(request["path"]).normalised()]
        case "OPERATE":
            return [caller.operate(request["path"], request["body"]).normalised()]
    return [caller.bundle(request["ask"], request["entries"]).normalised()]


def _pages(caller: Caller, path: str) -> Answers:
    pages: Answers = []
    while path and len(pages) < MOST_PAGES:
        said = _got(caller, path)
        pages.append(said.normalised())
        path = _next(said)
    return pages


def _got(caller: Caller, path: str) -> Said:
    """GET below the base, compartments and searches over several types included."""
    place, _, query = path.partition("?")
    parts = place.split("/")
    if place and (len(parts) != 3 or parts[2].startswith(("$", "_"))):
        return caller.get(path)
    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    compartment = (parts[0], parts[1]) if place else None
    resource_type = parts[-1].replace("*", "")
    kind = "search-type" if resource_type else "search-system"
    return caller.ask(Request(kind, resource_type, compartment=compartment, query=pairs, described=f"GET /fhir/{path}"))  # fmt: skip


def _next(said: Said) -> str:
    if said.status != 200 or not said.text.startswith(b'{"resourceType":"Bundle"'):
        return ""
    links = [each["url"] for each in said.body.get("link", ()) if each["relation"] == "next"]
    return links[0].removeprefix(settings().fhir_url).removeprefix("/") if links else ""


@contextmanager
def _bounds(*, are_low: bool) -> Iterator[None]:
    """Bounds that a handful of resources reaches: what is refused as too costly, cut off or read in parts must not tell."""
    if not are_low:
        yield
        return
    low = settings().model_copy(update={"max_scan_rows": 6})
    with (
        patch.object(matches, "settings", lambda: low),
        patch.object(matches, "CHUNK_ROWS", 2),
        patch.object(matches, "CHUNK_PLACES", 1),
        patch.object(include, "MOST_INCLUDED", 4),
        patch.object(include, "MOST_STEPS", 2),
    ):
        yield


def shrunk(world: World, found: Difference) -> Difference:
    """The same difference with fewer acts and a shorter request."""
    best = found
    size = max(1, len(best.region) // 2)
    while size:
        place = 0
        while place < len(best.region):
            less = best.region[:place] + best.region[place + size :]
            smaller = _tried(world, less, best.asker, best.request)
            if smaller is None:
                place += size
            else:
                best = smaller
        size //= 2
    for request in _simpler(best.request):
        best = _tried(world, best.region, best.asker, request) or best
    return best


def _tried(world: World, region: Region, asker: Asker, request: Asked) -> Difference | None:
    accepted, judged = built(world, region)
    with rehearsed(world) as stage:
        hidden, [(_, full, bare)] = answered_twice(stage, judged, asker, [request])
    return Difference(accepted, asker, request, _names(hidden), full, bare) if full != bare else None


def _simpler(request: Asked) -> Iterator[Asked]:
    if request.get("low"):
        yield {name: value for name, value in request.items() if name != "low"}
    if request["ask"] == "GET" and "?" in request["path"]:
        place, _, query = request["path"].partition("?")
        parts = query.split("&")
        for number in range(len(parts)):
            yield request | {"path": f"{place}?{'&'.join(parts[:number] + parts[number + 1 :])}"}
    for number in range(len(request.get("entries", ()))):
        if len(request["entries"]) > 1:
            yield request | {"entries": request["entries"][number : number + 1]}


def _names(hidden: set[Key]) -> list[str]:
    return sorted("/".join(each) for each in hidden)


def _readable(answers: Answers) -> list[Any]:
    told = []
    for status, headers, text in answers:
        try:
            body: Any = json.loads(text)
        except ValueError:
            body = text
        told.append({"status": status, "headers": dict(headers), "body": body})
    return told


def _worker(told: tuple[int, int]) -> Result:
    cases, seed = told
    os.environ["EXCHANGE_DISTINCT_VALUES_PER_HOUR"] = os.environ["EXCHANGE_USER_DISTINCT_VALUES_PER_HOUR"] = (
        "0"
    )
    with a_server() as server, a_world(server) as world:
        return run(world, cases, seed)


def main() -> int:
    """Run as a command."""
    cases, seed, processes = [
        int(each) for each in [*sys.argv[1:], *("20000", "1", "2")[len(sys.argv) - 1 :]]
    ]
    began, total, share = time.monotonic(), Result(), 250
    shares = [
        (min(share, cases - done), seed * 10_000 + place) for place, done in enumerate(range(0, cases, share))
    ]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for result in pool.imap_unordered(_worker, shares):
            total.add(result)
            seconds = time.monotonic() - began
            sys.stdout.write(f"cases {total.cases} of {cases}, {total.cases / seconds:.1f} a second\n")
            sys.stdout.flush()
            if total.differences:
                pool.terminate()
                break
    for each in total.differences:
        sys.stdout.write(f"{each}\n")
    answers = ", ".join(f"{name}: {number}" for name, number in total.answered.most_common())
    sys.stdout.write(
        f"answers by kind and status: {answers}\ncases {total.cases}, hidden {total.hidden} and seen of others {total.seen_of_others} "
        f"resources in all regions, differences {len(total.differences)}\n"
    )
    return 1 if total.differences else 0


if __name__ == "__main__":
    sys.exit(main())
