"""Prints the memory of `adapter run` for each kind of source, at rest and reading: `python -m tests.adapters.memory`."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from adapters.hl7v2.framing import frame
from adapters.sender.client_key import make_client_key
from adapters.settings import read_settings
from tests.adapters.bulk import a_large_document, write_his
from tests.adapters.conftest import GOLDEN, write_site

NOBODY = "http://127.0.0.1:9/fhir"
REST_SECONDS = 2
STEADY_SECONDS = 6
MOST_SECONDS = 300


def measure(kind: str, what: str, put: Callable[[Path, int], None] | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_site(Path(folder), NOBODY, kind, "II-1")
        settings = read_settings(path, {})
        make_client_key(settings.data_folder)
        command = [sys.executable, "-m", "adapters.cli", "run", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
            first = child.stdout.readline()
            time.sleep(REST_SECONDS)
            rest = megabytes(child.pid, "VmRSS")
            if put is not None:
                put(settings.source_folder, int(first.rsplit(":", 1)[-1]) if kind == "hl7v2-mllp" else 0)
                until_steady(settings.data_folder)
            most = megabytes(child.pid, "VmHWM")
            child.terminate()
        print(f"{kind}: {rest:.0f} MB at rest; {most:.0f} MB at most, {what}", flush=True)


def until_steady(folder: Path) -> None:
    """Until nothing has been written to the outbox for a while."""
    deadline, size, since = time.monotonic() + MOST_SECONDS, -1, time.monotonic()
    while time.monotonic() < min(deadline, since + STEADY_SECONDS) or size < 0:
        now = sum(each.stat().st_mtime_ns + each.stat().st_size for each in folder.glob("outbox.sqlite*"))
        if now != size:
            size, since = now, time.monotonic()
        time.sleep(0.2)


def megabytes(pid: int, name: str) -> float:
    text = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(next(line for line in text.splitlines() if line.startswith(name)).split()[1]) / 1000


def send(_: Path, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(frame(a_large_document(5_000_000)))
        connection.recv(10_000)


def main() -> None:
    measure("his-trama", "reading 100,000 rows", lambda folder, _: write_his(folder, 33_334, rows_each=3))
    measure("hl7v2-mllp", "taking a message of 5 MB", send)
    measure(
        "hl7v2-folder", "reading a message of 5 MB",
        lambda folder, _: (folder / "m.hl7").write_bytes(a_large_document(5_000_000)) and None,
    )  # fmt: skip
    content = (GOLDEN / "institute.xml").read_bytes()
    measure("ccda-folder", "one document", lambda folder, _: (folder / "d.xml").write_bytes(content) and None)
    measure("eqhali-folder", "nothing read", None)


if __name__ == "__main__":
    main()
