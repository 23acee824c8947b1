"""`exchange demo`: seven facilities' records in, a hospital's question answered, for real.

Everything runs as it does in a region: an own database, hub and worker processes, seven adapters with their own
keys and sources, HTTPS replaced by loopback. The region is invented.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from exchange.authentication.registration import Client, register
from exchange.demo.births import write_births
from exchange.demo.bundles import organizations
from exchange.demo.ccda import write_documents
from exchange.demo.client import FhirClient, make_client_key
from exchange.demo.eqhali import CENTER, write_fuas
from exchange.demo.fhir_resources import FHIR_SITE, RESOURCES, write_resources
from exchange.demo.galenhos import HOSPITAL, write_database
from exchange.demo.history import LIMA
from exchange.demo.hl7v2 import messages, send_over_mllp
from exchange.demo.images import ARCHIVE, ARCHIVE_SITE, write_archive
from exchange.demo.people_sign_in import make_people
from exchange.demo.processes import Processes, command, require_free, wait_until_ready
from exchange.demo.processes import run as run_command
from exchange.demo.question import ASKING_SCOPE, AUDIT_SCOPE, FILING_SCOPE, Question
from exchange.demo.region import Region, build_region
from exchange.demo.site import Site
from exchange.demo.sources import Sources
from exchange.demo.trama import write_trama
from exchange.fhir import peru
from exchange.hub import Hub, embedded, open_hub, prepare
from exchange.problems import Problem, Unavailable
from exchange.requester import Role, parse_scopes
from exchange.settings import Settings, settings

REFERENCE_DATE: Final = date(2026, 6, 30)
MLLP_PORT: Final = 2575
SOURCES_PORT: Final = 8790
DELIVERY_SECONDS: Final = 900
PROGRESS_SECONDS: Final = 3
_LOOK_SECONDS: Final = 1.5  # looking costs a process for each site, on the cores that deliver
_AT_ONCE: Final = 2
CLINIC_SCOPE: Final = "system/*.cruds"


def run(*, people: int, seed: int, is_once: bool, folder: Path) -> int:
    """Run the demonstration; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    demonstration = Demonstration(people, seed, folder.resolve(), is_quiet=False)
    try:
        result = demonstration.show()
        if is_once:
            print(json.dumps(result))  # noqa: T201 - the last line is for programs
            return 0
        demonstration.invite()
        while True:
            demonstration.processes.require_running()
            time.sleep(0.5)
    except KeyboardInterrupt:
        return 0
    finally:
        demonstration.stop()


class Demonstration:
    """The demonstration in its steps. `stop` ends whatever was started."""

    def __init__(self, people: int, seed: int, folder: Path, *, is_quiet: bool) -> None:
        self.out = Console(stderr=True, soft_wrap=True, highlight=False, quiet=is_quiet)
        self.folder = folder
        self.people, self.seed = people, seed
        self.region: Region = build_region(seed=seed, people=people, reference_date=REFERENCE_DATE)
        self.sites = (
            Site("primary", self.region.primary.renipress),
            Site("secondary", self.region.secondary.renipress),
            Site("tertiary", self.region.tertiary.renipress),
            Site("eqhali", CENTER.renipress),
            Site("galenhos", HOSPITAL.renipress),
            Site("dicomweb", ARCHIVE_SITE.renipress),
            Site("fhir", FHIR_SITE.renipress),
        )
        self.question = Question(self.region, self._client)
        self.processes = Processes(folder / "log")
        self.mllp_port = int(os.environ.get("ADAPTER_MLLP_PORT", MLLP_PORT))
        self.sources_port = int(os.environ.get("DEMO_SOURCES_PORT", SOURCES_PORT))
        self.sources: Sources | None = None
        self.delivered: dict[str, int] = {}
        self.started = time.monotonic()
        self.settings = self._settings()
        self.hub: Hub | None = None
        self.credentials: dict[str, str] = {}
        self.credentials_of_people: list[tuple[str, str, str]] = []

    def show(self) -> dict[str, Any]:
        """All six steps; the figures of the last line."""
        require_free(self.settings.port, "EXCHANGE_PORT")
        require_free(self.mllp_port, "ADAPTER_MLLP_PORT")
        require_free(self.sources_port, "DEMO_SOURCES_PORT")
        self._step("1/6 database, keys and clients", self._prepare)
        self._step("2/6 hub", self._serve)
        self._step(f"3/6 an invented La Libertad of {self.people} people", self._invent)
        self._step("4/6 seven adapters deliver", self._deliver)
        answers = self._step("5/6 the regional hospital asks for one person", self._ask)
        self.question.tell(self.out, answers)
        figures = self._figures(answers)
        self.out.print(f"6/6 the log is verified: {figures['audit_events']} events\n")
        return figures

    def invite(self) -> None:
        """How to go on: the address, credentials, and requests that work when pasted."""
        url = self.settings.base_url
        token = f"{command('exchange')} demo-token --folder {self.folder}"
        dni, patient = self.question.dni, self.credentials["patient"]
        (self.folder / "url").write_text(url)
        self.out.print(
            f"""[bold]The hub runs at {url}[/bold] (Ctrl-C ends everything). In another terminal:

  TOKEN=$({token} regional-hospital)
  curl -s {url}/fhir/metadata | head -c 300
  curl -s -H "Authorization: Bearer $TOKEN" "{url}/fhir/Patient?identifier={peru.DNI_SYSTEM}%7C{dni}&_pretty=true"
  curl -s -H "Authorization: Bearer $TOKEN" "{url}/fhir/Condition?patient={patient}&_pretty=true"
  curl -s -H "Authorization: Bearer $({token} administrator)" \\
       "{url}/fhir/AuditEvent?_sort=-date&_count=3&_pretty=true"
"""
        )
        for username, role, password in self.credentials_of_people:
            self.out.print(f"  person [bold]{username}[/bold] ({role}), password of this run: {password}")
        if self.credentials_of_people:
            program = command("exchange")
            self.out.print(f"""
  {program} demo-sign-in --folder {self.folder}          # plays an app: sign in with a browser, see the token
  {program} demo-code medica --folder {self.folder}      # plays the phone: the six digits that it shows now
""")

    def stop(self) -> None:
        """End every process that was started, and the embedded database."""
        self.processes.stop()
        if self.sources is not None:
            self.sources.stop()
        if self.hub is not None:
            self.hub.store.close()
        if self.settings.database_url is None:
            embedded(self.settings).stop()

    def _settings(self) -> Settings:
        os.environ.setdefault("EXCHANGE_MODE", "demo")
        # One machine plays the whole region at once: it asks faster than any client does.
        for name in ("REQUESTS_PER_MINUTE", "TOKEN_REQUESTS_PER_MINUTE", "DISTINCT_VALUES_PER_HOUR"):
            os.environ.setdefault(f"EXCHANGE_{name}", "0")
        os.environ.setdefault("EXCHANGE_DATA_FOLDER", str(self.folder / "hub"))
        settings.cache_clear()
        return settings()

    def _step(self, text: str, act: Callable[[], Any]) -> Any:
        self.out.print(f"{text} …")
        began = time.monotonic()
        done = act()
        self.out.print(f"    [dim]{time.monotonic() - began:.1f} s[/dim]")
        return done

    def _prepare(self) -> None:
        if prepare(self.settings) and self.settings.mode == "demo":
            self.out.print(
                "    [yellow]DEMO: the root key lies in a file. A production hub refuses it.[/yellow]"
            )
        self.hub = open_hub(self.settings)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            keys = list(pool.map(self._public_key, self.sites))
        for site, public in zip(self.sites, keys, strict=True):
            organization = peru.organization_id(site.renipress)
            self._enter(
                site.client_id,
                organization,
                "system",
                "system/*.cru",
                f"{site.id_prefix}-",
                public,
            )
            self._register_own(
                f"desk-{site.name}",
                peru.organization_id(site.renipress),
                "system",
                FILING_SCOPE,
                f"desk{site.name}-",
            )
        # For whoever tries the API: may do everything, among the primary post's records.
        own = peru.organization_id(self.region.primary.renipress)
        self._register_own("clinic", own, "system", CLINIC_SCOPE, "clinic-")
        asking = peru.organization_id(self.region.asking.renipress)
        self._register_own("regional-hospital", asking, "system", ASKING_SCOPE, "hospital-")
        if self.settings.has_own_provider:
            self.credentials_of_people = make_people(self.hub, self.folder, asking)
        self._register_own("administrator", "ipress-geresa", "administrator", AUDIT_SCOPE, "ipress-")

    def _public_key(self, site: Site) -> dict[str, Any]:
        told = run_command([command("adapter"), "keys", str(site.file)], self._environment(site))
        found: dict[str, Any] = json.loads(told)
        return found

    def _register_own(self, client_id: str, organization: str, role: Role, scopes: str, prefix: str) -> None:
        jwks = make_client_key(self.folder / "clients" / f"{client_id}.pem")
        self._enter(client_id, organization, role, scopes, prefix, jwks)

    def _enter(
        self, client_id: str, organization: str, role: Role, scopes: str, prefix: str, jwks: dict[str, Any]
    ) -> None:
        granted = parse_scopes(scopes)
        if granted is None or self.hub is None:
            raise Unavailable("the demonstration's own registration is malformed")
        client = Client(client_id, client_id, organization, role, granted, ("TREAT",), prefix, jwks)
        self.hub.spine.operate(f"clients register {client_id}", lambda tx: register(tx, client))

    def _serve(self) -> None:
        # This folder's settings stand in the environment; the hub's processes read them there.
        self.processes.start("hub", [command("exchange"), "serve"], {})
        self.processes.start("worker", [command("exchange"), "work"], {})
        wait_until_ready(self.settings.base_url, self.processes)
        administrator = self._client("administrator", AUDIT_SCOPE)
        for organization in organizations(self.region):
            answer = administrator.request("PUT", f"Organization/{organization['id']}", body=organization)
            if answer.is_error:
                raise Unavailable(f"the hub refused an Organization with status {answer.status_code}")
        administrator.close()

    def _invent(self) -> None:
        mark = self._mark("written")
        if mark.exists():
            return
        write_trama(self.region, self._source("primary"), "both")
        write_births(self.region, self._source("primary"))
        write_documents(self.region, self._source("tertiary"))
        write_fuas(self.region, self._source("eqhali"))
        write_database(self.region, self._source("galenhos"))
        write_archive(self.region, self._source("dicomweb"), datetime.now(LIMA).date())
        write_resources(self.region, self._source("fhir"))
        mark.touch()

    def _deliver(self) -> None:
        self.sources = Sources(self.sources_port)
        self.sources.start(self._source("dicomweb") / ARCHIVE, self._source("fhir") / RESOURCES)
        for site in self.sites:
            self.processes.start(f"adapter-{site.name}", [command("adapter"), "run", str(site.file)],
                                 self._environment(site))  # fmt: skip
        sent, delivered = self._mark("sent"), self._mark("delivered")
        if not sent.exists():
            self._send_messages()
            sent.touch()
        states = self._wait_until_quiet(times=1 if delivered.exists() else 2)
        delivered.touch()
        for site, state in zip(self.sites, states, strict=True):
            self.delivered[site.name] = state["applied"]
            self.out.print(
                f"    {site.name:9} {state['applied']} records applied, {state['quarantined']} in quarantine"
            )

    def _wait_until_quiet(self, times: int) -> list[dict[str, Any]]:
        """Wait until nothing waits in any outbox, so many times in a row; the state of each."""
        deadline = time.monotonic() + DELIVERY_SECONDS
        told, quiet = time.monotonic(), 0
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while time.monotonic() < deadline:
                self.processes.require_running()
                states = list(pool.map(self._status, self.sites))
                is_quiet = all(state["applied"] and not state["pending"] for state in states)
                quiet = quiet + 1 if is_quiet else 0
                if quiet >= times:
                    return states
                if not is_quiet and time.monotonic() > told + PROGRESS_SECONDS:
                    told = time.monotonic()
                    applied, waiting = (sum(state[key] for state in states) for key in ("applied", "pending"))
                    self.out.print(f"    {applied} records applied, {waiting} waiting")
                time.sleep(_LOOK_SECONDS)
        raise Unavailable("the adapters did not deliver in time; see the logs")

    def _mark(self, step: str) -> Path:
        """A file that says that a step was done for this region."""
        return self.folder / "region" / f"{self.seed}-{self.people}-{step}"

    def _send_messages(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                done = send_over_mllp("127.0.0.1", self.mllp_port, messages(self.region))
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise Unavailable("the secondary adapter does not listen; see its log") from None
                self.processes.require_running()
                time.sleep(0.1)
                continue
            codes = ", ".join(f"{code} {count}" for code, count in sorted(done.codes.items()))
            self.out.print(f"    {done.sent} HL7 messages sent over MLLP: {codes}")
            return

    def _ask(self) -> dict[str, Any]:
        answers = self.question.ask(f"desk{self.sites[0].name}-demonstration")
        patients = answers["permitted"]["patients"]
        self.credentials["patient"] = patients[0]["id"] if patients else ""
        return answers

    def _figures(self, answers: dict[str, Any]) -> dict[str, Any]:
        verified = json.loads(run_command([command("exchange"), "audit", "verify", "--json"], {}))
        if self.hub is None:
            raise Unavailable("the hub is not open")
        with self.hub.store.transaction() as transaction:
            facilities, patients, resources = transaction.rows(
                "SELECT (SELECT count(DISTINCT custodian) FROM patient_record), (SELECT count(*) FROM patient_record),"
                " (SELECT count(*) FROM resource WHERE NOT is_deleted)"
            )[0]
            linked = transaction.rows(
                "SELECT count(*) FROM (SELECT person FROM patient_record GROUP BY person HAVING count(*) > 1) shared"
            )[0][0]
        return {
            "sources": self._patients_by_source(),
            "facilities": facilities,
            "people": self.people,
            "source_patients": patients,
            "persons_linked": linked,
            "resources": resources,
            "shared_history_resources": len(answers["permitted"]["history"]),
            "shared_history_without_consent": len(answers["without"]["history"]),
            "audit_events": verified["events"],
            "audit_verified": verified["verified"],
            "seconds": round(time.monotonic() - self.started, 1),
        }

    def _patients_by_source(self) -> dict[str, dict[str, int]]:
        """What each source delivered, and how many patients its own facility finds of it through the door.

        Raises: Unavailable - a source of which nothing arrived.
        """
        found = {}
        for site in self.sites:
            desk = self._client(f"desk-{site.name}", FILING_SCOPE)
            own = f"Organization/{peru.organization_id(site.renipress)}"
            answer = desk.request("GET", "Patient", parameters=[("organization", own), ("_summary", "count")])
            desk.close()
            patients = answer.json().get("total", 0) if answer.is_success else 0
            if not patients:
                raise Unavailable(f"nothing of the source {site.name} is found at the hub")
            found[site.name] = {"records": self.delivered[site.name], "patients": patients}
            self.out.print(f"    {site.name:9} {patients} patients found by the facility itself")
        return found

    def _client(self, client_id: str, scope: str) -> FhirClient:
        return FhirClient(
            self.settings.base_url, client_id, self.folder / "clients" / f"{client_id}.pem", scope
        )

    def _source(self, name: str) -> Path:
        folder = self.folder / "region" / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def _status(self, site: Site) -> dict[str, Any]:
        try:
            text = run_command(
                [command("adapter"), "status", str(site.file), "--json"], self._environment(site)
            )
        except Problem:
            return {"pending": 1, "applied": 0, "quarantined": 0}
        found: dict[str, Any] = json.loads(text)
        return found

    def _environment(self, site: Site) -> dict[str, str]:
        source = self._source(site.name) if site.name != "secondary" else None
        url = f"http://127.0.0.1:{self.sources_port}"
        return site.environment(self.settings.fhir_url, self.folder / "adapters", source, self.mllp_port, url)
