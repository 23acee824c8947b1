"""An emergency opens the basic information: to the person who opened it, for its time, and nothing sensitive ever.

A hospital treats somebody whose record lies at a health post. Nobody has consented to anything. The hospital keeps a record
of its own for that person, and the hub has found that both are the same person's.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from exchange.request import Request
from tests.passage.world import Caller, entry, patient_of
from tests.sample.consent import a_consent, a_provision
from tests.sample.emergency import (
    BASIC,
    SUBJECT,
    a_physician,
    a_whole_record,
    an_officer,
    close,
    coded,
    opened,
    the_patient,
    try_to_open,
)
from tests.sample.requester import HOSPITAL, INSTITUTE, POST

EVERY = sorted(
    BASIC | {
        "Condition/posta-hiv", "MedicationStatement/posta-arv", "Condition/posta-told", "Condition/posta-sdv",
        "Observation/posta-o1", "Composition/posta-s1", "Encounter/posta-e1", "Procedure/posta-x1",
        "DocumentReference/posta-d1", "Binary/posta-b1",
    }
)  # fmt: skip
TYPES = sorted({each.partition("/")[0] for each in EVERY} - {"Binary", "Patient"})


@pytest.fixture
def world(empty):
    a_whole_record(empty)
    return empty


@pytest.fixture
def physician(world):
    return a_physician(world)


def of_the_post(said) -> set[str]:
    """What an answer shows of the post's record."""
    if said.status == 404:
        return set()
    assert said.status == 200, said.text
    body = said.body
    whole = (
        [body]
        if body["resourceType"] != "Bundle"
        else [each.get("resource", {}) for each in body.get("entry", ())]
    )
    inner = [
        one["resource"]
        for each in whole
        if each.get("resourceType") == "Bundle"
        for one in each.get("entry", ())
    ]
    return {
        f"{each['resourceType']}/{each['id']}"
        for each in whole + inner
        if each.get("id", "").startswith("posta-")
    }


def everywhere(caller: Caller) -> set[str]:
    """What of the post's record is shown: every way in that asks for single things must say the same of each."""
    shown = {place for place in EVERY if of_the_post(caller.get(place))}
    for place in EVERY:
        told = {place} if place in shown else set()
        for path in (f"{place}/_history/1", f"{place}/_history"):
            assert of_the_post(caller.get(path)) == told, path
        assert (caller.get(f"{place}/$meta").status == 200) == bool(told), place
        assert caller.ask(Request("read", *place.split("/"), is_head=True)).status == (200 if told else 404)
    for kind in TYPES:
        told = {place for place in shown if place.startswith(f"{kind}/")}
        for patient in ("posta-p1", "hospital-p1"):
            query = f"{kind}?patient=Patient/{patient}"
            if patient == "posta-p1" and "Patient/posta-p1" not in shown:
                told = set()
            assert of_the_post(caller.get(query)) == told, query
            assert caller.get(f"{query}&_summary=count").total == len(told), query
            in_compartment = Request("search-type", kind, compartment=("Patient", patient))
            assert of_the_post(caller.ask(in_compartment)) == told, query
    for patient in ("posta-p1", "hospital-p1"):
        for query in ("", "?_count=100"):
            assert of_the_post(caller.get(f"Patient/{patient}/$everything{query}")) == shown, (patient, query)
    for kind in ("batch", "transaction"):
        if kind == "batch" or shown == set(EVERY):
            said = caller.bundle(kind, [entry("GET", each) for each in EVERY])
            assert of_the_post(said) == shown
    return shown


# --- what it shows


def test_without_a_case_nothing_is_shown(world, physician):
    assert everywhere(physician) == set()


def test_a_case_shows_the_basic_information_and_nothing_else(world, physician):
    opened(physician)
    assert everywhere(physician) == BASIC


def test_the_post_itself_sees_all_of_its_record(world):
    assert {place for place in EVERY if of_the_post(world.post.get(place))} == set(EVERY)


@pytest.mark.parametrize(
    ("path", "is_shown"),
    [
        ("Condition?patient=Patient/posta-p1&_include=Condition:patient", {"Condition/posta-c1", "Patient/posta-p1"}),
        ("AllergyIntolerance?patient=Patient/posta-p1&_include=*", {"AllergyIntolerance/posta-a1", "Patient/posta-p1"}),
        ("Condition?patient=Patient/posta-p1&_include=Condition:patient&_revinclude:iterate=Observation:patient",
         {"Condition/posta-c1", "Patient/posta-p1"}),
        ("Condition?patient=Patient/posta-p1&patient._has:Condition:patient:code=I10", {"Condition/posta-c1"}),
        ("Condition?patient=Patient/posta-p1&patient._has:Condition:patient:code=B20", set()),
        ("Condition?patient=Patient/posta-p1&patient._has:Observation:patient:code=8480-6", set()),
        ("Condition?patient=Patient/posta-p1&code=B20", set()), ("Condition?patient=Patient/posta-p1&code:not=I10", set()),
        ("Condition?patient=Patient/posta-p1&_security=R", set()),
        ("Condition?patient=Patient/posta-p1&patient.family=quispe", {"Condition/posta-c1"}),
        ("Observation?patient=Patient/posta-p1&patient.family=quispe", set()),
        ("DocumentReference/$docref?patient=posta-p1", set()), ("Observation/$lastn?patient=Patient/posta-p1&code=8480-6", set()),
        ("Composition/posta-s1/$document", set()), ("Encounter/posta-e1/$everything", set()),
        # a search that names nobody is no emergency
        ("Condition?code=I10", set()), ("Patient?family=quispe", set()), ("Patient?_id=posta-p1", set()), ("Patient/$everything", set()),
        ("Condition?patient.family=quispe", set()), ("Patient/_history", set()), ("_history", set()),
    ],
)  # fmt: skip
def test_no_way_in_shows_more(world, physician, path, is_shown):
    opened(physician)
    assert of_the_post(physician.get(path)) == is_shown


def test_what_hides_looks_as_if_it_were_not_there(world, physician):
    opened(physician)
    for kind in ("Observation", "Condition", "Binary"):
        hidden = physician.get(
            f"{kind}/posta-{ {'Observation': 'o1', 'Condition': 'hiv', 'Binary': 'b1'}[kind] }"
        )
        assert hidden.normalised() == physician.get(f"{kind}/posta-404").normalised()


def test_words_about_what_stays_hidden_leave(world, physician):
    told = {"encounter": {"reference": "Encounter/posta-e1", "display": "Consulta de innombrable"}}
    world.post.store(coded("Condition", "posta-c1", **SUBJECT, **told))
    opened(physician)
    said = physician.get("Condition/posta-c1")
    assert said.status == 200
    assert b"innombrable" not in said.text


def test_what_becomes_sensitive_is_shown_no_longer_its_past_neither(world, physician):
    opened(physician)
    world.post.store(coded("Condition", "posta-c1", "B20", **SUBJECT))
    assert everywhere(physician) == BASIC - {"Condition/posta-c1"}


def test_what_nobody_has_labelled_yet_is_not_shown(world, physician):
    opened(physician)
    with world.sql() as cursor:
        cursor.execute("UPDATE resource SET facets = NULL WHERE id = 'posta-c1'")
    assert everywhere(physician) == BASIC - {"Condition/posta-c1"}


def test_a_case_lets_nothing_be_changed(world, physician):
    writer = a_physician(world, scopes="system/*.cruds")
    told = [
        lambda: writer.put(coded("Condition", "posta-c1", "J00", **SUBJECT)),
        lambda: writer.delete("Condition/posta-c1"),
        lambda: writer.patch("Condition/posta-c1", [{"op": "remove", "path": "/code"}]),
        lambda: writer.put_where("identifier=x", coded("Condition", "posta-c1", "J00", **SUBJECT)),
        lambda: writer.put(a_consent("hospital-c1", "posta-p1", permit=HOSPITAL)),
    ]
    before = [each().normalised() for each in told]
    opened(writer)
    assert [each().normalised() for each in told] == before
    assert world.post.get("Condition/posta-c1").body["meta"]["versionId"] == "1"


# --- whom it opens for


def test_a_case_is_of_one_person_at_one_system_of_one_facility(world, physician):
    opened(physician)
    for other in (
        a_physician(world, user="u2"),
        a_physician(world, client="another-system"),
        a_physician(world, INSTITUTE),
        a_physician(world, INSTITUTE, client=f"client-of-{HOSPITAL}"),
        a_physician(world, user_role="admission"),
        a_physician(world, user_role=""),
        a_physician(world, purpose="TREAT"),
        a_physician(world, purpose="ETREAT"),
        Caller(world.spine, replace(physician.requester, user=None)),
    ):
        assert everywhere(other) == set(), other.requester


def test_a_clinician_with_an_own_token_opens_and_sees(world):
    clinician = a_physician(world, role="clinician", scopes="user/*.rs")
    opened(clinician)
    assert everywhere(clinician) == BASIC


# --- of whom


def test_a_case_shows_nothing_of_anybody_else(world, physician):
    world.post.store(patient_of(POST, 2))
    opened(physician)
    assert physician.get("Patient/posta-p2").status == 404


def test_a_case_on_a_record_that_is_linked_to_nothing_shows_nothing(world, physician):
    world.hospital.store(patient_of(HOSPITAL, 3))
    opened(physician, "hospital-p3")
    assert everywhere(physician) == set()


def test_a_case_shows_what_is_linked_later_and_nothing_that_is_parted(world, physician):
    world.hospital.store(patient_of(HOSPITAL, 3))
    opened(physician, "hospital-p3")
    world.institute.store(patient_of(INSTITUTE, 3))
    assert physician.get("Patient/instituto-p3").status == 200
    world.institute.store(
        patient_of(INSTITUTE, 3, birth_date="2001-01-09", family="Otra", given=("Persona",))
    )
    assert physician.get("Patient/instituto-p3").status == 404


def test_a_record_that_is_parted_from_the_case_is_hidden_again(world, physician):
    opened(physician)
    world.hospital.store(patient_of(HOSPITAL, 1, birth_date="2001-01-09", family="Otra", given=("Persona",)))
    assert everywhere(physician) == set()


def test_what_is_about_two_patients_is_not_basic_information(world, physician):
    world.post.store(patient_of(POST, 2))
    both = coded("Condition", "posta-c9", **SUBJECT) | {"asserter": {"reference": "Patient/posta-p2"}}
    world.post.store(both)
    world.hospital.store(patient_of(HOSPITAL, 2))
    opened(physician)
    opened(physician, "hospital-p2")
    assert physician.get("Patient/posta-p2").status == 200
    assert physician.get("Condition/posta-c9").status == 404


# --- how long


def expire(world) -> None:
    with world.sql() as cursor:
        cursor.execute("UPDATE emergency_case SET expires_at = opened_at + 1")


def test_a_case_ends_by_itself(world, physician):
    opened(physician)
    expire(world)
    assert everywhere(physician) == set()


def test_a_case_ends_at_its_instant(world, physician, monkeypatch):
    said = try_to_open(physician, minutes=1)
    with world.sql() as cursor:
        cursor.execute("SELECT opened_at, expires_at FROM emergency_case")
        [(opened_at, expires_at)] = cursor.fetchall()
    assert expires_at - opened_at == 60_000_000, said.text
    with monkeypatch.context() as clock:
        clock.setattr("exchange.store.session.time.time_ns", lambda: (expires_at - 1) * 1000)
        assert physician.get("Patient/posta-p1").status == 200
        clock.setattr("exchange.store.session.time.time_ns", lambda: expires_at * 1000)
        assert physician.get("Patient/posta-p1").status == 404


def test_a_case_ends_between_two_pages(world, physician):
    opened(physician)
    for query in (
        "Patient/posta-p1/$everything?_count=2",
        "Condition?patient=Patient/posta-p1,Patient/hospital-p1&_count=1",
    ):
        world.post.store(coded("Condition", "posta-c2", **SUBJECT))
        first = physician.get(query)
        assert first.next, query
        assert of_the_post(physician.get(first.next)), query
        expire(world)
        after = physician.get(first.next)
        assert of_the_post(after) == set(), query
        assert after.status in (200, 404)
        with world.sql() as cursor:
            cursor.execute("UPDATE emergency_case SET expires_at = opened_at + 3600000000")


def test_a_case_ends_in_the_middle_of_an_answer_that_is_being_sent(world, physician, monkeypatch):
    monkeypatch.setattr("exchange.operations.everything_walk.PIECE_ROWS", 1)
    opened(physician)
    asked = Request("operation", "Patient", "posta-p1", operation="everything", is_safe=True)
    answer = physician.spine.perform(asked, physician.requester)
    stream = iter(answer.stream)
    sent = b""
    while sent.count(b'"id":"posta-') < 2:
        sent += next(stream)
    expire(world)
    sent += b"".join(stream)
    assert sent.count(b'"id":"posta-') == 2
    json.loads(sent)


def test_closing_ends_it_at_once(world, physician):
    number = opened(physician)
    assert close(an_officer(world), number).status == 200
    assert everywhere(physician) == set()


def test_of_several_cases_each_one_counts(world, physician):
    numbers = [opened(physician), opened(physician)]
    close(an_officer(world), numbers[0])
    assert everywhere(physician) == BASIC
    close(an_officer(world), numbers[1])
    assert everywhere(physician) == set()


# --- what the patient said


@pytest.mark.parametrize(
    ("deny", "is_shown"),
    [
        ({}, True), ({"purposes": ["TREAT"]}, True), ({"actors": [INSTITUTE], "purposes": ["BTG"]}, True),
        ({"purposes": ["BTG"], "end": "2020-01-01"}, True),
        ({"purposes": ["BTG"]}, False), ({"purposes": ["TREAT", "BTG"]}, False),
        ({"actors": [HOSPITAL], "purposes": ["BTG"]}, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("filed_at", ["post", "hospital"])
def test_a_denial_that_names_emergencies_is_heard_and_another_one_is_not(
    world, physician, deny, is_shown, filed_at
):
    prefix, caller = ("posta", world.post) if filed_at == "post" else ("hospital", world.hospital)
    caller.store(a_consent(f"{prefix}-k1", f"{prefix}-p1", provision=a_provision("deny", **deny)))
    opened(physician)
    assert everywhere(physician) == (BASIC if is_shown else set())


def test_a_permit_for_treatment_opens_no_emergency(world, physician):
    world.post.store(
        a_consent(
            "posta-k1", "posta-p1", provision=a_provision("permit", actors=[HOSPITAL], purposes=["TREAT"])
        )
    )
    assert everywhere(physician) == set()


# --- opening tells nothing


def test_a_case_is_not_opened_on_a_hidden_record_nor_on_one_that_is_not_there(world, physician):
    hidden, absent = try_to_open(physician, "posta-p1"), try_to_open(physician, "posta-p404")
    assert hidden.status == 404
    assert hidden.normalised() == absent.normalised()
    assert everywhere(physician) == set()


def test_a_refused_person_learns_nothing_of_a_record(world):
    nobody = a_physician(world, user_role="admission")
    answers = {
        try_to_open(nobody, each).normalised()[2] for each in ("hospital-p1", "posta-p1", "posta-p404")
    }
    assert len(answers) == 1


# --- what stays of it


def test_the_patient_reads_who_opened_it_when_where_and_why(world, physician):
    number = opened(physician)
    physician.get("Condition/posta-c1")
    for patient in ("posta-p1", "hospital-p1"):
        said = the_patient(world, patient).get("AuditEvent?subtype=110127")
        [event] = said.matches
        assert event["agent"][2]["name"] == "Dra. Flores"
        assert event["agent"][0]["who"]["reference"] == f"Organization/{HOSPITAL}"
        assert number in event["outcomeDesc"]
        assert "Politraumatizado inconsciente" in event["outcomeDesc"]
        assert event["entity"][0]["what"] == {"reference": "Patient/hospital-p1"}
        assert event["purposeOfEvent"][0]["coding"][0]["code"] == "BTG"
    uses = [
        each
        for each in the_patient(world).get("AuditEvent").matches
        if each["outcomeDesc"] == f"emergency case {number}"
    ]
    assert [each["subtype"][0]["code"] for each in uses] == ["read"]


def test_each_use_names_the_cases_under_which_it_was_made(world, physician):
    numbers = {opened(physician), opened(physician)}
    before = len(world.events())
    physician.get("Condition?patient=Patient/posta-p1")
    for event in world.events()[before:]:
        assert all(each in event["outcomeDesc"] for each in numbers)


def test_what_was_typed_is_not_readable_in_the_database(world, physician):
    number = opened(physician)
    close(an_officer(world), number, "unjustified", "Sin riesgo grave")
    with world.sql() as cursor:
        for table in ("emergency_case", "audit_event"):
            cursor.execute(f"SELECT t::text FROM {table} t")
            for (row,) in cursor.fetchall():
                for word in ("Politraumatizado", "Flores", "Sin riesgo"):
                    assert word not in row
                    assert word.encode().hex() not in row
