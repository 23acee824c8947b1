"""One adapter of the torture: its site, its process, killed and started again with a clock that may be wrong."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from adapters.sender.client_key import make_client_key
from adapters.settings import read_settings

SITE = """
[facility]
renipress = "{renipress}"
name = "Establecimiento {name}"
level = "I-3"
[hub]
url = "{url}"
client_id = "adapter-{renipress}"
[storage]
data_folder = "data"
min_free_megabytes = 0
[source]
kind = "{kind}"
folder = "source"
settle_seconds = 0
poll_seconds = 0.5
{more}
[retry]
first_seconds = 0.2
cap_seconds = 3
timeout_seconds = {timeout}
workers = 2
[consent]
mode = "all"
reason = "pacientes inventados"
"""
HOUR = 3600
SKEWS = (0, 0, 0, 0, 0, 0, -10 * 60, 2 * HOUR, -2 * HOUR, 26 * HOUR)


class Adapter:
    """A site and its adapter's process. `port` is where it listens, if it does."""

    def __init__(
        self, folder: Path, name: str, renipress: str, kind: str, url: str, timeout: int, more: str = ""
    ) -> None:
        self.name, self.renipress, self.kind, self.folder = name, renipress, kind, folder
        self.source = folder / "source"
        self.source.mkdir(parents=True, exist_ok=True)
        self.site = folder / "site.toml"
        self.site.write_text(
            SITE.format(renipress=renipress, name=name, kind=kind, url=url, timeout=timeout, more=more),
            "utf-8",
        )
        self.settings = read_settings(self.site, {})
        self.jwks = {"keys": [make_client_key(folder / "data").public_jwk]}
        self.kills = self.skews = 0
        self.port = 0
        self._chance = random.Random(renipress)
        self._log = (folder / "log").open("ab")
        self._lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def organization(self) -> str:
        return f"ipress-{self.renipress}"

    def start(self, skew_seconds: float = 0) -> None:
        """Start the process, and wait until it reads. One that finds no room on its disk is tried again later."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.skewed", "run", str(self.site)],
            stdout=subprocess.PIPE, stderr=self._log, env=os.environ | {"SKEW_SECONDS": str(skew_seconds)},
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line.startswith(b"A-210"):
            self.port = int(line.rpartition(b":")[2])

    def kill(self) -> None:
        """Kill it wherever it is, and start it again, its clock right or wrong."""
        with self._lock:
            self._end(signal.SIGKILL)
            self.kills += 1
            skew = self._chance.choice(SKEWS)
            self.skews += bool(skew)
            self.start(skew)

    def revive(self) -> None:
        """Start it again if it has ended by itself, as its unit would."""
        with self._lock:
            if self.process is not None and self.process.poll() is not None:
                self._end(signal.SIGKILL)
                self.start()

    def set_clock_right(self) -> None:
        with self._lock:
            self._end(signal.SIGTERM)
            self.start()

    def stop(self) -> None:
        with self._lock:
            if self.process is not None:
                self._end(signal.SIGTERM)
                self.process = None
            self._log.close()

    def command(self, *words: str) -> str:
        """What another command of the adapter says of this site."""
        done = subprocess.run(
            [sys.executable, "-m", "adapters.cli", *words], capture_output=True, text=True, check=False
        )
        return done.stdout

    def status(self) -> dict:
        return json.loads(self.command("status", str(self.site), "--json"))

    def _end(self, number: int) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
