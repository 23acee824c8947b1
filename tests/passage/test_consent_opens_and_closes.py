"""Consent opens and closes: a facility sees its own, others what the patient permits, and a deny overrides."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest

from tests.passage.world import entry, patient_of
from tests.sample.consent import a_consent, a_provision
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST


@pytest.fixture
def world(empty):
    """Person 1 at the post, with one observation, and a hospital that asks."""
    empty.post.store(patient_of(POST, 1), an_observation("posta-o1", "posta-p1"))
    return empty


PATHS = (
    "Patient/posta-p1", "Patient/posta-p1/_history/1", "Patient/posta-p1/_history", "Patient/posta-p1/$everything",
    "Observation/posta-o1", "Patient?_id=posta-p1", "Patient?family=quispe", "Observation?patient=Patient/posta-p1",
    "Observation?code=8480-6", "Observation?date=ge2026", "Patient?_id=posta-p1&_revinclude=Observation:patient",
)  # fmt: skip


def sees(caller, path: str) -> bool:
    """Whether an answer holds anything of the post's record."""
    said = caller.get(path)
    if said.status == 404:
        return False
    assert said.status == 200, said.text
    shown = [each["resource"] for each in said.body.get("entry", ())] if "entry" in said.body else [said.body]
    return any(each.get("id", "").startswith("posta-") for each in shown)


def everywhere(caller) -> bool:
    """Whether the record is open; every way in must say the same."""
    seen = {path: sees(caller, path) for path in PATHS}
    assert len(set(seen.values())) == 1, seen
    return seen[PATHS[0]]


def permit(world, **more) -> None:
    world.post.store(a_consent("posta-c1", "posta-p1", **({"permit": HOSPITAL} | more)))


# --- whose it is


def test_a_facility_sees_its_own(world):
    assert everywhere(world.post)


def test_silence_denies(world):
    assert not everywhere(world.hospital)


def test_two_systems_of_one_facility_see_the_same(world):
    assert everywhere(world.of(POST, client="another-client"))


# --- who, why, when


def test_a_permitted_facility_sees(world):
    permit(world)
    assert everywhere(world.hospital)


def test_another_facility_does_not(world):
    permit(world)
    assert not everywhere(world.institute)


def test_a_permit_for_anybody_opens_to_anybody(world):
    permit(world, permit="")
    assert everywhere(world.hospital)
    assert everywhere(world.institute)


@pytest.mark.parametrize(
    ("purposes", "asked", "is_seen"),
    [(["TREAT"], "TREAT", True), (["TREAT"], "ETREAT", True), (["TREAT"], "HOPERAT", False), (["PUBHLTH"], "TREAT", False),
     (["TREAT", "PUBHLTH"], "PUBHLTH", True), (["TREAT"], "BTG", False), (["ETREAT"], "TREAT", False)],
)  # fmt: skip
def test_the_purpose_must_be_one_that_the_patient_permits(world, purposes, asked, is_seen):
    permit(world, provision=a_provision("permit", actors=[HOSPITAL], purposes=purposes))
    assert everywhere(world.of(HOSPITAL, purpose=asked)) is is_seen


@pytest.mark.parametrize(
    ("start", "end", "is_seen"),
    [
        (-10, 10, True),
        (-10, None, True),
        (None, 10, True),
        (1, 10, False),
        (-10, -1, False),
        (1, None, False),
        (None, -1, False),
    ],
)
def test_the_period_must_be_running(world, start, end, is_seen):
    now = datetime.now(UTC)
    told = {
        name: (now + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for name, days in (("start", start), ("end", end))
        if days is not None
    }
    permit(world, provision=a_provision("permit", actors=[HOSPITAL], **told))
    assert everywhere(world.hospital) is is_seen


def test_a_permit_ends_in_the_second_that_it_names(world):
    import time

    end = datetime.now(UTC) + timedelta(seconds=1.2)
    permit(
        world,
        provision=a_provision(
            "permit", actors=[HOSPITAL], end=end.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        ),
    )
    assert sees(world.hospital, "Patient/posta-p1")
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()) + 0.01)
    assert not everywhere(world.hospital)


@pytest.mark.parametrize("status", ["draft", "proposed", "rejected", "inactive", "entered-in-error"])
def test_a_consent_that_is_not_active_permits_nothing(world, status):
    permit(world, status=status)
    assert not everywhere(world.hospital)


def test_a_consent_about_something_else_permits_nothing(world):
    permit(
        world,
        scope={
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research"}]
        },
    )
    assert not everywhere(world.hospital)


# --- taken back


@pytest.mark.parametrize("how", ["inactive", "deleted", "other facility", "denied"])
def test_taking_a_consent_back_takes_effect_at_once(world, how):
    permit(world)
    assert everywhere(world.hospital)
    match how:
        case "inactive":
            permit(world, status="inactive")
        case "deleted":
            assert world.post.delete("Consent/posta-c1").status == 204
        case "other facility":
            permit(world, permit=INSTITUTE)
        case "denied":
            world.post.store(a_consent("posta-c2", "posta-p1", deny=HOSPITAL))
    assert not everywhere(world.hospital)
    assert everywhere(world.post)


def test_giving_it_again_takes_effect_at_once(world):
    permit(world)
    permit(world, status="inactive")
    permit(world)
    assert everywhere(world.hospital)


@pytest.mark.parametrize("query", ["Observation?patient=Patient/posta-p1&_count=1", "Observation?code=8480-6&_count=1",
                                   "Observation?_sort=status&_count=1", "Observation?_sort=-_lastUpdated&_count=1"])  # fmt: skip
def test_a_page_token_that_was_handed_out_proves_nothing(world, query):
    world.post.store(*(an_observation(f"posta-o{number}", "posta-p1") for number in range(2, 5)))
    permit(world)
    first = world.hospital.get(query)
    assert len(first.matches) == 1
    assert world.hospital.get(first.next).matches
    permit(world, status="inactive")
    after = world.hospital.get(first.next)
    assert after.status == 200
    assert after.matches == []
    assert after.next == ""


def test_a_page_token_is_worth_nothing_to_anybody_else_or_to_another_question(world):
    world.post.store(an_observation("posta-o2", "posta-p1"))
    permit(world, permit="")
    token = world.hospital.get("Observation?code=8480-6&_count=1").next.partition("_page=")[2]
    assert token
    for caller, query in (
        (world.institute, f"Observation?code=8480-6&_count=1&_page={token}"),
        (world.hospital, f"Observation?code=8462-4&_count=1&_page={token}"),
        (world.hospital, f"Condition?code=8480-6&_count=1&_page={token}"),
        (world.hospital, f"Observation?code=8480-6&_count=2&_page={token}"),
        (world.hospital, f"Observation?code=8480-6&_count=1&_page={token[:-2]}AA"),
        (world.hospital, "Observation?code=8480-6&_count=1&_page=%C3%B1"),
    ):
        assert caller.get(query).status == 400, query


# --- a deny overrides


def test_a_deny_overrides_a_permit_of_the_same_second(world):
    world.post.store(
        a_consent("posta-c1", "posta-p1", permit=HOSPITAL), a_consent("posta-c2", "posta-p1", deny=HOSPITAL)
    )
    assert not everywhere(world.hospital)


def test_a_deny_for_everybody_leaves_the_facility_its_own(world):
    world.post.store(a_consent("posta-c2", "posta-p1", deny=""))
    assert not everywhere(world.hospital)
    assert everywhere(world.post)


def test_a_deny_for_one_facility_says_nothing_of_another(world):
    permit(world, permit="")
    world.post.store(a_consent("posta-c2", "posta-p1", deny=HOSPITAL))
    assert not everywhere(world.hospital)
    assert everywhere(world.institute)


def test_an_exception_within_a_consent_denies(world):
    permit(world, permit="", deny=HOSPITAL)
    assert not everywhere(world.hospital)
    assert everywhere(world.institute)


def test_a_deny_whose_actor_cannot_be_resolved_denies_everybody(world):
    permit(world)
    world.post.store(a_consent("posta-c2", "posta-p1", deny="Practitioner/somebody"))
    assert not everywhere(world.hospital)


def test_a_permit_with_a_condition_that_is_not_understood_permits_nothing(world):
    strange = [{"system": "urn:example", "code": "celebrity"}]
    permit(world, provision=a_provision("permit", actors=[HOSPITAL], securityLabel=strange))
    assert not everywhere(world.hospital)


# --- linked persons


def linked(world) -> None:
    """The institute describes the same person."""
    world.institute.store(patient_of(INSTITUTE, 1), an_observation("instituto-o1", "instituto-p1"))


def test_records_of_one_person_are_not_shared_by_being_linked(world):
    linked(world)
    assert not everywhere(world.institute)
    assert world.post.get("Patient?family=quispe").ids == ["posta-p1"]
    assert world.institute.get("Patient/instituto-p1/$everything").ids == ["instituto-p1", "instituto-o1"]


@pytest.mark.parametrize("filed_at", ["post", "institute"])
def test_a_consent_on_one_record_covers_all_linked_ones(world, filed_at):
    linked(world)
    if filed_at == "post":
        permit(world)
    else:
        world.institute.store(a_consent("instituto-c1", "instituto-p1", permit=HOSPITAL))
    assert sorted(world.hospital.get("Patient?family=quispe").ids) == ["instituto-p1", "posta-p1"]
    for name in ("posta-p1", "instituto-p1"):
        assert sorted(world.hospital.get(f"Observation?patient=Patient/{name}").ids) == [
            "instituto-o1",
            "posta-o1",
        ]
        shared = world.hospital.get(f"Patient/{name}/$everything").ids
        assert {"posta-p1", "posta-o1", "instituto-p1", "instituto-o1"} <= set(shared)


@pytest.mark.parametrize("order", ["permit first", "deny first"])
def test_a_deny_on_one_record_closes_all_linked_ones(world, order):
    linked(world)
    filed = [
        (world.post, a_consent("posta-c1", "posta-p1", permit=HOSPITAL)),
        (world.institute, a_consent("instituto-c1", "instituto-p1", deny=HOSPITAL)),
    ]
    for caller, consent in filed if order == "permit first" else reversed(filed):
        caller.store(consent)
    assert not everywhere(world.hospital)
    assert world.hospital.get("Patient/instituto-p1").status == 404
    assert world.hospital.get("Patient?family=quispe").ids == []


def test_a_record_that_is_linked_later_comes_under_the_consents_that_stand(world):
    permit(world)
    assert world.hospital.get("Observation?patient=Patient/posta-p1").ids == ["posta-o1"]
    linked(world)
    assert sorted(world.hospital.get("Observation?patient=Patient/posta-p1").ids) == [
        "instituto-o1",
        "posta-o1",
    ]


def test_a_record_that_no_longer_agrees_leaves_the_person_and_the_consent(world):
    permit(world)
    linked(world)
    assert world.hospital.get("Patient/instituto-p1").status == 200
    world.institute.store(
        patient_of(INSTITUTE, 1, birth_date="2001-01-09", family="Otra", given=("Persona",))
    )
    assert world.hospital.get("Patient/instituto-p1").status == 404
    assert world.hospital.get("Observation?patient=Patient/posta-p1").ids == ["posta-o1"]


def test_asking_by_a_hidden_patient_gives_nothing_even_of_ones_own(world):
    """The hospital keeps a record of the same person. By its own Patient it finds its own; by the hidden one, nothing."""
    world.hospital.store(patient_of(HOSPITAL, 1), an_observation("hospital-o1", "hospital-p1"))
    assert world.hospital.get("Observation?patient=Patient/hospital-p1").ids == ["hospital-o1"]
    for path in (
        "Observation?patient=Patient/posta-p1",
        "Observation?patient=Patient/posta-p1&_summary=count",
    ):
        said = world.hospital.get(path)
        assert (said.status, said.total, said.text.count(b"hospital-o1")) == (200, 0, 0)
    assert world.hospital.get("Patient/posta-p1/$everything").status == 404
    assert not everywhere(world.hospital)
    assert world.hospital.get("Observation?patient=Patient/posta-p1,Patient/hospital-p1").ids == [
        "hospital-o1"
    ]


# --- about two patients


def appointment(*patients: str) -> dict:
    return {
        "resourceType": "Appointment", "id": "posta-a1", "status": "proposed",
        "participant": [{"actor": {"reference": f"Patient/{each}"}, "status": "accepted"} for each in patients],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "is_seen"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_what_is_about_two_patients_needs_the_permit_of_both(world, first, second, is_seen):
    world.post.store(patient_of(POST, 2), appointment("posta-p1", "posta-p2"))
    if first:
        permit(world)
    if second:
        world.post.store(a_consent("posta-c2", "posta-p2", permit=HOSPITAL))
    assert (world.hospital.get("Appointment/posta-a1").status == 200) is is_seen
    assert (world.hospital.get("Appointment/posta-a1/_history").status == 200) is is_seen
    assert (world.hospital.get("Appointment?status=proposed").ids == ["posta-a1"]) is is_seen
    found = world.hospital.get("Patient?_revinclude=Appointment:actor")
    assert (len([each for each in found.included if each["resourceType"] == "Appointment"]) == 1) is is_seen
    assert world.post.get("Appointment/posta-a1").status == 200


# --- nobody changes what is not theirs


def test_only_the_patients_own_facilities_file_their_consents(world):
    for consent in (
        a_consent("hospital-c1", "posta-p1", permit=HOSPITAL),
        a_consent("hospital-c1", "posta-p404", permit=HOSPITAL),
    ):
        said = world.hospital.put(consent)
        assert said.status == 422
        assert b"does not resolve" in said.text
    assert not everywhere(world.hospital)


def test_a_consent_of_another_facility_is_neither_widened_nor_deleted(world):
    world.post.store(a_consent("posta-c1", "posta-p1", deny=HOSPITAL))
    assert world.hospital.put(a_consent("posta-c1", "posta-p1", permit=HOSPITAL)).status == 422
    assert world.hospital.delete("Consent/posta-c1").status == 404
    assert not everywhere(world.hospital)


def test_a_consent_is_not_moved_to_another_patient(world):
    world.post.store(patient_of(POST, 2), a_consent("posta-c2", "posta-p2", permit=HOSPITAL))
    assert world.post.put(a_consent("posta-c2", "posta-p1", permit=HOSPITAL)).status == 409
    assert world.hospital.get("Patient/posta-p1").status == 404


def test_a_consent_filed_in_a_transaction_or_batch_counts_from_then_on(world):
    for number, kind in enumerate(("transaction", "batch")):
        consent = a_consent("posta-c1", "posta-p1", permit=HOSPITAL, status="active")
        assert world.post.bundle(kind, [entry("PUT", "Consent/posta-c1", deepcopy(consent))]).status == 200
        assert everywhere(world.hospital), kind
        consent["status"] = "inactive"
        consent["dateTime"] = f"2026-01-1{number}"
        assert world.post.bundle(kind, [entry("PUT", "Consent/posta-c1", consent)]).status == 200
        assert not everywhere(world.hospital), kind


def test_a_transaction_that_fails_files_no_consent(world):
    consent = a_consent("posta-c1", "posta-p1", permit=HOSPITAL)
    said = world.post.bundle(
        "transaction",
        [
            entry("PUT", "Consent/posta-c1", consent),
            entry("PUT", "Observation/x", an_observation("x", "posta-p1")),
        ],
    )
    assert said.status == 422
    assert not everywhere(world.hospital)


# --- scopes narrow what consents open


@pytest.mark.parametrize(
    ("scopes", "path", "status"),
    [
        ("system/Observation.rs", "Patient/posta-p1", 403), ("system/Observation.rs", "Observation/posta-o1", 200),
        ("system/Patient.r", "Patient?_id=posta-p1", 403), ("system/Patient.s", "Patient/posta-p1", 403),
        ("system/Observation.rs", "Patient/posta-p1/$everything", 403), ("system/Patient.cud", "Patient/posta-p1", 403),
        ("system/Patient.rs", "Patient/posta-p1/_history", 200), ("system/Observation.rs", "Patient/posta-p1/_history/1", 403),
        ("system/Patient.rs", "Patient?_revinclude=Observation:subject", 403),
    ],
)  # fmt: skip
def test_scopes_bound_what_is_asked(world, scopes, path, status):
    permit(world)
    assert world.of(HOSPITAL, scopes).get(path).status == status


def test_scopes_bound_what_is_included_and_everything(world):
    permit(world)
    narrow = world.of(HOSPITAL, "system/Observation.rs")
    assert narrow.get("Observation?_include=Observation:subject").included == []
    assert world.hospital.get("Observation?_include=Observation:subject").included != []
    patients = world.of(HOSPITAL, "system/Patient.rs")
    assert patients.get("Patient/posta-p1/$everything").ids == ["posta-p1"]


@pytest.mark.parametrize("path", PATHS)
def test_an_administrator_sees_no_chart(world, path):
    permit(world, permit="")
    assert world.administrator.get(path).status == 403


@pytest.mark.parametrize("path", ["AuditEvent", "AuditEvent?patient=Patient/posta-p1", "AuditEvent/x"])
def test_a_clinic_system_sees_no_audit_event(world, path):
    assert world.post.get(path).status == 403
