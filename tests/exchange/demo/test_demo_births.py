"""The demonstration's register of births is read by the adapter that reads a post's."""

from __future__ import annotations

from collections import Counter
from datetime import date

from adapters.cycle import preview
from adapters.settings import read_settings
from adapters.source_record import Mapped
from exchange.demo.births import write_births
from exchange.demo.region import build_region
from exchange.demo.site import SITES, Site
from exchange.demo.trama import write_trama

REGION = build_region(seed=7, people=150, reference_date=date(2026, 6, 30))


def test_each_birth_is_a_patient_a_stay_and_measures(tmp_path, monkeypatch):
    write_trama(REGION, tmp_path / "source")
    path = write_births(REGION, tmp_path / "source")
    site = Site("primary", REGION.primary.renipress)
    told = site.environment("http://127.0.0.1:1/fhir", tmp_path, tmp_path / "source", 0)
    for variable, value in told.items():
        monkeypatch.setenv(variable, value)
    outcomes = list(preview(read_settings(SITES / "primary.toml"), path))
    newborns = [person for person in REGION.people() if "newborn" in person.traits]
    assert len(outcomes) == len(newborns) > 3
    assert all(isinstance(outcome, Mapped) for outcome in outcomes)
    kinds = Counter(entry.resource["resourceType"] for item in outcomes for entry in item.entries)
    assert kinds["Patient"] == kinds["Encounter"] == len(newborns)
    assert kinds["Observation"] >= 4 * len(newborns)
    certificates = {person.document_of("CNV").number for person in newborns}
    told_numbers = {
        entry.resource["identifier"][0]["value"]
        for item in outcomes
        for entry in item.entries
        if entry.resource["resourceType"] == "Patient"
    }
    assert told_numbers == certificates
