"""Synthea's bundles, as another program makes them: each is taken whole, and each resource is read back as it was sent.

The bundles lie beside the checkout (../shared/data/synthea), or in the folder that CHASQUI_SYNTHEA names.
"""

from __future__ import annotations

import bz2
import os
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.fhir.resource import parse
from exchange.request import Request
from tests.passage.world import a_world

FOLDER = Path(
    os.environ.get("CHASQUI_SYNTHEA", Path(__file__).resolve().parents[3] / "shared" / "data" / "synthea")
)
FILES = sorted(FOLDER.glob("*.json.bz2")) if FOLDER.exists() else []
DIRECTORY = [each for each in FILES if "Information" in each.name]
PATIENTS = [each for each in FILES if each not in DIRECTORY]
WANTED = int(os.environ.get("CHASQUI_SYNTHEA_PATIENTS", "4"))

pytestmark = pytest.mark.skipif(not PATIENTS, reason="there are no Synthea bundles beside the checkout")


def _load(world, file: Path) -> tuple[dict, dict]:
    text = bz2.decompress(file.read_bytes())
    sent = parse(text, max_bytes=200_000_000)
    said = world.post.ask(Request("batch" if sent["type"] == "batch" else "transaction", body=text))
    assert said.status == 200, (file.name, said.text[:600])
    return sent, said.body


@pytest.fixture(scope="module")
def world(server):
    with a_world(server) as made:
        for file in DIRECTORY:
            _, answered = _load(made, file)
            assert {each["response"]["status"][:3] for each in answered["entry"]} <= {"200", "201"}, file.name
        yield made


@pytest.mark.parametrize(
    "file", sorted(PATIENTS, key=lambda each: each.stat().st_size)[:WANTED], ids=lambda each: each.name[:8]
)
def test_a_bundle_is_taken_whole_and_read_back_as_sent(world, file):
    sent, answered = _load(world, file)
    places = [each["response"]["location"].partition("/_history")[0] for each in answered["entry"]]
    assert len(places) == len(sent["entry"])
    assert {each["response"]["status"] for each in answered["entry"]} <= {"200", "201"}
    ids = {
        entry["fullUrl"]: place
        for entry, place in zip(sent["entry"], places, strict=True)
        if entry.get("fullUrl")
    }
    patient = places[0].partition("/")[2]
    held = {}
    everything = world.post.get(f"Patient/{patient}/$everything")
    for each in everything.body["entry"]:
        if each["resource"]["resourceType"] != "OperationOutcome":
            held[f"{each['resource']['resourceType']}/{each['resource']['id']}"] = each["resource"]
    for entry, place in zip(sent["entry"], places, strict=True):
        stored = held.get(place) or world.post.get(place).body
        _require_same(_told(entry["resource"]), _told(stored), ids, place)


def _told(resource: dict) -> dict:
    """What a resource says, the hub's own stamps aside."""
    told = {name: value for name, value in resource.items() if name != "id"}
    hubs = ("versionId", "lastUpdated", "source")
    told["meta"] = {name: value for name, value in told.get("meta", {}).items() if name not in hubs}
    return told


def _require_same(sent, stored, ids: dict[str, str], place: str) -> None:
    """Every element as it was sent, with references as the hub resolved them."""
    match sent:
        case dict():
            assert sent.keys() == stored.keys(), place
            for name, value in sent.items():
                _require_same(value, stored[name], ids, f"{place}.{name}")
        case list():
            assert len(sent) == len(stored), place
            for value, other in zip(sent, stored, strict=True):
                _require_same(value, other, ids, place)
        case str() if place.endswith(".reference") and "?" in sent:
            assert stored.startswith(sent.partition("?")[0] + "/"), place
            assert "?" not in stored, place
        case str():
            is_reference = place.rpartition(".")[2] in ("reference", "url")
            assert stored == (ids.get(sent, sent) if is_reference else sent), place
        case Decimal():
            assert str(stored) == str(sent) or float(stored) == float(sent), place
        case _:
            assert stored == sent, place
