"""The 5,306 official examples of R4: read without loss, and valid - save those that break R4's own rules. Two Bundles of
20 and 35 MB hold the definitions themselves, and are larger than the hub takes.

They come from the npm package hl7.fhir.r4.examples 4.0.1 (CC0): from CHASQUI_R4_EXAMPLES, a .tgz, or fetched once by
`npm pack` into var/conformance. CHASQUI_ALL_EXAMPLES takes every one instead of some 600.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from exchange.fhir.resource import dump, parse
from exchange.fhir.validate import check
from exchange.request import Request
from tests.passage.world import a_world

PACKAGE = "hl7.fhir.r4.examples@4.0.1"
FILE = "hl7.fhir.r4.examples-4.0.1.tgz"
CACHE = Path(__file__).resolve().parents[2] / "var" / "conformance"
EXAMPLES = 5_306
SAMPLED_EVERY = 9
LARGEST_BYTES = 16 * 1024 * 1024
NO_EXAMPLES = ("package.json", ".index.json")
TOO_LARGE = ("Bundle-dataelements", "Bundle-resources")

# Examples that HL7 published although they break R4: each with the rule that it breaks.
KNOWN_INVALID = Path(__file__).with_name("invalid_examples.json")


@cache
def _archive() -> Path | None:
    given = os.environ.get("CHASQUI_R4_EXAMPLES")
    if given:
        return Path(given) if Path(given).exists() else None
    kept = CACHE / FILE
    npm = shutil.which("npm")
    if not kept.exists() and npm:
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            command = [npm, "pack", PACKAGE, "--silent", "--fetch-retries=0", "--fetch-timeout=20000"]
            subprocess.run(command, cwd=folder, check=False, timeout=90, capture_output=True)
            fetched = Path(folder) / FILE
            if fetched.exists():
                fetched.rename(kept)
    return kept if kept.exists() else None


@pytest.fixture(scope="module")
def examples() -> list[tuple[str, bytes]]:
    """Name and text; all of them, or each ninth."""
    archive_file = _archive()
    if archive_file is None:
        pytest.skip(
            f"{FILE} is neither in var/conformance nor in CHASQUI_R4_EXAMPLES, and npm did not fetch it"
        )
    with tarfile.open(archive_file) as archive:
        members = sorted(
            (
                each
                for each in archive.getmembers()
                if each.name.endswith(".json") and Path(each.name).name not in NO_EXAMPLES
            ),
            key=lambda each: each.name,
        )
        assert len(members) == EXAMPLES
        chosen = members if os.environ.get("CHASQUI_ALL_EXAMPLES") else members[::SAMPLED_EVERY]
        return [
            (Path(each.name).stem, archive.extractfile(each).read())
            for each in chosen
            if Path(each.name).stem not in TOO_LARGE
        ]


def test_each_is_read_without_loss(examples):
    for name, text in examples:
        resource = parse(text, max_bytes=LARGEST_BYTES)
        written = dump(resource)
        assert json.loads(written, parse_float=Decimal) == json.loads(text, parse_float=Decimal), name
        assert parse(written, max_bytes=LARGEST_BYTES) == resource, name


def test_each_is_valid_or_known_not_to_be(examples):
    known = json.loads(KNOWN_INVALID.read_text())
    found = {}
    for name, text in examples:
        issues = check(parse(text, max_bytes=LARGEST_BYTES))
        if issues:
            found[name] = issues[0].expression
    expected = {name: known[name] for name, _ in examples if name in known}
    assert found == expected


def test_each_of_many_types_is_stored_and_answered_as_it_came(server, examples):
    """One example of each type that a facility may file about nobody or its own patients, through the spine."""
    known = json.loads(KNOWN_INVALID.read_text())
    taken: dict[str, str] = {}
    with a_world(server) as world:
        for name, text in examples:
            resource = parse(text, max_bytes=LARGEST_BYTES)
            kind = resource["resourceType"]
            if name in known or kind in taken or kind in ("AuditEvent", "Consent") or b"Patient/" in text:
                continue
            said = world.post.ask(Request("create", kind, body=text))
            if said.status == 201:
                taken[kind] = name
                stored = json.loads(said.text, parse_float=Decimal)
                sent = json.loads(text, parse_float=Decimal)
                for each in (stored, sent):
                    each.pop("id", None)
                    each.pop("meta", None)
                assert stored == sent, name
            else:
                assert said.status == 422, (name, said.text)
    assert len(taken) > 25
