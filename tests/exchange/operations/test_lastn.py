"""$lastn: the newest observations of each code, ties with them, and only what is in reach."""

from __future__ import annotations

import pytest

from exchange.fhir.validate import check
from tests.passage.world import patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST

VITAL = [
    {
        "coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
        ]
    }
]


@pytest.fixture
def world(empty):
    empty.post.store(
        patient_of(POST, 1), patient_of(POST, 2),
        an_observation("posta-a1", "posta-p1", effective="2026-01-01", category=VITAL), an_observation("posta-a2", "posta-p1", effective="2026-01-02", category=VITAL),
        an_observation("posta-a3", "posta-p1", effective="2026-01-03"), an_observation("posta-a4", "posta-p1", effective="2026-01-03"),
        an_observation("posta-b1", "posta-p1", code="8462-4", effective="2020"), an_observation("posta-z1", "posta-p2", effective="2027"),
    )  # fmt: skip
    return empty


def ids(caller, query: str) -> list[str]:
    said = caller.get(f"Observation/$lastn?{query}")
    assert said.status == 200, said.text
    assert check(said.body) == []
    return said.ids


def test_one_of_each_code_with_what_is_as_new(world):
    assert ids(world.post, "patient=posta-p1&code=8480-6,8462-4") == ["posta-a3", "posta-a4", "posta-b1"]
    assert ids(world.post, "subject=Patient/posta-p1&code=8480-6") == ["posta-a3", "posta-a4"]


def test_as_many_as_are_asked_for_and_ties_beyond(world):
    assert ids(world.post, "patient=posta-p1&code=8480-6&max=1") == ["posta-a3", "posta-a4"]
    assert ids(world.post, "patient=posta-p1&code=8480-6&max=2") == ["posta-a3", "posta-a4"]
    assert ids(world.post, "patient=posta-p1&code=8480-6&max=3") == ["posta-a3", "posta-a4", "posta-a2"]
    assert ids(world.post, "patient=posta-p1&code=8480-6&max=99") == [
        "posta-a3",
        "posta-a4",
        "posta-a2",
        "posta-a1",
    ]


def test_other_criteria_narrow_it(world):
    assert ids(world.post, "patient=posta-p1&category=vital-signs") == ["posta-a2"]
    assert ids(world.post, "patient=posta-p1&code=8480-6&date=lt2026-01-02") == ["posta-a1"]
    assert ids(world.post, "patient=posta-p1&category=laboratory") == []


@pytest.mark.parametrize(("codes", "groups"), [
    (["a", "b", "c"], 3), (["a", "b", "a,c"], 2), (["a", "b", "a,b"], 1), (["'textM", "'Text", "'t e x t"], 3), (["a,b", "b,c", "c,d"], 1), (["a", "'a", "'a"], 2),
])  # fmt: skip
def test_codes_that_share_a_coding_are_one_group(world, codes, groups):
    """The table of the operation's page."""
    for number, each in enumerate(codes):
        told = (
            {"text": each[1:]}
            if each.startswith("'")
            else {"coding": [{"system": "urn:s", "code": code} for code in each.split(",")]}
        )
        world.post.store(
            an_observation(f"posta-g{number}", "posta-p2", effective=f"2025-01-0{number + 1}", category=VITAL)
            | {"code": told}
        )
    assert len(ids(world.post, "patient=posta-p2&category=vital-signs")) == groups


def test_it_covers_every_record_of_the_person_as_far_as_the_permit_reaches(world):
    world.institute.store(
        patient_of(INSTITUTE, 1), an_observation("instituto-a9", "instituto-p1", effective="2026-09-09")
    )
    assert ids(world.post, "patient=posta-p1&code=8480-6") == ["posta-a3", "posta-a4"]
    assert ids(world.hospital, "patient=posta-p1&code=8480-6") == []
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    assert ids(world.hospital, "patient=posta-p1&code=8480-6") == ["instituto-a9"]


@pytest.mark.parametrize("query", [
    "", "patient=posta-p1", "code=8480-6", "patient=posta-p1&date=2020", "patient=posta-p1&code=8480-6&max=0", "patient=posta-p1&code=8480-6&max=-1", "patient=posta-p1&code=8480-6&max=1&max=2",
    "patient=posta-p1&code=8480-6&_count=1", "patient=posta-p1&code=8480-6&_sort=date", "patient=posta-p1&code=8480-6&_include=Observation:subject", "patient=posta-p1&code=8480-6&color=red",
    "patient:identifier=urn:x|1&code=8480-6", "patient=posta-p1&value-quantity=5",
])  # fmt: skip
def test_what_it_does_not_take_is_refused(world, query):
    assert world.post.get(f"Observation/$lastn?{query}").status == 400


def test_it_is_asked_of_observation(world):
    assert world.post.get("Condition/$lastn?patient=posta-p1&code=x").status == 400
    assert world.post.get("Observation/posta-a1/$lastn?patient=posta-p1&code=x").status == 400


def test_it_may_be_posted_and_needs_the_scope_to_search(world):
    rows = [
        {"name": "patient", "valueString": "posta-p1"},
        {"name": "code", "valueString": "8480-6"},
        {"name": "max", "valuePositiveInt": 3},
    ]
    parameters = {"resourceType": "Parameters", "parameter": rows}
    assert len(world.post.operate("Observation/$lastn", parameters).ids) == 3
    assert (
        world.of(POST, "system/Observation.r").get("Observation/$lastn?patient=posta-p1&code=8480-6").status
        == 403
    )
    rows.append({"name": "code", "valueCoding": {"code": "x"}})
    assert world.post.operate("Observation/$lastn", parameters).status == 400


def test_it_is_audited_for_each_patient(world):
    ids(world.post, "patient=posta-p1&code=8480-6")
    assert world.events()[-1]["entity"][0]["what"]["reference"] == "Patient/posta-p1"
