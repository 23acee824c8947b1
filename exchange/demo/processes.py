"""The demonstration's processes: hub, worker, adapters. They end with the demonstration, however it ends.

Leaves:  what they do to the demonstration.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import httpx

from exchange.problems import Unavailable

STOP_SECONDS: Final = 15
READY_SECONDS: Final = 60
_PR_SET_PDEATHSIG: Final = 1


class Processes:
    """What was started, in order; `stop` ends it in the reverse order, by process id."""

    def __init__(self, log_folder: Path) -> None:
        self._log_folder = log_folder
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []
        log_folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def start(self, name: str, arguments: list[str], environment: dict[str, str]) -> None:
        """Start a process whose output goes to a log of its own."""
        with (self._log_folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - this program's own commands
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | environment,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one thread runs here
            )
        self._running.append((name, process))

    def require_running(self) -> None:
        """Check that all of them run. Raises: Unavailable - one ended, with the last line of its log."""
        for name, process in self._running:
            if process.poll() is not None:
                lines = (self._log_folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
                raise Unavailable(f"{name} ended: {lines[-1] if lines else 'it said nothing'}")

    def stop(self) -> None:
        """End all of them, the last one first."""
        for _, process in reversed(self._running):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for _, process in reversed(self._running):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()


def command(name: str) -> str:
    """One of this installation's commands, `exchange` or `adapter`."""
    return str(Path(sys.executable).parent / name)


def run(arguments: list[str], environment: dict[str, str]) -> str:
    """Run a command to its end; its output. Raises: Unavailable - with its last words."""
    done = subprocess.run(  # noqa: S603 - this program's own commands
        arguments, capture_output=True, text=True, check=False, env=os.environ | environment, timeout=120
    )
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(f"{' '.join(arguments[:2])} failed: {words[-1] if words else done.returncode}")
    return done.stdout


def require_free(port: int, what: str) -> None:
    """Check that nobody listens on a port. Raises: Unavailable - with the setting that moves it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Unavailable(f"port {port} is in use; set {what} to another") from None


def wait_until_ready(url: str, processes: Processes) -> None:
    """Wait for the hub's readiness endpoint. Raises: Unavailable."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        processes.require_running()
        try:
            if httpx.get(f"{url}/health/ready", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise Unavailable("the hub did not become ready")


def _end_with_parent() -> None:
    # A demonstration that is killed leaves no processes behind: the kernel tells its children to end.
    library: Any = ctypes.CDLL(None)
    library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
