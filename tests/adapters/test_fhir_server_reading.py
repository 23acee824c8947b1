"""Reading a FHIR server: by change, by export, over the project's own hub and a server that misbehaves."""

from __future__ import annotations

import copy
import json
import threading
from datetime import UTC, datetime

import pytest

from adapters.outbox import Outbox
from adapters.readers.web import WebUnavailable
from adapters.sender import Retry, Sender
from adapters.settings import SettingsError, read_settings
from adapters.source_record import Mapped
from adapters.sources import source_of
from adapters.sources.fhir_server import FhirServer
from exchange.fhir.validate import check
from tests.adapters.conftest import ID_KEY, as_fhir, write_site
from tests.adapters.test_fhir_server import GLUCOSE, PATIENT
from tests.passage.live_hub import live_hub
from tests.sample.requester import HOSPITAL
from tests.simulators.fhir_source import FHIR, FhirSource, as_json, ndjson


@pytest.fixture
def clinic():
    with FhirSource() as source:
        yield source


@pytest.fixture
def open_server(tmp_path):
    def make(url: str, hub: str = "http://127.0.0.1:1/fhir", **own: object) -> FhirServer:
        told = {"url": url, "request_seconds": 2, "types": ["Observation"]} | own
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in told.items())
        path = write_site(tmp_path, hub, "fhir")
        path.write_text(path.read_text("utf-8").replace('folder = "source"\n', lines), "utf-8")
        source = source_of(read_settings(path, {}), ID_KEY)
        assert isinstance(source, FhirServer)
        source.web.wait = lambda _seconds: False
        return source

    return make


def a_patient(number: int) -> dict:
    return {
        **copy.deepcopy(PATIENT),
        "id": f"p{number}",
        "identifier": [{"system": "urn:x", "value": str(number)}],
    }


def an_observation(number: int, patient: int = 0, **more) -> dict:
    found = {
        **copy.deepcopy(GLUCOSE),
        "id": f"o{number}",
        "subject": {"reference": f"Patient/p{patient}"},
        **more,
    }
    found.pop("encounter")
    return found


def instant(minute: int) -> str:
    return f"2026-03-06T10:{minute:02d}:00Z"


def told(outbox: Outbox) -> list[tuple[str, str]]:
    """Type and status of every resource that waits, in order."""
    found = []
    for row in outbox._rows(
        "SELECT message_id, payload FROM record WHERE state = 'pending' ORDER BY sequence"
    ):
        found += [json.loads(bytes(each.resource)) for each in outbox._open_payload(*row)]
    return [
        (each["resourceType"], each.get("status", ""))
        for each in found
        if each["resourceType"] != "Provenance"
    ]


def test_what_changed_is_taken_once_patients_first(clinic, open_server, outbox):
    for number in range(7):
        clinic.put(a_patient(number), instant(number))
        clinic.put(an_observation(number, number), instant(number))
    server = open_server(clinic.url, page_resources=3)
    assert server.read(outbox) == 14
    assert [kind for kind, _ in told(outbox)] == ["Patient"] * 7 + ["Observation"] * 7
    assert server.read(outbox) == 0
    assert any("_lastUpdated=ge2026-03-06T10%3A01" in path for path in clinic.asked), (
        "the overlap is read again"
    )
    clinic.put(an_observation(3, 3, status="amended"), instant(20))
    assert open_server(clinic.url).read(outbox) == 1
    assert told(outbox)[-1] == ("Observation", "amended")


def test_how_far_was_read_is_kept_page_by_page(clinic, open_server, outbox):
    for number in range(9):
        clinic.put(a_patient(number), instant(number))
    clinic.spoil = lambda _path, query: (500, {}, b"") if query.get("_start") == ["6"] else None
    with pytest.raises(WebUnavailable):
        open_server(clinic.url, page_resources=3).read(outbox)
    assert outbox.checkpoint("fhir.changed.Patient") == "2026-03-06T10:05:00+00:00"
    assert len(told(outbox)) == 6


def test_a_server_that_does_not_sort_is_read_to_its_end_or_again(clinic, open_server, outbox):
    clinic.is_sorted = False
    for number in range(9):
        clinic.put(a_patient(number), instant(50 - number * 6))
    clinic.spoil = lambda _path, query: (500, {}, b"") if query.get("_start") == ["6"] else None
    server = open_server(clinic.url, page_resources=3, overlap_seconds=0)
    with pytest.raises(WebUnavailable):
        server.read(outbox)
    clinic.spoil = lambda _path, _query: None
    server.read(outbox)
    assert len(told(outbox)) == 9


def test_a_resource_whose_patient_did_not_change_brings_the_patient(clinic, open_server, outbox):
    clinic.put(a_patient(1), instant(1))
    clinic.put(an_observation(1, 1), instant(2))
    clinic.put(an_observation(2, 2), instant(2))
    held = clinic.resources.pop("Patient/p1")
    clinic.spoil = lambda path, _query: as_json(held) if path.endswith("/Patient/p1") else None
    open_server(clinic.url).read(outbox)
    assert [kind for kind, _ in told(outbox)] == ["Patient", "Observation"]
    assert [item["code"] for item in outbox.quarantined()] == ["A-624"]


def test_one_patient_whom_the_server_cannot_give_holds_up_nobody(clinic, open_server, outbox):
    clinic.put(an_observation(1, 1), instant(1))
    clinic.put(a_patient(2), instant(1))
    clinic.put(an_observation(2, 2), instant(2))
    clinic.spoil = lambda path, _query: (500, {}, b"") if path.endswith("/Patient/p1") else None
    open_server(clinic.url).read(outbox)
    assert [kind for kind, _ in told(outbox)] == ["Patient", "Observation"]
    assert [item["code"] for item in outbox.quarantined()] == ["A-624"]


BASE = [""]


def page_again(path, query):
    return as_json({"resourceType": "Bundle", "entry": [], "link": [{"relation": "next", "url": f"{BASE[0]}/Patient?again=1"}]}) if path.endswith("Patient") else None  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda _path, _query: (500, {}, b""), "A-601"),
        (lambda _path, _query: (429, {"Retry-After": "9999"}, b""), "A-601"),
        (lambda _path, _query: (401, {}, b""), "A-602"),
        (
            lambda path, _query: (
                (302, {"Location": "http://127.0.0.1:1"}, b"") if "Patient" in path else None
            ),
            "A-603",
        ),
        (
            lambda path, _query: (200, {"Content-Type": "text/html"}, b"<p>") if "Patient" in path else None,
            "A-603",
        ),
        (lambda path, _query: (200, FHIR, b'{"resourceType":"Bund') if "Patient" in path else None, "A-603"),
        (lambda path, _query: (200, FHIR, b"[" * 9000) if "Patient" in path else None, "A-603"),
        (lambda path, _query: (200, FHIR, b" " * 3_000_000) if "Patient" in path else None, "A-603"),
        (
            lambda path, _query: (
                as_json(
                    {"resourceType": "Bundle", "link": [{"relation": "next", "url": "http://127.0.0.1:1/x"}]}
                )
                if "Patient" in path
                else None
            ),
            "A-604",
        ),
        (page_again, "A-603"),
        (lambda path, _query: as_json({"fhirVersion": "5.0.0"}) if "metadata" in path else None, "A-626"),
    ],
    ids=["500", "429", "401", "redirect", "html", "half", "deep", "large", "elsewhere", "repeats", "R5"],
)
def test_a_server_that_misbehaves_is_tried_again(clinic, open_server, outbox, spoil, code):
    clinic.put(a_patient(1), instant(1))
    BASE[0] = clinic.url
    clinic.spoil = spoil
    server = open_server(clinic.url, max_answer_megabytes=1)
    with pytest.raises(WebUnavailable) as refused:
        server.read(outbox)
    assert refused.value.code == code
    assert told(outbox) == []
    clinic.spoil = lambda _path, _query: None
    assert open_server(clinic.url).read(outbox) == 1


def test_one_bad_resource_waits_and_the_others_go_on(clinic, open_server, outbox):
    clinic.put(a_patient(1), instant(1))
    clinic.put(an_observation(1, 1, status="listo"), instant(2))
    clinic.put(an_observation(2, 1), instant(3))
    open_server(clinic.url).read(outbox)
    assert [kind for kind, _ in told(outbox)] == ["Patient", "Observation"]
    item = outbox.quarantined()[0]
    assert (item["code"], item["location"]) == ("A-621", "Observation.status")
    clinic.put(an_observation(1, 1), instant(9))
    open_server(clinic.url).read(outbox)
    assert outbox.quarantined() == [], "what was corrected at its source replaces what waited"


def test_a_patient_who_cannot_be_told_lets_what_is_about_them_wait(clinic, open_server, outbox):
    clinic.put({**a_patient(1), "gender": "x"}, instant(1))
    clinic.put(an_observation(1, 1), instant(2))
    open_server(clinic.url).read(outbox)
    assert outbox.status()["parked"] == 1
    clinic.put(a_patient(1), instant(3))
    open_server(clinic.url).read(outbox)
    assert outbox.status()["parked"] == 0
    assert sorted(kind for kind, _ in told(outbox)) == ["Observation", "Patient"]


def send(outbox, client) -> None:
    Sender(outbox, client, retry=Retry(0.01, 0.05), workers=2, batch_records=5).run(
        threading.Event(), until_empty=True
    )


def test_what_is_deleted_is_entered_in_error_or_counted(clinic, open_server, outbox, client, hub):
    clinic.put(a_patient(1), instant(1))
    clinic.put(an_observation(1, 1), instant(2))
    server = open_server(clinic.url)
    server.read(outbox)
    send(outbox, client)
    clinic.delete("Observation/o1", instant(30))
    clinic.delete("Patient/p1", instant(31))
    clinic.deleted["Observation/never-told"] = instant(32)
    assert server.read(outbox) == 1
    assert server.read(outbox) == 0
    send(outbox, client)
    assert outbox.status()["quarantined"] == 0
    versions = hub.resources[f"Observation/{server.server.named('Observation', 'o1')}"]
    assert [each["status"] for each in versions] == ["final", "entered-in-error"]
    assert outbox.status()["skipped"] == {"deleted_at_source": 1}


def test_a_server_without_history_is_read_all_the_same(clinic, open_server, outbox, caplog):
    clinic.put(a_patient(1), instant(1))
    clinic.spoil = lambda path, _query: (405, {}, b"") if path.endswith("_history") else None
    server = open_server(clinic.url)
    server.read(outbox)
    server.read(outbox)
    assert sum("A-625" in each.getMessage() for each in caplog.records) == 1


# --- exports ----------------------------------------------------------------------------------------


@pytest.fixture
def exported(clinic):
    clinic.export = [
        ("Observation", ndjson(*(an_observation(number, number % 3) for number in range(10)))),
        ("Patient", ndjson(*(a_patient(number) for number in range(3)))),
        ("Basic", ndjson({"resourceType": "Basic", "id": "x", "code": {"text": "y"}})),
    ]
    return clinic


def test_an_export_is_asked_for_waited_for_and_taken(exported, open_server, outbox):
    exported.patience = 2
    server = open_server(exported.url, mode="bulk", group="g1")
    assert server.read(outbox) == 13
    assert [kind for kind, _ in told(outbox)] == ["Patient"] * 3 + ["Observation"] * 10
    assert any("/Group/g1/$export" in path for path in exported.asked)
    assert exported.asked[-1] == "DELETE /fhir/status/1"
    assert server.read(outbox) == 0, "it is not time for another one"
    later = open_server(exported.url, mode="bulk", export_hours_apart=0)
    assert later.read(outbox) == 0
    assert any("_since=2026-03-07" in path for path in exported.asked)


def test_an_export_goes_on_after_a_kill(exported, open_server, outbox, monkeypatch):
    monkeypatch.setattr("adapters.sources.fhir_export._LINES_A_COMMIT", 4)
    server = open_server(exported.url, mode="bulk")
    accept, calls = outbox.accept, []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return accept(*arguments)

    monkeypatch.setattr(outbox, "accept", killed)
    with pytest.raises(KeyboardInterrupt):
        server.read(outbox)
    monkeypatch.setattr(outbox, "accept", accept)
    assert json.loads(outbox.checkpoint("fhir.export"))["line"] > 0
    asked = len(exported.asked)
    open_server(exported.url, mode="bulk").read(outbox)
    assert not any("$export" in path for path in exported.asked[asked:])
    assert len(told(outbox)) == 13


def test_an_export_that_the_server_forgot_is_asked_for_again(exported, open_server, outbox):
    exported.spoil = lambda path, _query: (404, {}, b"") if "/file/" in path else None
    server = open_server(exported.url, mode="bulk")
    assert server.read(outbox) == 0
    exported.spoil = lambda _path, _query: None
    assert server.read(outbox) == 13


def test_an_export_whose_files_are_elsewhere_is_not_followed(exported, open_server, outbox):
    elsewhere = {
        "transactionTime": instant(1),
        "output": [{"type": "Patient", "url": "http://127.0.0.1:1/p"}],
    }
    exported.spoil = lambda path, _query: as_json(elsewhere) if "/status/" in path else None
    with pytest.raises(WebUnavailable) as refused:
        open_server(exported.url, mode="bulk").read(outbox)
    assert refused.value.code == "A-604"


def test_bad_lines_of_an_export_wait_and_the_others_go_on(exported, open_server, outbox):
    exported.export[0] = ("Observation", exported.export[0][1] + b'{"resourceType":"Obs\n\n\xff\xfe\n')
    open_server(exported.url, mode="bulk").read(outbox)
    assert len(told(outbox)) == 13
    assert [item["code"] for item in outbox.quarantined()] == ["A-621", "A-621"]


def test_what_an_export_says_was_deleted(exported, open_server, outbox, client, hub):
    server = open_server(exported.url, mode="bulk", export_hours_apart=0)
    server.read(outbox)
    send(outbox, client)
    gone = {"resourceType": "Bundle", "entry": [{"request": {"method": "DELETE", "url": "Observation/o4"}}]}
    exported.deletions = ndjson(gone)
    assert server.read(outbox) == 1
    send(outbox, client)
    assert (
        hub.resources[f"Observation/{server.server.named('Observation', 'o4')}"][-1]["status"]
        == "entered-in-error"
    )


@pytest.mark.parametrize(
    "own",
    [
        {"types": ["Consent"]},
        {"types": []},
        {"types": "Patient"},
        {"mode": "todo"},
        {"group": "a/b"},
        {"deletions": "x"},
    ],
)
def test_a_site_file_that_cannot_hold_says_so(open_server, own):
    with pytest.raises(SettingsError) as refused:
        open_server("http://127.0.0.1:1/fhir", **own)
    assert [fault.code for fault in refused.value.faults] == ["A-105"]


# --- the project's own hub as the source --------------------------------------------------------------


def test_a_hub_is_read_as_a_source_with_a_key_of_its_own(server, open_server, outbox):
    """SMART Backend Services, search by change, history: against a server that we did not write for this test."""
    with live_hub(server) as source:
        clerk = source.clients["hospital"]
        prefix = "hospital-"
        patient = {
            "resourceType": "Patient",
            "name": [{"family": "QUISPE MAMANI", "given": ["ROSA"]}],
            "gender": "female",
        }
        answer = clerk.request("POST", "Patient", body=patient)
        assert answer.status_code == 201, answer.text
        name = answer.json()["id"]
        observation = {
            key: value for key, value in GLUCOSE.items() if key not in {"id", "encounter", "performer"}
        }
        observation["subject"] = {"reference": f"Patient/{name}"}
        made = [clerk.request("POST", "Observation", body=observation).json()["id"] for _ in range(5)]
        source.enter("reader", HOSPITAL, "system/*.rs", id_prefix="readerx-")
        own = {
            "source_client_id": "reader",
            "key_file": str(source.folder / "reader.pem"),
            "page_resources": 2,
        }
        reader = open_server(source.fhir, request_seconds=20, **own)
        reader.check()
        outcomes = list(reader.preview(None))
        assert all(isinstance(item, Mapped) for item in outcomes)
        assert [issue for item in outcomes for each in as_fhir(item) for issue in check(each)] == []
        reader.read(outbox)
        assert [kind for kind, _ in told(outbox)] == ["Patient"] + ["Observation"] * 5, prefix
        assert reader.read(outbox) == 0
        assert clerk.request("DELETE", f"Observation/{made[0]}").status_code in {200, 204}
        reader.now = lambda: datetime.now(UTC)
        assert reader.read(outbox) == 1
        assert told(outbox)[-1] == ("Observation", "entered-in-error")
