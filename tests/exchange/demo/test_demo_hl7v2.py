"""The hospital's messages read as HL7 2.5.1, and MLLP carries them one answer at a time."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from datetime import date

import pytest

from exchange.demo.hl7v2 import messages
from exchange.demo.mllp import AnswerLost, control_id, framed, send_over_mllp
from exchange.demo.region import build_region

REGION = build_region(seed=7, people=300, reference_date=date(2026, 6, 30))


def _decoded(message: bytes) -> list[list[str]]:
    charset = message.split(b"\r", 1)[0].split(b"|")[17].decode()
    text = message.decode({"8859/1": "iso-8859-1", "UNICODE UTF-8": "utf-8"}[charset])
    assert text.endswith("\r")
    assert "\n" not in text
    return [segment.split("|") for segment in text.rstrip("\r").split("\r")]


@pytest.fixture(scope="module")
def everything() -> list[bytes]:
    return list(messages(REGION))


def test_same_bytes_again(everything: list[bytes]) -> None:
    assert everything == list(messages(build_region(seed=7, people=300, reference_date=date(2026, 6, 30))))


def test_every_kind_is_there(everything: list[bytes]) -> None:
    kinds = Counter(_decoded(message)[0][8] for message in everything)
    assert set(kinds) == {
        "ADT^A01^ADT_A01", "ADT^A03^ADT_A03", "ADT^A04^ADT_A01", "ADT^A08^ADT_A01",
        "ADT^A28^ADT_A05", "ADT^A40^ADT_A39", "ORU^R01^ORU_R01",
        "SIU^S12^SIU_S12", "ORM^O01^ORM_O01", "MDM^T02^MDM_T02",
    }  # fmt: skip


def test_headers_are_2_5_1_and_control_ids_unique(everything: list[bytes]) -> None:
    headers = [_decoded(message)[0] for message in everything]
    assert {header[11] for header in headers} == {"2.5.1"}
    assert {header[17] for header in headers} == {"8859/1", "UNICODE UTF-8"}
    assert len({header[9] for header in headers}) == len(headers)
    times = [header[6] for header in headers]
    assert times == sorted(times)
    assert times[-1][:8] <= "20261231"


def test_fields_are_where_they_belong(everything: list[bytes]) -> None:
    units = set()
    for message in everything:
        for segment in _decoded(message):
            if segment[0] == "PID":
                repetitions = segment[3].split("~")
                assert repetitions[-1].split("^")[3:] == [REGION.secondary.renipress, "HC"]
                if len(repetitions) == 2:
                    assert repetitions[0].split("^")[4] in {"DNI", "CE", "PPN", "PTP", "CNV"}
                assert segment[8] in {"F", "M"}
            if segment[0] == "PV1":
                assert segment[2] in {"O", "E", "I"}
                assert segment[19].endswith("^VN")
                assert len(segment[44]) == 19
            if segment[0] == "DG1":
                assert segment[3].endswith("^I10")
            if segment[0] == "OBR":
                assert segment[4].endswith("^LN")
            if segment[0] == "OBR" and len(segment) > 20:
                assert len(segment[7]) == len(segment[22]) == 19
                assert segment[25] == "F"
            if segment[0] == "OBX":
                assert segment[11] == "F"
                assert len(segment[14]) == 19
                if segment[2] == "NM":
                    float(segment[5])
                    low, high = segment[7].split("-")
                    expected = (
                        "H"
                        if float(segment[5]) > float(high)
                        else "L"
                        if float(segment[5]) < float(low)
                        else "N"
                    )
                    assert segment[8] == expected
                    units.add(segment[6])
    assert {"g/dL^g/dL^UCUM", "mg/dL^mg/dL^UCUM"} <= units


def test_every_result_names_an_order_that_was_sent_before(everything: list[bytes]) -> None:
    asked: set[str] = set()
    answered = 0
    for message in everything:
        segments = _decoded(message)
        numbers = {segment[2] for segment in segments if segment[0] == "OBR"}
        if segments[0][8].startswith("ORM"):
            asked |= numbers
        elif numbers:
            answered += 1
            assert numbers <= asked
    assert answered >= 1


def test_merges_follow_both_registrations(everything: list[bytes]) -> None:
    known: set[str] = set()
    merges = 0
    for message in everything:
        segments = _decoded(message)
        by_name = {segment[0]: segment for segment in segments}
        number = by_name["PID"][3].split("~")[-1]
        known.add(number)
        if "MRG" in by_name:
            merges += 1
            assert by_name["MRG"][1] in known
            assert by_name["MRG"][1] != number
    assert merges >= 1


class _Listener:
    """A tiny MLLP server on loopback that answers each message as told and splits its answers."""

    def __init__(self, code: str = "AA", *, close_early: bool = False) -> None:
        self.received: list[bytes] = []
        self.code = code
        self.close_early = close_early
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self.server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = b""
        with connection:
            while chunk := connection.recv(100):
                buffer += chunk
                while b"\x1c\r" in buffer:
                    frame, _, buffer = buffer.partition(b"\x1c\r")
                    assert frame.startswith(b"\x0b")
                    self.received.append(frame[1:])
                    if self.close_early:
                        return
                    answer = framed(f"MSH|^~\\&|\rMSA|{self.code}|{control_id(frame[1:])}\r".encode())
                    connection.sendall(answer[:7])
                    connection.sendall(answer[7:])

    def close(self) -> None:
        self.thread.join(timeout=10)
        self.server.close()


def test_mllp_carries_bytes_unchanged(everything: list[bytes]) -> None:
    listener = _Listener()
    outcome = send_over_mllp("127.0.0.1", listener.port, everything[:40])
    listener.close()
    assert listener.received == everything[:40]
    assert (outcome.sent, outcome.codes["AA"], outcome.refused, outcome.mismatched) == (40, 40, [], [])


def test_mllp_records_refusals_without_sending_again(everything: list[bytes]) -> None:
    listener = _Listener("AE")
    outcome = send_over_mllp("127.0.0.1", listener.port, everything[:3])
    listener.close()
    assert len(listener.received) == 3
    assert outcome.refused == [control_id(message) for message in everything[:3]]


def test_mllp_says_when_the_answer_is_lost(everything: list[bytes]) -> None:
    listener = _Listener(close_early=True)
    with pytest.raises((AnswerLost, ConnectionError)):
        send_over_mllp("127.0.0.1", listener.port, everything[:2])
    listener.close()
