"""$everything: one person's shared history, as far as the permit reaches."""

from __future__ import annotations

import pytest

from exchange.fhir.validate import check
from tests.passage.world import patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST


@pytest.fixture
def world(empty):
    empty.post.store(
        patient_of(POST, 1), an_observation("posta-o1", "posta-p1"), an_observation("posta-o2", "posta-p1")
    )
    empty.post.store(patient_of(POST, 2), an_observation("posta-o3", "posta-p2"))
    empty.institute.store(patient_of(INSTITUTE, 1), an_observation("instituto-o1", "instituto-p1"))
    return empty


def permit(world) -> None:
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))


def test_ones_own_record_is_ones_own_alone(world):
    assert set(world.post.get("Patient/posta-p1/$everything").ids) == {"posta-p1", "posta-o1", "posta-o2"}


def test_a_permit_opens_every_linked_record_patients_first(world):
    permit(world)
    said = world.hospital.get("Patient/posta-p1/$everything")
    assert set(said.ids) == {"posta-p1", "posta-o1", "posta-o2", "posta-c1", "instituto-p1", "instituto-o1"}
    assert [each["resourceType"] for each in said.matches[:2]] == ["Patient", "Patient"]
    assert said.total == 6
    assert check(said.body) == []


def test_by_whichever_record_it_is_asked_it_is_the_same(world):
    permit(world)
    assert set(world.hospital.get("Patient/posta-p1/$everything").ids) == set(
        world.hospital.get("Patient/instituto-p1/$everything").ids
    )


def test_types_narrow_it_and_a_type_without_resources_is_empty(world):
    assert world.post.get("Patient/posta-p1/$everything?_type=Patient").ids == ["posta-p1"]
    assert len(world.post.get("Patient/posta-p1/$everything?_type=Observation,Patient").ids) == 3
    said = world.post.get("Patient/posta-p1/$everything?_type=Immunization")
    assert (said.status, said.total, said.matches) == (200, 0, [])
    assert world.hospital.get("Patient/posta-p1/$everything?_type=Immunization").status == 404


def test_what_was_deleted_is_not_in_it(world):
    world.post.delete("Observation/posta-o1")
    assert set(world.post.get("Patient/posta-p1/$everything").ids) == {"posta-p1", "posta-o2"}


@pytest.mark.parametrize(
    "query", ["_since=2020", "_count=1", "start=2020", "_type=Nothing", "_type=", "color=red"]
)
def test_what_it_does_not_take_is_refused(world, query):
    assert world.post.get(f"Patient/posta-p1/$everything?{query}").status == 400


@pytest.mark.parametrize(
    "path",
    [
        "Patient/posta-none/$everything",
        "Patient/instituto-p1/$everything",
        "Observation/posta-o1/$everything",
    ],
)
def test_what_is_out_of_reach_is_not_there(world, path):
    assert world.post.get(path).status == 404


@pytest.mark.parametrize(
    "path", ["Patient/posta-p1/$summary", "Patient/posta-p1/$", "Patient/posta-p1/$Everything"]
)
def test_another_operation_is_none(world, path):
    assert world.post.get(path).status == 400


def test_the_notice_stands_in_every_answer(world):
    permit(world)
    for caller in (world.post, world.hospital):
        last = caller.get("Patient/posta-p1/$everything").body["entry"][-1]
        assert last["search"]["mode"] == "outcome"
        assert last["resource"]["issue"][0]["code"] == "suppressed"
