"""Whoever asks too often, or for too many people, is told to wait; and a flood does not fill the log."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid

import pytest

from exchange.audit.refusal_tally import RefusalTally
from exchange.authentication import limits
from exchange.authentication.limits import Rates
from exchange.authentication.searched_values import searched_values
from exchange.problems import Throttled, Unauthenticated
from exchange.request import Request
from tests.exchange.authentication.clinic import Clinic, refused
from tests.passage.live_hub import live_hub
from tests.sample.requester import a_requester

PURPOSE = "urn:oid:2.16.840.1.113883.5.8#TREAT"


def user(name: str) -> dict:
    return {"extensions": {"hl7-b2b": {"version": "1", "subject_id": name, "purpose_of_use": [PURPOSE]}}}


@pytest.fixture(scope="module")
def strict(server):
    """A hub with low limits."""
    told = {
        "REQUESTS_PER_MINUTE": "30", "USER_REQUESTS_PER_MINUTE": "12", "CLIENT_TOKENS_PER_MINUTE": "8",
        "DISTINCT_VALUES_PER_HOUR": "6", "USER_DISTINCT_VALUES_PER_HOUR": "3", "REFUSALS_PER_MINUTE": "10",
    }  # fmt: skip
    with live_hub(server, **{f"EXCHANGE_{name}": value for name, value in told.items()}) as hub:
        yield hub


@pytest.fixture
def clinic(strict):
    return Clinic(strict, scope="system/*.cruds user/*.rs", further_roles=("clinician",))


def statuses(clinic, token, *paths) -> list[int]:
    return [clinic.get(path, token).status_code for path in paths]


def throttled(answer) -> None:
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    [issue] = answer.json()["issue"]
    assert issue["code"] == "throttled"


# --- how often


def test_a_client_that_asks_too_often_waits(clinic):
    token = clinic.token()
    said = statuses(clinic, token, *["Organization"] * 30)
    assert said == [200] * 30
    throttled(clinic.get("Organization", token))
    other = Clinic(clinic.live)
    assert other.get("Organization", other.token()).status_code == 200


def test_each_user_of_a_client_has_a_rate_of_its_own(clinic):
    first, second = (clinic.token("user/*.rs", **user(name)) for name in ("a", "b"))
    assert statuses(clinic, first, *["Organization"] * 12) == [200] * 12
    throttled(clinic.get("Organization", first))
    assert clinic.get("Organization", second).status_code == 200


def test_a_registration_may_have_a_limit_of_its_own(strict):
    free, slow = Clinic(strict, requests_per_minute=0), Clinic(strict, requests_per_minute=2)
    assert statuses(free, free.token(), *["Organization"] * 40) == [200] * 40
    assert statuses(slow, slow.token(), *["Organization"] * 3) == [200, 200, 429]


def test_the_entries_of_a_batch_count(clinic):
    entries = [{"request": {"method": "GET", "url": "Organization"}} for _ in range(40)]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    headers = {"Authorization": f"Bearer {clinic.token()}", "Content-Type": "application/fhir+json"}
    said = clinic.live.http("POST", "/fhir", content=json.dumps(batch), headers=headers).json()
    told = [each["response"]["status"] for each in said["entry"]]
    assert told[:29] == ["200"] * 29
    assert set(told[30:]) == {"429"}


def test_a_client_that_asks_for_too_many_tokens_waits(clinic):
    assert [clinic.ask(clinic.assertion()).status_code for _ in range(8)] == [200] * 8
    throttled(clinic.ask(clinic.assertion()))
    throttled(clinic.post("/auth/introspect", token="x"))


def test_an_address_that_asks_for_too_many_tokens_waits_whoever_it_says_it_is(server):
    with live_hub(server, EXCHANGE_TOKEN_REQUESTS_PER_MINUTE="5") as hub:
        clinic = Clinic(hub)
        for _ in range(5):
            refused(clinic.ask("x"))
        throttled(clinic.ask(clinic.assertion()))
        throttled(clinic.live.http("POST", "/auth/token", data={"grant_type": "authorization_code"}))


def test_a_bucket_fills_evenly_and_never_beyond_a_minute(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    rates = Rates()
    for _ in range(6):
        rates.take("a", 6)
    with pytest.raises(Throttled) as told:
        rates.take("a", 6)
    assert told.value.retry_after_seconds == 10
    now[0] += 10
    rates.take("a", 6)
    with pytest.raises(Throttled):
        rates.take("a", 6)
    now[0] += 3_600
    for _ in range(6):
        rates.take("a", 6)
    with pytest.raises(Throttled):
        rates.take("a", 6)


def test_as_many_buckets_are_kept_as_there_is_room_for(monkeypatch):
    monkeypatch.setattr(limits, "MOST_BUCKETS", 10)
    rates = Rates()
    for number in range(100):
        rates.take(f"{number}", 1)
    assert len(rates._buckets) <= 10


# --- for how many people


def test_different_identifiers_are_limited_and_the_same_is_free(clinic):
    token = clinic.token()
    asked = [f"Patient?identifier=urn:x|{number}" for number in range(6)]
    assert statuses(clinic, token, *asked) == [200] * 6
    assert statuses(clinic, token, *asked) == [200] * 6
    assert statuses(clinic, token, "Patient?identifier=urn:x|0,urn:x|1") == [200]
    throttled(clinic.get("Patient?identifier=urn:x|6", token))
    throttled(clinic.get("Observation?patient.identifier=urn:x|7", token))
    throttled(clinic.get("Patient?family=Quispe", token))
    assert (
        statuses(clinic, token, asked[5], "Organization?identifier=urn:x|1", "Organization?name=posta")
        == [200] * 3
    )


def test_a_new_token_and_another_way_of_asking_start_nothing_anew(clinic):
    asked = {f"system/*.{letters}": number for number, letters in enumerate(("rs", "s", "cruds"))}
    for scope, number in asked.items():
        token = clinic.token(scope)
        query = f"identifier=urn:x|{number},urn:y|{number}"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-www-form-urlencoded"}
        said = clinic.live.http("POST", "/fhir/Patient/_search", content=query, headers=headers)
        assert said.status_code == 200
    throttled(clinic.get("Patient?_filter=identifier eq urn:z|1", token))


def test_each_user_has_a_limit_of_its_own(clinic):
    first, second = (clinic.token("user/*.rs", **user(name)) for name in ("a", "b"))
    asked = [f"Patient?identifier=urn:x|{number}" for number in range(4)]
    assert statuses(clinic, first, *asked) == [200, 200, 200, 429]
    assert statuses(clinic, second, asked[3]) == [200]


def test_a_search_in_a_transaction_counts(clinic):
    entries = [
        {"request": {"method": "GET", "url": f"Patient?identifier=urn:x|{number}"}} for number in range(7)
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    headers = {"Authorization": f"Bearer {clinic.token()}", "Content-Type": "application/fhir+json"}
    throttled(clinic.live.http("POST", "/fhir", content=json.dumps(bundle), headers=headers))


def test_nobody_reads_from_the_table_what_was_searched_for(clinic):
    value = uuid.uuid4().hex
    assert clinic.get(f"Patient?identifier=urn:x|{value}", clinic.token()).status_code == 200
    with clinic.live.world.sql() as cursor:
        cursor.execute("SELECT array_agg(t::text) FROM searched_value t")
        told = str(cursor.fetchone()[0])
    assert value not in told
    assert clinic.id not in told


def asked(path: str, **more) -> tuple[str, ...]:
    resource_type, _, query = path.partition("?")
    pairs = tuple(tuple(each.split("=", 1)) for each in query.split("&") if each)
    return searched_values(
        Request(**{"interaction": "search-type", "resource_type": resource_type, "query": pairs} | more)
    )


@pytest.mark.parametrize(
    ("path", "named"),
    [("Patient?identifier=a|1,a|2", 2), ("Patient?identifier=a|1&identifier=a|1", 1), ("Patient?identifier=A|X,a|x", 1),
     ("Patient?identifier:of-type=t|c|1", 1), ("Patient?identifier:not=a|1", 1), ("Patient?identifier:missing=true", 0),
     ("Patient?family=a&birthdate=1980-01-01", 2), ("Patient?name:exact=a", 1), ("Patient?gender=female", 0), ("Patient?_id=a", 0),
     ("Observation?patient.identifier=a|1", 1), ("Observation?patient:Patient.identifier=a|1", 1), ("Observation?patient.name=a", 1),
     ("Observation?subject:identifier=a|1", 1), ("Observation?identifier=a|1", 1), ("Observation?code=a|1", 0),
     ("Patient?_has:Coverage:beneficiary:identifier=a|1", 1), ("Organization?identifier=a|1", 0), ("Practitioner?name=a", 0),
     ("Organization?name=a\\,b", 0), ("Patient?name=a\\,b", 1), ("?identifier=a|1", 1), ('Patient?_filter=identifier eq a|1 and name co "b c"', 2),
     ("Patient?_filter=(family sw a or family sw b)", 2), ("Patient?identifier=", 0)],
)  # fmt: skip
def test_what_a_search_names(path, named):
    assert len(asked(path)) == named


def test_writes_name_nobody_and_one_search_not_without_end():
    assert asked("Patient?identifier=a|1", interaction="create") == ()
    assert asked("Patient?identifier=a|1", interaction="update") == ()
    assert len(asked("Patient?identifier=" + ",".join(map(str, range(5_000))))) == 1_000


# --- floods


def test_a_flood_of_strangers_is_told_by_its_number():
    written = []
    tally = RefusalTally(3, lambda *row: written.append(row), minute_seconds=0.2)
    refusal = Unauthenticated("no")
    assert [tally.is_listed(None, refusal) for _ in range(10)] == [True] * 3 + [False] * 7
    deadline = time.monotonic() + 5
    while not written and time.monotonic() < deadline:
        time.sleep(0.02)
    assert written == [(None, refusal, 7)]
    assert tally.is_listed(None, refusal)
    tally.close()
    assert len(written) == 1


def test_known_callers_are_counted_each():
    written = []
    tally = RefusalTally(1, lambda *row: written.append(row), minute_seconds=60)
    one, other = a_requester(client="one"), a_requester(client="other")
    refusal = Throttled("slow", 1)
    assert [tally.is_listed(each, refusal) for each in (one, other, one, None, one)] == [
        True,
        True,
        False,
        True,
        False,
    ]
    tally.close()
    assert written == [(one, refusal, 2)]


def test_a_number_that_cannot_be_written_is_kept():
    written = []

    def write(*row):
        if not written:
            written.append("failed")
            raise OSError
        written.append(row)

    tally = RefusalTally(1, write, minute_seconds=60)
    refusal = Unauthenticated("no")
    for _ in range(4):
        tally.is_listed(None, refusal)
    tally.flush()
    tally.is_listed(None, refusal)
    tally.close()
    assert sum(row[2] for row in written[1:]) >= 3


def test_a_flood_does_not_fill_the_log_and_is_not_passed_over(server):
    with live_hub(server, EXCHANGE_REFUSALS_PER_MINUTE="10") as hub:
        for _ in range(60):
            assert hub.http("GET", "/fhir/Patient").status_code == 401
        for _ in range(20):
            refused(Clinic(hub).ask("x"))
        # What is counted is written when the process ends, at the latest.
        os.kill(hub.pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        numbers: list[str] = []
        while not numbers and time.monotonic() < deadline:
            time.sleep(0.2)
            events = [each for each in hub.world.events() if each["outcome"] == "4"]
            numbers = [each["outcomeDesc"] for each in events if "further" in each["outcomeDesc"]]
        assert numbers == ["login; 70 further refusals"]
        assert len(events) == 11
