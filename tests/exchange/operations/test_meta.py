"""$meta, $meta-add, $meta-delete: labels are read and changed, and nothing else is."""

from __future__ import annotations

import pytest

from exchange.fhir.validate import check
from tests.passage.world import patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

TAG = {"system": "urn:t", "code": "a", "display": "A"}


@pytest.fixture
def world(empty):
    empty.post.store(
        patient_of(POST, 1), an_observation("posta-o1", "posta-p1", meta={"tag": [TAG], "profile": ["urn:p"]})
    )
    return empty


def given(**meta) -> dict:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}


def meta_of(said) -> dict:
    assert said.status == 200, said.text
    assert check(said.body) == []
    return said.body["parameter"][0]["valueMeta"]


def test_the_meta_of_a_resource_is_what_reading_it_shows(world):
    assert (
        meta_of(world.post.get("Observation/posta-o1/$meta"))
        == world.post.get("Observation/posta-o1").body["meta"]
    )
    world.post.store(an_observation("posta-o1", "posta-p1", status="amended"))
    assert meta_of(world.post.get("Observation/posta-o1/_history/1/$meta"))["tag"] == [TAG]
    assert "tag" not in meta_of(world.post.get("Observation/posta-o1/$meta"))
    assert meta_of(world.post.operate("Observation/posta-o1/$meta"))["versionId"] == "2"


def test_labels_are_added_as_a_set_in_a_version_of_their_own(world):
    said = world.post.operate(
        "Observation/posta-o1/$meta-add",
        given(tag=[TAG | {"display": "other"}, {"code": "b"}], security=[{"code": "R"}], versionId="9"),
    )
    found = meta_of(said)
    assert found["tag"] == [TAG, {"code": "b"}]
    assert (found["security"], found["profile"], found["versionId"]) == ([{"code": "R"}], ["urn:p"], "2")
    assert world.post.get("Observation/posta-o1").headers["etag"] == 'W/"2"'
    assert meta_of(world.post.operate("Observation/posta-o1/$meta-add", given(tag=[TAG])))["versionId"] == "2"
    assert len(world.post.get("Observation/posta-o1/_history").body["entry"]) == 2
    assert world.post.get("Observation?_tag=b").ids == ["posta-o1"]


def test_labels_are_taken_away_and_absent_ones_are_no_error(world):
    found = meta_of(
        world.post.operate(
            "Observation/posta-o1/$meta-delete",
            given(tag=[{"system": "urn:t", "code": "a"}, {"code": "zz"}], profile=["urn:q"]),
        )
    )
    assert "tag" not in found
    assert (found["profile"], found["versionId"]) == (["urn:p"], "2")
    assert (
        meta_of(world.post.operate("Observation/posta-o1/$meta-delete", given(tag=[TAG])))["versionId"] == "2"
    )


def test_what_changes_something_is_posted(world):
    for operation in ("meta-add", "meta-delete"):
        assert world.post.get(f"Observation/posta-o1/${operation}").status == 405
        assert (
            world.post.operate(f"Observation/posta-o1/_history/1/${operation}", given(tag=[TAG])).status
            == 400
        )
        assert world.post.operate(f"Observation/${operation}", given(tag=[TAG])).status == 400
        for body in (
            None,
            given(),
            given(versionId="3"),
            {"resourceType": "Parameters"},
            given(tag=7),
            {"resourceType": "Basic"},
        ):
            assert world.post.operate(f"Observation/posta-o1/${operation}", body).status == 400


def test_what_is_hidden_or_anothers_looks_absent(world):
    assert world.hospital.get("Observation/posta-o1/$meta").status == 404
    assert world.hospital.get("Observation/posta-o1/_history/1/$meta").status == 404
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    assert meta_of(world.hospital.get("Observation/posta-o1/$meta"))["tag"] == [TAG]
    absent = world.hospital.operate("Observation/posta-none/$meta-add", given(tag=[TAG]))
    assert absent.status == 404
    assert (
        world.hospital.operate("Observation/posta-o1/$meta-add", given(tag=[TAG])).normalised()
        == absent.normalised()
    )
    world.post.delete("Observation/posta-o1")
    assert world.post.get("Observation/posta-o1/$meta").status == 410
    assert world.post.operate("Observation/posta-o1/$meta-add", given(tag=[TAG])).status == 410


def test_a_type_tells_what_is_in_use_among_what_is_in_reach(world):
    world.post.store(an_observation("posta-o2", "posta-p1", meta={"tag": [{"code": "b"}, TAG]}))
    found = meta_of(world.post.get("Observation/$meta"))
    assert {each["code"] for each in found["tag"]} == {"a", "b"}
    assert found["profile"] == ["urn:p"]
    assert not {"versionId", "lastUpdated", "source"} & found.keys()
    assert world.hospital.get("Observation/$meta").body.get("parameter") in (None, [])
    assert world.of(POST, "system/Observation.r").get("Observation/$meta").status == 403


@pytest.mark.parametrize("path", ["$meta", "Observation/posta-o1/$meta?color=red"])
def test_what_is_not_taken_is_refused(world, path):
    assert world.post.get(path).status == 400


@pytest.mark.parametrize("scopes", ["system/Observation.u", "system/Observation.r"])
def test_a_change_needs_to_read_and_to_update(world, scopes):
    assert world.of(POST, scopes).operate("Observation/posta-o1/$meta-add", given(tag=[TAG])).status == 403
