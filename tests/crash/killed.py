"""A hub of several processes on a PostgreSQL of its own, any of which can be killed with -9 and started again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg2

from exchange.embedded import EmbeddedPostgres
from exchange.problems import Unavailable

READY_SECONDS = 90
KINDS = ("hub process", "hub", "worker", "postgres", "backend", "everything")
WEIGHTS = (5, 2, 3, 3, 4, 2)


class Killed:
    """The processes: `exchange serve` with two workers, `exchange work`, PostgreSQL with the durability of a hub."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ch"))
        self.folder.chmod(0o711)
        self.cluster = EmbeddedPostgres(self.folder / "pg")
        self.cluster.start()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.environment = {name: told for name, told in os.environ.items() if not name.startswith("EXCHANGE_")} | {
            "EXCHANGE_DATABASE_URL": self.cluster.url, "EXCHANGE_PORT": str(self.port), "EXCHANGE_WORKERS": "2",
            "EXCHANGE_MODE": "demo", "EXCHANGE_ROOT_KEY_FILE": str(self.folder / "root.key"),
            "EXCHANGE_CHECKPOINT_SECONDS": "1", "EXCHANGE_DATA_FOLDER": str(self.folder / "data"),
            "EXCHANGE_REFUSALS_PER_MINUTE": "1000000", "EXCHANGE_DISTINCT_VALUES_PER_HOUR": "0",
            "EXCHANGE_BASE_URL": f"http://127.0.0.1:{self.port}",
        }  # fmt: skip
        self._chance = random.Random(11)
        self._log = (self.folder / "log").open("ab")
        self.server = self.worker = None

    def start(self) -> None:
        """Start whatever does not run, and wait until the hub answers."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            with suppress(Unavailable, psycopg2.Error, OSError):
                self.cluster.start()
                if self.server is None or self.server.poll() is not None:
                    self.server = self._run("serve")
                if self.worker is None or self.worker.poll() is not None:
                    self.worker = self._run("work")
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"the hub does not come back: {(self.folder / 'log').read_text()[-800:]}"
                )
            time.sleep(0.1)
        if self.worker is None or self.worker.poll() is not None:
            self.worker = self._run("work")

    def kill(self) -> str:
        """Kill one of them, or all; which kind it was."""
        kind = self._chance.choices(KINDS, WEIGHTS)[0]
        postmaster = self._postmaster()
        server, worker = (each.pid if each else 0 for each in (self.server, self.worker))
        targets = {
            "hub process": self._chance.sample(_children(server), 1) if _children(server) else [server],
            "hub": [server],
            "worker": [worker],
            "postgres": [postmaster],
            "backend": self._backends(),
            "everything": [server, *_children(server), worker, postmaster, *_children(postmaster)],
        }[kind]
        for pid in targets:
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for process in (self.server, self.worker):
            if process is not None and process.pid in targets:
                process.wait()
        return kind

    def close(self) -> None:
        for process in (self.server, self.worker):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(30)
        self._log.close()
        self.cluster.stop("immediate")
        shutil.rmtree(self.cluster.folder, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, word: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "exchange"), word],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def _postmaster(self) -> int:
        try:
            return int((self.cluster.data / "postmaster.pid").read_text().split("\n")[0])
        except (OSError, ValueError):
            return 0

    def _backends(self) -> list[int]:
        """One backend that works for the hub, where one is found in time."""
        for _ in range(40):
            found = [pid for pid in _children(self._postmaster()) if b"chasqui chasqui" in _words(pid)]
            if found:
                return self._chance.sample(found, 1)
            time.sleep(0.05)
        return []


def _children(parent: int) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/stat") if parent else ():
        with suppress(OSError):
            if int(place.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(place.parent.name))
    return found


def _words(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
