"""Bad inputs are always the same, each named once in its channel, and each really different from the good one."""

from __future__ import annotations

from collections import Counter

from exchange.demo.malformed import malformed, of_channel


def test_names_are_unique_in_a_channel() -> None:
    names = Counter((one.channel, one.name) for one in malformed())
    assert set(names.values()) == {1}
    assert {channel for channel, _ in names} == {"trama", "hl7v2", "mllp", "ccda"}


def test_same_bytes_again() -> None:
    assert list(malformed()) == list(malformed())


def test_every_input_is_its_own() -> None:
    for channel in ("trama", "hl7v2", "mllp", "ccda"):
        contents = Counter(content for content in of_channel(channel).values())
        assert set(contents.values()) == {1}, channel


def test_no_change_missed_its_target() -> None:
    messages = of_channel("hl7v2")
    good = messages["utf-8-said-to-be-latin"].decode().encode("iso-8859-1")
    assert good.startswith(b"MSH|")
    assert all(content != good for content in messages.values())
    documents = of_channel("ccda")
    assert all(
        content != documents["latin-said-to-be-utf-8"].decode("latin-1").encode()
        for content in documents.values()
    )
