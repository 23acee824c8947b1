"""Every refusal and every grant leaves its event: one for each patient touched, or one where there is none."""

from __future__ import annotations

import base64
import json
from copy import deepcopy

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from exchange.fhir.validate import check
from exchange.problems import Unauthenticated
from exchange.request import Request
from tests.passage.world import entry, patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

MALFORMED = {"body": b'{"resourceType":"Patient","id":"posta-x","gender":12}'}
NO_JSON = {"body": b"{"}
NEW = {"resourceType": "Basic", "code": {"text": "x"}}


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
    empty.post.store(
        patient_of(POST, 2),
        an_observation("posta-o2", "posta-p2"),
        a_consent("posta-c2", "posta-p2", permit=HOSPITAL),
    )
    return empty


def told(world, act) -> list[dict]:
    """The events that an act leaves."""
    before = {each["id"] for each in world.events()}
    act()
    return [each for each in world.events() if each["id"] not in before]


def patients(event: dict) -> list[str]:
    return [
        each["what"]["reference"]
        for each in event.get("entity", ())
        if each.get("what", {}).get("reference", "").startswith("Patient/") and each["role"]["code"] == "1"
    ]


def query(event: dict) -> str:
    return next(base64.b64decode(each["query"]).decode() for each in event["entity"] if "query" in each)


# --- refusals


REFUSALS = {
    "read of something hidden": lambda w: w.hospital.get("Patient/posta-p1"),
    "read of something absent": lambda w: w.hospital.get("Patient/posta-p404"),
    "version of something hidden": lambda w: w.hospital.get("Patient/posta-p1/_history/1"),
    "history of something hidden": lambda w: w.hospital.get("Patient/posta-p1/_history"),
    "everything of somebody hidden": lambda w: w.hospital.get("Patient/posta-p1/$everything"),
    "operation that is not there": lambda w: w.hospital.get("Patient/posta-p1/$nothing"),
    "unknown search parameter": lambda w: w.hospital.get("Patient?color=red"),
    "forged page": lambda w: w.hospital.get("Patient?_page=forged"),
    "scope": lambda w: w.of(HOSPITAL, "system/Observation.rs").get("Patient/posta-p2"),
    "role": lambda w: w.hospital.get("AuditEvent"),
    "writing an event": lambda w: w.hospital.put({"resourceType": "AuditEvent", "id": "hospital-x"}),
    "writing into another's record": lambda w: w.hospital.put(an_observation("hospital-o1", "posta-p2")),
    "writing over another's resource": lambda w: w.hospital.put({"resourceType": "Patient", "id": "posta-p2"}),
    "deleting another's resource": lambda w: w.hospital.delete("Observation/posta-o2"),
    "malformed resource": lambda w: w.post.ask(Request("update", "Patient", "posta-x", **MALFORMED)),
    "no JSON": lambda w: w.post.ask(Request("create", "Patient", **NO_JSON)),
    "moving a resource to another patient": lambda w: w.post.put(an_observation("posta-o1", "posta-p2")),
    "an old version": lambda w: w.post.put(an_observation("posta-o1", "posta-p1"), if_match='W/"7"'),
    "transaction": lambda w: w.hospital.bundle("transaction", [entry("DELETE", "Observation/posta-o2")]),
    "transaction that is none": lambda w: w.hospital.ask(Request("transaction", body=b"[]")),
    "two that match a condition": lambda w: w.post.post(NEW, if_none_exist="_lastUpdated=ge2020&code:missing=false"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_leaves_one_event_that_names_no_patient(world, name):
    if name == "two that match a condition":
        world.post.post(deepcopy(NEW))
        world.post.post(deepcopy(NEW))
    said = []
    events = told(world, lambda: said.append(REFUSALS[name](world)))
    assert said[0].status >= 400, said[0].text
    assert len(events) == 1
    assert events[0]["outcome"] in ("4", "8")
    assert patients(events[0]) == []
    assert events[0]["agent"][0]["requestor"] is True
    assert events[0]["agent"][0]["who"]["reference"].startswith("Organization/")


def test_a_refusal_for_scope_or_role_tells_the_auditor_why_and_not_the_caller(world):
    said = []
    narrow = world.of(HOSPITAL, "system/Observation.rs")
    event = told(world, lambda: said.append(narrow.get("Patient/posta-p2")))[0]
    assert "Patient.r not granted" in event["outcomeDesc"]
    assert b"granted" not in said[0].text


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer ", "Bearer forged", "Basic dXNlcjpwYXNz", "Bearer a.b.c", "Negotiate zz-9-zz"],
)
def test_an_unauthenticated_request_leaves_one_event_of_nobody(world, authorization):
    request = Request("read", "Patient", "posta-p1", described="GET /fhir/Patient/posta-p1")

    def ask() -> None:
        with pytest.raises(Unauthenticated):
            world.spine.requester(authorization, request)

    events = told(world, ask)
    assert len(events) == 1
    assert events[0]["outcome"] == "4"
    assert events[0]["agent"][0]["who"] == {"display": "unknown"}
    assert query(events[0]) == "GET /fhir/Patient/posta-p1"
    del events[0]["extension"]  # chance, so that nobody finds the event by trying
    assert authorization.partition(" ")[2] == "" or authorization.partition(" ")[2] not in json.dumps(
        events[0]
    )


def test_a_refused_client_assertion_leaves_one_event(world):
    def ask() -> None:
        with pytest.raises(Unauthenticated):
            world.spine.systems.grant_token(
                "forged", "system/*.rs", "http://x/auth/token", Request("operation", operation="token")
            )

    events = told(world, ask)
    assert len(events) == 1
    assert "malformed" in events[0]["outcomeDesc"]


# --- grants


GRANTS = {
    "read": (lambda w: w.hospital.get("Patient/posta-p2"), ["posta-p2"]),
    "version": (lambda w: w.hospital.get("Patient/posta-p2/_history/1"), ["posta-p2"]),
    "history": (lambda w: w.hospital.get("Observation/posta-o2/_history"), ["posta-p2"]),
    "search of one": (lambda w: w.hospital.get("Observation?patient=Patient/posta-p2"), ["posta-p2"]),
    "search of two": (lambda w: w.post.get("Patient"), ["posta-p1", "posta-p2"]),
    "search with what is included": (lambda w: w.post.get("Patient?_revinclude=Observation:patient"), ["posta-p1", "posta-p2"]),
    "search that finds nobody": (lambda w: w.hospital.get("Patient?family=nadie"), []),
    "search by somebody hidden": (lambda w: w.hospital.get("Observation?patient=Patient/posta-p1"), []),
    "count": (lambda w: w.hospital.get("Observation?_summary=count"), []),
    "everything": (lambda w: w.hospital.get("Patient/posta-p2/$everything"), ["posta-p2"]),
    "create": (lambda w: w.post.post({k: v for k, v in an_observation("x", "posta-p1").items() if k != "id"}), ["posta-p1"]),
    "update": (lambda w: w.post.put(an_observation("posta-o1", "posta-p1", status="amended")), ["posta-p1"]),
    "update that changes nothing": (lambda w: w.post.put(an_observation("posta-o1", "posta-p1")), ["posta-p1"]),
    "delete": (lambda w: w.post.delete("Observation/posta-o1"), ["posta-p1"]),
    "create of nobody's": (lambda w: w.post.post(deepcopy(NEW)), []),
    "create that found what exists": (lambda w: w.post.post({"resourceType": "Patient"}, if_none_exist="_id=posta-p1"), ["posta-p1"]),
    "consent filed": (lambda w: w.post.put(a_consent("posta-c1", "posta-p1", permit=HOSPITAL)), ["posta-p1"]),
    "transaction about two": (
        lambda w: w.post.bundle("transaction", [
            entry("PUT", "Observation/posta-t1", an_observation("posta-t1", "posta-p1")),
            entry("PUT", "Observation/posta-t2", an_observation("posta-t2", "posta-p2")),
            entry("PUT", "Observation/posta-t3", an_observation("posta-t3", "posta-p2")),
        ]), ["posta-p1", "posta-p2"],
    ),
    "batch of two reads": (
        lambda w: w.hospital.bundle("batch", [entry("GET", "Patient/posta-p2"), entry("GET", "Observation/posta-o2")]),
        ["posta-p2", "posta-p2"],
    ),
    "directory": (lambda w: w.hospital.get("Organization"), []),
}  # fmt: skip


@pytest.mark.parametrize("name", GRANTS)
def test_a_grant_leaves_one_event_for_each_patient_touched(world, name):
    act, touched = GRANTS[name]
    said = []
    events = told(world, lambda: said.append(act(world)))
    assert said[0].status < 300, said[0].text
    assert sorted(each for event in events for each in patients(event)) == [
        f"Patient/{each}" for each in touched
    ]
    assert len(events) == max(1, len(touched))
    assert {event["outcome"] for event in events} == {"0"}


def test_an_event_names_the_consent_that_opened_the_record(world):
    event = told(world, lambda: world.hospital.get("Patient/posta-p2"))[0]
    assert event["outcomeDesc"] == "Consent/posta-c2#0 permits"
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"


def test_each_entry_of_a_batch_is_audited_for_itself(world):
    events = told(
        world,
        lambda: world.hospital.bundle("batch", [entry("GET", "Patient/posta-p2"), entry("GET", "Patient/posta-p1"),
                                                entry("DELETE", "Observation/posta-o2")]),
    )  # fmt: skip
    assert sorted(each["outcome"] for each in events) == ["0", "4", "4"]


def test_linked_records_are_named_each(world):
    world.hospital.store(patient_of(HOSPITAL, 2))
    events = told(world, lambda: world.hospital.get("Patient/hospital-p2/$everything"))
    assert sorted(each for event in events for each in patients(event)) == [
        "Patient/hospital-p2",
        "Patient/posta-p2",
    ]


# --- the event itself


def test_every_event_is_valid_r4(world):
    for act, _ in GRANTS.values():
        act(world)
    for act in REFUSALS.values():
        act(world)
    with pytest.raises(Unauthenticated):
        world.spine.requester("Bearer x", Request("read", "Patient", "posta-p1"))
    world.spine.operate("clients list", lambda _: None)
    events = world.events()
    assert len(events) > 40
    for event in events:
        assert check(event) == [], event
        AuditEvent.model_validate(event)


def test_no_event_holds_a_value_of_a_chart(world):
    """What was asked stands in the event, in base64; what was in the chart does not."""
    world.post.store(an_observation("posta-o1", "posta-p1", note=[{"text": "Sospecha de Zollinger"}]))
    world.post.get("Observation/posta-o1")
    text = json.dumps(world.events())
    for value in ("Zollinger", "Quispe", "40000001", "8480-6"):
        assert value not in text
    assert base64.b64encode(b"Zollinger").decode()[:-2] not in text


def test_the_token_stands_in_no_event(world):
    event = told(world, lambda: world.hospital.get("Patient/posta-p2"))[0]
    assert event["agent"][0]["policy"] == ["urn:ietf:params:oauth:jti:token-1"]


# --- who finds events


def test_administrators_find_events_by_patient_agent_date_and_outcome(world):
    world.hospital.get("Patient/posta-p2")
    world.hospital.get("Patient/posta-p1")
    for query_text in (
        "&patient=Patient/posta-p2",
        f"&agent=Organization/{HOSPITAL}",
        "&date=ge2020",
        "&outcome=4",
        "&action=R",
        "&subtype=read",
    ):
        assert world.events(query_text), query_text
    assert {each["outcome"] for each in world.events("&outcome=4")} == {"4"}
    assert world.events("&date=lt2020") == []
    assert all("Patient/posta-p2" in patients(each) for each in world.events("&patient=Patient/posta-p2"))


def test_an_administrators_look_is_an_event_too(world):
    before = len(world.administrator.get("AuditEvent?_count=1000").matches)
    assert len(world.administrator.get("AuditEvent?_count=1000").matches) > before


@pytest.mark.parametrize("caller", ["post", "hospital"])
def test_nobody_else_finds_or_writes_events(world, caller):
    event = world.events()[0]
    asking = getattr(world, caller)
    assert asking.get(f"AuditEvent/{event['id']}").status == 403
    assert asking.get("AuditEvent").status == 403
    assert asking.get("Patient?_revinclude=AuditEvent:patient").status == 403
    assert (
        asking.get("Patient/posta-p2/$everything?_type=AuditEvent").matches == []
        if caller == "post"
        else True
    )
    assert asking.delete(f"AuditEvent/{event['id']}").status == 403
    assert asking.put(event).status == 403
    assert asking.bundle("transaction", [entry("DELETE", f"AuditEvent/{event['id']}")]).status == 403


def test_an_administrator_changes_no_event_either(world):
    event = world.events()[0]
    for said in (
        world.administrator.delete(f"AuditEvent/{event['id']}"),
        world.administrator.put(event | {"outcome": "0"}),
        world.administrator.bundle("transaction", [entry("DELETE", f"AuditEvent/{event['id']}")]),
    ):
        assert said.status == 403
    assert event in world.events()


def test_a_refusal_that_cannot_be_recorded_is_not_answered_as_that_refusal(world):
    """Where the log cannot be written, the answer is that failure: nothing leaves without its event."""
    with world.sql() as cursor:
        cursor.execute("ALTER TABLE audit_event ADD CONSTRAINT full_disk CHECK (false) NOT VALID")
    for ask in (
        lambda: world.hospital.get("Patient/posta-p1"),
        lambda: world.hospital.get("Patient/posta-p2"),
    ):
        assert ask().status == 500
    with world.sql() as cursor:
        cursor.execute("ALTER TABLE audit_event DROP CONSTRAINT full_disk")
    assert world.hospital.get("Patient/posta-p2").status == 200


# --- what is known to be missing


def test_a_batch_that_is_none_leaves_one_event(world):
    assert len(told(world, lambda: world.hospital.ask(Request("batch", body=b"[]")))) == 1


def test_a_batch_entry_that_is_not_supported_leaves_one_event(world):
    assert len(told(world, lambda: world.hospital.bundle("batch", [entry("HEAD", "Patient/posta-p2")]))) == 1


def test_reading_what_is_about_two_patients_leaves_two_events(world):
    both = [{"actor": {"reference": f"Patient/posta-p{number}"}, "status": "accepted"} for number in (1, 2)]
    world.post.store(
        {"resourceType": "Appointment", "id": "posta-a1", "status": "proposed", "participant": both}
    )
    assert len(told(world, lambda: world.post.get("Appointment/posta-a1"))) == 2
