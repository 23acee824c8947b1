"""The next answer of a port that speaks MLLP."""

from __future__ import annotations

import socket

from adapters.hl7v2.framing import Deframer

MOST_BYTES = 100_000


def mllp_answer(connection: socket.socket) -> bytes:
    """Wait for one frame. Raises: EOFError - the port hung up."""
    deframer = Deframer(MOST_BYTES)
    while chunk := connection.recv(65536):
        for item in deframer.feed(chunk):
            return item.content
    raise EOFError
