"""What a site does besides reading and sending: notices of what lacks, room on disk, what was told told again."""

import json
import shutil
import threading
from collections import namedtuple
from datetime import UTC, datetime, timedelta

import pytest

from adapters import MAPPING_VERSION
from adapters.cycle import Cycle
from adapters.cycle.metrics import exposition
from adapters.cycle.notice import incomplete_history
from adapters.cycle.upkeep import Upkeep, status_of
from adapters.outbox import Outbox
from adapters.source_record import Refusal, Refused
from exchange.fhir.validate import check
from tests.adapters.conftest import GOLDEN, ORIGIN, a_record
from tests.adapters.test_consent import DNI_RULE, MESSAGE

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil gives it
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
TOMORROW = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def hospital(site):
    settings = site("hl7v2-folder", "II-1", DNI_RULE)
    box = Outbox(settings.data_folder)

    class Hospital:
        outbox = box

        def __init__(self):
            self.settings = settings

        def run(self):
            self.cycle = Cycle(settings, box)
            self.cycle.run(threading.Event(), once=True, announce=print)
            return box.status()

        def put(self, name, content):
            (settings.source_folder / name).write_bytes(content)

    yield Hospital()
    box.close()


def message(number, name=b"ROSA", more=b""):
    return (MESSAGE % (number, more)).replace(b"PAREDES^ROSA", b"PAREDES^" + name)


# --- history incomplete


def test_a_record_that_lacks_something_says_so_until_it_is_there(hospital, hub):
    hospital.put("1.hl7", message(b"1"))
    assert hospital.run()["applied"] == 1
    assert hub.of_type("Flag") == []
    patient = hub.of_type("Patient")[0]
    hub.refuse_ids.add(patient["id"])
    hospital.put("2.hl7", message(b"2", b"ROSITA"))
    hospital.put("3.hl7", message(b"3", b"ROSA"))
    status = hospital.run()
    assert (status["quarantined"], status["parked"]) == (1, 1)
    [flag] = hub.of_type("Flag")
    assert (flag["status"], flag["subject"]["reference"]) == ("active", f"Patient/{patient['id']}")
    assert flag["code"]["text"].startswith("Historia incompleta")
    assert datetime.fromisoformat(flag["period"]["start"]) < TOMORROW
    before = len(hub.transactions)
    hospital.run()
    assert len(hub.transactions) == before, "what was told is not told again"
    hub.refuse_ids.clear()
    hospital.cycle.retry()
    hospital.run()
    [flag] = hub.of_type("Flag")
    assert flag["status"] == "inactive"
    assert flag["period"]["start"] <= flag["period"]["end"]
    assert hospital.outbox.status()["parked"] == 0


def test_of_a_patient_whom_the_hub_does_not_know_nothing_is_told(outbox):
    outbox.accept([Refused(a_record("x", "p9"), Refusal("validation", "A-255", "texto", parks=True))])
    told = outbox.refresh_notices(lambda k, s, u: incomplete_history(ORIGIN, k, s, u), "2026-01-01T00:00:00Z")
    assert told == 0


def test_the_notice_is_admitted_by_the_hub_and_says_nothing_of_the_record():
    url, mapped = incomplete_history(ORIGIN, "01234567", "2026-01-02T03:04:05Z", None)
    flag = mapped.entries[0].resource
    assert url == flag["subject"]["reference"]
    assert check(flag, model_check=True) == []
    assert "01234567" not in json.dumps(flag)
    again = incomplete_history(ORIGIN, "01234567", "2026-02-02T03:04:05Z", None)[1].entries[0].resource
    assert again["id"] == flag["id"]


# --- originals and replay


def test_what_was_told_is_told_again_only_where_the_tables_changed(site, hub, tmp_path):
    (tmp_path / "codes").mkdir()
    settings = site("his-trama", more='[codes]\nfolder = "codes"\n')
    for path in (GOLDEN / "his").glob("*.csv"):
        shutil.copy(path, settings.source_folder)
    box = Outbox(settings.data_folder)
    Cycle(settings, box).run(threading.Event(), once=True, announce=print)
    cycle = Cycle(settings, box)
    counts = cycle.replay(LONG_AGO, TOMORROW)
    assert counts == {"same": 5}
    assert box.pending() == 0
    provenance = hub.of_type("Provenance")[0]
    assert provenance["agent"][1]["who"]["display"].endswith(f"mapping/{MAPPING_VERSION}")
    table = "code;system;target;display\nF101;http://example.org/local;ALC;Alcohol\n"
    (tmp_path / "codes" / "diagnosis.csv").write_text(table)
    conditions = {item["id"]: json.dumps(item) for item in hub.of_type("Condition")}
    trial = Cycle(settings, box).replay(LONG_AGO, TOMORROW, is_trial=True)
    assert box.pending() == 0
    counts = Cycle(settings, box).replay(LONG_AGO, TOMORROW)
    assert counts == trial
    pending = box.pending()
    assert pending == counts["changed"]
    Cycle(settings, box).run(threading.Event(), once=True, announce=print)
    changed = [item for item in hub.of_type("Condition") if json.dumps(item) != conditions[item["id"]]]
    assert bool(changed) == bool(pending)
    assert box.pending() == 0
    assert cycle.replay(TOMORROW, TOMORROW) == {}
    box.close()


def test_an_older_message_told_again_does_not_overwrite_a_newer_one(hospital, hub, monkeypatch):
    hospital.put("1.hl7", message(b"1", b"UNA"))
    hospital.put("2.hl7", message(b"2", b"OTRA"))
    hospital.run()
    patient = hub.of_type("Patient")[0]
    assert patient["name"][0]["given"] == ["OTRA"]
    monkeypatch.setattr("adapters.secondary.identity._GENDERS", {"F": "other"})
    counts = hospital.cycle.replay(LONG_AGO, TOMORROW)
    assert counts == {"same": 1, "changed": 1}
    hospital.run()
    patient = hub.of_type("Patient")[0]
    assert (patient["name"][0]["given"], patient["gender"]) == (["OTRA"], "other")


def test_originals_go_when_their_time_is_over_or_room_is_short(hospital):
    hospital.put("1.hl7", message(b"1"))
    hospital.run()
    box = hospital.outbox
    assert box.drop_originals(90) == 0
    assert box.original(1) is not None
    box._run("UPDATE record SET applied_at = '2020-01-01T00:00:00Z'")
    assert box.drop_originals(90) == 1
    assert box.original(1) is None
    assert box.kept_between(LONG_AGO, TOMORROW) == []


# --- disk, metrics


def test_a_disk_that_fills_is_told_once_and_its_oldest_originals_go(hospital, monkeypatch, caplog):
    hospital.put("1.hl7", message(b"1"))
    hospital.run()
    upkeep = Upkeep(hospital.settings, hospital.outbox, hospital.cycle.source)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(100, 71, 29))
    upkeep.once()
    upkeep.once()
    assert caplog.text.count("A-505") == 1
    assert status_of(hospital.settings, hospital.outbox)["disk_alarm"]
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(100, 20, 80))
    upkeep.once()
    assert not status_of(hospital.settings, hospital.outbox)["disk_alarm"]


def test_a_full_disk_stops_and_goes_on_by_itself(site, hub, monkeypatch):
    settings = site("hl7v2-folder", "II-1", DNI_RULE)
    settings.source_folder.joinpath("1.hl7").write_bytes(message(b"1"))
    box = Outbox(settings.data_folder, min_free_megabytes=1)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10**9, 10**9, 0))
    stop = threading.Event()
    heard = threading.Event()
    cycle = Cycle(settings, box)
    reader = threading.Thread(target=cycle.source.run, args=(box, stop, lambda _: heard.set()))
    reader.start()
    assert heard.wait(5)
    assert box.pending() == 0
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10**12, 0, 10**12))
    for _ in range(500):
        if box.pending():
            break
        stop.wait(0.02)
    stop.set()
    reader.join()
    assert box.pending() == 1
    box.close()


def test_the_metrics_are_prometheus_text():
    status = {
        "pending": 3, "parked": 1, "waiting_consent": 2, "applied": 9, "discarded": 0, "disk_used_percent": 71,
        "oldest": "2026-01-01T00:00:00Z", "trouble": "A-301", "clock_skew_seconds": None,
        "quarantine_reasons": [{"reason_class": "mapping", "code": "A-250", "times": 4}],
    }  # fmt: skip
    text = exposition(status, {"renipress": "00005196", "source": 'x"y\\z'})
    assert text.endswith("\n")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert 'chasqui_adapter_pending_records{renipress="00005196",source="x\\"y\\\\z"} 3' in lines
    assert any(
        "quarantined_records" in line and 'code="A-250"' in line and line.endswith(" 4") for line in lines
    )
    assert any(line.startswith("chasqui_adapter_oldest_pending_timestamp_seconds") for line in lines)
    assert any(
        line.startswith("chasqui_adapter_disk_used_ratio") and line.endswith(" 0.71") for line in lines
    )
    assert "clock_skew" not in text
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            assert line.endswith(" gauge")


def test_the_file_of_metrics_is_replaced_whole(site, tmp_path):
    settings = site("hl7v2-folder", "II-1", '[metrics]\nfile = "adapter.prom"\n')
    box = Outbox(settings.data_folder)
    Cycle(settings, box).upkeep.once()
    box.close()
    assert "chasqui_adapter_pending_records" in (tmp_path / "adapter.prom").read_text()
    assert not list(tmp_path.glob(".adapter.prom*"))


# --- the clock


def test_a_clock_that_is_wrong_is_told(outbox, client, monkeypatch, caplog):
    from adapters.sender import hub as hub_module

    heard = []
    client.on_clock = heard.append
    real = hub_module.time.time
    monkeypatch.setattr(hub_module.time, "time", lambda: real() + 0)
    client.send([], "x", [])
    assert abs(heard[-1]) <= 2
    outbox.note_clock(heard[-1])
    assert "A-308" not in caplog.text
    response = hub_module.httpx.Response(200, headers={"Date": "Thu, 01 Jan 2015 00:00:00 GMT"})
    client._look_at_clock(response)
    client._look_at_clock(response)
    assert heard[-1] > 60
    assert caplog.text.count("A-308") == 1
    outbox.note_clock(heard[-1])
    assert outbox.status()["clock_skew_seconds"] == heard[-1]
