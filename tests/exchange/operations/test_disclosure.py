"""$disclosure and $access-statistics: what exactly was shown, for a case; how much was asked, without opening an event."""

from __future__ import annotations

import pytest

from exchange.authentication.registration import Client, register
from exchange.demo.client import make_client_key
from exchange.requester import parse_registered_scopes
from tests.exchange.operations.call import answered
from tests.passage.world import patient_of
from tests.sample.consent import a_consent
from tests.sample.emergency import a_physician, an_officer, the_patient, try_to_open
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST


@pytest.fixture
def world(empty):
    empty.post.store(
        patient_of(POST, 1), *(an_observation(f"posta-o{each}", "posta-p1") for each in range(3))
    )
    empty.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    return empty


def disclosed(caller, event, case="EXP-2026-17") -> list[str]:
    said = caller.get(f"AuditEvent/{event['id']}/$disclosure" + (f"?case={case}" if case else ""))
    assert said.status == 200, said.text
    return [each["reference"] for each in answered(said).get("shown", [])]


def test_a_search_s_manifest_names_every_version_that_it_showed(world):
    world.post.put(an_observation("posta-o1", "posta-p1", status="amended"))
    world.hospital.get("Observation?patient=posta-p1&_sort=_id")
    event = world.events()[-1]
    assert disclosed(world.administrator, event) == [
        "Observation/posta-o0/_history/1", "Observation/posta-o1/_history/2", "Observation/posta-o2/_history/1",
    ]  # fmt: skip
    assert (
        "disclosure opened for case EXP-2026-17"
        in world.administrator.get("AuditEvent?_sort=-_lastUpdated&_count=1").text.decode()
    )


def test_a_whole_record_s_manifest_names_all_of_it(world):
    world.post.get("Patient/posta-p1/$everything")
    shown = disclosed(world.administrator, world.events()[-1])
    assert len(shown) == len(set(shown)) == 5
    assert shown[0] == "Patient/posta-p1/_history/1"


def test_what_the_event_itself_names_needs_no_manifest(world):
    world.post.get("Observation/posta-o1")
    assert disclosed(world.administrator, world.events()[-1]) == ["Observation/posta-o1/_history/1"]
    world.hospital.get("Observation/posta-none")
    assert disclosed(world.administrator, world.events()[-1]) == []


def test_an_amendment_names_the_old_version_and_the_new_one(world):
    world.post.put(an_observation("posta-o1", "posta-p1", status="amended"))
    event = world.events()[-1]
    [detail] = [each["detail"] for each in event["entity"] if "detail" in each]
    assert detail == [
        {"type": "version", "valueString": "2"},
        {"type": "superseded", "valueString": "1"},
    ]


def test_records_of_two_patients_are_told_apart(world):
    world.post.store(
        patient_of(POST, 2), an_observation("posta-x1", "posta-p2"), an_observation("posta-x2", "posta-p2")
    )
    world.post.get("Observation?code=8480-6")
    events = world.events()[-2:]
    shown = {
        frozenset(each.partition("/_")[0] for each in disclosed(world.administrator, event))
        for event in events
    }
    assert shown == {
        frozenset({"Observation/posta-o0", "Observation/posta-o1", "Observation/posta-o2"}),
        frozenset({"Observation/posta-x1", "Observation/posta-x2"}),
    }


@pytest.mark.parametrize("case", ["x", "-12", "a b", "x" * 65, "caso é"])
def test_without_the_number_of_a_case_nothing_is_opened(world, case):
    world.post.get("Observation?patient=posta-p1")
    event = world.events()[-1]
    assert world.administrator.get(f"AuditEvent/{event['id']}/$disclosure?case={case}").status == 422
    assert world.administrator.get(f"AuditEvent/{event['id']}/$disclosure").status == 422


def test_a_patient_opens_what_was_shown_of_the_own_record(world):
    world.hospital.get("Observation?patient=posta-p1")
    event = world.events()[-1]
    assert len(disclosed(the_patient(world), event, "")) == 3
    assert the_patient(world, "posta-p2").get(f"AuditEvent/{event['id']}/$disclosure").status == 404


def test_an_officer_opens_what_concerns_the_facility_and_nothing_else(world):
    world.post.get("Observation?patient=posta-p1")
    event = world.events()[-1]
    assert len(disclosed(an_officer(world, POST), event)) == 3
    refused = an_officer(world, INSTITUTE).get(f"AuditEvent/{event['id']}/$disclosure?case=EXP-1")
    assert refused.status == 404
    assert world.hospital.get(f"AuditEvent/{event['id']}/$disclosure?case=EXP-1").status == 403


@pytest.mark.parametrize("path", ["AuditEvent/$disclosure", "Patient/posta-p1/$disclosure", "$disclosure"])
def test_it_is_asked_of_an_event(world, path):
    assert world.administrator.get(f"{path}?case=EXP-1").status == 400


# --- statistics


def counted(caller, query: str = "") -> dict[str, tuple[int, int, int]]:
    said = caller.get(f"AuditEvent/$access-statistics{query}")
    assert said.status == 200, said.text
    found: dict[str, tuple[int, int, int]] = {}
    for each in answered(said).get("facility", []):
        row = dict(each)
        name = row.get("facility", {}).get("reference", "")
        told = (row["events"], row.get("refused", 0), row.get("emergencies", 0))
        found[name] = tuple(map(sum, zip(told, found.get(name, (0, 0, 0)), strict=True)))  # type: ignore[assignment]
    return found


@pytest.fixture
def known(world, tmp_path):
    """Facilities are named by the clients that are registered for them."""
    for name in (POST, HOSPITAL):
        client = Client(
            f"c-{name}", "c", name, scopes=parse_registered_scopes("system/*.rs"), role="system", purposes=("TREAT",),
            id_prefix=f"x{name[-4:]}z-", jwks=make_client_key(tmp_path / f"{name}.pem"),
        )  # fmt: skip
        world.spine.operate("clients register", lambda tx, client=client: register(tx, client))
    return world


def test_each_facility_s_day_is_counted(known):
    known.hospital.store(patient_of(HOSPITAL, 3))
    known.hospital.get("Observation?patient=posta-p1")
    known.institute.get("Patient/posta-p1")
    known.hospital.get("Patient/posta-none")
    assert try_to_open(a_physician(known), "hospital-p3").status == 200
    found = counted(known.administrator)
    assert found[f"Organization/{HOSPITAL}"] == (4, 1, 1)
    assert found[f"Organization/{POST}"] == (5, 0, 0)
    assert found[""] == (3, 1, 0)  # two registrations, and a facility of which no system is registered
    assert counted(known.administrator, "?since=2020-01-01&until=2020-01-20") == {}


@pytest.mark.parametrize(
    "query", ["?since=x", "?since=2026-01-01&until=2026-03-01", "?since=2026-02-01&until=2026-01-01"]
)
def test_a_period_is_bounded(world, query):
    assert world.administrator.get(f"AuditEvent/$access-statistics{query}").status == 422


def test_who_may_not_read_events_may_not_count_them(world):
    assert world.hospital.get("AuditEvent/$access-statistics").status == 403
    assert f"Organization/{POST}" not in counted(an_officer(world, INSTITUTE))
