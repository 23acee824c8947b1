"""The demonstration's image archive and FHIR server answer what adapters ask, and what is read of them is admitted."""

from __future__ import annotations

import socket
from collections import Counter
from datetime import date, datetime

import pytest

from adapters.outbox import Outbox
from adapters.settings import read_settings
from adapters.source_record import Mapped
from adapters.sources import source_of
from exchange.demo.fhir_resources import FHIR_SITE, write_resources
from exchange.demo.history import LIMA
from exchange.demo.images import ARCHIVE_SITE, write_archive
from exchange.demo.region import build_region
from exchange.demo.site import SITES, Site
from exchange.demo.sources import Sources
from exchange.fhir.validate import check
from tests.adapters.conftest import ID_KEY, as_fhir

REGION = build_region(seed=7, people=150, reference_date=date(2026, 6, 30))


@pytest.fixture
def sources(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    served = Sources(port)
    archive = write_archive(REGION, tmp_path / "dicomweb", datetime.now(LIMA).date())
    served.start(archive, write_resources(REGION, tmp_path / "fhir"))
    yield served
    served.stop()


@pytest.fixture
def read(sources, tmp_path, monkeypatch):
    def make(name: str, renipress: str):
        site = Site(name, renipress)
        told = site.environment("http://127.0.0.1:1/fhir", tmp_path, tmp_path / name, 0, sources.url)
        for variable, value in told.items():
            monkeypatch.setenv(variable, value)
        return source_of(read_settings(SITES / f"{name}.toml"), ID_KEY)

    return make


@pytest.mark.parametrize(
    ("name", "renipress", "kinds"),
    [
        ("dicomweb", ARCHIVE_SITE.renipress, {"Patient", "ImagingStudy"}),
        ("fhir", FHIR_SITE.renipress, {"Patient", "Encounter", "Condition"}),
    ],
)
def test_what_they_hold_is_read_once_and_admitted(read, tmp_path, name, renipress, kinds):
    source = read(name, renipress)
    outcomes = list(source.preview(None))
    assert outcomes
    assert all(isinstance(outcome, Mapped) for outcome in outcomes)
    resources = [resource for outcome in outcomes for resource in as_fhir(outcome)]
    assert [issue for resource in resources for issue in check(resource)] == []
    assert kinds <= set(Counter(resource["resourceType"] for resource in resources))
    outbox = Outbox(tmp_path / "outbox")
    assert source.read(outbox) > 10
    assert source.read(outbox) == 0
    assert outbox.quarantined() == []
    outbox.close()


def test_pages_of_the_fhir_server_end(sources):
    seen: list[str] = []
    query = {"_count": ["7"]}
    while True:
        _, _, bundle = sources.answer("/fhir/Condition", query)
        assert isinstance(bundle, dict)
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        if not bundle["link"]:
            break
        start = bundle["link"][0]["url"].partition("_start=")[2].partition("&")[0]
        query = {"_count": ["7"], "_start": [start]}
    assert len(seen) == len(set(seen)) > 7


@pytest.mark.parametrize("path", ["/", "/fhir/Patient/nobody", "/dicom-web/instances"])
def test_nothing_else_is_there(sources, path):
    assert sources.answer(path, {})[0] == 404


def test_who_is_shown_to_everybody_does_not_go_there(sources):
    plain = f"p{REGION.shared_person().slot}"
    assert sources.answer(f"/fhir/Patient/{plain}", {})[0] == 404
