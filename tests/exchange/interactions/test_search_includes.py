"""What points to a resource is added wherever it may lie: in its record, in one that shares with it, in nobody's."""

from __future__ import annotations

import pytest

from tests.passage.world import patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import POST


def _visit(name: str, *patients: str) -> dict:
    return {
        "resourceType": "Appointment",
        "id": f"posta-{name}",
        "status": "proposed",
        "participant": [
            {"actor": {"reference": f"Patient/posta-{each}"}, "status": "accepted"} for each in patients
        ],
    }


@pytest.fixture(scope="module")
def post(shared_module):
    made = shared_module.clear()
    made.post.store(
        {"resourceType": "Location", "id": "posta-l1", "name": "Sala"},
        *(patient_of(POST, number) for number in (1, 2, 3)),
        *(an_observation(f"posta-o{number}", f"posta-p{number}") for number in (1, 2, 3)),
        an_observation("posta-sala") | {"subject": {"reference": "Location/posta-l1"}},
        _visit("both", "p1", "p2"),
        _visit("second", "p2"),
        _visit("third", "p3"),
    )
    return made.post


@pytest.mark.parametrize(
    ("query", "added"),
    [
        ("Patient?_id=posta-p1&_revinclude=Appointment:actor", "both"),
        ("Patient?_id=posta-p2&_revinclude=Appointment:actor", "both second"),
        ("Patient?_id=posta-p2&_revinclude=Appointment:patient", "both second"),
        ("Patient?_id=posta-p1&_revinclude=Observation:subject", "o1"),
        ("Location?_id=posta-l1&_revinclude=Observation:subject", "sala"),
        # starts of several types: neither lends the other what points to it
        ("?_type=Patient,Location&_id=posta-p1,posta-l1&_revinclude=Observation:subject", "o1 sala"),
        ("?_type=Location,Patient&_id=posta-p1,posta-l1&_revinclude=Observation:subject", "o1 sala"),
        ("?_type=Observation,Location&_id=posta-o2,posta-l1&_revinclude=Observation:subject", "sala"),
        ("?_type=Observation,Patient&_id=posta-o2,posta-p1&_revinclude=Observation:subject", "o1"),
        (
            "Observation?_id=posta-o1&_include=Observation:subject&_revinclude:iterate=Appointment:actor",
            "p1 both",
        ),
    ],
)
def test_what_points_to_a_resource(post, query, added):
    said = post.get(query)
    assert said.status == 200, said.text
    assert {each["id"].removeprefix("posta-") for each in said.included} == set(added.split())


def test_a_compartment_and_a_criterion_that_names_another_patient_ask_for_what_they_share(post):
    inside = ("Patient", "posta-p1")
    assert post.get("Appointment?", compartment=inside).ids == ["posta-both"]
    assert post.get("Appointment?patient=posta-p2", compartment=inside).ids == ["posta-both"]
    assert post.get("Appointment?patient=posta-p3", compartment=inside).ids == []
    assert post.get("Observation?subject=Patient/posta-p2", compartment=inside).ids == []
