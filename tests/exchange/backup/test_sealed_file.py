"""A backup's file opens as it was written, under its own root, or not at all."""

from __future__ import annotations

import io
import secrets

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.backup import sealed_file
from exchange.backup.sealed_file import (
    CHUNK_BYTES,
    MAGIC,
    Header,
    SealingStream,
    key_bound,
    opened,
    read_header,
)
from exchange.crypto.hub_crypto import make_hub_keys, open_hub_crypto
from exchange.problems import SealBroken
from tests.sample.root import RootInMemory

ROOT = RootInMemory()
ROWS = make_hub_keys(ROOT)
HUB = open_hub_crypto(ROOT, ROWS, [])
UNDER = next(row for row in ROWS if row.purpose == "backup")
TAG = 16


def a_file(text: bytes, number: str = "0" * 32, **more) -> bytes:
    key = secrets.token_bytes(32)
    header = Header(**{
        "hub": "hub.example", "number": number, "made_at": 1, "revision": "0001", "server": "18", "database_bytes": 1,
        "log_size": 0, "log_head": "", "root_version": UNDER.root_version, "key_version": UNDER.version,
        "wrapped_backup_key": UNDER.wrapped, "fingerprint": UNDER.fingerprint,
        "wrapped_file_key": HUB.wrap_backup_key(key, key_bound(number)), **more,
    })  # fmt: skip
    file = io.BytesIO()
    stream = SealingStream(file, key, header)
    stream.write(text)
    stream.finish()
    return file.getvalue()


def text_of(content: bytes, root: RootInMemory = ROOT) -> bytes:
    return b"".join(opened(io.BytesIO(content), root))


def head_bytes(content: bytes) -> int:
    return len(read_header(io.BytesIO(content))[1])


def chunks_of(content: bytes) -> tuple[bytes, list[bytes]]:
    start = head_bytes(content)
    size = sealed_file.CHUNK_BYTES + TAG
    return content[:start], [content[place : place + size] for place in range(start, len(content), size)]


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(sealed_file, "CHUNK_BYTES", 64)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_what_was_written_is_read(size):
    text = secrets.token_bytes(size)
    assert text_of(a_file(text)) == text


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=200), max_size=8))
def test_however_it_is_cut_into_writes(parts):
    before, sealed_file.CHUNK_BYTES = sealed_file.CHUNK_BYTES, 64
    try:
        assert text_of(a_file(b"".join(parts))) == b"".join(parts)
    finally:
        sealed_file.CHUNK_BYTES = before


def test_every_bit_counts(small_chunks):
    content = a_file(b"x" * 150)
    for place in range(len(content)):
        altered = bytearray(content)
        altered[place] ^= 1
        with pytest.raises(SealBroken):
            text_of(bytes(altered))


def test_no_beginning_of_a_file_is_a_file(small_chunks):
    content = a_file(b"x" * 128)
    for length in range(len(content)):
        with pytest.raises(SealBroken):
            text_of(content[:length])


def test_chunks_that_were_moved_left_out_doubled_or_added_are_found(small_chunks):
    head, chunks = chunks_of(a_file(b"a" * 64 + b"b" * 64 + b"c" * 64 + b"d" * 10))
    first, second, third, last = chunks
    for wrong in (
        [second, first, third, last], [first, third, last], [first, second, third], [first, second, second, third, last],
        [first, second, third, last, last], [first, second, third, last, b"\0"], [last], [], [first, second, last],
    ):  # fmt: skip
        with pytest.raises(SealBroken):
            text_of(head + b"".join(wrong))


def test_chunks_of_another_file_do_not_fit_though_hub_and_number_are_the_same(small_chunks):
    one, other = a_file(b"a" * 100), a_file(b"b" * 100)
    (head, mine), (other_head, theirs) = chunks_of(one), chunks_of(other)
    for wrong in (
        head + mine[0] + theirs[1],
        head + theirs[0] + mine[1],
        head + b"".join(theirs),
        other_head + b"".join(mine),
    ):
        with pytest.raises(SealBroken):
            text_of(wrong)


def test_a_header_that_tells_something_else_does_not_open_the_chunks():
    content = a_file(b"text")
    header, before = read_header(io.BytesIO(content))
    for change in (
        {"made_at": 2},
        {"hub": "other"},
        {"log_size": 9},
        {"revision": "0002"},
        {"log_head": "x"},
    ):
        altered = msgspec.structs.replace(header, **change).to_bytes()
        with pytest.raises(SealBroken):
            text_of(altered + content[len(before) :])
    # Nor the same header, written otherwise.
    spaced = msgspec.json.format(msgspec.json.encode(header))
    with pytest.raises(SealBroken):
        text_of(MAGIC + len(spaced).to_bytes(4, "big") + spaced + content[len(before) :])


def test_another_root_opens_nothing():
    content = a_file(b"text")
    with pytest.raises(SealBroken):
        text_of(content, RootInMemory())


def test_a_root_whose_version_was_destroyed_opens_nothing():
    root = RootInMemory()
    rows = make_hub_keys(root)
    under = next(row for row in rows if row.purpose == "backup")
    hub = open_hub_crypto(root, rows, [])
    key = secrets.token_bytes(32)
    content = a_file(
        b"text", wrapped_backup_key=under.wrapped, fingerprint=under.fingerprint,
        wrapped_file_key=hub.wrap_backup_key(key, key_bound("0" * 32)),
    )  # fmt: skip
    root.rotate()
    root.destroy(1)
    with pytest.raises(SealBroken, match="no version 1"):
        text_of(content, root)


@pytest.mark.parametrize("content", [
    b"", b"PGDMP", MAGIC, MAGIC + b"\xff\xff\xff\xff" + b"{}", MAGIC + b"\0\0\0\2{}", MAGIC + b"\0\0\0\4null",
    MAGIC + b"\0\0\0\3\xff\xfe\xfd", MAGIC + b"\0\0\0\0",
])  # fmt: skip
def test_what_is_no_backup_is_refused(content):
    with pytest.raises(SealBroken):
        text_of(content)


def test_a_header_is_bounded():
    header, _ = read_header(io.BytesIO(a_file(b"")))
    told = msgspec.json.decode(msgspec.json.encode(header))
    for change in ({"root_version": 0}, {"root_version": 70_000}, {"number": "../x"}, {"hub": "x" * 201}, {"more": 1},
                   {"log_head": "x" * 9000}, {"made_at": -1}):  # fmt: skip
        text = msgspec.json.encode(told | change)
        with pytest.raises(SealBroken):
            read_header(io.BytesIO(MAGIC + len(text).to_bytes(4, "big") + text))


def test_no_two_chunks_have_one_nonce_and_no_two_files_one_key(small_chunks, monkeypatch):
    seen = []

    class Listening:
        def __init__(self, key: bytes) -> None:
            self.key, self.cipher = key, AESGCM(key)

        def encrypt(self, nonce: bytes, text: bytes, bound_to: bytes) -> bytes:
            seen.append((self.key, nonce))
            return self.cipher.encrypt(nonce, text, bound_to)

    monkeypatch.setattr(sealed_file, "AESGCM", Listening)
    for _ in range(3):
        a_file(b"x" * 1000)
    assert len(seen) == len(set(seen)) > 45
    assert len({key for key, _ in seen}) == 3
