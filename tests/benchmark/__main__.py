"""`make bench`: hub, PostgreSQL and load on this machine; a table, and var/bench.json.

    make bench ARGS="--people 2000 --seconds 15"

The load generator shares the machine with the hub, and its cost is in every figure.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import msgspec

from exchange.authentication.registration import Client, register
from exchange.demo.bundles import patient_bundles
from exchange.demo.client import FhirClient, make_client_key
from exchange.demo.processes import Processes, command, require_free, wait_until_ready
from exchange.demo.region import build_region
from exchange.fhir import peru
from exchange.fhir.definitions import type_code
from exchange.hub import embedded, open_hub, prepare
from exchange.requester import parse_scopes
from exchange.settings import settings
from tests.benchmark.audit_log import GOALS, measured
from tests.benchmark.consents import ConsentCost
from tests.benchmark.load import Connection, prepared, run
from tests.benchmark.searches import Searches

RESOURCES_PER_PATIENT = 50
LARGE_PATIENT = 1_300
CLIENTS = 16
LOG_EVENTS = 100_000
"""`python -m tests.benchmark.audit_log` builds larger ones."""
TARGETS = {
    "resources": ("", 0),
    "ingest_resources_per_second": (">=", 2500),
    "read_per_second": (">=", 1500),
    "patient_search_p50_ms": ("<=", 4),
    "patient_search_per_second": (">=", 1000),
    "patient_search_p99_ms": ("<=", 25),
    "everything_p95_ms": ("<=", 40),
    "everything_1300_p95_ms": ("<=", 40),
    "population_code_p50_ms": ("<=", 10),
    "chain_p50_ms": ("", 0),
    "has_p50_ms": ("", 0),
    "include_p50_ms": ("", 0),
    "count_p50_ms": ("", 0),
    "count_population_p50_ms": ("", 0),
    "by_identifier_p50_ms": ("", 0),
    "page_1_p50_ms": ("", 0),
    "page_reached": (">=", 200),
    "page_200_ratio": ("<=", 2),
    "patch_per_second": ("", 0),
    "race_duplicates": ("<=", 0),
    "bytes_per_resource": ("<=", 1000),
    "consent_search_ratio": ("<=", 1.15),
    "consent_content_search_ratio": ("", 0),
    "decision_p99_ms": ("<=", 5),
    "start_seconds": ("<=", 5),
    "worker_rss_mb": ("<=", 300),
}
PATIENT_SCOPED = (
    "patient_search_p50_ms", "everything_p95_ms", "everything_1300_p95_ms", "include_p50_ms", "count_p50_ms", "chain_p50_ms",
)  # fmt: skip
"""Figures that must not grow with the region: at 1 M resources at most 1.3 times those at 100 k."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=2_000, help="people, 50 resources each")
    arguments.add_argument("--seconds", type=float, default=10, help="length of each reading load")
    arguments.add_argument("--port", type=int, default=8791)
    arguments.add_argument(
        "--folder", type=Path, help="keep the hub here; one that is here already is measured again"
    )
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="chasqui-bench-", dir="/tmp") as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
        figures = Bench(folder, chosen.people, chosen.seconds, chosen.port).measure()
        log = measured(LOG_EVENTS, Path(temporary) / "log", samples=40)
        figures |= {f"log_{name}": log[name] for name in ("events", "bytes_per_event", *GOALS)}
    kept = Path("var/bench.json")
    kept.parent.mkdir(exist_ok=True)
    runs = json.loads(kept.read_text()) if kept.exists() else {}
    runs = {size: each for size, each in runs.items() if isinstance(each, dict)}
    runs[str(figures["resources"])] = figures
    kept.write_text(json.dumps(runs, indent=1) + "\n")
    print(f"\n{'figure':34}{'measured':>12}  reach for")
    for name, value in figures.items():
        sign, target = TARGETS.get(name) or GOALS.get(name.removeprefix("log_"), ("", 0))
        print(f"{name:34}{value:>12}  {f'{sign} {target}' if sign else ''}")
    _growth(runs)


def _growth(runs: dict[str, dict[str, float]]) -> None:
    """How the largest run compares with the smallest, for what names a patient."""
    sizes = sorted(map(int, runs))
    if len(sizes) < 2:
        return
    small, large = runs[str(sizes[0])], runs[str(sizes[-1])]
    print(f"\n{f'{sizes[-1]} against {sizes[0]} resources':34}{'ratio':>12}  reach for")
    for name in PATIENT_SCOPED:
        if name in small and name in large:
            print(f"{name:34}{large[name] / small[name]:>12.2f}  <= 1.3")


class Bench:
    """One run on a new hub."""

    def __init__(self, folder: Path, people: int, seconds: float, port: int) -> None:
        self.folder, self.people, self.seconds, self.port = folder, people, seconds, port
        os.environ |= {
            "EXCHANGE_MODE": "demo",
            "EXCHANGE_REQUESTS_PER_MINUTE": "0",
            "EXCHANGE_TOKEN_REQUESTS_PER_MINUTE": "0",
            "EXCHANGE_CLIENT_TOKENS_PER_MINUTE": "0",
            "EXCHANGE_DISTINCT_VALUES_PER_HOUR": "0",
            "EXCHANGE_DATA_FOLDER": str(folder / "hub"),
            "EXCHANGE_PORT": str(port),
        }
        settings.cache_clear()
        self.processes = Processes(folder / "log")
        self.figures: dict[str, float] = {}

    def measure(self) -> dict[str, float]:
        region = build_region(seed=7, people=self.people, reference_date=date(2026, 6, 30))
        organization = peru.organization_id(region.secondary.renipress)
        require_free(self.port, "--port")
        began = time.monotonic()
        prepare(settings())
        hub = open_hub(settings())
        try:
            scopes = parse_scopes("system/*.cruds") or ()
            (self.folder / "bench.pem").unlink(missing_ok=True)
            jwks = make_client_key(self.folder / "bench.pem")
            client = Client("bench", "bench", organization, "system", scopes, ("TREAT",), "bench-", jwks)
            hub.spine.operate("clients register bench", lambda tx: register(tx, client))
            self.processes.start("hub", [command("exchange"), "serve"], {})
            wait_until_ready(settings().base_url, self.processes)
            self.figures["start_seconds"] = round(time.monotonic() - began, 2)
            self.processes.start("worker", [command("exchange"), "work"], {})
            self.client = FhirClient(
                settings().base_url, "bench", self.folder / "bench.pem", "system/*.cruds"
            )
            self._ingested(region)
            self._size(hub)
            self._large(region)
            self._read(hub)
            self._search(hub)
            self._consents(hub, region)
            self._rss()
        finally:
            self.processes.stop()
            hub.store.close()
            embedded(settings()).stop()
        return {name: self.figures[name] for name in TARGETS}

    def _ingested(self, region) -> None:
        """Ingest, unless the folder holds a hub that was filled before."""
        done = self.folder / "ingested.json"
        if not done.exists():
            self._ingest(region)
            made = {
                name: self.figures[name]
                for name in ("resources", "ingest_resources_per_second", "start_seconds")
            }
            done.write_text(json.dumps(made))
        self.figures |= json.loads(done.read_text())

    def _ingest(self, region) -> None:
        """Bundles are made before the clock runs; more than the token's lifetime needs fresh tokens."""
        made = patient_bundles(region, resources_per_patient=RESOURCES_PER_PATIENT)
        encode = msgspec.json.Encoder().encode
        count, seconds = 0, 0.0
        for chunk in iter(lambda: list(itertools.islice(made, 400)), []):
            bodies = [encode(bundle) for bundle in chunk]
            count += sum(len(bundle["entry"]) for bundle in chunk)
            token = self.client.token()
            requests = iter([prepared("POST", "/fhir", token, body) for body in bodies])
            done = run("127.0.0.1", self.port, 4, 600, lambda _, shared=requests: shared)
            if done.errors:
                sys.exit(f"the hub refused bundles: {done.errors[:3]}")
            seconds += done.seconds
            rate = count / seconds
            print(f"ingested {count} resources, {rate:.0f}/s", flush=True)
        self.figures["ingest_resources_per_second"] = round(count / seconds)
        self.figures["resources"] = count

    def _size(self, hub) -> None:
        with hub.store.transaction() as transaction:
            size, rows = transaction.rows(
                "SELECT (SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s) name),"
                " (SELECT count(*) FROM resource) + (SELECT count(*) FROM resource_history)",
                (
                    [
                        "resource",
                        "resource_history",
                        "token_entry",
                        "data_key",
                        "patient_record",
                        "identity_key",
                    ],
                ),
            )[0]
            parts = transaction.rows(
                "SELECT c.relname, pg_relation_size(c.oid) FROM pg_class c"
                " WHERE c.relkind IN ('r', 'i') AND c.relnamespace = 'public'::regnamespace ORDER BY 2 DESC LIMIT 8"
            )
        self.figures["bytes_per_resource"] = round(size / rows)
        print(
            "bytes a resource: " + ", ".join(f"{name} {bytes_ / rows:.0f}" for name, bytes_ in parts),
            flush=True,
        )

    def _large(self, region) -> None:
        """One record of many resources, of somebody who is in the region already and has another record now."""
        made = next(patient_bundles(region, resources_per_patient=LARGE_PATIENT))
        body = msgspec.json.encode(made)
        connection = Connection("127.0.0.1", self.port)
        status, said = connection.exchange(prepared("POST", "/fhir", self.client.token(), body))
        connection.close()
        if status != 200:
            sys.exit(f"the hub refused a large bundle: {said[:300]!r}")
        location = json.loads(said)["entry"][0]["response"]["location"]
        self.large_patient = location.split("/")[-3]

    def _search(self, hub) -> None:
        with hub.store.transaction() as transaction:
            patients = [row[0] for row in transaction.rows("SELECT patient_id FROM patient_record")]
            ids = transaction.rows(
                "SELECT id FROM resource TABLESAMPLE SYSTEM (20) WHERE type = %s LIMIT 2000",
                (type_code("Observation"),),
            )
        searches = Searches(self.port, self.client.token, patients, self.seconds, self.figures)
        searches.measure()
        searches.large(self.large_patient)
        searches.patched([row[0] for row in ids])

    def _read(self, hub) -> None:
        with hub.store.transaction() as transaction:
            transaction.run("ANALYZE")
            transaction.commit()
            patients = [row[0] for row in transaction.rows("SELECT patient_id FROM patient_record")]
            ids = transaction.rows(
                "SELECT id FROM resource TABLESAMPLE SYSTEM (20) WHERE type = (SELECT type FROM resource"
                " GROUP BY type ORDER BY count(*) DESC LIMIT 1) LIMIT 5000"
            )
        chooser = random.Random(7)

        def reads(_: int):
            token = self.client.token()
            while True:
                yield prepared("GET", f"/fhir/Observation/{chooser.choice(ids)[0]}", token)

        def searches(_: int):
            token = self.client.token()
            while True:
                patient = chooser.choice(patients)
                yield prepared(
                    "GET", f"/fhir/Observation?patient=Patient/{patient}&_sort=-date&_count=50", token
                )

        def everything(_: int):
            token = self.client.token()
            while True:
                yield prepared("GET", f"/fhir/Patient/{chooser.choice(patients)}/$everything", token)

        loads = {"read": (reads, CLIENTS), "search_alone": (searches, 1), "search": (searches, CLIENTS),
                 "everything": (everything, 1)}  # fmt: skip
        done = {}
        for name, (requests, clients) in loads.items():
            run("127.0.0.1", self.port, clients, 2, requests)
            done[name] = run("127.0.0.1", self.port, clients, self.seconds, requests)
            if done[name].errors:
                sys.exit(f"{name}: the hub refused: {done[name].errors[:3]}")
            print(f"{name}: {done[name].per_second:.0f}/s p50 {done[name].percentile_ms(0.5):.2f} ms"
                  f" p99 {done[name].percentile_ms(0.99):.2f} ms", flush=True)  # fmt: skip
        self.figures |= {
            "read_per_second": round(done["read"].per_second),
            "patient_search_p50_ms": round(done["search_alone"].percentile_ms(0.5), 2),
            "patient_search_p99_ms": round(done["search"].percentile_ms(0.99), 2),
            "patient_search_per_second": round(done["search"].per_second),
            "everything_p95_ms": round(done["everything"].percentile_ms(0.95), 2),
        }

    def _consents(self, hub, region) -> None:
        """Another facility asks for records of this one."""
        asking = peru.organization_id(region.tertiary.renipress)
        (self.folder / "asking.pem").unlink(missing_ok=True)
        jwks = make_client_key(self.folder / "asking.pem")
        scopes = parse_scopes("system/*.rs") or ()
        client = Client("asking", "asking", asking, "system", scopes, ("TREAT",), "asking-", jwks)
        hub.spine.operate("clients register asking", lambda tx: register(tx, client))
        asker = FhirClient(settings().base_url, "asking", self.folder / "asking.pem", "system/*.rs")
        with hub.store.transaction() as transaction:
            patients = [
                row[0]
                for row in transaction.rows(
                    "SELECT min(p.patient_id) FROM patient_record p WHERE EXISTS (SELECT 1 FROM resource r"
                    " WHERE r.compartment = p.compartment AND r.type = %s)"
                    " GROUP BY p.person HAVING count(*) = 1 ORDER BY 1 LIMIT 60",
                    (type_code("Observation"),),
                )
            ]
        ConsentCost(hub, self.port, self.client.token, asker.token, asking, self.figures).measure(patients)

    def _rss(self) -> None:
        """The largest server process, by what the kernel holds resident for it."""
        listed = subprocess.run(["ps", "-eo", "rss,args"], capture_output=True, text=True, check=True).stdout
        sizes = [int(line.split()[0]) for line in listed.splitlines() if "-m exchange.serve" in line]
        self.figures["worker_rss_mb"] = round(max(sizes, default=0) / 1024)


if __name__ == "__main__":
    main()
