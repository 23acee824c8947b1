"""A hub as it runs: its own server process on a free port, clients with their own keys, HTTP in between."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from exchange.authentication.registration import Client, register, set_active
from exchange.crypto.roots.choice import open_root
from exchange.demo.client import FhirClient, make_client_key
from exchange.requester import parse_registered_scopes
from exchange.settings import Settings, settings
from exchange.store.hub import open_store, prepare_keys
from tests.passage.world import PREFIXES, World
from tests.sample.database import Server
from tests.sample.requester import EVERY_SCOPE, HOSPITAL, INSTITUTE, POST
from tests.simulators.transit import TransitServer

MAX_BODY_BYTES = 2_000_000
BODY_TIMEOUT_SECONDS = 5
START_SECONDS = 60


@dataclass
class LiveHub:
    """One served hub. `world` is a second way into the same database, beside the server."""

    url: str
    folder: Path
    world: World
    clients: dict[str, FhirClient] = field(default_factory=dict)
    pid: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    """The settings that a command needs to work on this hub."""
    root: TransitServer | None = None
    """The key server that keeps the root of a hub in production."""

    @property
    def fhir(self) -> str:
        return f"{self.url}/fhir"

    def enter(self, client_id: str, organization: str, scopes: str = EVERY_SCOPE, **more: Any) -> FhirClient:
        """Register a client and give it back with its key."""
        granted = parse_registered_scopes(scopes)
        assert granted is not None
        key = self.folder / f"{client_id}.pem"
        jwks = more.pop("jwks", None) or make_client_key(key)
        told: dict[str, Any] = {
            "role": "system", "purposes": ("TREAT",), "id_prefix": f"{client_id.replace('-', '').replace('.', '')[:18]}x-",
        } | more  # fmt: skip
        client = Client(client_id, client_id, organization, scopes=granted, jwks=jwks, **told)
        self.world.spine.operate(f"clients register {client_id}", lambda tx: register(tx, client))
        asked = FhirClient(self.url, client_id, key, scopes) if key.exists() else None
        if asked is not None:
            if client_id in self.clients:
                self.clients[client_id].close()
            self.clients[client_id] = asked
        return asked  # type: ignore[return-value]

    def suspend(self, client_id: str, *, back: bool = False) -> None:
        self.world.spine.operate(
            "clients suspend", lambda tx: set_active(tx, client_id, is_active=back) and None
        )

    def http(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request without any token of its own."""
        with httpx.Client(trust_env=False, timeout=60) as client:
            return client.request(method, path if path.startswith("http") else self.url + path, **more)


@contextmanager
def live_hub(server: Server, **environment: str) -> Iterator[LiveHub]:
    """Serve a new hub until the block ends, with further settings of its own."""
    with ExitStack() as stack:
        url = stack.enter_context(server.clone())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chhub")))
        key_server = TransitServer(folder)
        stack.callback(key_server.close)
        rooted = _root_environment(key_server, folder, environment)
        root = open_root(_settings(rooted))
        prepare_keys(url, settings(), root)
        store = open_store(url, settings(), root)
        stack.callback(store.close)
        port = _free_port()
        pid = stack.enter_context(_served(url, port, folder / "log", rooted | environment))
        hub = LiveHub(f"http://127.0.0.1:{port}", folder, World(store, url), pid=pid)
        hub.root, hub.environment = key_server, {"EXCHANGE_DATABASE_URL": url, **rooted}
        stack.callback(lambda: [each.close() for each in hub.clients.values()])
        for name, organization in (("posta", POST), ("hospital", HOSPITAL), ("instituto", INSTITUTE)):
            hub.enter(name, organization, id_prefix=PREFIXES[organization])
        hub.enter(
            "administrator",
            "geresa",
            "system/AuditEvent.rs system/Organization.crus",
            role="administrator",
            id_prefix="geresa-",
        )
        yield hub


def _root_environment(key_server: TransitServer, folder: Path, asked: dict[str, str]) -> dict[str, str]:
    """The settings of the root: a file for a demonstration, a key server for a hub in production, or as asked."""
    if "EXCHANGE_ROOT_PROVIDER" in asked:
        return {
            name: told
            for name, told in asked.items()
            if name.startswith(("EXCHANGE_ROOT", "EXCHANGE_PKCS11"))
        }
    if asked.get("EXCHANGE_MODE") == "demo":
        return {"EXCHANGE_MODE": "demo", "EXCHANGE_ROOT_KEY_FILE": str(folder / "root.key")}
    return key_server.environment


def _settings(environment: dict[str, str]) -> Settings:
    return Settings(**{name.removeprefix("EXCHANGE_").lower(): told for name, told in environment.items()})


@contextmanager
def _served(url: str, port: int, log: Path, more: dict[str, str]) -> Iterator[int]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")} | {
        "EXCHANGE_DATABASE_URL": url, "EXCHANGE_PORT": str(port),
        "EXCHANGE_CLIENT_CACHE_SECONDS": "1", "EXCHANGE_WORKERS": "1", "EXCHANGE_DISTINCT_VALUES_PER_HOUR": "0",
        "EXCHANGE_MAX_BODY_BYTES": str(MAX_BODY_BYTES), "EXCHANGE_REFUSALS_PER_MINUTE": "1000000",
        "EXCHANGE_BODY_TIMEOUT_SECONDS": str(BODY_TIMEOUT_SECONDS), **more,
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "exchange.app:create_app",
        "--factory",
        "--http",
        "exchange.rest.wire:BoundedHttp",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, cwd=Path(__file__).parents[2]
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _is_ready(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield process.pid
        finally:
            process.terminate()
            process.wait(20)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
