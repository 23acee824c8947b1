"""Whether the time of an answer tells what is hidden: medians of hidden and of absent, asked in turns.

    python -m tests.properties.timing [SAMPLES]

prints a table: for each request and each way of being hidden, the median of the absent, of the hidden, and by how much
they differ; in this process, and over HTTP. Measured, and never a test: what else runs on the machine is in it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Any

from exchange.fhir import peru
from tests.passage.live_hub import live_hub
from tests.passage.world import Caller, World, patient_of
from tests.properties.hidden_searches import visit
from tests.sample.consent import a_consent, a_provision
from tests.sample.database import a_server
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

PEOPLE_OF_A_KIND = 12
OBSERVATIONS = 20
ABSENT, SILENT, DENIED, BY_CONTENT = "absent", "silent", "denied", "by content"
FIRST = {ABSENT: 9_000, SILENT: 1_000, DENIED: 2_000, BY_CONTENT: 3_000}
CONDITIONS = [{"system": "http://hl7.org/fhir/resource-types", "code": "CarePlan"}]
REQUESTS = {
    "read Patient": "Patient/posta-p{n}",
    "read Observation": "Observation/posta-p{n}-o1",
    "search by patient": "Observation?patient=posta-p{n}",
    "search by patient and code": "Observation?patient=posta-p{n}&code=8480-6",
    "search by identifier": f"Patient?identifier={peru.DNI_SYSTEM}|{{dni}}",
    "chain": "Observation?patient.identifier={dni}",
    "$everything": "Patient/posta-p{n}/$everything",
    "history": "Observation/posta-p{n}-o1/_history",
}


@dataclass
class Row:
    """One request and one way of being hidden. Units: milliseconds."""

    way: str
    request: str
    hidden_as: str
    absent_ms: float
    hidden_ms: float

    @property
    def percent(self) -> float:
        return 100 * (self.hidden_ms - self.absent_ms) / self.absent_ms


def fill(world: World) -> None:
    """People whose records are hidden from the hospital, each in one way, and some that it sees."""
    for kind, first in FIRST.items():
        if kind == ABSENT:
            continue
        for number in range(first, first + PEOPLE_OF_A_KIND):
            patient = f"posta-p{number}"
            world.post.store(patient_of(POST, number, dni=_dni(number)), *visit(patient, 3))
            for place in range(OBSERVATIONS):
                world.post.store(an_observation(f"{patient}-o{place}", patient, effective=f"2026-05-{place + 1:02d}"))  # fmt: skip
            if kind == DENIED:
                world.post.store(a_consent(f"{patient}-c", patient, deny=HOSPITAL))
            if kind == BY_CONTENT:
                provision = a_provision("permit", actors=[HOSPITAL], **{"class": CONDITIONS})
                world.post.store(a_consent(f"{patient}-c", patient, provision=provision))
    world.hospital.store(patient_of(HOSPITAL, 1), an_observation("hospital-o1", "hospital-p1"))


def _dni(number: int) -> str:
    return f"{40_000_000 + number:08d}"


def measure(way: str, asked: Callable[[str], int], samples: int) -> list[Row]:
    """Ask for hidden and absent ones in turns, in a random order."""
    rows = []
    random = Random(7)
    for name, template in REQUESTS.items():
        took: dict[str, list[float]] = {kind: [] for kind in FIRST}
        for warm in range(2 * PEOPLE_OF_A_KIND):
            for kind in FIRST:
                asked(_path(template, kind, warm))
        for place in range(samples):
            kinds = list(FIRST)
            random.shuffle(kinds)
            for kind in kinds:
                path = _path(template, kind, place)
                began = time.perf_counter()
                asked(path)
                took[kind].append(1_000 * (time.perf_counter() - began))
        absent = median(took[ABSENT])
        rows += [Row(way, name, kind, absent, median(took[kind])) for kind in FIRST if kind != ABSENT]
        for each in rows[-3:]:
            sys.stdout.write(f"{each.way:10}  {each.request:28}  {each.hidden_as:11}  {each.absent_ms:7.3f}  {each.hidden_ms:7.3f}  {each.percent:+6.1f} %\n")  # fmt: skip
            sys.stdout.flush()
    return rows


def _path(template: str, kind: str, place: int) -> str:
    number = FIRST[kind] + place % PEOPLE_OF_A_KIND
    return template.format(n=number, dni=_dni(number))


def in_process(world: World) -> Callable[[str], int]:
    """Asking the spine."""
    caller: Caller = world.hospital
    return lambda path: caller.get(path).status


def over_http(hub: Any) -> Callable[[str], int]:
    """Asking the served hub."""
    client = hub.clients["hospital"]
    return lambda path: int(client.request("GET", path).status_code)


def main() -> int:
    """Run as a command."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    os.environ["EXCHANGE_DISTINCT_VALUES_PER_HOUR"] = os.environ["EXCHANGE_REQUESTS_PER_MINUTE"] = "0"
    sys.stdout.write(
        "way         request                       hidden as     absent   hidden  differ (medians, ms)\n"
    )
    with a_server() as server, live_hub(server, EXCHANGE_REQUESTS_PER_MINUTE="0") as hub:
        fill(hub.world)
        with hub.world.sql() as cursor:
            cursor.execute("ANALYZE")
        rows = measure("in process", in_process(hub.world), samples)
        rows += measure("over HTTP", over_http(hub), samples)
    beyond = [each for each in rows if abs(each.percent) > 5]
    sys.stdout.write(
        f"{len(rows)} comparisons of {samples} samples each, {len(beyond)} differ by more than 5 %\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
