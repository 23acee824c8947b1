"""What the adapters' tests share: a site's settings, a hub that can lie, small source records."""

from __future__ import annotations

import importlib
import json
import os
import re
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from adapters.outbox import Outbox
from adapters.sender import Retry, Sender
from adapters.sender.client_key import make_client_key
from adapters.sender.hub import HubClient
from adapters.settings import Settings, read_settings
from adapters.source_record import Entry, Mapped, Origin, SourceRecord
from adapters.source_record.bundle import encode, finish
from tests.simulators.hub import HubSimulator

LIMA = ZoneInfo("America/Lima")
RENIPRESS = "00005196"
ID_KEY = bytes(range(32))
ORIGIN = Origin(RENIPRESS, "00005196", "his", ID_KEY)

SITE = """
[facility]
renipress = "00005196"
name = "Establecimiento de prueba"
level = "{level}"
[hub]
url = "{url}"
client_id = "prueba"
[storage]
data_folder = "data"
min_free_megabytes = 0
[consent]
mode = "all"
reason = "pacientes inventados"
[source]
kind = "{kind}"
folder = "source"
settle_seconds = 0
poll_seconds = 0.05
mllp_port = 0
[retry]
first_seconds = 0.02
cap_seconds = 0.1
timeout_seconds = 5
"""
CONSENT = SITE[SITE.index("[consent]") : SITE.index("[source]")]


def a_record(key: str = "1", patient: str = "p1", content: bytes = b"content", **more) -> SourceRecord:
    values = {
        "facility": RENIPRESS,
        "system": "his",
        "natural_key": key,
        "patient_key": patient,
        "original": content,
        "received_at": "2026-01-02T03:04:05Z",
        **more,
    }
    return SourceRecord(**values)


def a_mapped(key: str = "1", patient: str = "p1", text: str = "content", **more) -> Mapped:
    record = a_record(key, patient, text.encode(), **more)
    resource = {"resourceType": "Basic", "id": ORIGIN.resource_id("Basic", key), "code": {"text": text}}
    return finish(ORIGIN, record, [Entry(resource)])


def write_site(
    folder: Path,
    url: str,
    kind: str = "his-trama",
    level: str = "I-3",
    more: str = "",
    consent: str = CONSENT,
) -> Path:
    (folder / "source").mkdir(exist_ok=True)
    path = folder / "site.toml"
    path.write_text(SITE.format(url=url, kind=kind, level=level).replace(CONSENT, consent) + more, "utf-8")
    return path


@pytest.fixture
def hub():
    with HubSimulator() as simulator:
        yield simulator


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "data")
    yield box
    box.close()


@pytest.fixture
def client(hub, tmp_path):
    key = make_client_key(tmp_path / "data")
    hub.register("prueba", key.public_jwk)
    hub_client = HubClient(hub.url, "prueba", key, scope="system/*.cu", timeout_seconds=2)
    yield hub_client
    hub_client.close()


@pytest.fixture
def sender(outbox, client):
    return Sender(outbox, client, retry=Retry(0.01, 0.05), workers=3, batch_records=5)


@pytest.fixture
def site(tmp_path, hub):
    """Settings of a site whose client key the hub already knows."""

    def make(kind: str, level: str = "I-3", more: str = "", consent: str = CONSENT) -> Settings:
        settings = read_settings(write_site(tmp_path, hub.url, kind, level, more, consent), {})
        hub.register(settings.client_id, make_client_key(settings.data_folder).public_jwk)
        return settings

    return make


GOLDEN = Path(__file__).parent / "golden"


def as_fhir(outcome: Mapped) -> list[dict]:
    """The entries as JSON says them, digits of decimals kept."""
    return [json.loads(encode(entry.resource), parse_float=Decimal) for entry in outcome.entries]


def check_golden(name: str, outcomes: list) -> None:
    """Compare with the reviewed file beside the input; UPDATE_GOLDEN=1 writes it anew, to be read by eye."""
    parts = []
    for outcome in outcomes:
        told: dict = {"record": outcome.record.natural_key}
        if isinstance(outcome, Mapped):
            told["entries"] = [entry.resource for entry in outcome.entries]
        else:
            told |= {
                "refused": outcome.refusal.code,
                "text": outcome.refusal.text,
                "where": outcome.refusal.location,
            }
        parts.append(told)
    path = GOLDEN / f"{name}.fhir.json"
    text = msgspec.json.format(encode(parts), indent=1).decode() + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text


def check_valid(outcomes: list) -> int:
    """Every resource is R4B by an independent model, every reference within its bundle or to a known place."""
    count = 0
    for outcome in outcomes:
        if not isinstance(outcome, Mapped):
            continue
        ids = {f"{entry.resource['resourceType']}/{entry.resource['id']}" for entry in outcome.entries}
        assert len(ids) == len(outcome.entries)
        assert sum(entry.resource["resourceType"] == "Provenance" for entry in outcome.entries) == 1
        for resource in as_fhir(outcome):
            name = resource["resourceType"]
            model = getattr(importlib.import_module(f"fhir.resources.R4B.{name.lower()}"), name)
            model.model_validate(json.loads(json.dumps(resource, default=float)))
            assert re.fullmatch(r"[A-Za-z0-9.-]{1,64}", resource["id"])
            assert resource["meta"]["source"].startswith("urn:chasqui:ipress:")
            for reference in references(resource):
                known = reference in ids or reference.startswith(("Organization/ipress-", "Patient/"))
                assert known, f"{name} points to {reference.partition('/')[0]} outside its bundle"
            count += 1
    return count


def references(node) -> list[str]:
    if isinstance(node, dict):
        own = [node["reference"]] if isinstance(node.get("reference"), str) else []
        return own + [item for value in node.values() for item in references(value)]
    return [item for value in node for item in references(value)] if isinstance(node, list) else []
