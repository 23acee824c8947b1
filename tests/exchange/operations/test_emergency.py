"""$open-emergency, $close-emergency, $emergency-cases: who, how often, with which words; what is answered and recorded."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from exchange.policy.adopted import policy
from exchange.requester import User
from tests.exchange.operations.call import answered, call
from tests.passage.world import Caller, patient_of
from tests.sample.emergency import (
    BOTH,
    REASON,
    a_physician,
    an_officer,
    close,
    listed,
    opened,
    the_patient,
    told,
    try_to_open,
)
from tests.sample.requester import HOSPITAL, INSTITUTE, POST, a_requester, an_administrator


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1))
    empty.hospital.store(patient_of(HOSPITAL, 1))
    return empty


@pytest.fixture
def physician(world):
    return a_physician(world)


def sql(world, text: str):
    with world.sql() as cursor:
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else []


def is_refused(world, said, status: int = 403) -> dict:
    """Refused, no case kept, and in the log as refused; the event."""
    assert said.status == status, said.text
    assert sql(world, "SELECT count(*) FROM emergency_case") == [(0,)]
    event = world.events()[-1]
    assert event["outcome"] == "4"
    return event


# --- opening


def test_a_number_and_an_end_are_answered_and_the_number_says_nothing(world, physician):
    said = try_to_open(physician)
    found = answered(said)
    assert sorted(found) == ["expires-at", "number"]
    numbers = {found["number"][0], opened(physician)}
    assert len(numbers) == 2
    for number in numbers:
        assert len(number) == 22
        assert number.startswith("EM-")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"purpose": "TREAT"}, "purpose"), ({"purpose": "ETREAT"}, "purpose"), ({"user_role": ""}, "user role"),
        ({"user_role": "admission"}, "user role"), ({"user_role": "Physician"}, "user role"),
        ({"user_role": "physician "}, "user role"), ({"role": "administrator"}, "user role"),
        ({"role": "patient"}, "user role"), ({"role": "privacy-officer"}, "user role"), ({"role": "auditor"}, "user role"),
    ],
)  # fmt: skip
def test_only_a_person_in_a_function_of_the_policy_opens_for_an_emergency_alone(world, more, reason):
    event = is_refused(world, try_to_open(a_physician(world, **more)))
    assert event["outcomeDesc"] == f"emergency refused: {reason}"
    assert {each["code"] for each in event["subtype"]} == {"operation", "open-emergency", "110127"}


def test_a_system_opens_none_by_itself(world, physician):
    alone = Caller(world.spine, replace(physician.requester, user=None))
    assert is_refused(world, try_to_open(alone))["outcomeDesc"] == "emergency refused: no user"


def test_a_scope_is_needed(world):
    is_refused(world, try_to_open(a_physician(world, scopes="system/Observation.rs")))


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"reason": None}, "http.reason"), ({"reason": " \u00a0\u200b\u2003" * 40}, "http.reason"), ({"reason": "." * 60}, "http.reason"),
        ({"reason": "1234567890 " * 6}, "http.reason"), ({"reason": "a" * 60}, "http.reason"), ({"reason": "emergencia"}, "http.reason"),
        ({"reason": "abcab " * 30}, "http.reason"), ({"reason": REASON * 20}, "http.reason"),
        ({"attested": None}, "http.attested"), ({"attested": BOTH[:1]}, "http.attested"), ({"attested": BOTH[1:]}, "http.attested"),
        ({"attested": (BOTH[0], BOTH[0])}, "http.attested"), ({"attested": (*BOTH, "because")}, "http.attested"),
        ({"minutes": 0}, "http.minutes"), ({"minutes": -1}, "http.minutes"), ({"minutes": 241}, "http.minutes"),
        ({"minutes": 2**31 - 1}, "http.minutes"),
    ],
)  # fmt: skip
def test_what_is_told_must_be_whole_and_sound(world, physician, values, where):
    said = try_to_open(physician, **values)
    is_refused(world, said, 422)
    [issue] = said.body["issue"]
    assert issue["expression"] == [where]
    assert "emergencia" not in issue["diagnostics"]


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda who: who.get("Patient/hospital-p1/$open-emergency"), 405),
        (lambda who: call(who, "Patient/hospital-p1/$open-emergency?reason=x", told()), 400),
        (lambda who: who.operate("Patient/$open-emergency", told()), 400),
        (lambda who: who.operate("$open-emergency", told()), 400),
        (lambda who: who.operate("Encounter/x/$open-emergency", told()), 400),
        (lambda who: who.operate("Patient/hospital-p1/_history/1/$open-emergency", told()), 400),
        (lambda who: who.operate("Patient/hospital-p1/$open-emergency", told(force="true")), 400),
        (lambda who: who.operate("Patient/hospital-p1/$open-emergency", told(reason="x" * 100_000)), 413),
        (lambda who: who.operate("Patient/hospital-p1/$open-emergency", told(minutes=(10, 20))), 400),
        (lambda who: who.operate("Patient/hospital-p1/$open-emergency", {"resourceType": "Patient"}), 400),
        (lambda who: who.operate("Patient/hospital-p1/$open-emergency"), 422),
        (lambda who: who.bundle("transaction", [{"request": {"method": "POST", "url": "Patient/hospital-p1/$open-emergency"},
                                                 "resource": told()}]), 400),
    ],
)  # fmt: skip
def test_it_is_posted_with_parameters_to_one_patient(world, physician, ask, status):
    is_refused(world, ask(physician), status)


def test_a_deleted_patient_has_no_emergency(world, physician):
    world.hospital.store(patient_of(HOSPITAL, 2))
    world.hospital.delete("Patient/hospital-p2")
    is_refused(world, try_to_open(physician, "hospital-p2"), 410)


def test_as_part_of_a_batch_it_is_decided_alone(world, physician):
    said = physician.bundle(
        "batch",
        [
            {"request": {"method": "POST", "url": "Patient/hospital-p1/$open-emergency"}, "resource": told()},
            {"request": {"method": "GET", "url": "Patient/posta-p1"}},
            {
                "request": {"method": "POST", "url": "Patient/posta-p404/$open-emergency"},
                "resource": told(),
            },
        ],
    )
    assert [each["response"]["status"][:3] for each in said.body["entry"]] == ["200", "200", "404"]
    events = [each for each in world.events() if "110127" in {one["code"] for one in each["subtype"]}]
    assert [each["outcome"] for each in events] == ["0", "4"]


def test_a_time_may_be_told_and_is_an_hour_where_none_is(world, physician):
    for minutes in (None, 1, 240):
        opened(physician, minutes=minutes)
    rows = sql(world, "SELECT (expires_at - opened_at) / 60000000 FROM emergency_case ORDER BY opened_at")
    assert [row[0] for row in rows] == [60, 1, 240]


# --- how often


def test_a_person_opens_as_many_as_the_policy_says_within_a_day(world, physician):
    most = policy().emergency.openings_per_user_per_day
    for _ in range(most):
        opened(physician)
    others = [
        a_physician(world, client="another-system"),
        a_physician(world, role="clinician", scopes="user/*.rs"),
    ]
    for caller in (physician, *others):
        said = try_to_open(caller)
        assert said.status == 403
        assert world.events()[-1]["outcomeDesc"].startswith("emergency openings within a day")
    opened(a_physician(world, user="u2"))
    sql(world, "UPDATE emergency_case SET opened_at = opened_at - 86400000000")
    opened(physician)


def test_a_closed_case_counts_too(world, physician):
    for _ in range(policy().emergency.openings_per_user_per_day):
        assert close(an_officer(world), opened(physician)).status == 200
    assert try_to_open(physician).status == 403


def test_two_openings_at_once_do_not_slip_past_the_bound(world):
    most = policy().emergency.openings_per_user_per_day
    statuses: list[int] = []
    start = threading.Barrier(8)

    def one() -> None:
        person = a_physician(type(world)(world.database_store, world.url))
        start.wait(20)
        statuses.append(try_to_open(person).status)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert sorted(statuses) == [200] * most + [403] * (8 - most)
    assert sql(world, "SELECT count(*) FROM emergency_case") == [(most,)]


def test_the_same_words_again_are_noted(world, physician):
    opened(physician)
    opened(physician, reason=f"  {REASON.upper()} ")
    opened(physician, reason="Otra persona, sin relación con la anterior")
    opened(a_physician(world, user="u2"))
    cases = listed(an_officer(world))
    assert [each["reason-repeated"] for each in reversed(cases)] == [False, True, False, False]
    assert sum("the same words" in each["outcomeDesc"] for each in world.events()) == 1


# --- closing


def test_the_officer_of_the_facility_closes_it(world, physician):
    number = opened(physician)
    said = close(an_officer(world), number.lower(), "unjustified", "La paciente podía responder")
    assert answered(said)["verdict"] == ["unjustified"]
    [case] = listed(an_officer(world))
    assert (case["state"], case["verdict"], case["comment"]) == (
        "closed",
        "unjustified",
        "La paciente podía responder",
    )
    assert case["judged-by"] == "Abog. Salas"
    [event] = [each for each in world.events() if "110138" in {one["code"] for one in each["subtype"]}]
    assert event["outcomeDesc"] == f"emergency case {number} judged unjustified"
    assert event["entity"][0]["what"] == {"reference": "Patient/hospital-p1"}
    assert len(the_patient(world, "hospital-p1").get("AuditEvent?subtype=110138").matches) == 1


def test_an_expired_case_waits_for_its_verdict(world, physician):
    number = opened(physician)
    sql(world, "UPDATE emergency_case SET expires_at = opened_at + 1")
    assert [each["state"] for each in listed(an_officer(world))] == ["expired"]
    assert close(an_officer(world), number).status == 200
    assert [each["state"] for each in listed(an_officer(world))] == ["closed"]


def test_a_case_is_judged_once_unless_it_needs_review(world, physician):
    number = opened(physician)
    assert close(an_officer(world), number, "needs-review", "Falta la historia").status == 200
    assert physician.get("Patient/posta-p1").status == 404
    [(closed_at,)] = sql(world, "SELECT closed_at FROM emergency_case")
    assert close(an_officer(world), number, "justified").status == 200
    assert sql(world, "SELECT closed_at, verdict FROM emergency_case") == [(closed_at, "justified")]
    for verdict in ("unjustified", "needs-review", "justified"):
        assert close(an_officer(world), number, verdict, "Otra vez").status == 409


def test_nobody_judges_their_own(world, physician):
    number = opened(physician)
    said = close(an_officer(world, user="u1"), number)
    assert said.status == 403
    assert physician.get("Patient/posta-p1").status == 200
    assert world.events()[-2]["outcomeDesc"].startswith("emergency case judged by its opener")


def test_nobody_judges_their_own_by_another_account(world):
    known = {"name": "Dra. Flores", "role": "physician", "reference": "Practitioner/hospital-d1"}
    opener = a_physician(world)
    number = opened(Caller(world.spine, replace(opener.requester, user=User("u1", **known))))
    officer = an_officer(world)
    same = replace(officer.requester, user=User("oficial-1", reference="Practitioner/hospital-d1"))
    assert close(Caller(world.spine, same), number).status == 403
    other = replace(officer.requester, user=User("oficial-1", reference="Practitioner/hospital-d2"))
    assert close(Caller(world.spine, other), number).status == 200


def test_another_facilitys_number_is_as_if_there_were_none(world, physician):
    number = opened(physician)
    other = an_officer(world, INSTITUTE)
    foreign, absent = close(other, number), close(other, "EM-0000-0000-0000-0000")
    assert foreign.status == 404
    assert foreign.normalised() == absent.normalised()
    assert physician.get("Patient/posta-p1").status == 200
    assert listed(other) == []


def test_who_is_no_officer_closes_nothing(world, physician):
    number = opened(physician)
    nobody = [
        physician, world.hospital, the_patient(world, "hospital-p1"),
        Caller(world.spine, an_administrator("system/AuditEvent.rs")),
        Caller(world.spine, a_requester(HOSPITAL, "system/AuditEvent.rs", role="auditor", purpose="HOPERAT")),
        Caller(world.spine, a_requester(HOSPITAL, "system/*.rs", role="operator", purpose="HOPERAT")),
        Caller(world.spine, replace(an_officer(world).requester, purpose_of_use="TREAT")),
        Caller(world.spine, replace(an_officer(world).requester, scopes=a_requester(scopes="system/Patient.rs").scopes)),
        Caller(world.spine, replace(an_officer(world).requester, user=None)),
    ]  # fmt: skip
    for caller in nobody:
        assert close(caller, number).status == 403, caller.requester
    assert sql(world, "SELECT closed_at FROM emergency_case") == [(None,)]


def test_what_an_officer_notes_stays_in_the_case_and_out_of_the_patient_s_log(world, physician):
    number = opened(physician)
    assert close(an_officer(world), number, "unjustified", "El paciente estaba despierto").status == 200
    log = the_patient(world, "hospital-p1").get("AuditEvent?_count=100").text.decode()
    assert f"emergency case {number} judged unjustified" in log
    assert "despierto" not in log


@pytest.mark.parametrize(
    ("number", "verdict", "comment", "status"),
    [
        (None, "justified", None, 422), ("", "justified", None, 400), ("E" * 65, "justified", None, 422),
        ("real", None, None, 422), ("real", "fine", None, 422), ("real", "unjustified", None, 422),
        ("real", "needs-review", " . ", 422), ("real", "justified", "x" * 1_001, 422), ("EM-%_", "justified", None, 404),
    ],
)  # fmt: skip
def test_a_verdict_is_whole_and_sound(world, physician, number, verdict, comment, status):
    real = opened(physician)
    assert close(an_officer(world), real if number == "real" else number, verdict, comment).status == status
    assert sql(world, "SELECT closed_at FROM emergency_case") == [(None,)]


def test_two_verdicts_at_once_are_one(world, physician):
    number = opened(physician)
    statuses: list[int] = []

    def one(verdict: str) -> None:
        officer = an_officer(type(world)(world.database_store, world.url))
        statuses.append(close(officer, number, verdict, "Dos a la vez").status)

    threads = [threading.Thread(target=one, args=(each,)) for each in ("justified", "unjustified")]
    with world.sql() as held:
        held.execute("BEGIN; SELECT 1 FROM emergency_case FOR UPDATE")
        for each in threads:
            each.start()
        time.sleep(0.7)
        assert statuses == []
        held.execute("COMMIT")
    for each in threads:
        each.join(60)
    assert sorted(statuses) == [200, 409]


# --- following


def test_those_that_wait_stand_first_and_pages_hold_each_once(world, physician):
    numbers = [opened(a_physician(world, user=f"u{number}")) for number in range(7)]
    for number in numbers[4:6]:
        close(an_officer(world), number)
    officer = an_officer(world)
    seen: list[str] = []
    page = "$emergency-cases?_count=3"
    while page:
        said = officer.get(page)
        parts = answered(said)
        assert parts["waiting"] == [5]
        seen += [dict(each)["number"] for each in parts.get("case", [])]
        page = parts.get("next", [""])[0].partition("/fhir/")[2]
    assert seen == [*reversed(numbers[:4] + numbers[6:]), *reversed(numbers[4:6])]
    assert len(listed(officer, "?_count=1000")) == 7


def test_no_cases_are_an_answer_too(world):
    assert answered(an_officer(world).get("$emergency-cases")) == {"waiting": [0]}


@pytest.mark.parametrize("query", ["?_count=0", "?_count=x", "?_page=x", "?state=open", "?_count=1&_count=2"])
def test_what_is_asked_must_be_sound(world, query):
    assert an_officer(world).get(f"$emergency-cases{query}").status == 400


def test_a_page_is_for_whoever_asked(world, physician):
    opened(physician)
    opened(physician)
    page = answered(an_officer(world).get("$emergency-cases?_count=1"))["next"][0].partition("/fhir/")[2]
    assert an_officer(world).get(page).status == 200
    for other in (an_officer(world, INSTITUTE), an_officer(world, user="oficial-2")):
        assert other.get(page).status == 400


@pytest.mark.parametrize("role", ["administrator", "auditor"])
def test_who_oversees_the_region_reads_numbers_and_states_and_nobody(world, physician, role):
    number = opened(physician)
    overseer = Caller(
        world.spine,
        a_requester("geresa", "system/AuditEvent.rs", role=role, purpose="HOPERAT", client="geresa"),
    )
    said = overseer.get("$emergency-cases")
    [case] = listed(overseer)
    assert (case["number"], case["facility"]) == (number, {"reference": f"Organization/{HOSPITAL}"})
    assert not case.keys() & {"patient", "user", "user-name", "reason", "comment", "client"}
    for word in (b"hospital-p1", b"Flores", b"u1", b"Politraumatizado"):
        assert word not in said.text


def test_who_neither_judges_nor_oversees_follows_none(world, physician):
    opened(physician)
    for caller in (
        physician,
        world.hospital,
        the_patient(world, "hospital-p1"),
        a_physician(world, purpose="TREAT"),
    ):
        assert caller.get("$emergency-cases").status == 403


def test_an_officer_who_follows_is_in_the_log_of_each_patient(world, physician):
    opened(physician)
    an_officer(world).get("$emergency-cases")
    event = the_patient(world, "hospital-p1").get("AuditEvent?_sort=-date").matches[0]
    assert event["outcomeDesc"] == "emergency cases followed: 1"
    assert event["agent"][2]["name"] == "Abog. Salas"


@pytest.mark.parametrize(("hours", "is_overdue"), [(71, False), (73, True)])
def test_a_case_without_a_verdict_after_three_days_is_overdue(world, physician, hours, is_overdue):
    number = opened(physician)
    sql(world, f"UPDATE emergency_case SET opened_at = opened_at - {hours} * 3600000000")
    assert [each["overdue"] for each in listed(an_officer(world))] == [is_overdue]
    close(an_officer(world), number, "needs-review", "Falta la historia")
    assert [each["overdue"] for each in listed(an_officer(world))] == [is_overdue]
    close(an_officer(world), number)
    assert [each["overdue"] for each in listed(an_officer(world))] == [False]


def test_a_case_of_an_erased_record_is_still_followed_and_closed(world, physician):
    number = opened(physician)
    with world.sql() as cursor:
        cursor.execute("DELETE FROM data_key WHERE compartment IN (SELECT compartment FROM emergency_case)")
    world.spine._store.data_keys._kept.clear()
    world.database_store.data_keys._kept.clear()
    [case] = listed(an_officer(world))
    assert case["number"] == number
    assert "reason" not in case


def test_a_case_that_was_moved_to_another_record_does_not_open(world, physician):
    world.hospital.store(patient_of(HOSPITAL, 2))
    number = opened(physician)
    with world.sql() as cursor:
        cursor.execute(
            "UPDATE emergency_case SET compartment = (SELECT compartment FROM patient_record WHERE patient_id = 'hospital-p2')"
        )
    assert an_officer(world).get("$emergency-cases").status == 500
    assert close(an_officer(world), number).status == 500


def test_what_they_are_is_told(world):
    import json

    told_of = json.loads(world.spine.capabilities())["rest"][0]
    assert {"close-emergency", "emergency-cases"} <= {each["name"] for each in told_of["operation"]}
    [patient] = [each for each in told_of["resource"] if each["type"] == "Patient"]
    assert "open-emergency" in {each["name"] for each in patient["operation"]}


def test_a_user_of_the_same_name_at_another_facility_is_somebody_else(world, physician):
    number = opened(physician)
    world.institute.store(patient_of(INSTITUTE, 1))
    elsewhere = a_physician(world, INSTITUTE)
    for _ in range(policy().emergency.openings_per_user_per_day):
        opened(elsewhere, "instituto-p1")
    assert try_to_open(elsewhere, "instituto-p1").status == 403
    assert opened(physician) != number
