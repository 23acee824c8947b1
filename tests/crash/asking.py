"""Clients that write and read without pause and note what reached them, byte by byte of each answer's head."""

from __future__ import annotations

import json
import random
import re
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from tests.sample.observation import an_observation

TIMEOUT_SECONDS = 10
PAUSE_SECONDS = 0.05
UNAVAILABLE = 503
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Note:
    """One request and what arrived of its answer. `status` 0: nothing did; `is_whole`: all of it did."""

    request_id: str
    method: str
    place: str
    version: int
    status: int
    is_whole: bool

    @property
    def is_acknowledged(self) -> bool:
        """Whether a version was acknowledged, be the rest of the answer lost."""
        return self.method == "PUT" and self.status in (200, 201)

    @property
    def needs_event(self) -> bool:
        """Whether something was answered: the hub may say without an event only that it is unavailable."""
        return self.status not in (0, UNAVAILABLE)


class Asker(threading.Thread):
    """One client's thread. Its record is its own: each resource is written by nobody else."""

    def __init__(
        self,
        number: int,
        port: int,
        token: Callable[[], str],
        refused: Callable[[], str],
        stop: threading.Event,
    ) -> None:
        super().__init__(daemon=True)
        self.number, self.port, self.stop = number, port, stop
        self.token, self.refused = token, refused
        self.notes: list[Note] = []
        self._chance = random.Random(number)
        self._versions: dict[str, int] = {}
        self._connection: socket.socket | None = None

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                note = self._one()
            except Exception:  # noqa: BLE001 - no token: the hub is away
                self.stop.wait(PAUSE_SECONDS)
                continue
            self.notes.append(note)
            if note.status in (0, UNAVAILABLE):
                self.stop.wait(PAUSE_SECONDS)
        if self._connection is not None:
            self._connection.close()

    def _one(self) -> Note:
        """One act: a new Observation, a further version, a read, a search, or a read of somebody who may not."""
        chosen = self._chance.random()
        patient = f"posta-p{self.number + 1}"
        if chosen < 0.5 or not self._versions:
            known = list(self._versions)[-20:]
            name = (
                self._chance.choice(known)
                if known and chosen < 0.2
                else f"posta-c{self.number}n{len(self._versions)}"
            )
            self._versions[name] = self._versions.get(name, 0) + 1
            status = "final" if self._versions[name] == 1 else "amended"
            value = {"value": self._versions[name], "unit": "mm[Hg]"}
            body = an_observation(name, patient, status=status, valueQuantity=value)
            return self._asked("PUT", f"Observation/{name}", self.token(), json.dumps(body).encode())
        place = f"Observation/{self._chance.choice(list(self._versions))}"
        if chosen < 0.75:
            return self._asked("GET", place, self.token())
        if chosen < 0.9:
            return self._asked("GET", f"Observation?patient=Patient/{patient}&_count=20", self.token())
        return self._asked("GET", place, self.refused())

    def _asked(self, method: str, place: str, token: str, body: bytes = b"") -> Note:
        request_id = str(uuid.uuid4())
        head = (
            f"{method} /fhir/{place} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
            f"X-Request-Id: {request_id}\r\nContent-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        data, is_whole = b"", False
        try:
            if self._connection is None:
                self._connection = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_SECONDS)
            self._connection.sendall(head.encode() + body)
            while not is_whole:
                part = self._connection.recv(1 << 16)
                if not part:
                    break
                data += part
                is_whole = _is_whole(data)
        except OSError:
            pass
        if not is_whole and self._connection is not None:
            self._connection.close()
            self._connection = None
        status = int(data[9:12]) if re.match(rb"HTTP/1\.1 \d{3}", data) else 0
        version = re.search(rb'etag: W/"(\d+)"', data, re.IGNORECASE)
        return Note(request_id, method, place, int(version[1]) if version else 0, status, is_whole)


def _is_whole(data: bytes) -> bool:
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        return False
    length = _LENGTH.search(head)
    return len(rest) >= int(length[1]) if length else rest.endswith(b"0\r\n\r\n")
