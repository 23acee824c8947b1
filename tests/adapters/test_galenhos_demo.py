"""The demonstration's e-Qhali exports and GalenHos database are read by the adapters that read a facility's."""

from collections import Counter
from datetime import date

import pytest

from adapters.cycle import preview
from adapters.galenhos.database import Access, Database
from adapters.galenhos.reading import keys_after, read_cases
from adapters.settings import read_settings
from adapters.source_record import Mapped
from exchange.demo.eqhali import write_fuas
from exchange.demo.galenhos import write_database
from exchange.demo.region import build_region
from exchange.demo.site import SITES, Site
from tests.adapters.galenhos_people import a_hospital
from tests.adapters.test_eqhali import check_admitted

REGION = build_region(seed=7, people=120, reference_date=date(2026, 6, 30))


@pytest.mark.parametrize(("name", "write", "kinds"), [
    ("eqhali", write_fuas, {"Patient", "Encounter", "Coverage", "ServiceRequest"}),
    ("galenhos", write_database, {"Patient", "Encounter", "Condition"}),
])  # fmt: skip
def test_what_is_written_is_read_and_admitted(tmp_path, monkeypatch, name, write, kinds):
    write(REGION, tmp_path / "source")
    site = Site(name, "00090013")
    for variable, value in site.environment(
        "http://127.0.0.1:1/fhir", tmp_path, tmp_path / "source", 0
    ).items():
        monkeypatch.setenv(variable, value)
    outcomes = list(preview(read_settings(SITES / f"{name}.toml"), None))
    check_admitted(outcomes)
    assert all(isinstance(outcome, Mapped) for outcome in outcomes) or name == "eqhali"
    told = Counter(
        entry.resource["resourceType"]
        for item in outcomes
        if isinstance(item, Mapped)
        for entry in item.entries
    )
    assert kinds <= told.keys()
    statuses = {
        e.resource["status"]
        for i in outcomes
        if isinstance(i, Mapped)
        for e in i.entries
        if "status" in e.resource
    }
    assert "finished" in statuses


def test_a_database_of_the_demonstration_has_voided_bills_and_attentions(tmp_path):
    path = write_database(REGION, tmp_path)
    database = Database(Access(f"sqlite:///{path}", "", 5))
    column_map = database.open(a_hospital().column_map)
    with database.reading() as connection:
        keys = [row[0] for row in connection.execute(keys_after(column_map["attention"], None, 1000))]
        cases, _ = read_cases(connection, column_map, keys)
    database.close()
    assert len(cases) == len(keys) > 10
    assert {case.attention["state"] for case in cases} == {"0", "2"}
    assert {order.fields["state"] for case in cases for order in case.orders} >= {"1"}
