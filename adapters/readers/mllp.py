"""A port that speaks MLLP: each message is taken durably, then acknowledged, in order.

Spec:    HL7 v2 Transport Specification: MLLP, release 1; docs/adapters.md, "MLLP".
Leaves:  what a message means, and what is durable, to the one who is called with it.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable

from adapters.hl7v2.framing import Deframer, Frame, FrameTooLarge, frame

_log = logging.getLogger("adapters.mllp")
_CHUNK_BYTES = 65536

Take = Callable[[Frame], bytes]


class NotTaken(Exception):  # noqa: N818 - a state of the disk, answered by silence
    """The message could not be made durable: no acknowledgement may be given."""


class MllpListener:
    """Listens, one thread a connection; `take` gets each frame and gives the acknowledgement."""

    def __init__(
        self,
        host: str,
        port: int,
        take: Take,
        *,
        max_message_bytes: int,
        idle_seconds: float,
        max_connections: int,
    ) -> None:
        self._take = take
        self._max_message_bytes = max_message_bytes
        self._idle_seconds = idle_seconds
        self._free = threading.BoundedSemaphore(max_connections)
        self._stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=64)
        self._socket.settimeout(0.2)
        self.port: int = self._socket.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="mllp-accept", daemon=True)
        self._acceptor.start()

    def stop(self, patience_seconds: float = 5.0) -> None:
        """Take no new connections, let what is being taken be answered, close the rest."""
        self._stopped.set()
        self._acceptor.join()
        self._socket.close()
        deadline = time.monotonic() + patience_seconds
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            for connection in self._open:
                connection.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                if self._stopped.is_set():
                    return
                time.sleep(0.1)
                continue
            if not self._free.acquire(blocking=False):
                _log.warning("A-211 refused connection: too many open")
                connection.close()
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), name="mllp", daemon=True)
            with self._lock:
                self._open.add(connection)
                self._threads.add(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._converse(connection)
        except FrameTooLarge:
            _log.warning("A-212 message exceeds the bound: connection closed")
        except NotTaken:
            _log.error("A-501 message not taken: no acknowledgement, connection closed")
        except OSError:
            _log.info("A-213 connection lost")
        finally:
            connection.close()
            with self._lock:
                self._open.discard(connection)
                self._threads.discard(threading.current_thread())
            self._free.release()

    def _converse(self, connection: socket.socket) -> None:
        """Read chunks and answer frames, one after the other, until the peer leaves or falls silent."""
        connection.settimeout(0.2)
        deframer = Deframer(self._max_message_bytes)
        heard_at = time.monotonic()
        while not (self._stopped.is_set() and not deframer.is_inside):
            try:
                chunk = connection.recv(_CHUNK_BYTES)
            except TimeoutError:
                if self._stopped.is_set() or time.monotonic() - heard_at > self._idle_seconds:
                    return
                continue
            if not chunk:
                return
            heard_at = time.monotonic()
            for taken in deframer.feed(chunk):
                answer = self._take(taken)
                if not answer:  # a frame that its sender gave up: nobody waits for an answer
                    continue
                connection.settimeout(max(self._idle_seconds, 1.0))
                connection.sendall(frame(answer))
                connection.settimeout(0.2)
