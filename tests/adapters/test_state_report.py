"""What the region is told: at start and stop, again and again, when trouble begins or ends - and nothing of a patient."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.cycle import Cycle
from adapters.outbox import Outbox
from adapters.outbox.timeliness import closed
from adapters.sender.state_report import StateReporter, _unmapped
from adapters.source_record import Entry, Refusal, Refused
from adapters.source_record.bundle import finish
from exchange.fleet.report import read_report
from tests.adapters.conftest import LIMA, ORIGIN, a_mapped, a_record

DAY = 86_400


def until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def box(site):
    settings = site("hl7v2-folder")
    made = Outbox(settings.data_folder)
    yield made
    made.close()


@pytest.fixture
def reporter(site, box, client):
    return StateReporter(site("hl7v2-folder"), box, client)


def taken(report: dict):
    """What the hub reads in a report, or refuses."""
    return read_report(msgspec.json.encode(report))


# --- what it says


def test_an_empty_adapter_says_so(reporter):
    told = taken(reporter.report("running"))
    assert (told.pending, told.parked_patients, told.quarantine, told.days, told.trouble) == (
        0,
        0,
        (),
        (),
        None,
    )
    assert (told.source_kind, told.phase) == ("hl7v2-folder", "running")


def test_the_hub_takes_what_a_busy_adapter_says(reporter, box):
    box.accept([a_mapped(str(n), f"p{n % 3}") for n in range(9)])
    refusal = Refusal("validation", "A-255", "texto", parks=True)
    box.accept([Refused(a_record("x", "p9"), refusal)])
    box.accept([a_mapped("y", "p9"), a_mapped("z", "p9")])
    box.note_trouble("A-313")
    told = taken(reporter.report("running"))
    assert (told.pending, told.parked_patients, told.trouble) == (9, 1, "A-313")
    assert [(each.reason_class, each.code, each.times) for each in told.quarantine] == [
        ("validation", "A-255", 1)
    ]
    assert told.oldest_pending_at is not None


def test_numbers_grow_over_restarts_whatever_the_clock_does(site, client, monkeypatch):
    settings = site("hl7v2-folder")
    numbers = []
    for clock in (2_000_000_000.0, 2_000_000_000.0, 1_000_000_000.0, 2_000_000_100.0):
        monkeypatch.setattr(time, "time", lambda now=clock: now)
        box = Outbox(settings.data_folder)
        numbers += [StateReporter(settings, box, client).report("running")["number"] for _ in range(2)]
        box.close()
    assert numbers == sorted(set(numbers))


def test_a_code_that_could_be_somebody_is_told_by_its_number_alone():
    found = [
        {"table": "lab", "code": "HB-2", "times": 9},
        {"table": "lab", "code": "40000001", "times": 3},
        {"table": "lab", "code": "Rosa Quispe", "times": 2},
        {"table": "Tabla de Rosa", "code": "x", "times": 1},
    ]
    told = _unmapped(found)
    assert {"table": "lab", "code": "other", "times": 5} in told
    assert "Rosa" not in json.dumps(told)
    assert "40000001" not in json.dumps(told)


@given(
    st.lists(
        st.fixed_dictionaries({"table": st.text(), "code": st.text(), "times": st.integers(1, 10**6)}),
        max_size=60,
    )
)
def test_whatever_a_source_calls_a_code_the_hub_takes_the_report(found):
    base = {
        "number": 1, "phase": "running", "version": "1", "source_kind": "k", "source_system": "s", "pending": 0,
        "reported_at": "2026-01-02T03:04:05Z", "started_at": "2026-01-02T03:04:05Z", "parked_patients": 0,
        "disk_used_percent": 0,
    }  # fmt: skip
    taken(base | {"unmapped": _unmapped(found)})


# --- the rule of 24 hours


def visit(key: str, closed_at: str | None, status: str = "finished", **record) -> object:
    resource = {"resourceType": "Encounter", "id": ORIGIN.resource_id("Encounter", key), "status": status}
    if closed_at is not None:
        resource["period"] = {"start": "2020-01-01", "end": closed_at}
    return finish(
        ORIGIN, a_record(key, f"p{key}", json.dumps([resource, record]).encode()), [Entry(resource)]
    )


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="seconds")


def send_all(box) -> None:
    for group in box.waiting_groups(1000):
        records = box.batch(group, 100)
        box.mark_applied(records, {})


def test_what_is_applied_is_counted_by_how_long_care_had_been_over(box):
    box.accept([visit("1", ago(3600)), visit("2", ago(DAY - 60)), visit("3", ago(DAY + 60)), visit("4", ago(3 * DAY)),
                visit("5", None), visit("6", ago(9 * DAY), "in-progress")])  # fmt: skip
    before = box.timeliness()
    assert (before["days"], before["waiting_late"]) == ([], 2)
    send_all(box)
    [day] = box.timeliness()["days"]
    assert day["day"] == f"{datetime.now(LIMA):%Y-%m-%d}"
    assert (day["on_time"], day["late"]) == (2, 2)
    assert box.timeliness()["waiting_late"] == 0


def test_a_correction_is_not_counted_again(box):
    box.accept([visit("1", ago(3600))])
    send_all(box)
    box.accept([visit("1", ago(3 * DAY), corrected=True)])
    assert box.timeliness()["waiting_late"] == 0
    send_all(box)
    [day] = box.timeliness()["days"]
    assert (day["on_time"], day["late"]) == (1, 0)


def test_a_clock_that_is_ahead_makes_nothing_early(box):
    box.accept([visit("1", ago(-7200))])
    send_all(box)
    [day] = box.timeliness()["days"]
    assert (day["on_time"], day["worst_seconds"]) == (1, 0)


def test_what_a_person_gave_up_does_not_wait(box):
    refused = visit("1", ago(3 * DAY))
    box.accept([refused])
    [record] = box.batch(box.waiting_groups(1)[0], 1)
    box.quarantine(record, Refusal("validation", "A-311", "texto"))
    assert box.timeliness()["waiting_late"] == 1
    box.discard(record.sequence)
    assert box.timeliness()["waiting_late"] == 0


def test_nothing_of_an_erased_patient_is_left(box):
    box.accept([visit("1", ago(3 * DAY)), visit("2", ago(3 * DAY))])
    group = box.waiting_groups(1)[0]
    box.erase_group(group)
    assert box.timeliness()["waiting_late"] == 1


@pytest.mark.parametrize(
    ("resource", "moment"),
    [
        ({"resourceType": "Encounter", "status": "finished", "period": {"end": "2026-03-01T10:00:00-05:00"}}, "2026-03-01T10:00:00-05:00"),
        ({"resourceType": "Encounter", "status": "finished", "period": {"start": "2026-03-01"}}, "2026-03-01T23:59:59-05:00"),
        ({"resourceType": "Encounter", "status": "finished", "period": {"start": "2026-03-01T08:00:00-05:00"}}, "2026-03-01T23:59:59-05:00"),
        ({"resourceType": "Encounter", "status": "finished", "period": {"end": "2026-03"}}, None),
        ({"resourceType": "Encounter", "status": "finished", "period": {"end": "2026-03-01T10:00:00"}}, None),
        ({"resourceType": "Encounter", "status": "finished"}, None),
        ({"resourceType": "Encounter", "status": "in-progress", "period": {"start": "2026-03-01"}}, None),
        ({"resourceType": "DocumentReference", "date": "2026-03-01T10:00:00Z"}, "2026-03-01T10:00:00+00:00"),
        ({"resourceType": "Composition", "date": "2026-03-01"}, "2026-03-01T23:59:59-05:00"),
        ({"resourceType": "Observation", "effectiveDateTime": "2026-03-01"}, None),
    ],
    ids=range(10),
)  # fmt: skip
def test_when_care_was_over(resource, moment):
    found = closed([Entry({"id": "x"} | resource)], ZoneInfo("America/Lima"))
    wanted = (
        []
        if moment is None
        else [(f"{resource['resourceType']}/x", int(datetime.fromisoformat(moment).timestamp()))]
    )
    assert found == wanted


def test_a_visit_stands_before_the_documents_about_it():
    entries = [
        Entry({"resourceType": "DocumentReference", "id": "d", "date": "2026-03-05"}),
        Entry(
            {"resourceType": "Encounter", "id": "e", "status": "finished", "period": {"end": "2026-03-01"}}
        ),
    ]
    assert [url for url, _ in closed(entries, LIMA)] == ["Encounter/e"]


# --- when it says it


def test_a_run_reports_at_its_start_and_its_stop(site, hub):
    settings = site("hl7v2-folder")
    hub.takes_reports = True
    box, stop = Outbox(settings.data_folder), threading.Event()
    thread = threading.Thread(
        target=lambda: Cycle(settings, box).run(stop, once=False, announce=lambda _text: None)
    )
    thread.start()
    until(lambda: hub.reports)
    stop.set()
    thread.join()
    box.close()
    assert [each["phase"] for each in hub.reports] == ["running", "stopped"]
    for each in hub.reports:
        taken(each)


def test_trouble_is_told_when_it_begins_and_when_it_ends(site, hub):
    settings = site("hl7v2-folder")
    hub.takes_reports = True
    hub.unscoped_types.add("Basic")
    box, stop = Outbox(settings.data_folder), threading.Event()
    box.accept([a_mapped()])
    thread = threading.Thread(
        target=lambda: Cycle(settings, box).run(stop, once=False, announce=lambda _text: None)
    )
    thread.start()
    until(lambda: any(each.get("trouble") == "A-313" for each in hub.reports))
    hub.unscoped_types.clear()
    until(lambda: "trouble" not in hub.reports[-1] and hub.reports[-1]["pending"] == 0)
    stop.set()
    thread.join()
    box.close()
    numbers = [each["number"] for each in hub.reports]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("answer", [503, 400, 401, 404])
def test_a_report_that_is_not_taken_stops_nothing(site, hub, caplog, answer):
    settings = site("hl7v2-folder")
    hub.takes_reports, hub.report_status = True, answer
    box = Outbox(settings.data_folder)
    box.accept([a_mapped()])
    assert Cycle(settings, box).run(threading.Event(), once=True, announce=lambda _text: None) == ""
    assert box.status()["applied"] == 1
    box.close()
    assert "A-321" in caplog.text


def test_a_hub_that_asks_for_no_reports_gets_none(site, hub):
    settings = site("hl7v2-folder")
    box = Outbox(settings.data_folder)
    Cycle(settings, box).run(threading.Event(), once=True, announce=lambda _text: None)
    box.close()
    assert hub.reports == []


@pytest.mark.parametrize("endpoint", ["https://elsewhere.example/adapters/state", "x", 7])
def test_a_token_goes_to_the_hub_alone(site, hub, endpoint):
    settings = site("hl7v2-folder")
    hub.configuration = {"chasqui_adapter_state_endpoint": endpoint}
    box = Outbox(settings.data_folder)
    Cycle(settings, box).run(threading.Event(), once=True, announce=lambda _text: None)
    box.close()
    assert hub.reports == []
