"""The command that enters a facility's Organization, as an operator types it."""

from __future__ import annotations

from base64 import b64decode

import pytest
from typer.testing import CliRunner

from exchange import cli
from exchange.commands import facilities
from exchange.fhir import peru
from exchange.hub import Hub
from exchange.operations.facility import LEVELS, Facility, organization
from exchange.problems import Invalid
from tests.conformance.peru import failures

POST = Facility("05196", "HOSPITAL DE PRUEBA", "III-1", "130101", "ipress-red-18-01")


@pytest.fixture
def run(empty, monkeypatch):
    hub = Hub(empty.post.spine._store, empty.post.spine)
    monkeypatch.setattr(facilities, "opened_hub", lambda: hub)

    def typed(code="05196", **more: str):
        told = {"name": POST.name, "level": POST.level, "ubigeo": POST.ubigeo} | more
        words = [word for key, value in told.items() for word in (f"--{key}", value)]
        return CliRunner().invoke(cli.app, ["facilities", "enter", code, *words], env={"COLUMNS": "200"})

    return typed


@pytest.mark.parametrize("code", ["5196", "05196", "00005196", "000005196"])
def test_a_code_of_any_length_is_one_facility(code):
    made = organization(Facility(code, POST.name, POST.level, POST.ubigeo))
    assert made["id"] == "ipress-00005196"
    assert failures(made) == []
    assert made["meta"]["profile"] == [peru.ORGANIZATION_PROFILE]


def test_it_has_level_place_and_network():
    made = organization(POST)
    assert made["type"][1]["coding"][0] == {"system": peru.LEVEL_SYSTEM, "code": "III-1"}
    assert made["address"][0]["extension"] == [{"url": peru.UBIGEO_EXTENSION, "valueString": "130101"}]
    assert made["partOf"] == {"reference": "Organization/ipress-red-18-01"}
    assert len(LEVELS) == 10


@pytest.mark.parametrize(
    ("field", "value"),
    [("renipress", ""), ("renipress", "0000"), ("renipress", "1234567890"), ("renipress", "٠٥١٩٦"), ("name", ""),
     ("name", " X"), ("name", "a\nb"), ("name", "x" * 201), ("level", "IV-1"), ("ubigeo", "990101"), ("ubigeo", "13010"),
     ("part_of", "a b"), ("part_of", "x" * 65)],
)  # fmt: skip
def test_what_has_not_its_form_is_refused(field, value):
    parts = {name: getattr(POST, name) for name in ("renipress", "name", "level", "ubigeo", "part_of")}
    with pytest.raises(Invalid):
        organization(Facility(**{**parts, field: value}))


def test_it_is_entered_read_corrected_and_audited(run, empty):
    done = run()
    assert done.exit_code == 0, done.output
    assert "entered: ipress-00005196" in done.output
    first = empty.post.get("Organization/ipress-00005196")
    assert (first.status, first.body["name"], first.body["meta"]["versionId"]) == (200, POST.name, "1")
    assert failures(first.body) == []
    assert run(name="HOSPITAL REGIONAL").exit_code == 0
    again = empty.hospital.get("Organization/ipress-00005196").body
    assert (again["name"], again["meta"]["versionId"]) == ("HOSPITAL REGIONAL", "2")
    queries = [entity["query"] for each in empty.events() for entity in each["entity"] if "query" in entity]
    assert [b64decode(each).decode() for each in queries].count("exchange facilities enter 05196") == 2


def test_what_is_refused_is_not_entered(run, empty):
    assert run(level="IV").exit_code != 0
    assert empty.post.get("Organization/ipress-00005196").status == 404
