"""A load generator that costs little: prepared requests over kept connections, one thread a client."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

RECEIVE_BYTES = 1 << 18


@dataclass
class Measured:
    """Latencies in seconds, and what went wrong."""

    latencies: list[float] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


class Connection:
    """One kept HTTP/1.1 connection."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; the status and the body of its answer."""
        self._socket.sendall(request)
        data = self._rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        head = data[:end].lower()
        if b"transfer-encoding: chunked" in head:
            return int(head[9:12]), self._chunked(data[end + 4 :])
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        parts, have = [data[end + 4 :]], len(data) - end - 4
        while have < length:
            parts.append(self._receive())
            have += len(parts[-1])
        body = b"".join(parts)
        self._rest = body[length:]
        return int(head[9:12]), body[:length]

    def _chunked(self, data: bytes) -> bytes:
        """A body that comes in chunks, each with its length before it."""
        parts: list[bytes] = []
        while True:
            while (end := data.find(b"\r\n")) < 0:
                data += self._receive()
            length = int(data[:end], 16)
            whole = end + 2 + length + 2
            if len(data) < whole:
                rest = [data]
                have = len(data)
                while have < whole:
                    rest.append(self._receive())
                    have += len(rest[-1])
                data = b"".join(rest)
            parts.append(data[end + 2 : end + 2 + length])
            data = data[whole:]
            if not length:
                self._rest = data
                return b"".join(parts)

    def _receive(self) -> bytes:
        part = self._socket.recv(RECEIVE_BYTES)
        if not part:
            raise ConnectionError("the hub closed the connection")
        return part

    def close(self) -> None:
        self._socket.close()


def prepared(
    method: str,
    path: str,
    token: str,
    body: bytes = b"",
    content_type: str = "application/fhir+json",
    more: str = "",
) -> bytes:
    """A request as it goes over the wire. `more` are header lines."""
    kind = f"Content-Type: {content_type}\r\n" if body else ""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"{kind}{more}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def run(
    host: str, port: int, clients: int, seconds: float, requests: Callable[[int], Iterator[bytes]]
) -> Measured:
    """Let clients ask for so long, or until their requests end."""
    measured = Measured()
    lock = threading.Lock()
    until = time.monotonic() + seconds

    def one(number: int) -> None:
        connection = Connection(host, port)
        latencies, errors = [], []
        for request in requests(number):
            began = time.perf_counter()
            if time.monotonic() > until:
                break
            status, _ = connection.exchange(request)
            latencies.append(time.perf_counter() - began)
            if status >= 300:
                errors.append(status)
        connection.close()
        with lock:
            measured.latencies += latencies
            measured.errors += errors

    threads = [threading.Thread(target=one, args=(number,)) for number in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    measured.seconds = time.monotonic() - began
    return measured
