"""A witness's door: one address, bounded in bytes, in time and in callers at a time.

Spec:    https://c2sp.org/tlog-witness, add-checkpoint
Leaves:  what is answered to judgement; https to the proxy in front of it.
"""

from __future__ import annotations

import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from typing import Any, Final

from exchange.problems import Problem
from exchange.witness.judgement import MOST_BODY_BYTES, TEXT_TYPE, Verdict, Witness

LOG: Final = logging.getLogger("exchange.witness")
PLACE: Final = "/add-checkpoint"
MOST_CALLERS: Final = 64
MOST_SECONDS: Final = 10.0
MOST_DIGITS: Final = 9
_NAMES: Final = {200: "cosigned", 409: "at another size", 422: "NOT GROWN: a fork, or a restored log"}


class WitnessServer(ThreadingHTTPServer):
    """Serves one witness. A caller beyond the bound is turned away; one that dawdles is cut off."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, address: tuple[str, int], witness: Witness, most_seconds: float = MOST_SECONDS
    ) -> None:
        super().__init__(address, Door)
        self.witness = witness
        self._most_seconds = most_seconds
        self._callers = threading.BoundedSemaphore(MOST_CALLERS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a caller, if there is room."""
        if not self._callers.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a caller within the time that a whole connection has: one letter a second would last for hours."""
        cut = threading.Timer(self._most_seconds, _cut, (request,))
        cut.daemon = True
        cut.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            cut.cancel()
            self._callers.release()

    def handle_error(self, *_: Any) -> None:
        """A connection that broke is no concern of anybody's."""
        LOG.info("E-341 a caller's connection ended early")


class Door(BaseHTTPRequestHandler):
    """Answers POST to one path; everything else is refused without a look at its body."""

    protocol_version = "HTTP/1.1"
    server: WitnessServer
    timeout = MOST_SECONDS
    server_version = "chasqui-witness"
    sys_version = ""

    def do_POST(self) -> None:
        """Judge what is handed in."""
        if self.path != PLACE:
            self._answer(Verdict(404, "there is nothing here\n"), is_last=True)
            return
        length = self.headers.get("Content-Length", "")
        if (
            self.headers.get("Transfer-Encoding")
            or not (length.isascii() and length.isdigit())
            or len(length) > MOST_DIGITS
        ):
            self._answer(Verdict(411, "a length is needed\n"), is_last=True)
            return
        if int(length) > MOST_BODY_BYTES:
            self._answer(Verdict(413, "the request is too large\n"), is_last=True)
            return
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            self.close_connection = True
            return
        started = time.monotonic()
        try:
            verdict = self.server.witness.add_checkpoint(body)
        except Problem as problem:
            LOG.error("E-342 the witness cannot judge: %s", type(problem).__name__)  # noqa: TRY400
            verdict = Verdict(503, "the witness cannot answer now\n")
        LOG.info(
            "E-343 answered %d, %s, in %d ms",
            verdict.status, _NAMES.get(verdict.status, "refused"), (time.monotonic() - started) * 1000,
        )  # fmt: skip
        self._answer(verdict)

    def do_GET(self) -> None:
        """Refuse: a witness has nothing to show here."""
        self._answer(Verdict(405, "hand heads in by POST\n"), is_last=True)

    def _answer(self, verdict: Verdict, *, is_last: bool = False) -> None:
        text = verdict.text.encode()
        self.send_response(verdict.status)
        self.send_header("Content-Type", verdict.media_type or TEXT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        if is_last:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the standard library's name
        """Log nothing of a request's own text."""


def _cut(connection: socket) -> None:
    try:
        connection.shutdown(SHUT_RDWR)
    except OSError:
        return
