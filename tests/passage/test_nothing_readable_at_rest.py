"""Nothing readable at rest: a hundred people's records, and in a full dump and in every file no name, number or text of them."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import tempfile
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import make_url

from exchange.demo.bundles import organizations, patient_bundles
from exchange.demo.region import build_region
from exchange.embedded import EmbeddedPostgres
from tests.passage.world import a_world
from tests.plaintext.search import Search
from tests.sample.consent import a_consent
from tests.sample.requester import HOSPITAL

PEOPLE = 100


@pytest.fixture(scope="module")
def full(server):
    """The people, what is said of them, and a hub that stores it all and was asked for it."""
    region = build_region(seed=7, people=PEOPLE, reference_date=date(2026, 6, 30))
    said: set[str] = set()
    with a_world(server) as world:
        for unit in organizations(region)[:5]:
            world.post.bundle(
                "transaction", [{"resource": unit, "request": {"method": "POST", "url": "Organization"}}]
            )
        for bundle in patient_bundles(region, resources_per_patient=12):
            stored = world.post.bundle("transaction", bundle["entry"])
            assert stored.status == 200, stored.text
            for entry in bundle["entry"]:
                said |= set(_told(entry["resource"]))
            patient = next(
                e
                for e, r in zip(stored.body["entry"], bundle["entry"], strict=True)
                if r["resource"]["resourceType"] == "Patient"
            )
            patient_id = patient["response"]["location"].split("/")[1]
            if len(said) % 3 == 0:
                world.post.put(a_consent(f"posta-{patient_id[:8]}", patient_id, permit=HOSPITAL))
        dni = next(iter(_numbers(bundle)))
        world.hospital.get(f"Patient?identifier=urn:oid:2.16.840.1.113883.4.904%7C{dni}")
        world.hospital.get(f"Patient?family={next(iter(_families(bundle)))}&birthdate=ge1980")
        world.post.get("Observation?_sort=code&_count=5")
        world.hospital.get("Patient/posta-nobody")
        with world.sql() as cursor:
            cursor.execute("CHECKPOINT")
        yield world, _telling(said)


def _told(resource: dict) -> list[str]:
    """What is said of the patient: names, numbers, addresses, and texts of diagnoses; not the codes of a catalogue."""
    found: list[str] = []
    if resource["resourceType"] == "Patient":
        for name in resource["name"]:
            found += [name.get("family", ""), *name.get("given", ()), name.get("text", "")]
        found += [each["value"] for each in resource["identifier"]]
        found += [each["value"] for each in resource.get("telecom", ())]
        found += [
            part
            for each in resource.get("address", ())
            for part in (*each.get("line", ()), each.get("text", ""))
        ]
        found.append(resource["birthDate"])
    for text in re.findall(r'"(?:text|display|div)": "([^"]+)"', json.dumps(resource, ensure_ascii=False)):
        found.append(text)
    return [each for each in found if len(each) >= 6]


def _telling(said: set[str]) -> list[str]:
    """Every document number, and of the rest as many as can be searched for in reasonable time."""
    numbers = sorted(each for each in said if re.fullmatch(r"\d{8,}", each))
    # Texts of several words: a single one ("Confirmed") may be a word of PostgreSQL's own catalogue.
    texts = sorted(each for each in said if not each[0].isdigit() and " " in each and len(each) >= 8)
    return numbers + texts[:: max(1, len(texts) // 160)]


def _numbers(bundle: dict) -> list[str]:
    return [
        each["value"]
        for each in bundle["entry"][0]["resource"]["identifier"]
        if re.fullmatch(r"\d{8}", each["value"])
    ] or ["40000000"]


def _families(bundle: dict) -> list[str]:
    return [each["family"].split()[0] for each in bundle["entry"][0]["resource"]["name"]]


def test_the_search_itself_would_find_them(full):
    _, said = full
    assert len(said) > 200
    for text in said[:50]:
        for data in (
            text.encode(),
            text.encode("latin-1", "replace"),
            text.encode().hex().encode(),
            base64.b64encode(b"x" + text.encode() + b"yyy"),
        ):
            assert Search([text]).in_bytes(b"...." + data + b"....") == [text], text


def test_no_table_holds_them(full):
    world, said = full
    data = io.BytesIO()
    with world.sql() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [row[0] for row in cursor.fetchall()]
        assert {"resource", "audit_event", "token_entry", "patient_record", "linkage_review"} <= set(tables)
        for table in tables:
            cursor.copy_expert(f"COPY {table} TO STDOUT", data)
            cursor.copy_expert(f"COPY {table} TO STDOUT (FORMAT csv)", data)
    assert len(data.getvalue()) > 500_000
    assert Search(said).in_bytes(data.getvalue()) == []


def test_no_statistic_of_the_planner_holds_them(full):
    world, said = full
    with world.sql() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SELECT string_agg(s::text, ' ') FROM pg_stats s WHERE schemaname = 'public'")
        statistics = cursor.fetchone()[0].encode()
        cursor.execute(
            "SELECT string_agg(query, ' ') FROM pg_stat_activity WHERE datname = current_database()"
        )
        activity = (cursor.fetchone()[0] or "").encode()
    assert Search(said).in_bytes(statistics) == []
    # What a connection ran last can be seen by whoever may see activity: no text of a patient may stand there.
    assert Search(said).in_bytes(activity) == []


def test_a_dump_holds_none_of_them(full, tmp_path):
    world, said = full
    program = EmbeddedPostgres(tmp_path).program("pg_dump")
    if not program.exists():
        pytest.skip("the embedded PostgreSQL has no pg_dump")
    url = make_url(world.url)
    place = str(url.query.get("host") or url.host or "")
    done = subprocess.run(
        [str(program), "-h", place, *(["-p", str(url.port)] if url.port else []), "-U", url.username or "", url.database or ""],
        capture_output=True, check=False, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PGPASSWORD": url.password or ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-300:]
    assert b"COPY public.resource" in done.stdout
    assert Search(said).in_bytes(done.stdout) == []


def test_no_file_of_the_server_holds_them(full):
    """Tables, indexes, write-ahead log, the server's own log: every byte, where the server is this run's own."""
    world, said = full
    folder = Path(str(make_url(world.url).query.get("host", "")))
    if os.environ.get("DATABASE_URL") or not (folder / "data" / "PG_VERSION").exists():
        pytest.skip("the server is not this run's own: its files are out of reach")
    assert folder.is_relative_to(tempfile.gettempdir()) or folder.exists()
    with world.sql() as cursor:
        cursor.execute("SELECT oid::text FROM pg_database WHERE datname = current_database()")
        own = cursor.fetchone()[0]
    files = [
        *(folder / "data" / "base" / own).glob("*"),
        *(folder / "data" / "pg_wal").glob("0*"),
        folder / "postgres.log",
    ]
    assert Search(said).in_files(files) == []
    assert sum(file.stat().st_size for file in files) > 5_000_000
