"""What is delivered twice is stored once, and nothing that races is lost."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.passage.world import entry, patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

THREADS = 16
UNIT = {"resourceType": "Organization", "name": "UNIDAD", "identifier": [{"system": "urn:x", "value": "1"}]}


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1))
    return empty


def race(act) -> list:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(act, range(THREADS)))


@pytest.mark.parametrize("resource", [patient_of(POST, 1), an_observation("posta-o1", "posta-p1"), a_consent("posta-c1", "posta-p1", permit=HOSPITAL)],
                         ids=lambda each: each["resourceType"])  # fmt: skip
def test_an_identical_put_keeps_the_version(world, resource):
    world.post.put(resource)
    again = [world.post.put(resource) for _ in range(3)]
    assert {each.headers["etag"] for each in again} == {'W/"1"'}
    assert {each.status for each in again} == {200}
    assert len(world.post.get(f"{resource['resourceType']}/{resource['id']}/_history").body["entry"]) == 1


def test_what_the_hub_stamped_itself_makes_no_difference(world):
    world.post.put(an_observation("posta-o1", "posta-p1"))
    read = world.post.get("Observation/posta-o1").body
    assert world.post.put(read).headers["etag"] == 'W/"1"'
    assert world.post.put(dict(reversed(read.items()))).headers["etag"] == 'W/"1"'


@pytest.mark.parametrize(
    "change",
    [
        {"status": "amended"},
        {"note": [{"text": "x"}]},
        {"meta": {"tag": [{"code": "x"}]}},
        {"effectiveDateTime": "2026-05-31T08:30:01-05:00"},
    ],
)
def test_a_put_that_says_anything_else_makes_a_version(world, change):
    world.post.put(an_observation("posta-o1", "posta-p1"))
    assert world.post.put(an_observation("posta-o1", "posta-p1") | change).headers["etag"] == 'W/"2"'


def test_a_decimal_with_other_digits_is_another_value(world):
    from exchange.request import Request

    for number, digits in enumerate(("1.10", "1.10", "1.1"), start=1):
        text = (
            '{"resourceType":"Observation","id":"posta-d","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/posta-p1"},'
            f'"valueQuantity":{{"value":{digits}}}}}'
        ).encode()
        said = world.post.ask(Request("update", "Observation", "posta-d", body=text))
        assert said.headers["etag"] == f'W/"{max(1, number - 1)}"'
        assert f'"value":{digits}}}'.encode() in said.text


def test_a_transaction_delivered_again_changes_nothing(world):
    entries = [
        entry("PUT", f"Observation/posta-o{n}", an_observation(f"posta-o{n}", "posta-p1")) for n in range(3)
    ]
    first, second = (world.post.bundle("transaction", entries) for _ in range(2))
    assert [each["response"]["etag"] for each in second.body["entry"]] == [
        each["response"]["etag"] for each in first.body["entry"]
    ]
    assert world.post.get("Observation?_summary=count").total == 3


def test_racing_conditional_creates_make_one(world):
    said = race(lambda _: world.post.post(dict(UNIT), if_none_exist="identifier=urn:x|1"))
    assert Counter(each.status for each in said) == {201: 1, 200: THREADS - 1}
    assert len({each.body["id"] for each in said}) == 1
    assert world.post.get("Organization").total == 1


def test_racing_transactions_with_one_condition_make_one(world):
    entries = [
        entry("POST", "Organization", dict(UNIT), "urn:uuid:1", ifNoneExist="identifier=urn:x|1"),
        entry(
            "POST",
            "Location",
            {"resourceType": "Location", "managingOrganization": {"reference": "urn:uuid:1"}},
        ),
    ]
    said = race(lambda _: world.post.bundle("transaction", entries))
    assert {each.status for each in said} == {200}
    units = world.post.get("Organization").ids
    assert len(units) == 1
    held = {each["managingOrganization"]["reference"] for each in world.post.get("Location").matches}
    assert held == {f"Organization/{units[0]}"}
    assert world.post.get("Location?_summary=count").total == THREADS


def test_racing_puts_lose_nothing(world):
    said = race(
        lambda n: world.post.put(an_observation("posta-o1", "posta-p1", note=[{"text": f"version of {n}"}]))
    )
    assert Counter(each.status for each in said) == {201: 1, 200: THREADS - 1}
    history = world.post.get("Observation/posta-o1/_history").body["entry"]
    assert [each["resource"]["meta"]["versionId"] for each in history] == [
        str(n) for n in range(THREADS, 0, -1)
    ]
    assert {each["resource"]["note"][0]["text"] for each in history} == {
        f"version of {n}" for n in range(THREADS)
    }
    for n in range(1, THREADS + 1):
        assert world.post.get(f"Observation/posta-o1/_history/{n}").status == 200


def test_racing_puts_that_name_one_version_win_once(world):
    world.post.put(an_observation("posta-o1", "posta-p1"))
    said = race(
        lambda n: world.post.put(
            an_observation("posta-o1", "posta-p1", note=[{"text": str(n)}]), if_match='W/"1"'
        )
    )
    assert Counter(each.status for each in said) == {200: 1, 412: THREADS - 1}


def test_racing_bundles_in_opposite_orders_do_not_lock_each_other(world):
    ids = [f"posta-o{n}" for n in range(8)]

    def deliver(n: int):
        ordered = ids if n % 2 else list(reversed(ids))
        return world.post.bundle(
            "transaction",
            [
                entry("PUT", f"Observation/{each}", an_observation(each, "posta-p1", note=[{"text": str(n)}]))
                for each in ordered
            ],
        )

    assert {each.status for each in race(deliver)} == {200}
    for each in ids:
        assert world.post.get(f"Observation/{each}").body["meta"]["versionId"] == str(THREADS)


def test_racing_records_of_one_person_become_one_person(world):
    callers = [world.post, world.hospital, world.institute]
    prefixes = ("posta-", "hospital-", "instituto-")
    race(lambda n: callers[n % 3].store(patient_of(POST, 9) | {"id": f"{prefixes[n % 3]}r{n}"}))
    with world.sql() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT person), count(*) FROM patient_record WHERE patient_id LIKE '%-r%'"
        )
        assert cursor.fetchone() == (1, THREADS)


def test_a_deletion_and_a_put_race_to_some_order(world):
    world.post.put(an_observation("posta-o1", "posta-p1"))
    race(
        lambda n: (
            world.post.delete("Observation/posta-o1")
            if n % 2
            else world.post.put(an_observation("posta-o1", "posta-p1", note=[{"text": str(n)}]))
        )
    )
    versions = [
        int(each["response"]["etag"].strip('W/"'))
        for each in world.post.get("Observation/posta-o1/_history").body["entry"]
    ]
    assert versions == list(range(max(versions), 0, -1))
