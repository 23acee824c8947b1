"""history of one resource, of a type and of all: what is told, to whom, and that nothing is missed."""

from __future__ import annotations

import threading
import time

import pytest

from exchange.fhir.validate import check
from tests.passage.world import patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST
from tests.sample.shelf import put


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
    return empty


def told(said) -> list[tuple[str, str, str]]:
    """Method, status and place of each entry."""
    return [
        (each["request"]["method"], each["response"]["status"], each["fullUrl"].rpartition("/fhir/")[2] + "/" + each["response"]["etag"][3:-1])
        for each in said.body.get("entry", ())
    ]  # fmt: skip


def settled(caller, path: str, most: int) -> list[tuple[str, str, str]]:
    """A whole history of many, asked until nothing that was committed is held back any more."""
    deadline = time.monotonic() + 20
    while len(found := walk(caller, path)) < most and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def walk(caller, path: str) -> list[tuple[str, str, str]]:
    found = []
    while path:
        said = caller.get(path)
        assert said.status == 200, said.text
        found += told(said)
        path = said.next
    return found


def test_a_type_and_all_types_have_a_history(world):
    world.post.store(an_observation("posta-o1", "posta-p1", status="amended"))
    made = world.post.post(
        {name: value for name, value in an_observation("x", "posta-p1").items() if name != "id"}
    ).body["id"]
    world.post.delete("Observation/posta-o1")
    expected = [
        ("DELETE", "204", "Observation/posta-o1/3"), ("POST", "201", f"Observation/{made}/1"),
        ("PUT", "200", "Observation/posta-o1/2"), ("PUT", "201", "Observation/posta-o1/1"),
    ]  # fmt: skip
    assert settled(world.post, "Observation/_history", 4) == expected
    assert settled(world.post, "_history", 5) == [*expected, ("PUT", "201", "Patient/posta-p1/1")]
    said = world.post.get("Observation/_history")
    assert check(said.body) == []
    assert said.total == 4
    assert "resource" not in said.body["entry"][0]
    assert said.body["entry"][1]["request"]["url"] == "Observation"


def test_what_comes_back_was_created_again(world):
    world.post.delete("Observation/posta-o1")
    world.post.store(an_observation("posta-o1", "posta-p1"))
    assert told(world.post.get("Observation/posta-o1/_history"))[0] == (
        "PUT",
        "201",
        "Observation/posta-o1/3",
    )


@pytest.mark.parametrize("path", ["Observation/_history", "_history", "Observation/posta-o1/_history"])
def test_pages_tell_each_version_once_whatever_is_written_meanwhile(world, path):
    for number in range(5):
        world.post.store(an_observation("posta-o1", "posta-p1", note=[{"text": str(number)}]))
    settled(world.post, "_history", 7)
    first = world.post.get(f"{path}?_count=2")
    world.post.store(
        an_observation("posta-o1", "posta-p1", note=[{"text": "late"}]),
        an_observation("posta-o9", "posta-p1"),
    )
    found = told(first) + walk(world.post, first.next)
    versions = [place for _, _, place in found if place.startswith("Observation/posta-o1/")]
    assert versions == [f"Observation/posta-o1/{number}" for number in range(6, 0, -1)]
    assert len(set(found)) == len(found)
    assert first.total == (7 if path == "_history" else 6)


def test_a_page_is_of_this_caller_and_this_history(world):
    world.post.store(an_observation("posta-o2", "posta-p1"))
    settled(world.post, "Observation/_history", 2)
    following = world.post.get("Observation/_history?_count=1").next
    token = following.partition("_page=")[2]
    assert world.post.get(following).status == 200
    assert world.of(HOSPITAL).get(following).status == 400
    assert world.post.get(f"Patient/_history?_count=1&_page={token}").status == 400
    assert world.post.get(f"Observation/_history?_count=2&_page={token}").status == 400
    assert world.post.get("Observation/_history?_page=eA").status == 400


@pytest.mark.parametrize("path", ["Observation/_history", "_history"])
@pytest.mark.parametrize(
    "query",
    [
        "_sort=-_lastUpdated",
        "_list=List/1",
        "color=red",
        "_count=x",
        "_since=x",
        "_since=2020&_since=2021",
        "_count=1&_count=2",
        "_at=2020-02-31",
    ],
)
def test_what_it_does_not_take_is_refused(world, path, query):
    assert world.post.get(f"{path}?{query}").status == 400


def test_events_have_no_history(world):
    assert world.administrator.get("AuditEvent/_history").status == 400
    assert world.post.get("AuditEvent/_history").status in (400, 403)


def test_since_begins_at_the_first_version_of_that_instant(world):
    settled(world.post, "_history", 2)
    time.sleep(0.002)
    instant = world.post.put(an_observation("posta-o1", "posta-p1", status="amended")).body["meta"][
        "lastUpdated"
    ]
    assert settled(world.post, f"_history?_since={instant}", 1) == [("PUT", "200", "Observation/posta-o1/2")]
    assert told(world.post.get(f"Observation/posta-o1/_history?_since={instant}")) == [
        ("PUT", "200", "Observation/posta-o1/2")
    ]
    assert world.post.get(f"Patient/_history?_since={instant}").total == 0
    assert told(world.post.get("_history?_since=2999-01-01T00:00:00Z")) == []


def test_at_tells_what_was_current_then(world):
    first = world.post.get("Observation/posta-o1").body["meta"]["lastUpdated"]
    time.sleep(0.01)
    second = world.post.put(an_observation("posta-o1", "posta-p1", status="amended")).body["meta"][
        "lastUpdated"
    ]
    time.sleep(0.01)
    world.post.delete("Observation/posta-o1")
    settled(world.post, "_history", 4)
    for path in ("Observation/posta-o1/_history", "Observation/_history"):
        assert told(world.post.get(f"{path}?_at={first}")) == [("PUT", "201", "Observation/posta-o1/1")]
        assert told(world.post.get(f"{path}?_at={second}")) == [("PUT", "200", "Observation/posta-o1/2")]
        assert told(world.post.get(f"{path}?_at=2020-01-01")) == []
        assert told(world.post.get(f"{path}?_at=2999-01-01")) == []
        assert len(told(world.post.get(f"{path}?_at={first[:4]}"))) == 3


def test_a_history_holds_what_is_permitted_today(world):
    world.post.store(
        an_observation("posta-o1", "posta-p1", status="amended"),
        {"resourceType": "Organization", "id": "posta-u1", "name": "U"},
    )
    settled(world.post, "_history", 4)
    assert [place for _, _, place in settled(world.hospital, "_history", 1)] == ["Organization/posta-u1/1"]
    assert world.hospital.get("Observation/_history").total == 0
    world.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    assert len(settled(world.hospital, "Observation/_history", 2)) == 2
    assert len(settled(world.hospital, "_history", 5)) == 5
    world.post.store(a_consent("posta-c1", "posta-p1", deny=HOSPITAL))
    assert world.hospital.get("Observation/_history").total == 0
    assert world.hospital.get("Observation/posta-o1/_history").status == 404


def test_the_history_of_a_type_needs_the_scope_to_search_it(world):
    for scopes, status in (
        ("system/Observation.r", 403),
        ("system/Patient.s", 403),
        ("system/Observation.s", 200),
    ):
        assert world.of(POST, scopes).get("Observation/_history").status == status
    settled(world.post, "_history", 2)
    assert {place.split("/")[0] for _, _, place in walk(world.of(POST, "system/Patient.rs"), "_history")} == {
        "Patient"
    }
    assert walk(world.of(POST, "system/*.c"), "_history") == []


def test_a_history_is_audited_for_each_patient_it_shows(world):
    settled(world.post, "Observation/_history", 1)
    event = world.events()[-1]
    assert event["subtype"][0]["code"] == "history-type"
    assert event["entity"][0]["what"]["reference"] == "Patient/posta-p1"


def test_one_who_asks_from_the_newest_instant_on_misses_nothing(world):
    """Writers of every speed, some that begin early and commit late; a reader who only ever asks for what is new."""
    failures: list[BaseException] = []
    written: set[str] = set()

    def write(number: int) -> None:
        try:
            for turn in range(8):
                name = f"posta-w{number}-{turn}"
                with world.database_store.transaction() as transaction:
                    transaction.rows("SELECT pg_current_xact_id()")  # an early place in the order
                    time.sleep(0.03 * ((number + turn) % 4))
                    put(transaction, world.post.requester, an_observation(name, "posta-p1"))
                    time.sleep(0.02 * (number % 3))
                    transaction.commit()
                written.add(name)
        except BaseException as problem:  # noqa: BLE001 - told by the assertion below
            failures.append(problem)

    seen: set[str] = set()
    since = ""

    def poll() -> None:
        nonlocal since
        path = "Observation/_history?_count=7" + (f"&_since={since}" if since else "")
        newest = since
        while path:
            said = world.post.get(path)
            assert said.status == 200, said.text
            for each in said.body.get("entry", ()):
                seen.add(each["fullUrl"].rpartition("/")[2])
            newest = max(newest, said.body.get("meta", {}).get("lastUpdated", ""))
            path = said.next
        since = newest

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for each in writers:
        each.start()
    while any(each.is_alive() for each in writers):
        poll()
    deadline = time.monotonic() + 20
    while len(seen & written) < len(written) and time.monotonic() < deadline:
        poll()
    assert not failures
    assert len(written) == 32
    assert written <= seen


def test_what_is_committed_late_is_not_overtaken(world):
    """The one who began first is still writing when the second is done: until then, neither is told."""
    settled(world.post, "_history", 2)
    with world.database_store.transaction() as early:
        put(early, world.post.requester, an_observation("posta-early", "posta-p1"))
        time.sleep(0.01)
        world.post.store(an_observation("posta-late", "posta-p1"))
        said = world.post.get("Observation/_history")
        newest = said.body["meta"]["lastUpdated"]
        assert [place for _, _, place in told(said)] == ["Observation/posta-o1/1"]
        assert said.total == 1
        assert told(world.post.get("Observation/posta-late/_history")) == [
            ("PUT", "201", "Observation/posta-late/1")
        ]
        early.commit()
    found = settled(world.post, f"Observation/_history?_since={newest}", 3)
    assert {place for _, _, place in found} == {
        "Observation/posta-late/1",
        "Observation/posta-early/1",
        "Observation/posta-o1/1",
    }


def test_what_bears_an_earlier_instant_and_a_later_place_is_told(world):
    """The later place has the earlier instant: whoever asks from the instant that he knows gets it all the same."""
    with world.database_store.transaction() as first:
        first.rows("SELECT pg_current_xact_id()")
        with world.database_store.transaction() as second:
            put(second, world.post.requester, an_observation("posta-second", "posta-p1"))
            time.sleep(0.01)
            put(first, world.post.requester, an_observation("posta-first", "posta-p1"))
            first.commit()
            known = world.post.get("Observation/posta-first").body["meta"]["lastUpdated"]
            second.commit()
    found = settled(world.post, f"Observation/_history?_since={known}", 2)
    assert {place for _, _, place in found} == {"Observation/posta-first/1", "Observation/posta-second/1"}
