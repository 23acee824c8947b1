"""What the benchmark asks beside reads and patient searches: across the region, along references, page by page, in a race."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from tests.benchmark.load import Connection, Measured, prepared, run

RACERS = 64
RACES = 20
PAGES = 200
PAGE_ROWS = 20


class Searches:
    """Loads on one hub. `token` gives a fresh access token; `figures` takes what is measured."""

    def __init__(
        self,
        port: int,
        token: Callable[[], str],
        patients: list[str],
        seconds: float,
        figures: dict[str, float],
    ) -> None:
        self.port, self.token, self.patients, self.seconds, self.figures = (
            port,
            token,
            patients,
            seconds,
            figures,
        )
        self.random = random.Random(11)
        self.identifiers, self.codes = self._known()

    def measure(self) -> None:
        """Every load, one after the other; one client each, but where a name says more."""
        chosen = self.random.choice
        loads: dict[str, Callable[[], str]] = {
            "population_code": lambda: f"Observation?code={chosen(self.codes)}&_count=50",
            "chain": lambda: f"Observation?patient.identifier={chosen(self.identifiers)}&_count=50",
            "has": lambda: f"Patient?_has:Observation:patient:code={chosen(self.codes)}&_count=50",
            "include": lambda: (
                f"Observation?patient=Patient/{chosen(self.patients)}&_include=Observation:encounter&_count=50"
            ),
            "count": lambda: f"Observation?patient=Patient/{chosen(self.patients)}&_summary=count",
            "count_population": lambda: f"Observation?code={chosen(self.codes)}&_summary=count",
            "by_identifier": lambda: f"Patient?identifier={chosen(self.identifiers)}",
        }
        for name, path in loads.items():
            self._keep(name, self._run(name, path))
        self._pages()
        self._race()

    def patched(self, ids: list[str]) -> None:
        """Patches of Observations, by 4 clients."""
        body = json.dumps([{"op": "replace", "path": "/status", "value": "amended"}]).encode()
        undo = json.dumps([{"op": "replace", "path": "/status", "value": "final"}]).encode()

        def requests(number: int) -> Iterator[bytes]:
            token = self.token()
            mine = ids[number::4]
            while True:
                for text in (body, undo):
                    for each in mine:
                        yield prepared(
                            "PATCH", f"/fhir/Observation/{each}", token, text, "application/json-patch+json"
                        )

        done = run("127.0.0.1", self.port, 4, self.seconds, requests)
        self._told("patch", done)
        self.figures["patch_per_second"] = round(done.per_second)

    def large(self, patient: str) -> None:
        """$everything of one large record."""
        done = self._run("everything_1300", lambda: f"Patient/{patient}/$everything")
        self.figures["everything_1300_p95_ms"] = round(done.percentile_ms(0.95), 1)

    def _keep(self, name: str, done: Measured) -> None:
        self.figures[f"{name}_p50_ms"] = round(done.percentile_ms(0.5), 2)

    def _run(self, name: str, path: Callable[[], str], seconds: float | None = None) -> Measured:
        def requests(_: int) -> Iterator[bytes]:
            token = self.token()
            while True:
                yield prepared("GET", f"/fhir/{path()}", token)

        run("127.0.0.1", self.port, 1, 1, requests)
        done = run("127.0.0.1", self.port, 1, seconds or self.seconds / 2, requests)
        self._told(name, done)
        return done

    def _told(self, name: str, done: Measured) -> None:
        if done.errors:
            raise SystemExit(f"{name}: the hub refused: {done.errors[:3]}")
        print(
            f"{name}: {done.per_second:.0f}/s p50 {done.percentile_ms(0.5):.2f} ms p95 {done.percentile_ms(0.95):.2f} ms",
            flush=True,
        )

    def _pages(self) -> None:
        """The first page of a search across the region, and the two hundredth."""
        connection = Connection("127.0.0.1", self.port)
        token = self.token()
        first = path = f"Observation?code={self._commonest()}&_count={PAGE_ROWS}"
        reached = 1
        for number in range(2, PAGES + 1):
            _, body = connection.exchange(prepared("GET", f"/fhir/{path}", token))
            following = [each["url"] for each in json.loads(body)["link"] if each["relation"] == "next"]
            if not following:
                break
            parts = urlsplit(following[0])
            path, reached = f"{parts.path.removeprefix('/fhir/')}?{parts.query}", number
        connection.close()
        before = self._run("page 1", lambda: first)
        after = self._run(f"page {reached}", lambda: path)
        self.figures["page_reached"] = reached
        self.figures["page_1_p50_ms"] = round(before.percentile_ms(0.5), 2)
        self.figures["page_200_ratio"] = round(after.percentile_ms(0.5) / before.percentile_ms(0.5), 2)

    def _race(self) -> None:
        """64 clients and one condition, again and again: how many resources too many were made."""
        token, duplicates = self.token(), 0
        for race in range(RACES):
            value = f"race-{self.random.getrandbits(60)}-{race}"
            patient = {"resourceType": "Patient", "identifier": [{"system": "urn:bench", "value": value}]}
            body = json.dumps(patient).encode()
            told = prepared(
                "POST", "/fhir/Patient", token, body, more=f"If-None-Exist: identifier=urn:bench|{value}\r\n"
            )
            statuses: Counter[int] = Counter()
            start = threading.Barrier(RACERS)

            def one(
                told: bytes = told, start: threading.Barrier = start, statuses: Counter[int] = statuses
            ) -> None:
                connection = Connection("127.0.0.1", self.port)
                start.wait()
                status, _ = connection.exchange(told)
                statuses[status] += 1
                connection.close()

            threads = [threading.Thread(target=one) for _ in range(RACERS)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            duplicates += statuses[201] - 1
            if set(statuses) - {200, 201}:
                raise SystemExit(f"race: {dict(statuses)}")
        self.figures["race_duplicates"] = duplicates
        print(f"race: {RACES} times {RACERS} clients, duplicates {duplicates}", flush=True)

    def _commonest(self) -> str:
        return Counter(self.codes).most_common(1)[0][0]

    def _known(self) -> tuple[list[str], list[str]]:
        """Identifiers of some patients, and codes of their observations, as often as they come."""
        connection = Connection("127.0.0.1", self.port)
        token = self.token()
        identifiers: list[str] = []
        codes: list[str] = []
        for patient in self.random.sample(self.patients, min(60, len(self.patients))):
            read: dict[str, Any] = json.loads(
                connection.exchange(prepared("GET", f"/fhir/Patient/{patient}", token))[1]
            )
            identifiers += [
                quote(f"{each['system']}|{each['value']}", safe="|") for each in read["identifier"][:1]
            ]
            found = connection.exchange(
                prepared("GET", f"/fhir/Observation?patient=Patient/{patient}&_count=20", token)
            )[1]
            for entry in json.loads(found).get("entry", ()):
                coding = entry["resource"].get("code", {}).get("coding", [])
                codes += [quote(f"{each['system']}|{each['code']}", safe="|") for each in coding[:1]]
        connection.close()
        return identifiers, codes
