"""From the source to the hub: everything once, whatever is interrupted."""

import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.cycle import AlreadyRunning, Cycle, only_one
from adapters.hl7v2.framing import Deframer, Frame, frame
from adapters.outbox import Outbox
from adapters.outbox.sealing import OutboxFull
from adapters.sender.client_key import make_client_key
from adapters.settings import read_settings
from adapters.settings.his import HisSettings
from tests.adapters.conftest import GOLDEN, RENIPRESS, write_site

SECRETS = (b"\xd1IQUE", "ÑIQUE".encode(), b"ROSA", b"01234567", b"HC0990001", b"HC0001", b"PAREDES")


def run_once(settings, outbox):
    Cycle(settings, outbox).run(threading.Event(), once=True, announce=print)
    return outbox.status()


@pytest.fixture
def opened():
    boxes = []

    def open_box(settings):
        boxes.append(Outbox(settings.data_folder))
        return boxes[-1]

    yield open_box
    for box in boxes:
        box.close()


def put_his(settings):
    for path in (GOLDEN / "his").glob("*.csv"):
        shutil.copy(path, settings.source_folder)


def test_a_post_delivers_everything_once(site, opened, hub):
    settings = site("his-trama")
    put_his(settings)
    outbox = opened(settings)
    status = run_once(settings, outbox)
    assert (status["applied"], status["pending"], status["parked"], status["quarantined"]) == (5, 0, 0, 6)
    assert hub.written_more_than_once() == []
    assert len(hub.of_type("Encounter")) == 3
    # F101 was told as P in January: its R in February is no second condition.
    codes = [item["code"]["coding"][0]["code"] for item in hub.of_type("Condition")]
    assert sorted(codes) == ["E11.9", "F10.1", "K02.1"]
    assert status["skipped"] == {"group_activity_rows": 1}
    for provenance in hub.of_type("Provenance"):
        assert all(target["reference"] in hub.resources for target in provenance["target"])


def test_births_beside_months_are_taken_once(site, opened, hub):
    settings = site("his-trama", "II-1")
    shutil.copy(GOLDEN / "births" / "CNV_202402.csv", settings.source_folder)
    outbox = opened(settings)
    for _ in range(2):
        status = run_once(settings, outbox)
        assert (status["applied"], status["quarantined"]) == (2, 3)
        outbox.forget_files()
    assert hub.written_more_than_once() == []


def test_a_restated_month_changes_nothing_twice(site, opened, hub):
    settings = site("his-trama")
    put_his(settings)
    outbox = opened(settings)
    before = run_once(settings, outbox)
    transactions = len(hub.transactions)
    month = settings.source_folder / "TRAMA_202402.csv"
    (settings.source_folder / "TRAMA_202403.csv").write_bytes(month.read_bytes())
    os.utime(settings.source_folder / "TRAMA_202401.csv", (1, 1))
    after = run_once(settings, opened(settings))
    assert len(hub.transactions) == transactions
    assert {**before, "last_applied_at": 0, "disk_used_percent": 0} == {
        **after,
        "last_applied_at": 0,
        "disk_used_percent": 0,
    }


def test_a_restated_visit_is_a_new_version_of_the_same_resources(site, opened, hub):
    settings = site("his-trama")
    put_his(settings)
    run_once(settings, opened(settings))
    month = settings.source_folder / "TRAMA_202401.csv"
    later = (
        month.read_bytes()
        .replace(b";F101;P;", b";F101;D;")
        .replace(b"15/01/2024 18:00:00", b"16/01/2024 18:00:00")
    )
    (settings.source_folder / "TRAMA_202403.csv").write_bytes(later)
    run_once(settings, opened(settings))
    versions = [
        versions
        for url, versions in hub.resources.items()
        if url.startswith("Condition/") and len(versions) > 1
    ]
    assert [item["verificationStatus"]["coding"][0]["code"] for item in versions[0]] == [
        "provisional",
        "confirmed",
    ]
    assert len(versions) == 1


def put_month(settings, *rows, name="TRAMA_202401.csv", exported_at=1_706_000_000):
    """The month of January with these rows of the reviewed one, exported at that second."""
    lines = (GOLDEN / "his" / "TRAMA_202401.csv").read_bytes().splitlines(keepends=True)
    path = settings.source_folder / name
    path.write_bytes(lines[0] + b"".join(lines[row] if isinstance(row, int) else row for row in rows))
    os.utime(path, (exported_at, exported_at))


def in_error(hub):
    return {
        url
        for url, versions in hub.resources.items()
        if versions[-1].get("status") == "entered-in-error"
        or versions[-1].get("verificationStatus", {}).get("coding", [{}])[0].get("code") == "entered-in-error"
    }


@pytest.fixture
def january(site, opened, hub):
    """A post whose January was applied: visit 1001 with diagnosis, procedure and measures; 1002 with a vaccine."""
    settings = site("his-trama")
    put_his(settings)
    (settings.source_folder / "TRAMA_202402.csv").unlink()
    put_month(settings, 1, 2, 3, 4, 5)
    outbox = opened(settings)
    assert run_once(settings, outbox)["pending"] == 0
    assert in_error(hub) == set()
    return settings, outbox


def test_what_a_restated_visit_no_longer_says_is_entered_in_error(january, hub):
    settings, outbox = january
    measures = {url for url in hub.resources if url.startswith("Observation/")}
    conditions = {url for url in hub.resources if url.startswith("Condition/")}
    put_month(
        settings, 2, 3, 5, exported_at=1_707_000_000
    )  # neither row 1, with F101 and measures, nor row 4
    assert run_once(settings, outbox)["pending"] == 0
    gone = in_error(hub)
    assert gone
    assert gone <= measures | conditions | {url for url in hub.resources if url.startswith("Immunization/")}
    for url in gone:
        before, after = hub.resources[url]
        assert "clinicalStatus" not in after
        assert after.get("subject") == before.get("subject")
        assert after["id"] == before["id"]
    condition = next(hub.resources[url][-1] for url in gone if url.startswith("Condition/"))
    assert condition["code"]["coding"][0]["code"] == "F10.1"
    visit = condition["encounter"]["reference"]
    assert "diagnosis" not in hub.resources[visit][-1]
    assert len(hub.resources[visit]) == 2
    told = [target["reference"] for item in hub.of_type("Provenance") for target in item["target"]]
    assert all(told.count(url) == 2 for url in gone)


def test_a_withdrawal_is_sent_once_and_taken_back_when_the_item_is_back(january, hub):
    settings, outbox = january
    put_month(settings, 2, 3, 4, 5, exported_at=1_707_000_000)
    hub.next_actions.extend(["drop", "503"])
    run_once(settings, outbox)
    gone = in_error(hub)
    assert any(url.startswith("Condition/") for url in gone)
    assert all(len(hub.resources[url]) == 2 for url in gone)
    put_month(settings, 3, 2, 4, 5, exported_at=1_708_000_000)  # another version, as short
    run_once(settings, outbox)
    assert all(len(hub.resources[url]) == 2 for url in gone)
    put_month(settings, 1, 2, 3, 4, 5, exported_at=1_709_000_000)
    run_once(settings, outbox)
    assert in_error(hub) == set()
    assert all(len(hub.resources[url]) == 3 for url in gone)


def test_a_shorter_version_may_look_older_where_the_newest_row_is_what_went(january, hub):
    settings, outbox = january
    lines = (GOLDEN / "his" / "TRAMA_202401.csv").read_bytes().splitlines(keepends=True)
    newest = lines[1].replace(b"15/01/2024 18:00:00", b"19/01/2024 18:00:00")
    put_month(settings, newest, 2, 3, 4, 5, exported_at=1_707_000_000)
    run_once(settings, outbox)
    assert in_error(hub) == set()
    put_month(settings, 2, 3, 4, 5, exported_at=1_708_000_000)
    run_once(settings, outbox)
    assert any(url.startswith("Condition/") for url in in_error(hub))
    # An older export that turns up later says nothing new.
    put_month(settings, newest, 2, 3, 4, 5, name="TRAMA_viejo.csv", exported_at=1_707_000_000)
    transactions = len(hub.transactions)
    run_once(settings, outbox)
    assert len(hub.transactions) == transactions


@pytest.mark.parametrize(
    "damage", [(b"61,50", b"sesenta"), (b"15/01/2024;2024;1;15;", b""), (b"1001;", b";")]
)
def test_a_row_that_cannot_be_read_withdraws_nothing(january, hub, damage):
    settings, outbox = january
    lines = (GOLDEN / "his" / "TRAMA_202401.csv").read_bytes().splitlines(keepends=True)
    damaged = lines[1].replace(*damage, 1)
    assert damaged != lines[1]
    put_month(settings, damaged, 2, 3, 4, 5, exported_at=1_707_000_000)
    run_once(settings, outbox)
    assert in_error(hub) == set()
    # The same rows without it are another statement: now it is gone.
    put_month(settings, 2, 3, 4, 5, exported_at=1_708_000_000)
    run_once(settings, outbox)
    assert any(url.startswith("Condition/") for url in in_error(hub))


def test_a_repeat_tells_the_condition_anew_once_its_first_telling_was_in_error(january, hub):
    settings, outbox = january
    put_month(settings, 2, 3, 4, 5, exported_at=1_707_000_000)
    run_once(settings, outbox)
    shutil.copy(GOLDEN / "his" / "TRAMA_202402.csv", settings.source_folder)
    run_once(settings, outbox)
    codes = [
        (item["code"]["coding"][0]["code"], item["verificationStatus"]["coding"][0]["code"])
        for item in hub.of_type("Condition")
    ]
    assert sorted(code for code in codes if code[0] == "F10.1") == [
        ("F10.1", "confirmed"),
        ("F10.1", "entered-in-error"),
    ]


def test_a_patient_who_comes_later_frees_the_visits_that_waited(site, opened, hub):
    settings = site("his-trama")
    put_his(settings)
    outbox = opened(settings)
    run_once(settings, outbox)
    master = settings.source_folder / "MAESTRO_PACIENTE.csv"
    row = master.read_bytes().splitlines(keepends=True)[1].replace(b"0123456739058", b"9999999939058")
    master.write_bytes(master.read_bytes() + row.replace(b"01234567", b"99999998"))
    status = run_once(settings, outbox)
    assert status["applied"] == 7
    assert "A-262" not in [item["code"] for item in outbox.quarantined()]


def test_a_row_of_an_unknown_facility_is_read_again_once_the_site_knows_it(site, opened, hub):
    settings = site("his-trama")
    put_his(settings)
    (settings.source_folder / "MAESTRO_HIS_ESTABLECIMIENTO.csv").unlink()
    outbox = opened(settings)
    assert run_once(settings, outbox)["applied"] == 4
    assert len(hub.of_type("Encounter")) == 2
    settings = replace(settings, own=HisSettings({"39058": RENIPRESS}))
    assert Cycle(settings, outbox).retry(code="A-258") == (4, 1)
    assert run_once(settings, outbox)["applied"] == 5
    assert len(hub.of_type("Encounter")) == 3
    assert hub.written_more_than_once() == []


def test_a_file_of_no_known_kind_is_told_once(site, opened):
    settings = site("his-trama")
    put_his(settings)
    (settings.source_folder / "otro.csv").write_bytes(b"a;b;c\r\n1;2;3\r\n")
    outbox = opened(settings)
    for _ in range(2):
        run_once(settings, outbox)
    assert [item["location"] for item in outbox.quarantined() if item["code"] == "A-250"] == ["otro.csv"]


def test_an_institute_delivers_its_documents(site, opened, hub):
    settings = site("ccda-folder", "III-E")
    shutil.copy(GOLDEN / "institute.xml", settings.source_folder)
    (settings.source_folder / "bad.xml").write_text("<a")
    status = run_once(settings, opened(settings))
    assert (status["applied"], status["quarantined"]) == (1, 1)
    assert len(hub.of_type("DocumentReference")) == 1


def test_a_hospital_may_leave_files(site, opened, hub):
    settings = site("hl7v2-folder", "II-1")
    shutil.copy(GOLDEN / "hospital.hl7", settings.source_folder)
    outbox = opened(settings)
    status = run_once(settings, outbox)
    assert (status["applied"], status["quarantined"], status["parked"]) == (5, 3, 0)
    versions = {url: len(items) for url, items in hub.resources.items() if url.startswith("Encounter/")}
    assert list(versions.values()) == [2]
    assert len(hub.of_type("Patient")) == 2  # a newborn of whom only a history number is told waits


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "hl7v2"


@pytest.mark.skipif(not SHARED.is_dir(), reason="messages of other projects are not on this machine")
def test_of_the_messages_of_others_none_is_lost(site, opened, hub):
    settings = site("hl7v2-folder", "II-1")
    for path in SHARED.glob("*.hl7"):
        shutil.copy(path, settings.source_folder)
    outbox = opened(settings)
    status = run_once(settings, outbox)
    assert (status["applied"], status["quarantined"]) == (43, 32)
    assert sum(status[state] for state in ("pending", "parked", "discarded")) == 0
    assert all(item["text"] for item in outbox.quarantined())


def test_two_messages_under_one_control_id_are_two(site, opened):
    settings = site("hl7v2-mllp", "II-1")
    outbox = opened(settings)
    cycle = Cycle(settings, outbox)
    for raw in (messages()[6], messages()[6].replace(b"NN^NN", b"RN^RN"), messages()[6]):
        cycle.source.take_frame(outbox, Frame(raw))
    assert outbox.status()["quarantined"] == 2


def test_nothing_readable_is_kept_or_logged(site, opened, hub, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    for kind, level in (("hl7v2-folder", "II-1"), ("his-trama", "I-3")):
        settings = site(kind, level)
        shutil.copy(GOLDEN / "hospital.hl7", settings.source_folder)
        put_his(settings)
        hub.refuse_ids.update(url.partition("/")[2] for url in list(hub.resources)[:1])
        run_once(settings, opened(settings))
        content = b"".join(path.read_bytes() for path in settings.data_folder.iterdir())
        assert [secret for secret in SECRETS if secret in content] == []
    text = caplog.text.encode()
    assert [secret for secret in SECRETS if secret in text] == []
    assert b"A-300" in text


HEXADECIMAL = re.compile(rb"[0-9a-f]{16,}")


def test_no_hash_that_another_site_could_make_leaves_or_is_kept(tmp_path, hub, opened):
    """Two sites, the same records: nothing that is a name of something is the same at both."""
    found = []
    for place in ("a", "b"):
        names = set()
        for kind in ("his-trama", "hl7v2-folder", "ccda-folder"):
            folder = tmp_path / place / kind
            folder.mkdir(parents=True)
            settings = read_settings(write_site(folder, hub.url, kind), {})
            hub.register(settings.client_id, make_client_key(settings.data_folder).public_jwk)
            hub.bodies.clear()
            hub.transactions.clear()
            put_his(settings)
            shutil.copy(GOLDEN / "hospital.hl7", settings.source_folder)
            shutil.copy(GOLDEN / "institute.xml", settings.source_folder)
            (settings.source_folder / "otro.csv").write_bytes(b"a;b;c\r\n1;2;3\r\n")
            status = run_once(replace(settings, file_pattern="*"), opened(settings))
            assert status["applied"]
            sent = [*hub.bodies, *(item["id"].encode() for item in hub.transactions)]
            for content in (
                *sent,
                *(path.read_bytes() for path in settings.data_folder.glob("outbox.sqlite*")),
            ):
                names.update(HEXADECIMAL.findall(content))
        assert len(names) > 50
        found.append(names)
    assert found[0] & found[1] == set()


def test_a_fault_of_ours_is_a_reason_for_quarantine_too(site, opened, monkeypatch):
    settings = site("hl7v2-folder", "II-1")
    shutil.copy(GOLDEN / "hospital.hl7", settings.source_folder)
    monkeypatch.setattr("adapters.sources.messages.map_message", lambda *_: 1 // 0)
    outbox = opened(settings)
    assert run_once(settings, outbox)["quarantined"] == 8
    monkeypatch.undo()
    assert Cycle(settings, outbox).retry(code="A-299") == (5, 3)


def test_only_one_process_has_an_outbox(tmp_path):
    with only_one(tmp_path), pytest.raises(AlreadyRunning), only_one(tmp_path):
        pass


# --- the port ------------------------------------------------------------------------------------


class Listening:
    def __init__(self, settings, outbox):
        self.told = threading.Event()
        self.stop = threading.Event()
        self.port = 0
        self.cycle = Cycle(settings, outbox)
        self.thread = threading.Thread(
            target=self.cycle.run, args=(self.stop,), kwargs={"once": False, "announce": self._heard}
        )

    def _heard(self, text):
        self.port = int(text.rpartition(":")[2])
        self.told.set()

    def __enter__(self):
        self.thread.start()
        assert self.told.wait(5)
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)


def converse(connection, stream, count, step=7):
    """Send bytes in small steps and gather that many answers."""
    answers, deframer = [], Deframer(10_000)
    for start in range(0, len(stream), step):
        connection.sendall(stream[start : start + step])
    while len(answers) < count:
        chunk = connection.recv(4096)
        assert chunk, "closed before all was answered"
        answers += [item.content.decode("utf-8", "replace") for item in deframer.feed(chunk)]
    return answers


def messages():
    raw = (GOLDEN / "hospital.hl7").read_bytes().replace(b"\n", b"\r")
    return [b"MSH" + part for part in raw.split(b"MSH")[1:]]


def codes(answers):
    return [(fields[1], fields[2]) for answer in answers for fields in [answer.split("\r")[1].split("|")]]


def wait_for(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_messages_are_acknowledged_in_order_and_delivered(site, opened, hub):
    settings = site("hl7v2-mllp", "II-1")
    outbox = opened(settings)
    with Listening(settings, outbox) as port, port.connect() as connection:
        answers = converse(connection, b"".join(frame(item) for item in messages()), 8)
        assert codes(answers) == [
            ("AA", "H0001"), ("AA", "L0001"), ("AA", "H0002"), ("AA", "H0003"),
            ("AA", "H0004"), ("AA", "H0005"), ("AE", "H0006"), ("AR", "H0007"),
        ]  # fmt: skip
        assert "ERR||PID^1^3|" in answers[6]
        again = converse(connection, frame(messages()[0]), 1)
        assert codes(again) == [("AA", "H0001")]
        wait_for(lambda: outbox.status()["applied"] == 5)
    assert outbox.status()["quarantined"] == 3


def test_bytes_that_are_no_message_are_answered_and_kept(site, opened):
    settings = site("hl7v2-mllp", "II-1")
    outbox = opened(settings)
    with Listening(settings, outbox) as port, port.connect() as connection:
        answers = converse(
            connection,
            b"noise" + frame(b"GET / HTTP/1.1") + frame(b"") + b"\x0bcut\x0b" + messages()[0] + b"\x1c\r",
            3,
        )
        assert [code for code, _ in codes(answers)] == ["AR", "AR", "AA"]
    assert sorted(outbox.original(item["number"]) for item in outbox.quarantined()) == [
        b"",
        b"GET / HTTP/1.1",
        b"cut",
    ]


def test_without_room_there_is_silence(site, opened, monkeypatch):
    settings = site("hl7v2-mllp", "II-1")
    outbox = opened(settings)

    def full(_):
        raise OutboxFull

    monkeypatch.setattr(outbox, "accept", full)
    with Listening(settings, outbox) as port, port.connect() as connection:
        connection.sendall(frame(messages()[0]))
        assert connection.recv(100) == b""


def test_idle_and_greedy_connections_are_closed(site, opened):
    settings = site("hl7v2-mllp", "II-1")
    own = replace(
        settings.own, idle_seconds=0.3, message_seconds=0.3, max_message_bytes=2000, max_connections=2
    )
    settings = replace(settings, own=own)
    with Listening(settings, opened(settings)) as port:
        with port.connect() as idle:
            assert idle.recv(100) == b""
        with port.connect() as greedy:
            greedy.sendall(b"\x0b" + b"x" * 5000)
            assert greedy.recv(100) == b""
        with port.connect(), port.connect(), port.connect() as third, suppress(ConnectionResetError):
            assert third.recv(100) == b""


def test_many_connections_at_once_lose_nothing(site, opened, hub):
    settings = site("hl7v2-mllp", "II-1")
    outbox = opened(settings)
    first = messages()[0]
    heard = []

    def talk(worker):
        with port.connect() as connection:
            for number in range(10):
                name = f"W{worker}N{number}".encode()
                raw = (
                    first.replace(b"|H0001|", b"|" + name + b"|")
                    .replace(b"HC0990001", b"HC" + name)
                    .replace(b"V77001", b"V" + name)
                )
                heard.extend(codes(converse(connection, frame(raw), 1, 500)))

    with Listening(settings, outbox) as port:
        threads = [threading.Thread(target=talk, args=(worker,)) for worker in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: outbox.status()["applied"] == 60, 10)
    assert len(set(heard)) == 60
    assert len(hub.of_type("Encounter")) == 60


# --- kill -9 -------------------------------------------------------------------------------------


def start(path, *more):
    return subprocess.Popen(
        [sys.executable, "-m", "adapters.cli", "run", str(path), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def many_visits(folder, count):
    for path in (GOLDEN / "his").glob("MAESTRO_*.csv"):
        shutil.copy(path, folder)
    master = folder / "MAESTRO_PACIENTE.csv"
    head, good = master.read_bytes().splitlines(keepends=True)[:2]
    rows = (GOLDEN / "his" / "TRAMA_202401.csv").read_bytes().splitlines(keepends=True)
    patients = [
        good.replace(b"0123456739058", f"P{n}".encode()).replace(b"01234567", f"7{n:07d}".encode())
        for n in range(count // 3)
    ]
    master.write_bytes(head + b"".join(patients))
    visits = [
        rows[1].replace(b"1001;", f"{n};".encode(), 1).replace(b"0123456739058", f"P{n // 3}".encode())
        for n in range(count)
    ]
    (folder / "TRAMA_202401.csv").write_bytes(rows[0] + b"".join(visits))


def test_a_reader_that_is_killed_anywhere_delivers_each_visit_exactly_once(tmp_path, hub):
    path = write_site(tmp_path, hub.url, more="workers = 3\nbatch_records = 2\n")
    hub.register("prueba", make_client_key(tmp_path / "data").public_jwk)
    many_visits(tmp_path / "source", 240)
    chance = random.Random(11)
    hub.next_actions.extend(chance.choice(["", "", "", "drop", "503"]) for _ in range(60))
    for _ in range(5):
        process = start(path, "--once")
        try:
            process.wait(chance.uniform(0.5, 1.3))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stdout.close()
    process = start(path, "--once")
    told, _ = process.communicate(timeout=40)
    assert process.returncode == 0, told
    assert len(hub.of_type("Encounter")) == 240
    assert len(hub.of_type("Patient")) == 80
    assert hub.written_more_than_once() == []
    outbox = Outbox(tmp_path / "data")
    status = outbox.status()
    outbox.close()
    assert (status["applied"], status["pending"], status["quarantined"]) == (320, 0, 0)


def test_a_listener_that_is_killed_never_loses_what_it_acknowledged(tmp_path, hub):
    path = write_site(tmp_path, hub.url, "hl7v2-mllp", "II-1")
    hub.register("prueba", make_client_key(tmp_path / "data").public_jwk)
    chance = random.Random(5)
    first, number, acknowledged = messages()[0], 0, set()
    for _ in range(3):
        process = start(path)
        port = int(process.stdout.readline().rpartition(b":")[2])
        killer = threading.Timer(chance.uniform(0.1, 0.4), process.kill)
        killer.start()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                while number < 400:
                    name = f"K{number}".encode()
                    raw = (
                        first.replace(b"|H0001|", b"|" + name + b"|")
                        .replace(b"HC0990001", b"HC" + name)
                        .replace(b"V77001", b"V" + name)
                    )
                    for code, control_id in codes(converse(connection, frame(raw), 1, 2000)):
                        assert code == "AA"
                        acknowledged.add(control_id)
                    number += 1
        except (OSError, AssertionError):
            pass
        killer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    process = start(path, "--once")
    process.communicate(timeout=30)
    arrived = {item["identifier"][0]["value"].removeprefix("V") for item in hub.of_type("Encounter")}
    assert acknowledged
    assert acknowledged <= arrived
    assert hub.written_more_than_once() == []


def test_a_signal_stops_it_cleanly(tmp_path, hub):
    path = write_site(tmp_path, hub.url, "hl7v2-mllp", "II-1")
    hub.register("prueba", make_client_key(tmp_path / "data").public_jwk)
    process = start(path)
    assert b"A-210" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.stdout.close()


def test_the_status_is_readable_while_it_runs(tmp_path, hub):
    path = write_site(tmp_path, hub.url, "hl7v2-mllp", "II-1")
    hub.register("prueba", make_client_key(tmp_path / "data").public_jwk)
    process = start(path)
    process.stdout.readline()
    told = subprocess.run(
        [sys.executable, "-m", "adapters.cli", "status", str(path), "--json"], capture_output=True, check=True
    )
    second = subprocess.run(
        [sys.executable, "-m", "adapters.cli", "run", str(path)], capture_output=True, check=False
    )
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    process.stdout.close()
    assert json.loads(told.stdout)["pending"] == 0
    assert second.returncode == 5
    assert "A-132" in second.stderr.decode()
