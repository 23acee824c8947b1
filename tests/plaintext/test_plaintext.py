"""Nothing of a patient is readable wherever a hub and an adapter leave bytes; and a text that is planted anywhere is found."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest
from sqlalchemy import make_url

from tests.plaintext import places as at
from tests.plaintext.needles import ADDED, STAFF
from tests.plaintext.scan import Scan, a_scan
from tests.plaintext.search import Search

NEEDLES = 100
TEXT = "NOEMÍ Ñahui Chávez"


@pytest.fixture(scope="module")
def scan():
    with a_scan(NEEDLES) as made:
        yield made


@pytest.mark.parametrize("place", at.PLACES)
def test_a_place_holds_nothing_of_a_patient(scan, place):
    found = scan.of(place)
    assert found.hits == []
    assert found.files[place] > 0
    assert found.bytes_read[place] > {at.HUB_LOG: 10, at.DATA: 10_000_000}.get(place, 20_000)


def test_it_looks_for_things_of_every_kind(scan):
    kinds = {each.kind for each in scan.needles}
    assert kinds >= {"name", "document", "telephone", "address", "display", "person named", STAFF, *ADDED}
    assert len({each.text for each in scan.needles}) == NEEDLES
    assert scan.held < 20


@pytest.mark.parametrize(
    "written",
    [
        TEXT.encode(), TEXT.encode("latin-1"), TEXT.encode("utf-16-le"), TEXT.encode("utf-16-be"), TEXT.upper().encode(),
        TEXT.lower().encode(), b"NOEMI Nahui Chavez", b"noemi nahui chavez", TEXT.encode().hex().encode(),
        TEXT.encode("latin-1").hex().upper().encode(), quote(TEXT).encode(), quote(TEXT).replace("%20", "+").encode(),
        json.dumps(TEXT).encode(), json.dumps(TEXT).replace("\\", "\\\\").encode(),
        *(base64.b64encode(b"x" * place + TEXT.encode() + b"yyy") for place in range(3)),
        base64.urlsafe_b64encode(b"xx" + TEXT.upper().encode() + b"y"),
    ],
)  # fmt: skip
def test_every_form_is_found(written):
    assert Search([TEXT]).in_bytes(b"\0\xff\n" + written + b"\n\0") == [TEXT]
    assert Search([TEXT]).in_bytes(b"\0\xff\n" + written[:5] + b"." + written[5:]) == []


def test_a_number_is_found_and_a_part_of_a_random_one_is_not():
    search = Search(["40123456"])
    for data in (b"40123456", b"dni:40123456,", b"x40123456a", b"340123456", b"\x0040123456\x00"):
        assert search.in_bytes(data) == ["40123456"], data
    for data in (b"{-4401234567123456789}", b"00a140123456bcde00ff", b"40123456-1f0a-4c55-9d8e-0123456789ab"):
        assert search.in_bytes(data) == [], data


@contextmanager
def _appended(file: Path, text: str) -> Iterator[None]:
    size = file.stat().st_size
    with file.open("ab") as out:
        out.write(b"\n" + text.encode() + b"\n")
    try:
        yield
    finally:
        os.truncate(file, size)


@contextmanager
def _new_file(folder: Path, text: str) -> Iterator[None]:
    file = folder / "planted"
    file.write_bytes(b"\0" + text.encode("utf-16-le") + b"\0")
    try:
        yield
    finally:
        file.unlink()


@contextmanager
def _in_a_row(scan: Scan, text: str) -> Iterator[None]:
    with scan.places.world.sql() as cursor:
        cursor.execute("UPDATE client SET name = %s WHERE client_id = 'posta'", (text,))
        try:
            yield
        finally:
            cursor.execute("UPDATE client SET name = 'posta' WHERE client_id = 'posta'")


@contextmanager
def _sorted(scan: Scan, text: str) -> Iterator[None]:
    """A sort that does not fit into memory, as long as the block lasts."""
    url = make_url(scan.places.world.url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(url)
    try:
        cursor = connection.cursor("planted")
        cursor.execute(
            "SELECT %s || g AS each, g FROM generate_series(1, 20000) g ORDER BY each DESC", (text,)
        )
        cursor.fetchone()
        yield
    finally:
        connection.close()


# Last, as what is planted in a row stays in the write-ahead log and in the server's own.
@pytest.mark.parametrize("place", [*(each for each in at.PLACES if each != at.LOG_AHEAD), at.LOG_AHEAD])
def test_what_is_planted_is_found(scan, place):
    needle = next(each for each in scan.needles if each.kind == "note")
    left, server = scan.places.left, scan.places.server
    planted = {
        at.SERVER_LOG: lambda: _appended(server / "postgres.log", needle.text),
        at.HUB_LOG: lambda: _appended(left.hub_logs[0], needle.text),
        at.OUTBOX: lambda: _new_file(left.outbox, needle.text),
        at.EXPORT: lambda: _appended(left.export, needle.text),
        at.BACKUP: lambda: _appended(left.backup, needle.text),
        at.TEMPORARY: lambda: _sorted(scan, needle.text),
        at.DATA: lambda: _new_file(server / "data" / "base", needle.text),
    }.get(place, lambda: _in_a_row(scan, needle.text))
    with planted():
        found = scan.of(place)
        assert {(where, each.text) for where, each, _ in found.hits} == {(place, needle.text)}


def test_a_row_is_found_in_the_files_of_its_table(scan):
    needle = next(each for each in scan.needles if each.kind == "document")
    with _in_a_row(scan, needle.text):
        assert {each.text for _, each, _ in scan.of(at.DATA).hits} >= {needle.text}


def test_an_account_s_name_is_allowed_there_and_nowhere_else(scan):
    needle = next(each for each in scan.needles if each.kind == STAFF)
    assert scan.of(at.TABLES, at.DUMP, at.DATA).allowed.keys() == {at.TABLES, at.DUMP, at.DATA}
    with _in_a_row(scan, needle.text):
        found = scan.of(at.TABLES, at.DUMP, at.DATA)
        # The data folder's files keep the rows of the tests above.
        assert {(where, each.text) for where, each, _ in found.hits} >= {
            (where, needle.text) for where in (at.TABLES, at.DUMP, at.DATA)
        }
    with _appended(scan.places.left.hub_logs[1], needle.text):
        assert scan.of(at.HUB_LOG).hits
