"""A hospital that sends over MLLP: each patient's stay in order, one message again and again until it is acknowledged."""

from __future__ import annotations

import re
import socket
import threading
import time

from adapters.hl7v2.framing import frame
from tests.simulators.mllp_answer import mllp_answer
from tests.torture.adapter import Adapter

PATIENTS = 24
POISONED = 7
FEEDERS = 3


class Hospital:
    """What was acknowledged: each patient's last number. The poisoned one's merge names no other number: A-233."""

    def __init__(self, adapter: Adapter, messages_a_day: int, day_seconds: float) -> None:
        self.adapter = adapter
        self.acknowledged: dict[int, int] = {}
        self.is_poisoned = False
        self._pause = day_seconds / messages_a_day * FEEDERS
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._feed, args=(range(number, PATIENTS, FEEDERS),))
            for number in range(FEEDERS)
        ]

    def start(self) -> None:
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()

    def _feed(self, patients: range) -> None:
        number, held = 0, []
        while not self._stop.is_set():
            if not held:
                number += 1
                held = [(each, number) for each in patients]
            try:
                with socket.create_connection(("127.0.0.1", self.adapter.port), timeout=5) as connection:
                    while held and not self._stop.is_set():
                        patient, at = held[0]
                        if patient == POISONED and at == 2 and not self.is_poisoned:
                            connection.sendall(frame(merge(patient)))
                            assert b"MSA|AE|" in mllp_answer(connection)
                            self.is_poisoned = True
                        connection.sendall(frame(message(patient, at)))
                        answer = mllp_answer(connection)
                        assert b"MSA|AA|P%dN%d" % (patient, at) in answer, answer
                        self.acknowledged[patient] = at
                        held.pop(0)
                        self._stop.wait(self._pause)
            except (OSError, EOFError):
                time.sleep(0.1)


def message(patient: int, number: int) -> bytes:
    """The patient's stay, now at place `number`: a version that must follow the one before."""
    fields = [""] * 45
    fields[0:4] = ["PV1", "1", "I", f"{number}"]
    fields[19], fields[44] = f"V{patient}", "20260315100000-0500"
    lines = (
        f"MSH|^~\\&|SIGH|H|C|G|20260315101500-0500||ADT^A02|P{patient}N{number}|P|2.5.1",
        "EVN|A02|20260315101500-0500",
        f"PID|1||HC{patient}^^^00005197^HC||{SURNAME} MAMANI^ROSA",
        "|".join(fields),
    )
    return "\r".join(lines).encode() + b"\r"


SURNAME = "TORTURADEAPELLIDO"


def merge(patient: int) -> bytes:
    """A merge that does not say with whom: the patient waits for a person."""
    return (
        "MSH|^~\\&|SIGH|H|C|G|20260315101500-0500||ADT^A40|MERGE|P|2.5.1\rEVN|A40|20260315101500-0500\r"
        f"PID|1||HC{patient}^^^00005197^HC||{SURNAME} MAMANI^ROSA\r"
    ).encode()


def place_of(encounter: dict) -> tuple[int, int] | None:
    """Whose stay it is, and at which number."""
    found = re.fullmatch(r"V(\d+)", encounter.get("identifier", [{}])[0].get("value", ""))
    return (int(found.group(1)), int(encounter["location"][0]["location"]["display"])) if found else None
