"""Frames, messages and acknowledgements, however the bytes come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.hl7v2.acknowledgement import acknowledge
from adapters.hl7v2.framing import Deframer, FrameTooLarge, frame
from adapters.hl7v2.message import UnreadableMessage, parse

HEAD = b"MSH|^~\\&|SIGH|HOSP|HUB|GERESA|20260315101500-0500||ADT^A01^ADT_A01|42|P|2.5.1"


@given(
    st.lists(st.binary(max_size=40).filter(lambda b: b"\x0b" not in b and b"\x1c" not in b), max_size=6),
    st.data(),
)
def test_frames_are_found_across_any_chunks(contents, data):
    stream = b"".join(frame(content) for content in contents)
    deframer, found = Deframer(1000), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += deframer.feed(stream[:size])
        stream = stream[size:]
    assert [item.content for item in found] == contents
    assert not any(item.is_broken for item in found)


@given(st.binary(max_size=300), st.integers(1, 20))
def test_any_stream_ends_in_frames_or_in_nothing(stream, size):
    deframer = Deframer(1000)
    for start in range(0, len(stream), size):
        deframer.feed(stream[start : start + size])


def test_noise_is_dropped_and_a_broken_frame_is_told():
    frames = Deframer(1000).feed(b"noise\x0bfirst\x0bsecond\x1c\r\x1c\rnoise\x0bthird\x1c")
    assert [(item.content, item.is_broken) for item in frames] == [
        (b"first", True),
        (b"second", False),
        (b"third", False),
    ]


def test_a_frame_has_a_bound():
    with pytest.raises(FrameTooLarge):
        Deframer(10).feed(b"\x0b" + b"x" * 11)
    with pytest.raises(FrameTooLarge):
        Deframer(10).feed(b"\x0b" + b"x" * 11 + b"\x1c\r")


def test_five_megabytes_in_small_chunks_take_no_square_time():
    deframer = Deframer(10_000_000)
    found = []
    stream = frame(b"x" * 5_000_000)
    for start in range(0, len(stream), 1400):
        found += deframer.feed(stream[start : start + 1400])
    assert len(found[0].content) == 5_000_000


def test_fields_are_numbered_as_in_the_standard():
    message = parse(HEAD + b"\rPID|1||111^^^A^HC~222^^^B&1.2&ISO^DNI||GARCIA&PEREZ^ANA\rZXX|libre\r")
    assert message.control_id == "42"
    assert message.event == "ADT^A01"
    assert message.header.raw(1) == "|"
    assert message.header.raw(2) == "^~\\&"
    pid = message.first("PID")
    assert [item.component(1) for item in pid.repetitions(3)] == ["111", "222"]
    assert pid.repetitions(3)[1].component(4, 2) == "1.2"
    assert pid.field(5).subcomponents(1) == ["GARCIA", "PEREZ"]
    assert message.first("ZXX").text(1) == "libre"
    assert pid.text(99) == ""


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"uno\.br\dos", "uno\ndos"),
        (r"\H\fuerte\N\ ", "fuerte"),
        (r"\XC3B1\andu", "ñandu"),
        (r"sin \Z9\ tocar", r"sin \Z9\ tocar"),
        (r"abierto \X4", r"abierto \X4"),
        ('""', ""),
    ],
)
def test_escapes_are_put_back(written, read):
    message = parse(HEAD + b"\rNTE|1||" + written.encode() + b"\r")
    assert message.first("NTE").text(3) == read


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_line_ends_are_tolerated_and_lines_within_a_field_kept(end):
    message = parse(end.join([HEAD, b"NTE|1||primera", b"segunda linea", b"PID|1||7", b""]))
    assert message.first("NTE").text(3) == "primera\nsegunda linea"
    assert message.first("PID").text(3) == "7"


def with_charset(name, encoding, text="ÑIQUE"):
    head = HEAD.decode() + "||||||" + name
    return (head + f"\rPID|1||1||{text}\r").encode(encoding)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("8859/1", "latin-1"),
        ("UNICODE UTF-8", "utf-8"),
        ("", "utf-8"),
        ("", "cp1252"),
        ("KOI8", "utf-8"),
        ("8859/15", "iso8859-15"),
    ],
)
def test_the_charset_is_the_one_that_the_header_names(name, encoding):
    assert parse(with_charset(name, encoding)).first("PID").text(5) == "ÑIQUE"


def test_a_false_charset_is_told():
    with pytest.raises(UnreadableMessage, match="A-202"):
        parse(with_charset("UNICODE UTF-8", "latin-1"))


@pytest.mark.parametrize(
    "raw", [b"", b"PID|1", b"MSH", b"MSHA^~\\&|x", b"MSH||||", b"MSH|^^^^|x", HEAD + b"\r" + HEAD]
)
def test_what_is_no_message_is_refused_with_a_place(raw):
    with pytest.raises(UnreadableMessage) as raised:
        parse(raw)
    assert raised.value.location.startswith("MSH^")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_unreadable(tail):
    for raw in (tail, HEAD + b"\r" + tail):
        try:
            message = parse(raw)
        except UnreadableMessage:
            continue
        for segment in message.segments:
            for number in range(len(segment.fields)):
                assert all(isinstance(item.component(2), str) for item in segment.repetitions(number))


def test_an_acknowledgement_names_the_message_and_turns_the_address_round():
    message = parse(HEAD + b"\r")
    segments = acknowledge(message, "AA").decode().split("\r")
    assert segments[0].startswith("MSH|^~\\&|HUB|GERESA|SIGH|HOSP|")
    assert "|ACK^A01^ACK|" in segments[0]
    assert segments[1] == "MSA|AA|42"


def test_a_refusal_says_where_and_in_the_senders_charset():
    message = parse(with_charset("8859/1", "latin-1"))
    answer = acknowledge(message, "AE", text="A-232 Falta | identificación", location="PID^1^3")
    assert b"\rMSA|AE|42|A-232 Falta   identificaci\xf3n\r" in answer
    assert b"\rERR||PID^1^3|207^Application internal error^HL70357|E|" in answer


def test_unreadable_bytes_get_the_control_id_that_can_be_guessed():
    raw = b"MSH|^^^^|||||||ADT|77|"
    assert b"MSA|AR|77|" in acknowledge(None, "AR", raw=raw, text="no", location="MSH^1")
    assert b"MSA|AR||" in acknowledge(None, "AR", raw=b"\x00\xff", text="no")
