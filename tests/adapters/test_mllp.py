"""The port: who may come in, how long a peer may take, and what each frame is answered."""

import logging
import re
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.hl7v2.framing import Deframer, Frame, frame
from adapters.outbox import Outbox
from adapters.outbox.sealing import OutboxFull
from adapters.readers.mllp import Bounds, Door, MllpListener, NotTaken
from adapters.readers.mllp.tls import certificate_expires_at
from adapters.settings import read_settings
from adapters.settings.messages import MessageSettings, SenderRule
from adapters.settings.mllp_tls import TlsSettings
from adapters.sources.message_port import MessagePort
from tests.adapters.conftest import write_site
from tests.simulators.mllp_peer import Authority, Line, an_adt, client_context, told

QUICK = Bounds(100_000, idle_seconds=5, message_seconds=5, answer_seconds=5)


def echo(taken, names):
    return [b"MSA|AA|" + taken.content[:20] + b"|" + b",".join(name.encode() for name in sorted(names))]


@contextmanager
def listening(take=echo, bounds=QUICK, max_connections=8, door=None):
    listener = MllpListener("127.0.0.1", 0, take, bounds=bounds, max_connections=max_connections, door=door)
    try:
        yield listener
    finally:
        listener.stop()


def is_closed(line):
    try:
        return line.socket.recv(100) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


# --- how long a peer may take ----------------------------------------------------------------------


def test_a_message_without_a_return_is_answered_at_once_and_not_waited_for(caplog):
    with listening() as listener, Line(listener.port) as line:
        line.send(b"\x0bone\x1c")
        assert line.answers(1) == [b"MSA|AA|one|"]
        line.send(b"\x0btwo\x1c")
        line.socket.shutdown(socket.SHUT_WR)
        assert line.answers(1) == [b"MSA|AA|two|"]


@pytest.mark.parametrize(
    ("bounds", "begin", "drip", "code"),
    [
        (replace(QUICK, message_seconds=0.4), b"\x0bMSH", b"x", "A-215"),
        (replace(QUICK, message_seconds=0.4), b"\x0bMSH", b"", "A-215"),
        (replace(QUICK, idle_seconds=0.4), b"", b"", "A-216"),
        (replace(QUICK, idle_seconds=0.4), frame(b"one"), b"", "A-216"),
    ],
)
def test_who_is_too_slow_is_sent_away(bounds, begin, drip, code, caplog):
    with listening(bounds=bounds) as listener, Line(listener.port) as line:
        line.socket.settimeout(0.1)
        line.send(begin)
        ends_at = time.monotonic() + 5
        is_gone = False
        while not is_gone:
            assert time.monotonic() < ends_at, "still there"
            with suppress(BrokenPipeError, ConnectionResetError):
                line.send(drip)
            with suppress(TimeoutError):
                is_gone = is_closed(line)
    assert code in caplog.text


def test_who_never_reads_is_sent_away(caplog):
    def much(taken, names):
        return [bytes(30_000_000)]

    with listening(much, replace(QUICK, answer_seconds=0.4)) as listener, Line(listener.port) as line:
        line.send(frame(b"one"))
        wait_for(lambda: "A-214" in caplog.text)


def test_the_most_connections_hold_and_the_next_is_told_so(caplog):
    with listening(max_connections=2) as listener, Line(listener.port) as one, Line(listener.port) as two:
        assert one.ask(b"one") == [b"MSA|AA|one|"]
        assert two.ask(b"two") == [b"MSA|AA|two|"]
        with Line(listener.port) as third:
            assert is_closed(third)
        assert "A-211" in caplog.text
        assert one.ask(b"one") == [b"MSA|AA|one|"]
        two.socket.close()
        wait_for(lambda: listener._free._value == 1)
        with Line(listener.port) as fourth:
            assert fourth.ask(b"four") == [b"MSA|AA|four|"]


def test_who_never_said_anything_makes_room(monkeypatch):
    monkeypatch.setattr("adapters.readers.mllp._UNHEARD_SECONDS", 0.05)
    with listening(max_connections=2) as listener, Line(listener.port) as busy, Line(listener.port) as silent:
        assert busy.ask(b"one") == [b"MSA|AA|one|"]
        wait_for(lambda: len(listener._open) == 2)
        wait_for(lambda: min(time.monotonic() - item.opened_at for item in listener._open) > 0.05)
        with Line(listener.port) as third:
            assert third.ask(b"three") == [b"MSA|AA|three|"]
        assert is_closed(silent)
        assert busy.ask(b"one") == [b"MSA|AA|one|"]


def test_a_fault_of_ours_ends_one_connection_and_shows_nothing(caplog):
    def take(taken, names):
        if taken.content == b"bad":
            raise KeyError("QUISPE")
        return echo(taken, names)

    with listening(take) as listener, Line(listener.port) as good, Line(listener.port) as bad:
        assert good.ask(b"one") == [b"MSA|AA|one|"]
        bad.send(frame(b"bad"))
        assert is_closed(bad)
        assert good.ask(b"two") == [b"MSA|AA|two|"]
    assert "A-220 connection closed by a fault of the adapter: KeyError" in caplog.text
    assert "QUISPE" not in caplog.text


def wait_for(condition, seconds=5):
    ends_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_at, "waited too long"
        time.sleep(0.01)


# --- TLS -------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path):
    return Authority.make(tmp_path / "pki")


def door_of(authority, *required, asks=True, names=("localhost",)):
    certificate, key = authority.issue("server", *names)
    return Door(TlsSettings(certificate, key, authority.path if asks else None, required))


def test_who_proves_a_required_name_is_heard_under_it(authority):
    own = authority.issue("lis", "lis.hospital", "other")
    with (
        listening(door=door_of(authority, "LIS.hospital")) as listener,
        Line(listener.port, client_context(authority, *own)) as line,
    ):
        assert line.ask(b"one") == [b"MSA|AA|one|lis.hospital,other"]


def test_without_authorities_nobody_needs_a_certificate(authority):
    with (
        listening(door=door_of(authority, asks=False)) as listener,
        Line(listener.port, client_context(authority)) as line,
    ):
        assert line.ask(b"one") == [b"MSA|AA|one|"]


def refused_by(listener, context):
    try:
        with Line(listener.port, context) as line:
            line.send(frame(b"one"))
            return is_closed(line)
    except (OSError, EOFError):
        return True


def test_who_proves_nothing_is_not_let_in(authority, tmp_path, caplog):
    other = Authority.make(tmp_path / "other", "other")
    strangers = [
        ((), "A-217"),
        (other.issue("lis", "lis.hospital"), "A-217"),
        (authority.issue("old", "lis.hospital", days=-1), "A-217"),
        (authority.issue("wrong", "sigh.hospital"), "A-218"),
        (authority.issue("common", common_name="lis.hospital"), "A-218"),
    ]
    with listening(door=door_of(authority, "lis.hospital")) as listener:
        for own, code in strangers:
            caplog.clear()
            assert refused_by(listener, client_context(authority, *own))
            wait_for(lambda code=code: code in caplog.text)
        caplog.clear()
        with Line(listener.port) as plain:
            plain.send(frame(b"one"))
            with suppress(TimeoutError, ConnectionResetError):
                assert b"MSA" not in plain.socket.recv(1000)
        wait_for(lambda: "A-217" in caplog.text)


def test_an_old_version_of_tls_is_not_spoken(authority):
    own = authority.issue("lis", "lis.hospital")
    context = client_context(authority, *own)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with listening(door=door_of(authority)) as listener:
        assert refused_by(listener, context)


def test_a_handshake_that_never_ends_holds_up_nobody(authority, monkeypatch, caplog):
    monkeypatch.setattr("adapters.readers.mllp.tls._HANDSHAKE_SECONDS", 0.5)
    own = authority.issue("lis", "lis.hospital")
    with listening(door=door_of(authority)) as listener, Line(listener.port) as stuck:
        stuck.send(b"\x16\x03\x01")
        with Line(listener.port, client_context(authority, *own)) as line:
            assert line.ask(b"one") == [b"MSA|AA|one|lis.hospital"]
        assert is_closed(stuck)
    assert "A-217" in caplog.text


def serial_at(port, context):
    with Line(port, context) as line:
        assert line.ask(b"one")
        return line.socket.getpeercert()["serialNumber"]


def test_a_changed_certificate_is_used_and_a_spoilt_one_is_not(authority, caplog):
    context = client_context(authority, *authority.issue("lis", "lis.hospital"))
    with listening(door=door_of(authority)) as listener:
        first = serial_at(listener.port, context)
        assert serial_at(listener.port, context) == first
        certificate, _ = authority.issue("server", "localhost")
        second = serial_at(listener.port, context)
        assert second != first
        certificate.write_bytes(b"spoilt")
        assert serial_at(listener.port, context) == second
        assert "A-219" in caplog.text


def test_when_a_certificate_ends(authority, tmp_path):
    path, _ = authority.issue("server", "localhost", days=30)
    left = certificate_expires_at(path) - datetime.now(UTC)
    assert timedelta(days=29) < left < timedelta(days=31)
    (tmp_path / "none.pem").write_text("none")
    with pytest.raises(ValueError, match="PEM"):
        certificate_expires_at(tmp_path / "none.pem")


def test_files_that_are_no_certificate_stop_the_start(tmp_path):
    (tmp_path / "a.pem").write_text("none")
    with pytest.raises(ssl.SSLError, match="PEM"):
        Door(TlsSettings(tmp_path / "a.pem", tmp_path / "a.pem"))


# --- what a frame is answered ----------------------------------------------------------------------


@pytest.fixture
def box(tmp_path):
    found = Outbox(tmp_path / "data")
    yield found
    found.close()


def a_port(tmp_path, box, **own):
    settings = read_settings(write_site(tmp_path, "http://127.0.0.1:1/fhir", "hl7v2-mllp", "II-1"), {})
    return MessagePort(replace(settings, own=replace(settings.own, **own)), box.id_key)


def codes(answers):
    return [told(answer) for answer in answers]


def test_enhanced_mode_says_first_that_it_is_kept_and_then_what_came_of_it(tmp_path, box):
    port = a_port(tmp_path, box)
    with (
        listening(lambda taken, names: port.take_frame(box, taken, names)) as listener,
        Line(listener.port) as line,
    ):
        assert codes(line.ask(an_adt("1", commit="AL", application="AL"), 2)) == [("CA", "1"), ("AA", "1")]
        assert codes(line.ask(an_adt("2", commit="AL", application="NE"), 1)) == [("CA", "2")]
        line.send(frame(an_adt("3", commit="NE", application="NE")))
        assert codes(line.ask(an_adt("4"))) == [("AA", "4")]
    assert box.status()["pending"] == 4


def test_a_message_sent_again_is_acknowledged_alike_and_kept_once(tmp_path, box):
    port = a_port(tmp_path, box)
    for _ in range(50):
        assert codes(port.take_frame(box, Frame(an_adt("1")))) == [("AA", "1")]
    assert box.status()["pending"] == 1
    assert codes(port.take_frame(box, Frame(an_adt("1", "2")))) == [("AA", "1")]
    assert box.status()["pending"] == 2


def test_a_message_too_large_is_refused_and_the_next_is_taken(tmp_path, box, caplog):
    port = a_port(tmp_path, box)
    large = an_adt("big") + b"OBX|1|ED|||" + b"QUJD" * 50_000 + b"\r"
    bounds = replace(QUICK, max_message_bytes=100_000)
    with (
        listening(lambda taken, names: port.take_frame(box, taken, names), bounds) as listener,
        Line(listener.port) as line,
    ):
        line.send(frame(large) + frame(an_adt("1")))
        assert codes(line.answers(2)) == [("AR", "big"), ("AA", "1")]
    assert [item["code"] for item in box.quarantined()] == ["A-212"]
    assert len(box.original(box.quarantined()[0]["number"])) <= 65_536


def test_an_acknowledgement_that_comes_in_is_neither_answered_nor_kept(tmp_path, box):
    thanks = b"MSH|^~\\&|A|B|C|D|2026||ACK^A01|9|P|2.5.1|||AL|AL\rMSA|AA|1\r"
    strict = MessageSettings("", (SenderRule("LIS"),), refuses_unknown=True)
    for port in (a_port(tmp_path, box), a_port(tmp_path, box, messages=strict)):
        assert list(port.take_frame(box, Frame(thanks))) == []
    assert list(a_port(tmp_path, box).take_frame(box, Frame(BATCH % (thanks * 2, 2)))) == []
    assert (box.status()["pending"], box.status()["quarantined"]) == (0, 0)


BATCH = b"FHS|^~\\&|SIGH|H\rBHS|^~\\&|SIGH|H\r%sBTS|%d\rFTS|1\r"
BAD = b"MSH|^~\\&|SIGH|H|C|G|2026||ADT^A04|bad|P|2.5.1\rEVN|A04\r"


def test_a_batch_is_taken_whole_and_one_bad_message_refuses_no_other(tmp_path, box):
    port = a_port(tmp_path, box)
    content = BATCH % (an_adt("1") + BAD + an_adt("2"), 3)
    (answer,) = port.take_frame(box, Frame(content))
    assert re.findall(rb"MSA\|(\w\w)\|(\w+)", answer) == [(b"AA", b"1"), (b"AE", b"bad"), (b"AA", b"2")]
    assert (box.status()["pending"], box.status()["quarantined"]) == (2, 1)
    assert port.take_frame(box, Frame(content))
    assert (box.status()["pending"], box.status()["quarantined"]) == (2, 1)


def test_a_batch_that_lost_a_message_on_its_way_is_told(tmp_path, box):
    port = a_port(tmp_path, box)
    (answer,) = port.take_frame(box, Frame(BATCH % (an_adt("1"), 2)))
    assert b"A-207" in answer
    assert box.status()["pending"] == 1
    assert [(item["code"], item["location"]) for item in box.quarantined()] == [("A-207", "BTS^1")]


def test_without_room_a_batch_is_not_answered_at_all(tmp_path, box, monkeypatch):
    port = a_port(tmp_path, box)

    def full(_):
        raise OutboxFull

    monkeypatch.setattr(box, "accept", full)
    for content in (an_adt("1", commit="AL"), BATCH % (an_adt("1"), 1)):
        with pytest.raises(NotTaken):
            port.take_frame(box, Frame(content))


def test_several_merges_are_one_message_with_one_answer(tmp_path, box):
    port = a_port(tmp_path, box)
    raw = (
        b"MSH|^~\\&|SIGH|H|C|G|2026||ADT^A40|m|P|2.5.1\r"
        b"PID|1||N1^^^^HC||UNA^ANA\rMRG|O1^^^^HC\rPID|1||N2^^^^HC||OTRA^ANA\rMRG|O2^^^^HC\r"
    )
    assert codes(port.take_frame(box, Frame(raw))) == [("AA", "m")]
    assert box.status()["pending"] == 2
    assert codes(port.take_frame(box, Frame(raw.replace(b"MRG|O1^^^^HC", b"MRG|")))) == [("AE", "m")]
    assert box.status()["pending"] == 2  # the other of the two was known already


SIGH = SenderRule("SIGH", "H", certificates=("sigh.hospital",))


def test_a_sender_speaks_only_through_its_own_certificate(tmp_path, box, authority):
    port = a_port(
        tmp_path,
        box,
        messages=MessageSettings("", (SIGH,)),
        tls=TlsSettings(authority.path, authority.path, authority.path),
    )
    assert codes(port.take_frame(box, Frame(an_adt("1")), frozenset({"sigh.hospital"}))) == [("AA", "1")]
    for names in (frozenset(), frozenset({"lis.hospital"})):
        (answer,) = port.take_frame(box, Frame(an_adt("2")), names)
        assert told(answer) == ("AR", "2")
        assert b"A-223" in answer
    assert (box.status()["pending"], box.status()["quarantined"]) == (1, 0)
    assert box.status()["skipped"] == {"refused_senders": 2}
    # Neither a batch of somebody else's nor blanks before the header are a way around it.
    inside = BATCH.replace(b"|SIGH|H\r", b"|X|Y\r") % (
        an_adt("3") + an_adt("4").replace(b"|SIGH|", b"|X|"),
        2,
    )
    (answer,) = port.take_frame(box, Frame(inside))
    assert re.findall(rb"MSA\|(\w\w)\|(\w+)", answer) == [(b"AR", b"3"), (b"AA", b"4")]
    (answer,) = port.take_frame(box, Frame(b"\r\n" * 5000 + an_adt("5")))
    assert told(answer) == ("AR", "5")
    assert (box.status()["pending"], box.status()["quarantined"]) == (2, 0)


def test_who_is_unknown_is_refused_where_the_site_says_so_and_kept_nowhere(tmp_path, box):
    port = a_port(tmp_path, box, messages=MessageSettings("", (SenderRule("LIS"),), refuses_unknown=True))
    for content in (an_adt("1"), b"GET / HTTP/1.0", b""):
        (answer,) = port.take_frame(box, Frame(content))
        assert b"MSA|AR|" in answer
        assert b"A-222" in answer
    batch = BATCH % (an_adt("1") + an_adt("2").replace(b"|SIGH|", b"|LIS|"), 2)
    (answer,) = port.take_frame(box, Frame(batch.replace(b"|SIGH|H\r", b"|LIS|H\r")))
    assert re.findall(rb"MSA\|(\w\w)\|(\w+)", answer) == [(b"AR", b"1"), (b"AA", b"2")]
    assert (box.status()["pending"], box.status()["quarantined"]) == (1, 0)


def test_the_log_holds_nothing_of_a_message(tmp_path, box, caplog):
    caplog.set_level(logging.DEBUG)
    port = a_port(tmp_path, box)
    for content in (BAD, an_adt("1"), b"QUISPE", BATCH % (BAD, 7)):
        port.take_frame(box, Frame(content))
    assert caplog.records
    assert not re.search("QUISPE|ROSA|bad|SIGH", caplog.text)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from([b"", b"MSH|^~\\&|", b"FHS|^~\\&|", an_adt("1")]))
def test_any_bytes_are_answered(tmp_path, box, tail, head):
    port = a_port(tmp_path, box)
    for answer in port.take_frame(box, Frame(head + tail)):
        assert not {0x0B, 0x1C} & set(answer)
        assert re.search(rb"MSA.|^[BF]HS", answer)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["good", "bad", "noise", "enhanced"]), max_size=8), st.data())
def test_any_mix_of_chunks_and_messages_has_one_answer_each_in_order(tmp_path, box, kinds, data):
    port, deframer = a_port(tmp_path, box), Deframer(100_000)
    stream, expected = b"", []
    for number, kind in enumerate(kinds):
        if kind == "noise":
            stream += b"\r\nnoise\x1c\r"
        elif kind == "bad":
            stream += frame(BAD.replace(b"|bad|", b"|%d|" % number))
            expected.append(("AE", str(number)))
        else:
            commit = "AL" if kind == "enhanced" else ""
            stream += frame(an_adt(str(number), commit=commit))
            expected.append(("CA" if commit else "AA", str(number)))
    heard = []
    while stream:
        size = data.draw(st.integers(1, max(1, len(stream))))
        for taken in deframer.feed(stream[:size]):
            heard += codes(port.take_frame(box, taken))
        stream = stream[size:]
    assert heard == expected


def test_five_megabytes_go_through(tmp_path, box):
    port = a_port(tmp_path, box)
    coded = b"\n".join([b"QUJD" * 19] * 70_000)
    raw = (
        b"MSH|^~\\&|SIGH|H|C|G|2026||MDM^T02|big|P|2.5.1\rPID|1||1^^^^HC\r"
        b"TXA|1|EP|AP|2026||||||||D1\rOBX|1|ED|||^AP^PDF^Base64^" + coded + b"\r"
    )
    assert len(raw) > 5_000_000
    with (
        listening(
            lambda taken, names: port.take_frame(box, taken, names),
            replace(QUICK, max_message_bytes=16_000_000),
        ) as listener,
        Line(listener.port, timeout_seconds=60) as line,
    ):
        assert codes(line.ask(raw)) == [("AA", "big")]


def test_stopping_lets_what_was_begun_be_answered():
    begun, go_on = threading.Event(), threading.Event()

    def take(taken, names):
        begun.set()
        assert go_on.wait(5)
        return echo(taken, names)

    with listening(take) as listener, Line(listener.port) as line:
        line.send(frame(b"one"))
        assert begun.wait(5)
        stopper = threading.Thread(target=listener.stop)
        stopper.start()
        go_on.set()
        assert line.answers(1) == [b"MSA|AA|one|"]
        stopper.join()
