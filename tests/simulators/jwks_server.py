"""A client's server of its public keys, on loopback, that can be told to misbehave; and names that lead where they should not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DRIP_SECONDS = 0.2


class JwksServer:
    """Answers GET with a JWKS. `behaviour`: good, redirect, bomb, endless, drip, drip-head, silent, error, text, zipped."""

    def __init__(self, jwks: object) -> None:
        self.jwks = jwks
        self.behaviour = "good"
        self.asked = 0
        self.stopped = threading.Event()
        server = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                server.asked += 1
                try:
                    server.answer(self)
                except OSError:
                    return

            def log_message(self, *_: Any) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/keys.json"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        body = json.dumps(self.jwks).encode()
        if self.behaviour == "silent":
            self.stopped.wait(20)
            return
        if self.behaviour == "drip-head":
            to.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
            self._drip(to)
            return
        if self.behaviour == "redirect":
            to.send_response(302)
            to.send_header("Location", self.url + "?again")
            to.end_headers()
            return
        to.send_response(500 if self.behaviour == "error" else 200)
        to.send_header("Content-Type", "application/json")
        if self.behaviour == "zipped":
            to.send_header("Content-Encoding", "gzip")
        if self.behaviour == "good":
            to.send_header("Content-Length", str(len(body)))
        to.end_headers()
        if self.behaviour == "drip":
            self._drip(to)
        elif self.behaviour in ("bomb", "endless"):
            to.wfile.write(b'{"keys": [' + b" " * 70_000)
            while self.behaviour == "endless" and not self.stopped.is_set():
                to.wfile.write(b" " * 65_536)
        elif self.behaviour == "text":
            to.wfile.write(b"keys: none")
        elif self.behaviour == "deep":
            to.wfile.write(b"[" * 60_000)
        else:
            to.wfile.write(body)

    def _drip(self, to: BaseHTTPRequestHandler) -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until and not self.stopped.wait(DRIP_SECONDS):
            to.wfile.write(b" ")
            to.wfile.flush()

    def close(self) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


@contextmanager
def jwks_server(jwks: object) -> Iterator[JwksServer]:
    """Serve keys until the block ends."""
    server = JwksServer(jwks)
    try:
        yield server
    finally:
        server.close()
