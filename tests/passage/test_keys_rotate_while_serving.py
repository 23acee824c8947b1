"""Keys are rotated while the hub serves: no request fails, everything reads back, and the old key is gone at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from exchange.demo.client import FhirClient
from exchange.store.key_rotation import TOKEN_REST_SECONDS
from tests.architecture.sources import ROOT
from tests.passage.live_hub import LiveHub, live_hub
from tests.passage.world import patient_of
from tests.sample import softhsm
from tests.sample.requester import EVERY_SCOPE, POST

UNLIMITED = {f"EXCHANGE_{name}": "0" for name in (
    "REQUESTS_PER_MINUTE", "TOKEN_REQUESTS_PER_MINUTE", "CLIENT_TOKENS_PER_MINUTE")}  # fmt: skip


def exchange(hub: LiveHub, *words: str) -> subprocess.CompletedProcess[str]:
    """One of the hub's commands, as an operator types it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
    return subprocess.run(
        [sys.executable, "-c", "from exchange.cli import main; main()", *words], env=environment | hub.environment,
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def done(hub: LiveHub, *words: str) -> str:
    said = exchange(hub, "keys", *words)
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


class Traffic:
    """A writer and a reader over HTTP, each asking for a new token every time, until told to stop."""

    def __init__(self, hub: LiveHub) -> None:
        self.hub = hub
        self.written: list[str] = []
        self.reads = 0
        self.failures: list[str] = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._write, self._read)]

    def __enter__(self):
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for each in self._threads:
            each.join(60)

    def passes(self, requests: int = 15) -> None:
        """Wait until so many further reads and writes were answered."""
        reads, written, deadline = self.reads + requests, len(self.written) + requests, time.monotonic() + 60
        while (self.reads < reads or len(self.written) < written) and time.monotonic() < deadline:
            assert not self.failures, self.failures[:3]
            time.sleep(0.02)
        assert self.reads >= reads

    def _write(self):
        number = 1000
        with closing(self._client()) as client:
            while not self._stopped.is_set():
                number += 1
                patient = patient_of(POST, number)
                if self._asked(client, "PUT", f"Patient/{patient['id']}", 201, body=patient):
                    self.written.append(patient["id"])

    def _read(self):
        with closing(self._client()) as client:
            while not self._stopped.is_set():
                if not self.written:
                    time.sleep(0.01)
                    continue
                self._asked(client, "GET", f"Patient/{self.written[-1]}", 200)
                self._asked(client, "GET", f"Patient/{self.written[self.reads % len(self.written)]}", 200)
                self.reads += 1

    def _client(self) -> FhirClient:
        return FhirClient(self.hub.url, "posta", self.hub.folder / "posta.pem", EVERY_SCOPE)

    def _asked(self, client: FhirClient, method: str, path: str, status: int, **more: object) -> bool:
        client._until = 0.0
        try:
            answer = client.request(method, path, **more)
        except Exception as error:  # noqa: BLE001 - any failure of a request is what is looked for
            self.failures.append(f"{method} {path}: {error!r}")
            return False
        if answer.status_code != status:
            self.failures.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer.status_code == status


def age(hub: LiveHub, purpose: str, seconds: int) -> None:
    with hub.world.sql() as cursor:
        cursor.execute("UPDATE hub_key SET made_at = made_at - %s WHERE purpose = %s AND version = 2",
                       (seconds * 1_000_000, purpose))  # fmt: skip


def test_no_request_fails_while_keys_are_rotated_retired_and_destroyed(server):
    with live_hub(server, **UNLIMITED) as hub, Traffic(hub) as traffic:
        traffic.passes(40)
        assert "version 2 is made" in done(hub, "rotate", "record")
        traffic.passes()
        assert exchange(hub, "keys", "retire", "record", "1").returncode == 1
        assert "nothing lies under an older version" in done(hub, "rewrap")
        traffic.passes()
        done(hub, "retire", "record", "1")
        traffic.passes()
        done(hub, "destroy", "record", "1", "--yes")
        traffic.passes()
        done(hub, "rotate", "token")
        time.sleep(3)  # the hub signs by the new key when every process knows it
        age(hub, "token", TOKEN_REST_SECONDS)
        traffic.passes()
        done(hub, "retire", "token", "1")
        done(hub, "destroy", "token", "1", "--yes")
        traffic.passes()
        assert "version 2 now wraps" in done(hub, "rotate", "root")
        done(hub, "destroy", "root", "1", "--yes", "--without-backup")
        traffic.passes()
        assert exchange(hub, "keys", "destroy", "record", "2").returncode == 2, "nobody is there to be asked"
        state = done(hub, "status")
        assert "root: transit chasqui-root, newest version 2" in state
    assert traffic.failures == []
    assert len(traffic.written) > 100


def test_what_was_written_before_reads_back_after_and_in_a_new_process(server):
    with live_hub(server, **UNLIMITED) as hub:
        with Traffic(hub) as traffic:
            traffic.passes(20)
        done(hub, "rotate", "record", "--wait")
        done(hub, "retire", "record", "1")
        done(hub, "destroy", "record", "1", "--yes")
        client = hub.clients["posta"]
        for patient in traffic.written:
            assert client.request("GET", f"Patient/{patient}").status_code == 200
        with hub.world.sql() as cursor:
            cursor.execute("SELECT DISTINCT wrapping_version FROM data_key")
            assert cursor.fetchall() == [(2,)]
        assert exchange(hub, "audit", "verify").returncode == 0


def test_a_hub_keeps_serving_while_its_key_server_is_away_and_does_not_start(server):
    with live_hub(server, **UNLIMITED) as hub:
        hub.environment["EXCHANGE_TRANSIT_URL"] = "https://127.0.0.1:1"  # nobody is there
        refused = exchange(hub, "keys", "status")
        assert refused.returncode == 3
        assert "the key server does not answer" in refused.stderr
        hub.root.misbehave("sealed")
        with Traffic(hub) as traffic:
            traffic.passes(30)
        assert traffic.failures == []


def test_production_with_a_root_in_a_file_is_refused_with_one_sentence(server):
    with live_hub(server, **UNLIMITED) as hub:
        hub.environment = {"EXCHANGE_DATABASE_URL": hub.environment["EXCHANGE_DATABASE_URL"],
                           "EXCHANGE_ROOT_KEY_FILE": str(hub.folder / "root.key")}  # fmt: skip
        for words in (("migrate",), ("serve",), ("work",), ("keys", "status")):
            refused = exchange(hub, *words)
            assert refused.returncode == 3, words
            assert "set EXCHANGE_ROOT_PROVIDER to pkcs11 or transit (docs/keys.md)" in refused.stderr
            assert "Traceback" not in refused.stderr


@pytest.mark.skipif(not softhsm.IS_HERE, reason=softhsm.WHY_NOT)
def test_a_hub_whose_root_lies_in_a_token(server, tmp_path):
    pin = softhsm.write_pin(tmp_path / "pin")
    rooted = {"EXCHANGE_ROOT_PROVIDER": "pkcs11", "EXCHANGE_PKCS11_MODULE": softhsm.MODULE,
              "EXCHANGE_PKCS11_TOKEN": softhsm.make_token(), "EXCHANGE_PKCS11_PIN_FILE": str(pin)}  # fmt: skip
    with live_hub(server, **UNLIMITED, **rooted) as hub:
        with Traffic(hub) as traffic:
            traffic.passes()
            assert "version 2 now wraps" in done(hub, "rotate", "root")
            traffic.passes()
            done(hub, "destroy", "root", "1", "--yes", "--without-backup")
            done(hub, "rotate", "record", "--wait")
            traffic.passes()
        assert traffic.failures == []
        assert "root: pkcs11 chasqui-root, newest version 2" in done(hub, "status")
        assert exchange(hub, "audit", "verify").returncode == 0, "a new process opens everything"
        pin.write_text("wrong\n")
        refused = exchange(hub, "keys", "status")
        assert refused.returncode == 3
        assert "the token refuses the PIN" in refused.stderr
        assert "wrong" not in refused.stderr
