"""$document: one bundle of a Composition and all that it refers to, or none."""

from __future__ import annotations

import pytest

from exchange.fhir.validate import check
from tests.passage.world import patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST


def a_composition(**more) -> dict:
    return {
        "resourceType": "Composition", "id": "posta-d1", "status": "final", "type": {"text": "IPS"}, "date": "2026-01-01", "title": "IPS",
        "subject": {"reference": "Patient/posta-p1"}, "author": [{"reference": "Practitioner/posta-m1"}], "custodian": {"reference": "Organization/posta-u1"},
        "section": [{"title": "A", "section": [{"title": "B", "entry": [{"reference": "Observation/posta-o1"}]}]}],
    } | more  # fmt: skip


@pytest.fixture
def world(empty):
    empty.post.store(
        patient_of(POST, 1, managingOrganization={"reference": "Organization/posta-u2"}), patient_of(POST, 2), an_observation("posta-o1", "posta-p1"), an_observation("posta-o2", "posta-p1"),
        {"resourceType": "Practitioner", "id": "posta-m1"}, {"resourceType": "Organization", "id": "posta-u1", "name": "U"}, {"resourceType": "Organization", "id": "posta-u2", "name": "V"},
        a_composition(),
    )  # fmt: skip
    return empty


PATH = "Composition/posta-d1/$document"


def ids(said) -> list[str]:
    assert said.status == 200, said.text
    assert check(said.body) == []
    assert (said.body["type"], said.body["entry"][0]["resource"]["resourceType"]) == (
        "document",
        "Composition",
    )
    assert {"identifier", "timestamp"} <= said.body.keys()
    return [each["resource"]["id"] for each in said.body["entry"]]


def test_it_holds_all_that_can_be_reached_and_nothing_else(world):
    said = world.post.get(PATH)
    assert set(ids(said)) == {"posta-d1", "posta-p1", "posta-m1", "posta-u1", "posta-o1", "posta-u2"}
    assert len(ids(said)) == 6
    assert said.body["entry"][1]["fullUrl"].startswith("http")
    assert (
        ids(world.post.get("Composition/$document?id=posta-d1"))
        == ids(world.post.get("Composition/$document?id=Composition/posta-d1"))
        == ids(said)
    )
    assert world.events()[-1]["entity"][0]["what"]["reference"] == "Patient/posta-p1"


@pytest.mark.parametrize("more", [
    {"author": [{"reference": "Practitioner/none"}]}, {"section": [{"entry": [{"reference": "Observation/none"}]}]}, {"author": [{"reference": "http://elsewhere.org/fhir/Practitioner/1"}]},
    {"author": [{"reference": "Foo/1"}]}, {"event": [{"detail": [{"reference": "Observation/none"}]}]}, {"attester": [{"mode": "legal", "party": {"reference": "Practitioner/none"}}]},
])  # fmt: skip
def test_a_reference_that_leads_nowhere_makes_it_impossible(world, more):
    world.post.store(a_composition(**more))
    assert world.post.get(PATH).status == 422


def test_a_reference_that_says_no_address_is_none(world):
    world.post.store(
        a_composition(
            author=[{"display": "Dr. X"}, {"reference": "#p"}],
            contained=[{"resourceType": "Practitioner", "id": "p"}],
        )
    )
    assert "posta-m1" not in ids(world.post.get(PATH))


def test_hidden_and_absent_make_it_impossible_alike(world):
    world.hospital.store(patient_of(HOSPITAL, 7), an_observation("hospital-o1", "hospital-p7"))
    answers = []
    for target in ("hospital-o1", "hospital-o9"):
        world.post.store(a_composition(section=[{"entry": [{"reference": f"Observation/{target}"}]}]))
        answers.append(world.post.get(PATH).normalised())
    assert answers[0] == answers[1]
    assert answers[0][0] == 422


def test_it_reaches_as_far_as_the_permit(world):
    assert (
        world.hospital.get(PATH).status
        == world.hospital.get("Composition/posta-none/$document").status
        == 404
    )
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    assert set(ids(world.hospital.get(PATH))) == {
        "posta-d1",
        "posta-p1",
        "posta-m1",
        "posta-u1",
        "posta-o1",
        "posta-u2",
    }
    assert world.of(POST, "system/Composition.r").get(PATH).status == 422
    world.post.delete("Composition/posta-d1")
    assert world.post.get(PATH).status == 410


def test_a_document_may_be_kept_in_the_record_of_its_patient(world):
    persist = {"resourceType": "Parameters", "parameter": [{"name": "persist", "valueBoolean": True}]}
    assert world.post.get(f"{PATH}?persist=true").status == 405
    said = world.post.operate(PATH, persist)
    assert said.status == 201
    kept = said.body["id"]
    assert said.headers["location"].endswith(f"/Bundle/{kept}/_history/1")
    assert set(ids(world.post.get(f"Bundle/{kept}"))) == {
        "posta-d1",
        "posta-p1",
        "posta-m1",
        "posta-u1",
        "posta-o1",
        "posta-u2",
    }
    assert world.hospital.get(f"Bundle/{kept}").status == 404
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    assert world.hospital.get(f"Bundle/{kept}").status == 200
    assert kept in world.hospital.get("Patient/posta-p1/$everything").ids
    # Who may read another's record keeps no copy of it.
    assert world.hospital.operate(PATH, persist).status == 404
    assert world.of(POST, "system/*.r").operate(PATH, persist).status == 403


@pytest.mark.parametrize("path", [f"{PATH}?graph=urn:g", f"{PATH}?color=red", f"{PATH}?id=posta-d1", f"{PATH}?persist=maybe", "Composition/$document", "Composition/$document?id=Patient/posta-p1",
                                  "Composition/$document?id=http://elsewhere.org/Composition/1", "Patient/posta-p1/$document", "Composition/posta-d1/_history/1/$document"])  # fmt: skip
def test_what_it_does_not_take_is_refused(world, path):
    assert world.post.get(path).status == 400
