"""One connection: frames in, acknowledgements out, in order, and no peer who may hold it for ever.

Spec:    HL7 v2 Transport Specification: MLLP, release 1; docs/adapters.md, "MLLP".
Leaves:  who may connect to `tls`; how many to the listener.

An acknowledgement is written before the next frame is taken: none can be late, none can be another message's.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from adapters.hl7v2.framing import Deframer, Frame, frame
from adapters.readers.mllp.tls import Door

Take = Callable[[Frame, frozenset[str]], Sequence[bytes]]

_CHUNK_BYTES: Final = 65536
_SEND_BYTES: Final = 16384
_POLL_SECONDS: Final = 0.2
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


class NotTaken(Exception):  # noqa: N818 - a state of the disk, answered by silence
    """The message could not be made durable: no acknowledgement may be given."""


class TooSlow(Exception):  # noqa: N818 - a fact about the peer, told in the log
    """A peer that would hold its connection for ever."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large and how slow a peer may be.

    Units:  bytes of a message; seconds of silence between messages, of one whole message, of one whole answer.
    """

    max_message_bytes: int
    idle_seconds: float
    message_seconds: float
    answer_seconds: float


class Conversation:
    """A peer and what passes between us, from the first byte to the last."""

    def __init__(
        self, connection: socket.socket, take: Take, bounds: Bounds, stopped: threading.Event
    ) -> None:
        self._connection = connection
        self._take = take
        self._bounds = bounds
        self._stopped = stopped
        self._names: frozenset[str] = frozenset()
        self._deframer = Deframer(bounds.max_message_bytes)
        self.opened_at = time.monotonic()
        self.is_heard = False
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)

    def enter(self, door: Door) -> None:
        """Speak TLS from here on. Raises: NotLetIn."""
        self._connection, self._names = door.enter(self._connection)

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self._connection.close()

    def abort(self) -> None:
        """End it while another thread reads from it: its read returns."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Read chunks and answer frames, one after the other, until the peer leaves or falls silent.

        Raises: TooSlow, NotTaken, OSError.
        """
        deframer = self._deframer
        heard_at = began_at = time.monotonic()
        while not (self._stopped.is_set() and not deframer.is_inside):
            chunk = self._read()
            now = time.monotonic()
            if chunk is None:
                self._answer(deframer.settle())
                if self._stopped.is_set():
                    return
                if not deframer.is_inside and now - heard_at > self._bounds.idle_seconds:
                    raise TooSlow("A-216", "silent for too long")
            elif not chunk:
                self._answer(deframer.settle())
                return
            else:
                heard_at, self.is_heard = now, True
                was_inside = deframer.is_inside
                frames = deframer.feed(chunk)
                began_at = now if frames or not was_inside else began_at
                self._answer(frames)
            if deframer.is_inside and time.monotonic() - began_at > self._bounds.message_seconds:
                raise TooSlow("A-215", "a message took too long to arrive")

    def _read(self) -> bytes | None:
        """The next chunk; nothing of one where the peer is silent for a moment, an empty one where it left."""
        self._connection.settimeout(_POLL_SECONDS)
        try:
            return self._connection.recv(_CHUNK_BYTES)
        except TimeoutError:
            return None

    def _answer(self, frames: list[Frame]) -> None:
        """Take each frame and send its answers: none for one that its sender gave up."""
        for taken in frames:
            for answer in self._take(taken, self._names):
                self._send(frame(answer))

    def _send(self, data: bytes) -> None:
        deadline = time.monotonic() + self._bounds.answer_seconds
        left = memoryview(data)
        while left:
            seconds = deadline - time.monotonic()
            if seconds <= 0:
                raise TooSlow("A-214", "acknowledgements are not read")
            self._connection.settimeout(seconds)
            try:
                left = left[self._connection.send(left[:_SEND_BYTES]) :]
            except TimeoutError:
                raise TooSlow("A-214", "acknowledgements are not read") from None
