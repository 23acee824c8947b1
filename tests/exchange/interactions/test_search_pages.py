"""Each match that is there throughout stands on exactly one page, whatever is written while a client pages."""

from __future__ import annotations

from random import Random

import pytest

from tests.passage.world import patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import POST

NUMBER = 24
KEPT = {f"posta-w{number:02d}" for number in range(NUMBER)}
QUERIES = [
    "Observation?patient=posta-p1", "Observation?patient=posta-p1&_sort=-date", "Observation?patient=posta-p1&_sort=date", "Observation?patient=posta-p1&_sort=_lastUpdated", "Observation?patient=posta-p1&_sort=-_lastUpdated", "Observation?patient=posta-p1&_sort=value-quantity",
    "Observation?patient=posta-p1&_sort=-value-quantity,date", "Observation?patient=posta-p1&_sort=status,-date,_id", "Observation?patient=posta-p1&_sort=_id", "Observation?code=paged", "Observation?code=paged&_sort=-date", "Observation?code=paged&_sort=_lastUpdated",
    "Observation?code=paged&_sort=-_lastUpdated", "Observation?code=paged&_sort=-value-quantity", "Observation?code=paged&value-quantity=gt0&_sort=-date", "Observation?patient=posta-p1&value-quantity=gt0&_sort=date", "Observation?patient.family=quispe&_sort=-date",
    "Observation?status:not=cancelled&_sort=date",
]  # fmt: skip


def _observation(number: int, random: Random, name: str = "w") -> dict:
    day = random.choice([None, *(f"2026-05-{each:02d}" for each in range(1, 29))])
    value = {"value": random.randint(1, 50), "system": "http://unitsofmeasure.org", "code": "mg"}
    return an_observation(
        f"posta-{name}{number:02d}", "posta-p1", code="paged", effective=day, valueQuantity=value, status=random.choice(["final", "amended"])
    )  # fmt: skip


@pytest.fixture
def world(shared_hub):
    made = shared_hub.clear()
    made.post.store(patient_of(POST, 1, family="Quispe"))
    made.post.store(*(_observation(number, Random(number)) for number in range(NUMBER)))
    return made


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("seed", [1, 2])
def test_each_match_stands_on_one_page_while_others_move_come_and_go(world, query, seed):
    """Between two pages some are updated - so that they stand elsewhere now -, some are new, some are gone."""
    random, walk, path, new = Random(seed), [], f"{query}&_count=3", 0
    while path:
        said = world.post.get(path)
        assert said.status == 200, said.text
        walk += said.ids
        path = said.next if len(walk) < 3 * NUMBER else ""  # an order that moves never ends
        for number in random.sample(range(NUMBER), 4):
            world.post.store(_observation(number, random))
        world.post.store(_observation(new, random, "new"))
        if new:
            world.post.delete(f"Observation/posta-new{new - 1:02d}")
        new += 1
    assert len(walk) == len(set(walk))
    assert set(walk) >= KEPT


@pytest.mark.parametrize(
    ("query", "start", "then"),
    [
        ("_sort=date", "2026-05-20", "2026-05-01"), ("_sort=date", "2026-05-01", "2026-05-28"), ("_sort=-date", "2026-05-01", "2026-05-28"), ("_sort=-date", "2026-05-28", "2026-05-01"), ("_sort=date", "2026-05-20", None), ("_sort=date", None, "2026-05-01"), ("_sort=-date", None, "2026-05-28"),
    ],
)  # fmt: skip
def test_one_that_crosses_the_edge_of_a_page_is_shown_once_as_it_is_now(world, query, start, then):
    others = [an_observation(f"posta-e{day:02d}", "posta-p1", code="edge", effective=f"2026-05-{day:02d}") for day in (5, 8, 12, 15)]  # fmt: skip
    world.post.store(an_observation("posta-mover", "posta-p1", code="edge", effective=start), *others)
    first = world.post.get(f"Observation?patient=posta-p1&code=edge&{query}&_count=2")
    world.post.store(an_observation("posta-mover", "posta-p1", code="edge", effective=then, status="amended"))
    walk, shown, path = list(first.ids), list(first.matches), first.next
    while path:
        said = world.post.get(path)
        walk += said.ids
        shown += said.matches
        path = said.next
    assert sorted(walk) == ["posta-e05", "posta-e08", "posta-e12", "posta-e15", "posta-mover"]
    mover = next(each for each in shown if each["id"] == "posta-mover")
    assert mover["status"] == ("final" if "posta-mover" in first.ids else "amended")


def test_what_no_longer_matches_is_not_shown(world):
    first = world.post.get("Observation?code=paged&_sort=-date&_count=2")
    gone = [each for each in sorted(KEPT) if each not in first.ids][:3]
    for each in gone[:2]:
        world.post.store(an_observation(each, "posta-p1", code="other", effective="2026-05-01"))
    world.post.delete(f"Observation/{gone[2]}")
    walk, path = list(first.ids), first.next
    while path:
        said = world.post.get(path)
        walk += said.ids
        path = said.next
    assert set(walk) == KEPT - set(gone)
    assert len(walk) == len(set(walk))


def test_one_that_was_deleted_and_is_back_stands_where_it_stood(world):
    first = world.post.get("Observation?code=paged&_sort=-date&_count=2")
    back = next(each for each in sorted(KEPT) if each not in first.ids)
    world.post.delete(f"Observation/{back}")
    world.post.store(an_observation(back, "posta-p1", code="paged", effective="2026-06-30"))
    walk, path = list(first.ids), first.next
    while path:
        said = world.post.get(path)
        walk += said.ids
        path = said.next
    assert sorted(walk) == sorted(KEPT)


def test_a_page_that_others_write_beside_asks_for_little(world):
    """What has changed since is found by its transaction, not by reading everything again."""
    first = world.post.get("Observation?patient=posta-p1&_sort=-date&_count=5")
    world.post.store(_observation(3, Random(9)))
    assert world.post.get(first.next).status == 200


def test_a_writer_that_was_there_before_the_first_page_and_ends_after_it(world):
    """Its snapshot decides what a page saw, not the clock: what commits late is no part of the first page's order."""
    walk: list[str] = []
    with world.database_store.transaction() as late:
        from tests.sample.requester import a_requester
        from tests.sample.shelf import put

        put(late, a_requester(POST), _observation(0, Random(50)), _observation(99, Random(51), "new"))
        first = world.post.get("Observation?code=paged&_sort=-_lastUpdated&_count=5")
        late.commit()
    walk, path = list(first.ids), first.next
    while path:
        said = world.post.get(path)
        walk += said.ids
        path = said.next
    assert sorted(walk) == sorted(KEPT)
