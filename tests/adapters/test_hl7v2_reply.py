"""Which answers a message gets, and the answers to a batch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.hl7v2.acknowledgement import acknowledge
from adapters.hl7v2.batch import answer_batch, is_batch, read_batch, split_messages
from adapters.hl7v2.message import UnreadableMessage, header_of, parse
from adapters.hl7v2.reply import Fault, is_acknowledgement, refused_commit, replies

MSH = (
    "MSH|^~\\&|SIGH|HOSP|HUB|GERESA|20260315101500-0500||{kind}|{number}|T|{version}|||{commit}|{application}"
)
REFUSED = Fault("A-232 Falta | identificación", "PID^1^3")
REJECTED = Fault("A-221 No se recibe", "MSH^1^9", is_rejected=True)


def raw(commit="", application="", kind="ADT^A01^ADT_A01", number="42", version="2.5.1"):
    text = MSH.format(
        kind=kind, number=number, version=version, commit=commit, application=application
    ).rstrip("|")
    return text.encode() + b"\rPID|1||7^^^^HC\r"


def codes(content, fault):
    answers = replies(parse(content), content, fault)
    told = [parse(answer).first("MSA") for answer in answers]
    assert all(segment.text(2) == "42" for segment in told)
    return [segment.text(1) for segment in told]


@pytest.mark.parametrize(
    ("commit", "application", "good", "refused", "rejected"),
    [
        ("", "", ["AA"], ["AE"], ["AR"]),
        ("AL", "NE", ["CA"], ["CA"], ["CR"]),
        ("AL", "", ["CA"], ["CA"], ["CR"]),
        ("AL", "AL", ["CA", "AA"], ["CA", "AE"], ["CR"]),
        ("NE", "AL", ["AA"], ["AE"], []),
        ("", "AL", ["AA"], ["AE"], []),
        ("ER", "ER", [], ["AE"], ["CR"]),
        ("SU", "SU", ["CA", "AA"], ["CA"], []),
        ("AL", "SU", ["CA", "AA"], ["CA"], ["CR"]),
        ("NE", "NE", [], [], []),
        ("al?", "NE", ["CA"], ["CA"], ["CR"]),
    ],
)
def test_a_sender_gets_the_answers_that_it_asked_for(commit, application, good, refused, rejected):
    content = raw(commit, application)
    assert codes(content, None) == good
    assert codes(content, REFUSED) == refused
    assert codes(content, REJECTED) == rejected


def test_each_answer_of_two_has_a_header_of_its_own_and_asks_for_none():
    content = raw("AL", "AL")
    first, second = (parse(answer) for answer in replies(parse(content), content, None))
    assert first.control_id != second.control_id
    for answer in (first, second):
        assert [answer.header.text(number) for number in (3, 4, 5, 6)] == ["HUB", "GERESA", "SIGH", "HOSP"]
        assert (answer.header.text(11), answer.header.text(12)) == ("T", "2.5.1")
        assert (answer.header.text(15), answer.header.text(16)) == ("NE", "NE")


def test_what_was_not_taken_is_told_in_the_senders_mode():
    fault = Fault("A-212 Demasiado grande", "MSH^1")
    for content, code in ((raw(), "AR"), (raw("AL", "NE"), "CE"), (raw("ER", "NE"), "CE")):
        (answer,) = refused_commit(content[:90], fault)
        assert parse(answer).first("MSA").text(1) == code
    assert refused_commit(raw("NE", "AL"), fault) == []
    assert parse(refused_commit(b"\x00\xff", fault)[0]).first("MSA").text(1) == "AR"


def test_an_answer_is_never_answered():
    assert is_acknowledgement(header_of(raw(kind="ACK^A01^ACK")))
    assert is_acknowledgement(header_of(raw(kind="MCF")))
    assert not is_acknowledgement(header_of(raw()))
    assert not is_acknowledgement(None)


@pytest.mark.parametrize(
    ("text", "location", "fault"),
    [
        ("A-232 Falta", "PID^1^3", "101"),
        ("A-221 No", "MSH^1^9", "200"),
        ("A-231 No hay", "PID^1", "100"),
        ("A-244 Mal", "OBX^1^5", "102"),
        ("A-999 Otra", "", "207"),
    ],
)
def test_a_fault_has_its_place_its_name_and_its_words(text, location, fault):
    error = parse(acknowledge(parse(raw()), "AE", text=text, location=location)).first("ERR")
    assert error.raw(2) == location
    assert (error.text(3), error.text(3, 3), error.text(4)) == (fault, "HL70357", "E")
    assert (error.text(5), error.text(8)) == (text[:5], text)


def test_older_versions_find_the_place_where_they_look_for_it():
    answer = parse(acknowledge(parse(raw(version="2.3.1")), "AE", text="A-232 Falta", location="PID^1^3"))
    assert answer.header.text(12) == "2.3.1"
    assert answer.first("ERR").raw(1) == "PID^1^3^101&Required field missing&HL70357"
    assert answer.first("MSA").text(3) == "A-232 Falta"


def test_other_delimiters_are_the_answers_too_and_words_never_break_them():
    content = b"MSH$%*!@$A$B$C$D$20260101$$ADT%A01$9$P$2.5.1\rPID$1\r"
    answer = parse(acknowledge(parse(content), "AE", text="A-232 cuesta $5 y 10 % @!*", location="PID^1^3"))
    assert answer.first("MSA").text(2) == "9"
    assert answer.first("ERR").raw(2) == "PID%1%3"
    assert len(answer.segments) == 3


@given(st.binary(max_size=120))
def test_the_answer_to_any_bytes_can_be_read_and_framed(tail):
    for content in (tail, b"MSH|^~\\&|" + tail):
        for answer in (acknowledge(None, "AR", raw=content, text="A-201 no"), *replies(None, content, None)):
            assert not {0x0B, 0x1C} & set(answer)
            assert len(parse(answer).segments) <= 3


ONE, TWO = raw(number="1"), raw(number="2")


def test_a_batch_is_answered_by_one_batch():
    content = b"FHS|^~\\&|S|H|C|G|2026||||F1\rBHS|^~\\&|S|H|C|G\r" + ONE + TWO + b"BTS|2\rFTS|1\r"
    assert is_batch(content)
    assert not is_batch(ONE)
    batch = read_batch(content)
    assert (batch.messages, batch.miscounted) == ((ONE, TWO), "")
    answers = [replies(parse(part), part, None)[0] for part in batch.messages]
    told = answer_batch(batch, answers)
    lines = told.decode().split("\r")
    assert [line[:3] for line in lines] == ["FHS", "BHS", "MSH", "MSA", "MSH", "MSA", "BTS", "FTS", ""]
    assert lines[0].startswith("FHS|^~\\&|C|G|S|H|")
    assert lines[0].split("|")[11] == "F1"
    assert (lines[3], lines[5], lines[6]) == ("MSA|AA|1", "MSA|AA|2", "BTS|2")
    assert read_batch(told).miscounted == ""


@pytest.mark.parametrize(
    ("tail", "where"),
    [(b"BTS|3\rFTS|1\r", "BTS^1"), (b"BTS|2\rFTS|4\r", "FTS^1"), (b"BTS|\r", ""), (b"", "")],
)
def test_a_batch_that_lost_something_is_told(tail, where):
    batch = read_batch(b"FHS|^~\\&\rBHS|^~\\&\r" + ONE + TWO + tail)
    assert batch.miscounted == where
    assert (b"A-207" in answer_batch(batch, [])) == bool(where)


def test_an_empty_batch_has_no_messages():
    batch = read_batch(b"BHS|^~\\&|S|H\rBTS|0\r")
    assert (batch.messages, batch.miscounted) == ((), "")


@given(st.binary(max_size=200))
def test_any_bytes_can_be_a_batch(tail):
    for content in (tail, b"FHS|^~\\&\r" + tail):
        batch = read_batch(content)
        answers = []
        for part in batch.messages:
            try:
                answers += replies(parse(part), part, None)
            except UnreadableMessage:
                answers += replies(None, part, REJECTED)
        assert answer_batch(batch, answers)
        assert all(part.strip() for part in split_messages(content)) or content == tail
