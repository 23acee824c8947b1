"""The connection below the door: the head of a request is bounded in size, in lines and in time.

Spec:    RFC 9112 3, RFC 6585 5 (431)
Leaves:  bodies to body.py; everything else of HTTP to uvicorn.

uvicorn gathers whatever comes before the end of a head: 100 MB of short header lines, from anybody, took 2 GB.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 65_536
MAX_HEADERS: Final = 100
HEAD_SECONDS: Final = 30
_REFUSAL: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class TooManyHeadersError(Exception):
    """Raised inside of the parser, which then answers 400."""


class BoundedHttp(HttpToolsProtocol):
    """HTTP/1.1 with an end to each head, and to the trailers of a body in chunks."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._pending_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override,unused-ignore]
        """Start to wait for a head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes: those that are neither a whole head nor a part of a body are counted."""
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._pending_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_REFUSAL)
            self.transport.close()
        elif self._pending_bytes:
            self._wait()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one line of a head. Raises: TooManyHeadersError."""
        if len(self.headers) >= MAX_HEADERS:
            raise TooManyHeadersError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is here."""
        self._pending_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body is here."""
        self._pending_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here."""
        self._pending_bytes = 0
        super().on_message_complete()

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        cycle = cast("Any", self.cycle)
        if cycle is None or cycle.response_complete:
            self.transport.close()
