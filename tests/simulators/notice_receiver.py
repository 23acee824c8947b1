"""Whatever takes a privacy officer's notices, on loopback; it can be told to misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DRIP_SECONDS = 0.2
LONGEST_SECONDS = 20


class NoticeReceiver:
    """Answers POST. `behaviour`: good, created, empty, refuses, fails, redirect, bomb, endless, drip-head, silent, hangs-up."""

    def __init__(self) -> None:
        self.behaviour = "good"
        self.taken: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.asked = 0
        self.redirected = 0
        self.stopped = threading.Event()
        receiver = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_POST(self) -> None:
                try:
                    receiver.answer(self)
                except OSError:
                    return

            def do_GET(self) -> None:
                receiver.redirected += 1

            def log_message(self, *_: Any) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/avisos"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        body = to.rfile.read(int(to.headers.get("Content-Length", "0")))
        behaviour = self.behaviour
        if behaviour == "hangs-up":
            return
        if behaviour == "silent":
            self.stopped.wait(LONGEST_SECONDS)
            return
        if behaviour == "drip-head":
            to.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
            self._drip(to)
            return
        status = {"created": 201, "empty": 204, "refuses": 403, "fails": 500, "redirect": 307}.get(
            behaviour, 200
        )
        if status < 300:
            self.taken.append(json.loads(body))
            self.headers.append(dict(to.headers.items()))
        to.send_response(status)
        if behaviour == "redirect":
            to.send_header("Location", self.url + "/otra")
        to.end_headers()
        if behaviour in ("bomb", "endless"):
            to.wfile.write(b"x" * 5_000_000)
        while behaviour == "endless" and not self.stopped.is_set():
            to.wfile.write(b"x" * 65_536)

    def _drip(self, to: BaseHTTPRequestHandler) -> None:
        until = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < until and not self.stopped.wait(DRIP_SECONDS):
            to.wfile.write(b" ")
            to.wfile.flush()

    def close(self) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


@contextmanager
def notice_receiver() -> Iterator[NoticeReceiver]:
    """Take notices until the block ends."""
    receiver = NoticeReceiver()
    try:
        yield receiver
    finally:
        receiver.close()
