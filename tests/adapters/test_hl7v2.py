"""Frames, messages and acknowledgements, however the bytes come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.hl7v2.acknowledgement import acknowledge
from adapters.hl7v2.framing import Deframer, frame
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


PIECES = st.lists(
    st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\n", b"MSH|", b"x" * 30]) | st.binary(max_size=6), max_size=25
)


@given(PIECES, st.data())
def test_the_same_bytes_give_the_same_frames_however_they_are_cut(pieces, data):
    stream = b"".join(pieces)
    whole = Deframer(100)
    expected = whole.feed(stream) + whole.settle()
    deframer, found = Deframer(100), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += deframer.feed(stream[:size])
        stream = stream[size:]
    assert found + deframer.settle() == expected


def test_noise_is_dropped_and_a_broken_frame_is_told():
    deframer = Deframer(1000)
    frames = deframer.feed(b"noise\x0bfirst\x0bsecond\x1c\r\x1c\rnoise\x0bthird\x1c")
    assert deframer.is_unsettled
    frames += deframer.settle()
    assert not deframer.is_inside
    assert [(item.content, item.is_broken) for item in frames] == [
        (b"first", True),
        (b"second", False),
        (b"third", False),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_an_end_is_one_only_where_a_frame_may_end(size):
    """FS without CR before a new frame, before LF, and at the very end; FS within stays within."""
    stream = b"\x0ba\x1c\x0bb\x1c\n\x0bc\x1cd\x1c\rnoise\x1c\r\x0b\x1c\r\x0b\x0be\x1c"
    deframer, found = Deframer(1000), []
    for start in range(0, len(stream), size):
        found += deframer.feed(stream[start : start + size])
    found += deframer.settle()
    assert [(item.content, item.is_broken) for item in found] == [
        (b"a", False), (b"b", False), (b"c\x1cd", False), (b"", False), (b"", True), (b"e", False),
    ]  # fmt: skip
    assert not deframer.settle()


@pytest.mark.parametrize("size", [1, 1400, 65536, 1_000_000])
def test_a_frame_too_large_is_told_and_the_next_is_whole(size):
    stream = frame(b"MSH|" + b"x" * 300_000) + frame(b"small") + b"\x0b" + b"y" * 300_000 + frame(b"last")
    deframer, found = Deframer(100_000), []
    for start in range(0, len(stream), size):
        found += deframer.feed(stream[start : start + size])
        assert len(deframer._buffer) < 100_000 + size
    assert [(item.content[:5], item.is_broken, item.is_too_large) for item in found] == [
        (b"MSH|x", False, True), (b"small", False, False), (b"yyyyy", True, True), (b"last", False, False),
    ]  # fmt: skip
    assert len(found[0].content) == 65_536


def test_five_megabytes_in_small_chunks_take_no_square_time():
    deframer = Deframer(10_000_000)
    found = []
    stream = frame(b"x" * 5_000_000)
    for start in range(0, len(stream), 1400):
        found += deframer.feed(stream[start : start + 1400])
    assert len(found[0].content) == 5_000_000


def test_five_megabytes_of_short_lines_within_a_field_take_no_square_time():
    lines = b"\n".join([b"QUJD" * 19] * 65_000)
    message = parse(HEAD + b"\rOBX|1|ED|||^application^pdf^Base64^" + lines + b"\r")
    assert len(message.first("OBX").field(5).component(5)) == len(lines)


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
        (r"a\.sp2\b\.sk3\c\.in+4\d\.ti-2\e\.fi\f\.nf\g\.ce\h", "a\n\nb   cdefg\nh"),
        (r"\C2842\ y \M2D3B\ quedan", r"\C2842\ y \M2D3B\ quedan"),
        ("a\\.sp999\\x", "a" + "\n" * 100 + "x"),
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


def test_a_sender_who_names_no_charset_has_the_one_of_its_site():
    assert parse(with_charset("", "latin-1"), "cp1252").first("PID").text(5) == "ÑIQUE"
    assert parse(with_charset("", "utf-8"), "cp1252").first("PID").text(5) == "Ã‘IQUE"
    assert parse(with_charset("ASCII", "iso8859-15", "€"), "iso8859-15").first("PID").text(5) == "€"
    assert parse(with_charset("8859/1", "latin-1"), "utf-8").first("PID").text(5) == "ÑIQUE"
    with pytest.raises(UnreadableMessage, match="A-202"):
        parse(with_charset("", "latin-1"), "utf-8")


def test_no_byte_of_8859_1_is_lost():
    every = bytes(range(0xA0, 0x100)).decode("latin-1")
    assert parse(with_charset("8859/1", "latin-1", every)).first("PID").raw(5) == every
    assert parse(with_charset("8859/1", "latin-1", "\x81")).first("PID").raw(5) == "\x81"


@pytest.mark.parametrize("switched", [r"\C2842\ABC", r"\M242A\ABC", "\x1b$BABC"])
def test_a_message_that_switches_its_charset_within_is_refused(switched):
    assert parse(with_charset("8859/1~ISO IR87", "latin-1")).first("PID").text(5) == "ÑIQUE"
    assert parse(with_charset("8859/1", "latin-1", r"\C2842\ABC"))
    with pytest.raises(UnreadableMessage, match="A-206"):
        parse(with_charset("8859/1~ISO IR87", "latin-1", switched))


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


@given(
    st.lists(st.lists(st.text('AZaz09 ^~&\\"ñ', max_size=8), max_size=12), max_size=6),
    st.sampled_from(["PID", "OBX", "ZPE"]),
)
def test_taken_apart_and_put_together_again_nothing_is_lost(rows, name):
    lines = [HEAD.decode(), *("|".join([name, *fields]) for fields in rows)]
    message = parse("\r".join(lines).encode())
    again = ["|".join(segment.fields) for segment in message.segments]
    assert again[0].replace("MSH|||", "MSH|", 1) == lines[0]
    # Blanks at the very end of a message belong to no field.
    assert "\r".join(again[1:]).rstrip() == "\r".join(lines[1:]).rstrip()


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
    assert b"\rERR||PID^1^3|101^Required field missing^HL70357|E|A-232|" in answer


def test_unreadable_bytes_get_the_control_id_that_can_be_guessed():
    raw = b"MSH|^^^^|||||||ADT|77|"
    assert b"MSA|AR|77|" in acknowledge(None, "AR", raw=raw, text="no", location="MSH^1")
    assert b"MSA|AR||" in acknowledge(None, "AR", raw=b"\x00\xff", text="no")
