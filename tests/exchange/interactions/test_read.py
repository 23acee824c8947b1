"""read and vread: the whole resource, or the part that is asked for."""

from __future__ import annotations

import pytest

from exchange.fhir.subset import SUBSETTED
from tests.passage.world import patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import POST

PLACES = ("Observation/posta-o1", "Observation/posta-o1/_history/1")


@pytest.fixture(scope="module")
def world(shared_module):
    made = shared_module.clear()
    made.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1", note=[{"text": "x"}]))
    return made


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("_elements=note", {"status", "code", "note"}),
        ("_summary=text", {"status", "code"}),
        ("_elements=note&_format=json&_pretty=true", {"status", "code", "note"}),
    ],
)
def test_a_part_says_that_it_is_one(world, place, query, names):
    said = world.post.get(f"{place}?{query}")
    assert said.status == 200
    assert said.body.keys() == {"resourceType", "id", "meta"} | names
    assert SUBSETTED in said.body["meta"]["tag"]
    assert said.headers["etag"] == 'W/"1"'


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("query", ["", "?_summary=false", "?_format=json"])
def test_the_whole_is_the_text_that_is_stored(world, place, query):
    assert world.post.get(place + query).text == world.post.get("Observation/posta-o1").text
    assert "tag" not in world.post.get(place + query).body["meta"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("query", ["color=red", "_sumary=true", "_summary=count", "_summary=short", "_elements=color", "status=final"])  # fmt: skip
def test_what_is_not_known_is_refused_and_not_passed_over(world, place, query):
    assert world.post.get(f"{place}?{query}").status == 400


def test_a_lenient_client_gets_what_the_hub_knows(world):
    said = world.post.get("Observation/posta-o1?color=red&_elements=note", is_lenient=True)
    assert said.body["note"] == [{"text": "x"}]
    assert "subject" not in said.body


@pytest.mark.parametrize("query", ["", "?_elements=note", "?_summary=text"])
def test_a_part_of_what_is_hidden_is_as_absent_as_the_whole(world, query):
    hidden, absent = (world.hospital.get(f"Observation/posta-{name}{query}") for name in ("o1", "o9"))
    assert hidden.status == absent.status == 404
    assert hidden.text == absent.text
