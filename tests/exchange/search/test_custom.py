"""Search parameters that are posted to the hub: complete answers at once, by the index when they are ready."""

from __future__ import annotations

import threading

import pytest

from exchange.search import custom_index
from exchange.search.parameter import install, known_parameters
from exchange.worker.steps import index_until
from tests.passage.world import World, a_world, patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import POST


@pytest.fixture
def world(server):
    with a_world(server) as made:
        yield made
    install({})


def a_parameter(code: str = "body-site", **changes):
    found = {
        "resourceType": "SearchParameter", "id": f"posta-{code}".replace(":", "").replace("_", ""), "url": f"http://example.org/{code}", "name": code,
        "status": "active", "description": "x", "code": code, "base": ["Observation"], "type": "token",
        "expression": "Observation.bodySite",
    }  # fmt: skip
    return found | changes


def an_arm(number: int, code: str = "arm"):
    site = {"bodySite": {"coding": [{"system": "urn:site", "code": code}]}}
    return an_observation(f"posta-o{number}", "posta-p1") | site


def look_again(world: World) -> None:
    world.spine._looked_at = -1.0


def index_all(world: World) -> None:
    while world.spine.index_parameters():
        pass


def state(world: World) -> str:
    with world.sql() as cursor:
        cursor.execute("SELECT state FROM custom_parameter")
        return cursor.fetchone()[0]


def test_it_is_answered_whole_before_it_is_indexed_and_after(world, monkeypatch):
    world.post.store(patient_of(POST, 1), an_arm(1), an_arm(2, "leg"))
    world.post.store(a_parameter())
    look_again(world)
    assert world.post.get("Observation?body-site=urn:site|arm").ids == ["posta-o1"]
    assert world.post.get("Observation?patient=posta-p1&body-site:not=arm").ids == ["posta-o2"]
    assert state(world) == "noted"
    assert not world.spine.index_parameters()  # somebody may not have heard of it yet
    monkeypatch.setattr(custom_index, "SETTLED_MICROSECONDS", 0)
    world.post.store(an_arm(3))
    index_all(world)
    assert state(world) == "ready"
    look_again(world)
    world.post.store(an_arm(4))
    for query in ("Observation?body-site=urn:site|arm", "Observation?patient=posta-p1&body-site=arm"):
        assert sorted(world.post.get(query).ids) == ["posta-o1", "posta-o3", "posta-o4"]
    with world.sql() as cursor:  # by the index: what is opened no longer decides
        cursor.execute("UPDATE resource SET tokens = '{}' WHERE id = 'posta-o1'")
    assert sorted(world.post.get("Observation?body-site=arm").ids) == ["posta-o3", "posta-o4"]


def test_writers_and_the_worker_leave_no_gap(world, monkeypatch):
    monkeypatch.setattr(custom_index, "SETTLED_MICROSECONDS", 50_000)
    monkeypatch.setattr(custom_index, "BATCH_ROWS", 3)
    world.post.store(patient_of(POST, 1), *(an_arm(number) for number in range(20)))
    stopped = threading.Event()
    worker = threading.Thread(target=index_until, args=(stopped, world.spine, 0.01))
    worker.start()
    try:
        world.post.store(a_parameter())
        look_again(world)
        for number in range(20, 60):
            world.post.store(an_arm(number), an_arm(number % 7, "leg" if number % 2 else "arm"))
            found = world.post.get("Observation?body-site=arm,leg&_summary=count").total
            assert found == number + 1
        for _ in range(400):
            if state(world) == "ready":
                break
            stopped.wait(0.02)
    finally:
        stopped.set()
        worker.join()
    assert state(world) == "ready"
    look_again(world)
    assert world.post.get("Observation?body-site=arm,leg&_summary=count").total == 60


def test_it_sorts_includes_and_chains(world, monkeypatch):
    monkeypatch.setattr(custom_index, "SETTLED_MICROSECONDS", 0)
    world.post.store(patient_of(POST, 1), an_arm(1, "b"), an_arm(2, "a"))
    world.post.store(
        a_parameter(),
        a_parameter("whom", type="reference", expression="Observation.subject", target=["Patient"]),
        a_parameter("height", type="quantity", expression="Observation.value as Quantity"),
    )
    look_again(world)
    assert world.post.get("Observation?_sort=body-site").ids == ["posta-o2", "posta-o1"]
    assert world.post.get("Patient?_has:Observation:whom:body-site=a").ids == ["posta-p1"]
    assert world.post.get("Observation?whom.identifier=40000001&_sort=_id").ids == ["posta-o1", "posta-o2"]
    assert len(world.post.get("Observation?height=gt1").ids) == 2
    assert world.post.get("Patient?_revinclude=Observation:whom").status == 503
    index_all(world)
    look_again(world)
    assert len(world.post.get("Patient?_revinclude=Observation:whom").included) == 2


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"expression": "Observation.nothing"}, 422),
        ({"expression": "Observation.bodySite.matches('(a+)+$')"}, 422),
        ({"expression": "(" * 3_000}, 422),
        ({"expression": "Observation" + ".component" * 300}, 422),
        ({"code": "code"}, 409),
        ({"code": "subject:Patient"}, 422),
        ({"code": "_id"}, 422),
        ({"type": "composite"}, 422),
        ({"type": "special"}, 422),
        ({"base": ["Resource"]}, 422),
    ],
)
def test_what_cannot_be_searched_by_is_refused(world, changes, status):
    said = world.post.put(a_parameter(**changes))
    assert said.status == status, said.text
    assert known_parameters("Observation").keys() == known_parameters("Observation").keys() - {"body-site"}


def test_a_code_has_one_meaning(world):
    world.post.store(a_parameter())
    said = world.post.put(a_parameter(id="posta-another", url="http://example.org/another"))
    assert said.status == 409


def test_a_draft_is_not_taken_up_and_a_retired_one_is_let_go(world):
    world.post.store(a_parameter(status="draft"))
    look_again(world)
    assert world.post.get("Observation?body-site=arm").status == 400
    world.post.store(a_parameter())
    look_again(world)
    assert world.post.get("Observation?body-site=arm").status == 200
    world.post.store(a_parameter(status="retired"))
    look_again(world)
    assert world.post.get("Observation?body-site=arm").status == 400
