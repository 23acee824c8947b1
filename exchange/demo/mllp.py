"""A hospital's side of MLLP: send each message, wait for its acknowledgement, count what came back.

Spec:    HL7 v2 Transport: MLLP Release 1.
Leaves:  making the messages to hl7v2. Nothing is sent twice: a refusal is counted, not repaired.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_START: Final = b"\x0b"
_END: Final = b"\x1c\r"
_CHUNK_BYTES: Final = 65_536
_MAX_ANSWER_BYTES: Final = 1_048_576
_ACKNOWLEDGED_FIELDS: Final = 3


@dataclass(slots=True)
class Sent:
    """What a sending came to: answers by code, and control ids that were refused or answered amiss."""

    sent: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)


class AnswerLost(Exception):  # noqa: N818 - the peer's fault, named for what happened
    """The peer closed the connection, or said too much, before the answer was whole."""


def framed(message: bytes) -> bytes:
    """The message between VT and FS CR."""
    return _START + message + _END


def control_id(message: bytes) -> str:
    """MSH-10 of a message, or nothing."""
    fields = message.split(b"\r", 1)[0].split(b"|")
    return fields[9].decode("latin-1") if len(fields) > 9 else ""  # noqa: PLR2004


def send_over_mllp(host: str, port: int, messages: Iterable[bytes], *, timeout_seconds: float = 30.0) -> Sent:
    """Send every message over one connection, each after the answer to the one before.

    Raises: AnswerLost - the peer broke off; OSError - it cannot be reached or does not answer in time.
    """
    outcome = Sent()
    with socket.create_connection((host, port), timeout=timeout_seconds) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        left_over = b""
        for message in messages:
            connection.sendall(framed(message))
            outcome.sent += 1
            answer, left_over = _answer(connection, left_over)
            _count(outcome, control_id(message), answer)
    return outcome


def _answer(connection: socket.socket, received: bytes) -> tuple[bytes, bytes]:
    """One whole answer, and whatever came after it."""
    while _END not in received:
        if len(received) > _MAX_ANSWER_BYTES:
            raise AnswerLost("the answer has no end")
        chunk = connection.recv(_CHUNK_BYTES)
        if not chunk:
            raise AnswerLost("the connection was closed before the answer was whole")
        received += chunk
    whole, _, rest = received.partition(_END)
    return whole.lstrip(_START), rest


def _count(outcome: Sent, sent_id: str, answer: bytes) -> None:
    """File the answer by MSA-1; MSA-2 must name the message."""
    acknowledgement = next((one for one in answer.split(b"\r") if one.startswith(b"MSA|")), b"")
    fields = acknowledgement.decode("latin-1").split("|")
    if len(fields) < _ACKNOWLEDGED_FIELDS:
        outcome.codes["unreadable"] += 1
        outcome.mismatched.append(sent_id)
        return
    outcome.codes[fields[1]] += 1
    if fields[2] != sent_id:
        outcome.mismatched.append(sent_id)
    if fields[1] not in {"AA", "CA"}:
        outcome.refused.append(sent_id)
