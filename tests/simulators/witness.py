"""Witnesses on loopback: an honest one, and one that can be told to misbehave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from exchange.audit.cosignature import VerifierKey
from exchange.witness.judgement import Witness
from exchange.witness.server import WitnessServer
from exchange.witness.state import make, open_key, opened


@contextmanager
def honest_witness(
    folder: Path, origin: str, *publics: bytes, name: str = "witness.example/1"
) -> Iterator[tuple[str, VerifierKey]]:
    """A witness that runs until the block ends: where, and by which key."""
    if not (folder / "witness.key").exists():
        make(folder, name)
    key, signer = open_key(folder)
    with (
        opened(folder) as state,
        WitnessServer(("127.0.0.1", 0), Witness(state, key, signer, {origin: publics})) as server,
    ):
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", key
        finally:
            server.shutdown()
            thread.join(5)


class LyingWitness:
    """Answers whatever it is told: `answer` is a status and a body, or silent, drip, endless, hangs-up."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] | str = (200, b"")
        self.asked: list[bytes] = []
        self.stopped = threading.Event()
        witness = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                witness.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
                try:
                    witness.say(self)
                except OSError:
                    return

            def log_message(self, *_: Any) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def say(self, to: BaseHTTPRequestHandler) -> None:
        if self.answer == "hangs-up":
            return
        if self.answer == "silent":
            self.stopped.wait(20)
            return
        status, body = self.answer if isinstance(self.answer, tuple) else (200, b"x" * 65_536)
        to.send_response(status)
        if status == 307:
            to.send_header("Location", self.url + "/other")
        to.end_headers()
        to.wfile.write(body)
        while self.answer in ("endless", "drip") and not self.stopped.wait(
            0.2 if self.answer == "drip" else 0
        ):
            to.wfile.write(b"x" if self.answer == "drip" else body)

    def close(self) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def lying_witness() -> Iterator[LyingWitness]:
    """A witness to misbehave until the block ends."""
    witness = LyingWitness()
    try:
        yield witness
    finally:
        witness.close()
