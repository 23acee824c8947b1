"""$everything: one person's shared history, as far as the permit reaches."""

from __future__ import annotations

import json

import pytest

from exchange.fhir.validate import check
from exchange.problems import Denied
from exchange.request import Request
from tests.passage.world import patient_of
from tests.sample.consent import a_consent, a_provision
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
    "query",
    [
        "_since=x",
        "_count=0",
        "_count=x",
        "start=x",
        "end=2020-13",
        "_type=Nothing",
        "_type=",
        "color=red",
        "_offset=1",
        "_page=x",
        "start=2020&start=2021",
    ],
)
def test_what_it_does_not_take_is_refused(world, query):
    assert world.post.get(f"Patient/posta-p1/$everything?{query}").status == 400


@pytest.mark.parametrize(
    "path",
    [
        "Patient/posta-none/$everything",
        "Patient/instituto-p1/$everything",
        "Patient/posta-none/$everything?_count=5",
        "Encounter/posta-none/$everything",
        "Encounter/posta-none/$everything?_count=5",
    ],
)
def test_what_is_out_of_reach_is_not_there(world, path):
    assert world.post.get(path).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "Observation/posta-o1/$everything",
        "Observation/$everything",
        "$everything",
        "Encounter/$everything",
        "Patient/posta-p1/$summary",
        "Patient/posta-p1/$",
        "Patient/posta-p1/$Everything",
    ],
)
def test_another_operation_is_none(world, path):
    assert world.post.get(path).status == 400


def test_the_notice_stands_in_every_answer(world):
    permit(world)
    for caller in (world.post, world.hospital):
        last = caller.get("Patient/posta-p1/$everything").body["entry"][-1]
        assert last["search"]["mode"] == "outcome"
        assert last["resource"]["issue"][0]["code"] == "suppressed"


# --- what it narrows by, and what it adds


def test_it_is_narrowed_by_clinical_date_and_what_has_none_stays(world):
    world.post.store(
        an_observation("posta-o1", "posta-p1", effective="2020-02-03"),
        an_observation("posta-o2", "posta-p1", effective=None),
    )
    for query, expected in (
        ("start=2020-02-03&end=2020-02-03", {"posta-p1", "posta-o1", "posta-o2"}), ("start=2020-02-04", {"posta-p1", "posta-o2"}),
        ("end=2020-02-02", {"posta-p1", "posta-o2"}), ("end=2020", {"posta-p1", "posta-o1", "posta-o2"}),
    ):  # fmt: skip
        assert set(world.post.get(f"Patient/posta-p1/$everything?{query}").ids) == expected
    assert world.post.get("Patient/posta-p1/$everything?start=2021&_type=Observation").ids == ["posta-o2"]


def test_it_is_narrowed_by_when_it_was_stored(world):
    instant = world.post.put(an_observation("posta-o1", "posta-p1", status="amended")).body["meta"][
        "lastUpdated"
    ]
    assert world.post.get(f"Patient/posta-p1/$everything?_since={instant}").ids == ["posta-o1"]
    assert world.post.get("Patient/posta-p1/$everything?_since=2999-01-01T00:00:00Z").total == 0


def test_what_it_refers_to_and_belongs_to_nobody_comes_with_it(world):
    world.post.store(
        {"resourceType": "Organization", "id": "posta-u1", "name": "U", "partOf": {"reference": "Organization/posta-u2"}},
        {"resourceType": "Organization", "id": "posta-u2", "name": "V"}, {"resourceType": "Organization", "id": "posta-u3", "name": "W"},
        {"resourceType": "Practitioner", "id": "posta-d1", "name": [{"family": "D"}]}, {"resourceType": "Binary", "id": "posta-b1", "contentType": "text/plain", "data": "eA=="},
        {"resourceType": "DocumentReference", "id": "posta-r1", "status": "current", "subject": {"reference": "Patient/posta-p1"}, "content": [{"attachment": {"url": "Binary/posta-b1"}}]},
        an_observation("posta-o1", "posta-p1", performer=[{"reference": "Organization/posta-u1"}, {"reference": "Practitioner/posta-d1"}, {"reference": "Practitioner/posta-none"}]),
    )  # fmt: skip
    said = world.post.get("Patient/posta-p1/$everything")
    assert {each["id"] for each in said.included} == {"posta-u1", "posta-u2", "posta-d1", "posta-b1"}
    assert said.total == len(said.matches) == 4
    assert {each["id"] for each in world.post.get("Patient/posta-p1/$everything?_count=50").included} == {
        "posta-u1",
        "posta-u2",
        "posta-d1",
        "posta-b1",
    }
    narrowed = world.post.get("Patient/posta-p1/$everything?_type=Observation,Practitioner")
    assert [each["id"] for each in narrowed.included] == ["posta-d1"]
    scoped = world.of(POST, "system/Patient.r system/Observation.r").get("Patient/posta-p1/$everything")
    assert scoped.included == []
    # The hospital sees the document reference by consent, and not the file that its facility keeps for itself.
    permit(world)
    assert {each["id"] for each in world.hospital.get("Patient/posta-p1/$everything").included} == {
        "posta-u1",
        "posta-u2",
        "posta-d1",
    }


def test_an_encounter_has_its_own(world):
    encounter = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": "Patient/posta-p1"},
    }
    condition = {
        "resourceType": "Condition",
        "id": "posta-k1",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/posta-p1"},
    }
    world.post.store(
        condition, encounter | {"id": "posta-e1", "diagnosis": [{"condition": {"reference": "Condition/posta-k1"}}]}, encounter | {"id": "posta-e11"},
        an_observation("posta-o1", "posta-p1", encounter={"reference": "Encounter/posta-e1"}), an_observation("posta-o2", "posta-p1", encounter={"reference": "Encounter/posta-e11"}),
    )  # fmt: skip
    for query in ("", "?_count=50"):
        said = world.post.get(f"Encounter/posta-e1/$everything{query}")
        assert set(said.ids) == {"posta-e1", "posta-o1"}
        assert check(said.body) == []
    assert {each["id"] for each in world.post.get("Encounter/posta-e1/$everything").included} == {
        "posta-p1",
        "posta-k1",
    }
    assert world.hospital.get("Encounter/posta-e1/$everything").status == 404
    permit(world)
    assert set(world.hospital.get("Encounter/posta-e1/$everything").ids) == {"posta-e1", "posta-o1"}
    assert world.post.get("Encounter/posta-e1/$everything?start=2020").status == 400


# --- pages


def walk(caller, path: str) -> list[str]:
    found = []
    while path:
        said = caller.get(path)
        assert said.status == 200, said.text
        assert len(said.matches) <= 2
        found += said.ids
        path = said.next
    return found


def test_pages_tell_each_resource_once_whatever_is_written_meanwhile(world):
    permit(world)
    first = world.hospital.get("Patient/posta-p1/$everything?_count=2")
    world.post.store(
        an_observation("posta-o1", "posta-p1", effective="1999"),
        an_observation("posta-o2", "posta-p1", effective=None),
    )
    found = first.ids + walk(world.hospital, first.next)
    assert sorted(found) == sorted(
        ["posta-p1", "posta-o1", "posta-o2", "posta-c1", "instituto-p1", "instituto-o1"]
    )
    assert set(found[:2]) == {"posta-p1", "instituto-p1"}
    assert world.institute.get(first.next).status in (400, 404)


def test_a_permit_that_ends_between_pages_ends_them(world):
    permit(world)
    first = world.hospital.get("Patient/posta-p1/$everything?_count=2")
    world.post.store(a_consent("posta-c1", "posta-p1", deny=HOSPITAL))
    assert world.hospital.get(first.next).status == 404


def test_all_patients_in_reach_come_in_pages(world):
    assert sorted(walk(world.post, "Patient/$everything?_count=2")) == [
        "posta-o1",
        "posta-o2",
        "posta-o3",
        "posta-p1",
        "posta-p2",
    ]
    assert walk(world.hospital, "Patient/$everything?_count=2") == []
    permit(world)
    assert sorted(walk(world.hospital, "Patient/$everything?_count=2")) == [
        "instituto-o1",
        "instituto-p1",
        "posta-c1",
        "posta-o1",
        "posta-o2",
        "posta-p1",
    ]
    assert world.of(POST, "system/Patient.r").get("Patient/$everything").status == 403
    assert set(walk(world.of(POST, "system/Patient.s"), "Patient/$everything?_count=2")) == {
        "posta-p1",
        "posta-p2",
    }


# --- the stream


def asked(world, **more) -> Request:
    return Request("operation", "Patient", "posta-p1", operation="everything", described="GET", **more)


def test_a_long_record_is_streamed_whole_and_holds_no_connection(world, monkeypatch):
    monkeypatch.setattr("exchange.operations.everything_walk.PIECE_ROWS", 3)
    world.post.store(*(an_observation(f"posta-x{number}", "posta-p1") for number in range(20)))
    idle = world.database_store._idle
    events = len(world.events())
    before = len(idle)
    answer = world.spine.perform(asked(world), world.post.requester)
    # The event is durable before the first byte leaves, and nothing of the body is there yet.
    assert len(world.events()) == events + 1
    assert (answer.body, answer.version_id) == (b"", 0)
    parts = []
    for part in answer.stream:
        parts.append(part)
        assert len(idle) == before
    assert len(parts) > 8
    body = json.loads(b"".join(parts))
    assert check(body) == []
    assert body["total"] == len([each for each in body["entry"] if each["search"]["mode"] == "match"]) == 23


def test_what_is_written_during_the_stream_neither_comes_twice_nor_goes_missing(world, monkeypatch):
    monkeypatch.setattr("exchange.operations.everything_walk.PIECE_ROWS", 1)
    stream = world.spine.perform(asked(world), world.post.requester).stream
    parts = [next(stream), next(stream)]
    world.post.store(
        an_observation("posta-o1", "posta-p1", effective="1999"), an_observation("posta-o9", "posta-p1")
    )
    world.post.delete("Observation/posta-o2")
    body = json.loads(b"".join([*parts, *stream]))
    assert sorted(each["resource"]["id"] for each in body["entry"][:-1]) == [
        "posta-o1",
        "posta-o2",
        "posta-p1",
    ]


def test_a_permit_that_ends_during_the_stream_ends_what_is_told(world, monkeypatch):
    monkeypatch.setattr("exchange.operations.everything_walk.PIECE_ROWS", 1)
    permit(world)
    stream = world.spine.perform(asked(world), world.hospital.requester).stream
    parts = [next(stream), next(stream)]
    world.post.store(a_consent("posta-c1", "posta-p1", deny=HOSPITAL))
    body = json.loads(b"".join([*parts, *stream]))
    assert len(body["entry"]) == 2  # the one that was sent before, and the notice


def test_a_part_that_is_refused_ends_the_stream_and_stands_in_the_log(world, monkeypatch):
    monkeypatch.setattr("exchange.operations.everything_walk.PIECE_ROWS", 1)
    permit(world)
    stream = world.spine.perform(asked(world), world.hospital.requester).stream
    next(stream)
    events = len(world.events())

    def refused(*_):
        raise Denied("the region's policy forbids it now", reason="policy")

    monkeypatch.setattr("exchange.perform.decide", refused)
    with pytest.raises(Denied):
        list(stream)
    monkeypatch.undo()
    assert len(world.events()) == events + 1
    assert world.events()[-1]["outcome"] == "4"


def test_it_may_be_posted_too(world):
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueCode": "Observation"},
            {"name": "_type", "valueCode": "Patient"},
        ],
    }
    assert set(world.post.operate("Patient/posta-p1/$everything", parameters).ids) == {
        "posta-p1",
        "posta-o1",
        "posta-o2",
    }
    parameters["parameter"].append({"name": "color", "valueCode": "red"})
    assert world.post.operate("Patient/posta-p1/$everything", parameters).status == 400


@pytest.mark.parametrize("more", ["", "?_count=5", "?start=2026-01-01", "?_type=Observation"])
def test_a_patient_that_is_hidden_is_absent_whatever_of_it_is_permitted(world, more):
    observations = [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]
    provision = a_provision("permit", actors=[HOSPITAL], **{"class": observations})
    world.post.store(a_consent("posta-c1", "posta-p1", provision=provision))
    assert world.hospital.get("Observation/posta-o1").status == 200
    hidden = world.hospital.get(f"Patient/posta-p1/$everything{more}")
    assert (hidden.status, hidden.text) == (404, world.hospital.get(f"Patient/posta-p404/$everything{more}").text)  # fmt: skip
