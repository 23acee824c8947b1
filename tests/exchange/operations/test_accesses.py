"""$accesses: the auditor's questions, in pages, as a sheet and as lines; who may ask, and that asking is in the log."""

from __future__ import annotations

import base64
import csv
import io
import json
from dataclasses import replace

import pytest

from exchange.audit.access import access_of, sheet
from exchange.requester import User
from tests.passage.world import Caller, patient_of
from tests.sample.consent import a_consent
from tests.sample.emergency import a_physician, an_officer, opened, the_patient
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, INSTITUTE, POST, a_requester


@pytest.fixture
def world(empty):
    empty.post.store(patient_of(POST, 1), patient_of(POST, 2), an_observation("posta-o1", "posta-p1"))
    empty.post.store(a_consent("posta-c1", "posta-p1", permit=HOSPITAL))
    empty.hospital.store(patient_of(HOSPITAL, 3))
    return empty


@pytest.fixture
def doctor(world) -> Caller:
    """A person at the hospital, by its system."""
    asking = a_requester(HOSPITAL, client="his")
    return Caller(world.spine, replace(asking, user=User("dra-flores", "Elsa Flores", "physician")))


def asked(caller: Caller, query: str = "") -> list[dict]:
    """All pages of accesses."""
    found, page = [], f"AuditEvent/$accesses?{query}"
    while page:
        said = caller.get(page)
        assert said.status == 200, said.text
        found += [access_of(each) for each in said.matches]
        page = said.next
    return found


def test_who_saw_this_patient(world, doctor):
    assert doctor.get("Observation/posta-o1").status == 200
    assert world.institute.get("Observation/posta-o1").status == 404
    found = asked(world.administrator, "patient=posta-p1&act=read")
    assert [(each.user, each.user_name, each.facility, each.outcome, each.resource) for each in found] == [
        ("dra-flores", "Elsa Flores", f"Organization/{HOSPITAL}", "granted", "Observation/posta-o1")
    ]
    assert found[0].patient == "Patient/posta-p1"
    assert found[0].request == "GET /fhir/Observation/posta-o1"
    assert "Consent/posta-c1" in found[0].reason


def test_whom_did_this_user_see_and_nobody_else_s_of_that_name(world, doctor):
    doctor.get("Observation/posta-o1")
    doctor.get("Patient/hospital-p3")
    world.hospital.get("Patient/hospital-p3")
    other = Caller(world.spine, replace(a_requester(INSTITUTE), user=User("dra-flores")))
    other.get("Patient/posta-p1")
    found = asked(world.administrator, f"user=dra-flores&facility={HOSPITAL}")
    assert [each.resource for each in found] == ["Patient/hospital-p3", "Observation/posta-o1"]
    refused = world.administrator.get("AuditEvent/$accesses?user=dra-flores")
    assert (refused.status, refused.body["issue"][0]["expression"]) == (422, ["http.facility"])


def test_what_did_this_facility_or_client_ask_for(world, doctor):
    doctor.get("Observation/posta-o1")
    world.hospital.get("Patient/posta-p2")
    at_hospital = asked(world.administrator, f"facility=Organization/{HOSPITAL}")
    assert [(each.act, each.outcome) for each in at_hospital] == [
        ("read", "refused"), ("read", "granted"), ("update", "granted"),
    ]  # fmt: skip
    assert {each.client for each in asked(world.administrator, "client=client-of-" + HOSPITAL)} == {
        f"client-of-{HOSPITAL}"
    }
    assert asked(world.administrator, f"facility={HOSPITAL}&client=his") == at_hospital[1:2]


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("outcome=refused", 1), ("outcome=granted&act=read", 1), ("purpose=TREAT&act=read", 2), ("purpose=ETREAT", 0),
        ("type=Observation&act=read", 1), ("type=Patient&act=read", 1), ("consent=posta-c1", 1), ("consent=Consent/posta-c1", 1),
        ("consent=posta-c", 0), ("act=read&hours=0-23", 2), ("since=2100-01-01", 0), ("until=2000-01-01", 0),
        ("since=2020-01-01&until=2100-01-01&act=read", 2), ("act=nothing", 0), ("patient=nobody", 0), ("client=nobody", 0),
    ],
)  # fmt: skip
def test_what_is_asked_for_besides(world, doctor, query, number, monkeypatch):
    doctor.get("Observation/posta-o1")
    world.hospital.get("Patient/posta-p2")
    hour = __import__("datetime").datetime.now(__import__("exchange.settings").settings.settings().zone).hour
    query = query.replace("hours=0-23", f"hours={hour}-{(hour + 1) % 24 or 23}") if hour != 23 else query
    assert len(asked(world.administrator, query)) == number


def test_hours_of_another_time_of_the_day(world):
    from datetime import datetime

    from exchange.settings import settings

    hour = datetime.now(settings().zone).hour
    away = f"hours={(hour + 2) % 24}-{(hour + 3) % 24}"
    assert asked(world.administrator, away) == []
    assert asked(world.administrator, f"hours={(hour - 1) % 24}-{(hour + 2) % 24}")


def test_the_case_of_an_emergency(world):
    physician = a_physician(world)
    number = opened(physician, "hospital-p3")
    found = asked(world.administrator, f"case={number}")
    assert [(each.act, each.user, each.purpose) for each in found] == [("operation", "u1", "BTG")]


def test_pages_are_whole_and_bound_to_who_asked(world):
    for _ in range(7):
        world.post.get("Patient/posta-p1")
    every = asked(world.administrator, "patient=posta-p1")
    in_pages = asked(world.administrator, "patient=posta-p1&_count=2")
    assert [each.event for each in in_pages][-len(every) :] == [each.event for each in every]
    first = world.administrator.get("AuditEvent/$accesses?patient=posta-p1&_count=2")
    assert len(first.ids) == 2
    assert an_officer(world, POST).get(first.next).status == 400
    assert world.administrator.get(first.next.replace("posta-p1", "posta-p2")).status == 400


def test_a_page_ends_after_a_bounded_number_of_rows_and_the_next_goes_on(world, monkeypatch):
    from exchange.operations import accesses

    for _ in range(6):
        world.post.get("Patient/posta-p1")
    world.hospital.get("Patient/posta-p2")
    bounded = accesses.settings().model_copy(update={"max_scan_rows": 3})
    monkeypatch.setattr(accesses, "settings", lambda: bounded)
    first = world.administrator.get("AuditEvent/$accesses?act=update&since=2020-01-01")
    assert (first.ids, bool(first.next)) == ([], True)
    assert len(asked(world.administrator, "act=update&since=2020-01-01")) == 5


def test_looking_is_itself_in_the_log_of_each_patient_who_was_looked_at(world, doctor):
    doctor.get("Observation/posta-o1")
    asked(world.administrator, "patient=posta-p1&act=read")
    looked = asked(the_patient(world), "patient=posta-p1&act=operation")
    assert [(each.facility, each.reason) for each in looked] == [
        ("Organization/geresa", "accesses asked for: 1 shown")
    ]


# --- who may ask


def test_an_officer_reads_of_the_own_facility_and_of_its_patients(world, doctor):
    doctor.get("Observation/posta-o1")
    world.institute.get("Patient/hospital-p3")
    of_hospital = asked(an_officer(world))
    assert {each.facility for each in of_hospital} == {f"Organization/{HOSPITAL}"}
    of_post = asked(an_officer(world, POST), "act=read")
    assert [each.facility for each in of_post] == [f"Organization/{HOSPITAL}"]
    assert asked(an_officer(world, INSTITUTE), "patient=posta-p1") == []


def test_a_patient_reads_of_the_own_record_alone(world, doctor):
    doctor.get("Observation/posta-o1")
    world.post.get("Patient/posta-p2")
    for query in ("", "patient=posta-p2", f"facility={POST}", f"user=dra-flores&facility={HOSPITAL}"):
        found = asked(the_patient(world), query)
        assert {each.patient for each in found} <= {"Patient/posta-p1"}, query
    assert asked(the_patient(world), f"user=dra-flores&facility={HOSPITAL}")


@pytest.mark.parametrize("role", ["system", "clinician", "operator"])
def test_nobody_else_asks(world, role):
    asking = Caller(world.spine, replace(a_requester(HOSPITAL, role=role), user=User("x")))
    assert asking.get("AuditEvent/$accesses").status == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("AuditEvent/$accesses?color=red", 400), ("AuditEvent/$accesses?_count=0", 400), ("Patient/$accesses", 400),
        ("AuditEvent/x/$accesses", 400), ("$accesses", 400), ("AuditEvent/$accesses?since=soon", 422),
        ("AuditEvent/$accesses?hours=25-3", 422), ("AuditEvent/$accesses?hours=3", 422), ("AuditEvent/$accesses?hours=-", 422),
        ("AuditEvent/$accesses?outcome=maybe", 422), ("AuditEvent/$accesses?_outputFormat=text/html", 400),
        ("AuditEvent/$accesses?_page=forged", 400), ("AuditEvent/$accesses?_outputFormat=text/csv&_page=x", 400),
        ("AuditEvent/$accesses?patient=a&patient=b", 400),
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused(world, path, status):
    assert world.administrator.get(path).status == status


# --- sheets and lines


def exported(caller: Caller, query: str) -> str:
    said = caller.get(f"AuditEvent/$accesses?{query}")
    assert said.status == 200, said.text
    assert said.body["resourceType"] == "Binary"
    return base64.b64decode(said.body["data"]).decode()


def test_a_sheet(world, doctor):
    doctor.get("Observation/posta-o1")
    rows = list(csv.DictReader(io.StringIO(exported(world.administrator, "act=read&_outputFormat=text/csv"))))
    assert [(row["user"], row["patient"], row["outcome"]) for row in rows] == [
        ("dra-flores", "Patient/posta-p1", "granted")
    ]


def test_lines_of_json_are_the_events_as_they_are(world, doctor):
    doctor.get("Observation/posta-o1")
    query = "act=read&_outputFormat=application/fhir%2Bndjson"
    lines = exported(world.administrator, query).splitlines()
    event = json.loads(lines[0])
    assert len(lines) == 1
    assert world.administrator.get(f"AuditEvent/{event['id']}").body == event


def test_an_export_is_whole_or_none(world, monkeypatch):
    from exchange.operations import accesses

    bounded = accesses.settings().model_copy(update={"max_scan_rows": 3})
    monkeypatch.setattr(accesses, "settings", lambda: bounded)
    said = world.administrator.get("AuditEvent/$accesses?_outputFormat=text/csv")
    assert (said.status, said.body["issue"][0]["code"]) == (413, "too-costly")


@pytest.mark.parametrize(
    "begin", ["=", "+", "-", "@", "\t=", "\r", "\n@", " =", "\u00a0=", "\ufeff+", "\x00=", "\u200b@"]
)
def test_no_cell_is_run_by_a_spreadsheet(world, begin):
    """Who asks chooses a name, and an auditor opens the sheet."""
    name = f'{begin}HYPERLINK("http://x","y")'
    asking = Caller(world.spine, replace(a_requester(HOSPITAL, client="his"), user=User("u9", name)))
    asking.get("Patient/hospital-p3")
    [access] = asked(world.administrator, f"user=u9&facility={HOSPITAL}")
    [row] = csv.DictReader(io.StringIO(sheet([access])))
    assert row["user_name"].startswith("'")
    assert row["user_name"].removeprefix("'") == name.replace("\x00", "")
    text = sheet([access])
    assert not any(
        cell[:1] in "=+-@\t\r\n" for line in csv.reader(io.StringIO(text)) for cell in line if cell
    )
