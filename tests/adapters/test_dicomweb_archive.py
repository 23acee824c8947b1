"""Reading an image archive: new, changed, gone, over a real Orthanc and one that misbehaves."""

from __future__ import annotations

import copy
import gzip
import json
import threading
import time
from datetime import datetime

import pytest

from adapters.outbox import Outbox
from adapters.readers.web import WebUnavailable
from adapters.settings import SettingsError, read_settings
from adapters.source_record import Mapped
from adapters.sources import source_of
from adapters.sources.dicomweb import ImageArchive
from tests.adapters.conftest import ID_KEY, LIMA, write_site
from tests.adapters.test_dicomweb import SERIES, STUDY, check_admitted, value
from tests.simulators.orthanc import (
    IS_INSTALLED,
    MISSING,
    PASSWORD,
    USER,
    ArchiveSimulator,
    a_dicom_file,
    as_json,
    basic,
    orthanc,
)

NOW = datetime(2026, 3, 6, 2, 30, tzinfo=LIMA)


@pytest.fixture
def pacs():
    with ArchiveSimulator() as simulator:
        yield simulator


@pytest.fixture
def open_archive(tmp_path):
    def make(url: str, **own: object) -> ImageArchive:
        told = {"url": url, "request_seconds": 2, "since": "2026-03-01"} | own
        lines = "".join(f"{key} = {json.dumps(told[key])}\n" for key in told)
        path = write_site(tmp_path, "http://127.0.0.1:1/fhir", "dicomweb")
        path.write_text(path.read_text("utf-8").replace('folder = "source"\n', lines), "utf-8")
        source = source_of(read_settings(path, {}), ID_KEY)
        assert isinstance(source, ImageArchive)
        source.now = lambda: NOW
        source.web.wait = lambda _seconds: False
        return source

    return make


def a_study(number: int, day: str = "20260305", patient: str = "HC-1") -> tuple[dict, dict]:
    study, series = copy.deepcopy(STUDY), copy.deepcopy(SERIES)
    study["0020000D"] = value("UI", f"1.2.3.{number}")
    study["00080020"], study["00100020"] = value("DA", day), value("LO", patient)
    study["00100021"] = value("LO", "HBT")
    series["0020000E"] = value("UI", f"1.2.3.{number}.1")
    return study, series


def told(outbox: Outbox) -> list[dict]:
    """Every resource that waits to be sent, in order."""
    found = []
    for row in outbox._rows(
        "SELECT message_id, payload FROM record WHERE state = 'pending' ORDER BY sequence"
    ):
        found += [json.loads(bytes(each.resource)) for each in outbox._open_payload(*row)]
    return found


def studies(outbox: Outbox) -> list[tuple[str, str]]:
    return [
        (each["identifier"][0]["value"].removeprefix("urn:oid:"), each["status"])
        for each in told(outbox)
        if each["resourceType"] == "ImagingStudy"
    ]


def test_studies_are_taken_once_and_a_changed_one_again(pacs, open_archive, outbox):
    archive = open_archive(pacs.url)
    for number in range(5):
        pacs.add(*a_study(number, patient=f"HC-{number}"))
    assert archive.read(outbox) == 10
    assert archive.read(outbox) == 0
    series = [path for path in pacs.asked if path.partition("?")[0].endswith("series")]
    assert len(series) == 5, "a study that did not change is not asked for its series again"
    pacs.studies["1.2.3.2"]["00201208"] = value("IS", 9)
    assert archive.read(outbox) == 1
    assert open_archive(pacs.url).read(outbox) == 0, "after a restart what is known is known by its content"
    assert [uid for uid, _ in studies(outbox)].count("1.2.3.2") == 2


def test_pages_may_be_shorter_than_was_asked(pacs, open_archive, outbox):
    pacs.largest_page = 3
    for number in range(8):
        pacs.add(*a_study(number))
    open_archive(pacs.url).read(outbox)
    assert len(studies(outbox)) == 8


def test_a_page_that_repeats_is_no_end(pacs, open_archive, outbox):
    pacs.add(*a_study(1))

    def spoil(path, query):
        return as_json(list(pacs.studies.values())) if query.get("StudyDate") == ["20260305"] else None

    pacs.spoil = spoil
    archive = open_archive(pacs.url)
    with pytest.raises(WebUnavailable):
        archive.read(outbox)
    assert outbox.checkpoint("dicomweb.day") == "2026-03-04", "the day is read again"
    pacs.spoil = lambda _path, _query: None
    archive.read(outbox)
    assert studies(outbox) == [("1.2.3.1", "available")]


def cut(_path, _query):
    return 200, {"Content-Type": "application/dicom+json", "Content-Length": "1000"}, b'[{"0020'


def slow(_path, _query):
    time.sleep(0.6)
    return 200, {"Content-Type": "application/dicom+json"}, b"[]"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda _path, _query: (500, {}, b""), "A-601"),
        (lambda _path, _query: (503, {"Retry-After": "7200"}, b""), "A-601"),
        (cut, "A-601"),
        (slow, "A-601"),
        (lambda _path, _query: (401, {}, b""), "A-602"),
        (lambda _path, _query: (403, {}, b""), "A-602"),
        (lambda _path, _query: (404, {}, b""), "A-603"),
        (lambda _path, _query: (302, {"Location": "http://127.0.0.1:1/"}, b""), "A-603"),
        (lambda _path, _query: (200, {"Content-Type": "text/html"}, b"<html>"), "A-603"),
        (lambda _path, _query: (200, {"Content-Type": "application/dicom+json"}, b'[{"0020'), "A-603"),
        (lambda _path, _query: (200, {"Content-Type": "application/dicom+json"}, b"[" + b" " * 10_000_000 + b"]"), "A-603"),
        (lambda _path, _query: (200, {"Content-Type": "application/dicom+json", "Content-Encoding": "gzip"}, gzip.compress(b" " * 5_000_000)), "A-603"),
    ],
    ids=["500", "503", "cut", "slow", "401", "403", "404", "redirect", "html", "half", "ten megabytes", "packed"],
)  # fmt: skip
def test_an_archive_that_misbehaves_is_tried_again_and_nothing_is_taken_for_read(
    pacs, open_archive, outbox, spoil, code
):
    archive = open_archive(
        pacs.url, max_answer_megabytes=5, request_seconds=0.3 if spoil in (slow, cut) else 2
    )
    pacs.add(*a_study(1))
    pacs.spoil = spoil
    with pytest.raises(WebUnavailable) as refused:
        archive.read(outbox)
    assert refused.value.code == code
    assert outbox.checkpoint("dicomweb.day") is None
    pacs.spoil = lambda _path, _query: None
    archive = open_archive(pacs.url)
    archive.read(outbox)
    assert studies(outbox) == [("1.2.3.1", "available")]


def test_a_study_whose_series_cannot_be_read_waits_alone(pacs, open_archive, outbox):
    for number in range(3):
        pacs.add(*a_study(number))
    pacs.spoil = lambda path, _query: (500, {}, b"") if path.endswith("1.2.3.1/series") else None
    archive = open_archive(pacs.url)
    archive.read(outbox)
    assert sorted(uid for uid, _ in studies(outbox)) == ["1.2.3.0", "1.2.3.2"]
    assert [item["code"] for item in outbox.quarantined()] == ["A-615"]
    pacs.spoil = lambda _path, _query: None
    archive.read(outbox)
    assert sorted(uid for uid, _ in studies(outbox)) == ["1.2.3.0", "1.2.3.1", "1.2.3.2"]
    assert outbox.quarantined() == []


def test_an_archive_that_goes_away_in_the_middle_sets_nothing_aside(pacs, open_archive, outbox):
    pacs.add(*a_study(1))
    seen = []

    def spoil(path, _query):
        seen.append(path)
        return (500, {}, b"") if any(each.endswith("series") for each in seen) else None

    pacs.spoil = spoil
    with pytest.raises(WebUnavailable):
        open_archive(pacs.url).read(outbox)
    assert outbox.quarantined() == []


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b'{"Changes": 1, "Last": {}}',
        b'{"Changes": [1, {"ID": [], "ChangeType": "NewStudy"}], "Last": 5}',
    ],
)
def test_a_list_of_changes_that_is_none(pacs, open_archive, outbox, answer):
    archive = open_archive(pacs.url, changes_url=pacs.url.removesuffix("/dicom-web"))
    pacs.spoil = lambda path, _query: (
        (200, {"Content-Type": "application/json"}, answer) if path == "/changes" else None
    )
    for _ in range(2):
        try:
            archive.read(outbox)
        except WebUnavailable:
            assert outbox.checkpoint("dicomweb.change") is None
    assert outbox.quarantined() == []


def gone_by_night(archive, outbox, night: int) -> list[tuple[str, str]]:
    archive.now = lambda: NOW.replace(day=night)
    archive.read(outbox)
    return studies(outbox)


def test_a_study_that_disappears_is_cancelled_only_by_the_comparison(pacs, open_archive, outbox):
    for number in range(3):
        pacs.add(*a_study(number, patient=f"HC-{number}"))
    day_only = open_archive(pacs.url)
    day_only.read(outbox)
    held = pacs.studies.pop("1.2.3.1")
    assert ("1.2.3.1", "cancelled") not in gone_by_night(day_only, outbox, 7)
    archive = open_archive(pacs.url, compare_hours="01:00-05:00", compare_days=3)
    assert ("1.2.3.1", "cancelled") in gone_by_night(archive, outbox, 7)
    assert dict(studies(outbox)) == {"1.2.3.0": "available", "1.2.3.1": "cancelled", "1.2.3.2": "available"}
    pacs.studies["1.2.3.1"] = held
    assert dict(gone_by_night(archive, outbox, 8))["1.2.3.1"] == "available", "what comes back is told again"


def test_a_comparison_that_fails_cancels_nothing(pacs, open_archive, outbox):
    for number in range(3):
        pacs.add(*a_study(number))
    archive = open_archive(pacs.url, compare_hours="01:00-05:00", compare_days=3, reread_days=0)
    archive.read(outbox)
    pacs.studies.pop("1.2.3.1")

    def by_itself_fails(_path, query):
        return (500, {}, b"") if query.get("StudyInstanceUID") else None

    def second_page_fails(_path, query):
        return (500, {}, b"") if query.get("offset") == ["2"] else None

    for spoil in (by_itself_fails, second_page_fails):
        pacs.spoil = spoil
        archive.now = lambda: NOW.replace(day=7)
        with pytest.raises(WebUnavailable):
            archive.read(outbox)
        assert {status for _, status in studies(outbox)} == {"available"}


def test_a_study_that_a_search_forgets_is_asked_for_by_itself(pacs, open_archive, outbox):
    for number in range(3):
        pacs.add(*a_study(number))
    archive = open_archive(pacs.url, compare_hours="01:00-05:00", compare_days=3)
    archive.read(outbox)
    pacs.spoil = lambda _path, query: as_json([]) if "StudyDate" in query else None
    assert {status for _, status in gone_by_night(archive, outbox, 7)} == {"available"}


def test_an_archive_that_is_empty_one_night_cancels_nothing(pacs, open_archive, outbox):
    for number in range(9):
        pacs.add(*a_study(number))
    archive = open_archive(pacs.url, compare_hours="01:00-05:00", compare_days=3)
    archive.read(outbox)
    pacs.studies.clear()
    assert {status for _, status in gone_by_night(archive, outbox, 7)} == {"available"}


def test_outside_of_its_hours_nothing_is_compared(pacs, open_archive, outbox):
    pacs.add(*a_study(1))
    archive = open_archive(pacs.url, compare_hours="03:00-05:00", compare_days=3)
    archive.read(outbox)
    pacs.studies.clear()
    assert gone_by_night(archive, outbox, 7) == [("1.2.3.1", "available")]


def test_a_password_or_a_token_comes_from_a_file_that_nobody_else_reads(pacs, open_archive, outbox, tmp_path):
    (tmp_path / "secret").write_text("clave\n")
    with pytest.raises(SettingsError) as refused:
        open_archive(pacs.url, user="lector", password_file="secret")
    assert [fault.code for fault in refused.value.faults] == ["A-146"]
    (tmp_path / "secret").chmod(0o600)
    open_archive(pacs.url, user="lector", password_file="secret").read(outbox)
    assert pacs.authorization == basic("lector", "clave")
    open_archive(pacs.url, token_file="secret").read(outbox)
    assert pacs.authorization == "Bearer clave"


@pytest.mark.parametrize(
    ("own", "code"),
    [
        ({"url": "http://pacs.hospital/dicom-web"}, "A-147"),
        ({"url": "http://pacs.hospital/dicom-web", "allow_plain": True}, "A-147"),
        ({"url": "ftp://pacs"}, "A-105"),
        ({"url": "https://u:p@pacs/"}, "A-105"),
        ({"user": "x"}, "A-146"),
        ({"compare_hours": "25:00-26:00"}, "A-105"),
        ({"since": "mañana"}, "A-105"),
        ({"region_url": "http://pacs.hospital"}, "A-105"),
        ({"authorities": "no-existe.pem"}, "A-146"),
    ],
)
def test_a_site_file_that_cannot_hold_says_so(open_archive, own, code):
    with pytest.raises(SettingsError) as refused:
        open_archive(own.pop("url", "http://127.0.0.1:1"), **own)
    assert code in {fault.code for fault in refused.value.faults}


def test_in_the_clear_for_a_reason(open_archive):
    told = open_archive(
        "http://pacs.lan/dicom-web", allow_plain=True, allow_plain_reason="VLAN cerrada, jefe de TI"
    )
    assert told.own.access.url == "http://pacs.lan/dicom-web"


def test_no_log_line_names_a_patient(pacs, open_archive, outbox, caplog):
    pacs.add(*a_study(1))
    pacs.spoil = lambda path, _query: (500, {}, b"QUISPE")
    with caplog.at_level("DEBUG"), pytest.raises(WebUnavailable):
        open_archive(pacs.url).read(outbox)
    told = " ".join(each.getMessage() for each in caplog.records if each.name.startswith("adapters"))
    assert "A-601" in told
    assert "QUISPE" not in told
    assert "HC-1" not in told


@pytest.fixture(scope="module")
def real():
    if not IS_INSTALLED:
        pytest.skip(MISSING)
    with orthanc() as server:
        yield server


def an_image(number: int, **more: object) -> bytes:
    told = {
        "PatientID": f"HC-{number}", "IssuerOfPatientID": "HBT", "PatientName": "NÚÑEZ MAMANI^JOSÉ",
        "PatientBirthDate": "19780214", "PatientSex": "M", "StudyDate": "20260305", "StudyTime": "101500",
        "SeriesDate": "20260305", "SeriesTime": "101600", "AccessionNumber": f"RX-{number}", "Modality": "CR",
        "StudyDescription": "RX TÓRAX", "SeriesDescription": "PA", "BodyPartExamined": "CHEST", "SeriesNumber": 1,
        "ReferringPhysicianName": "CHÁVEZ^ELENA", "StudyID": "1", "InstanceNumber": 1,
    }  # fmt: skip
    instance = more.pop("instance", f"1.2.9.{number}.1.1")
    return a_dicom_file(f"1.2.9.{number}", f"1.2.9.{number}.1", str(instance), **(told | more))


def test_a_real_archive_is_read_changed_and_compared(real, open_archive, outbox, tmp_path):
    (tmp_path / "secret").write_text(PASSWORD)
    (tmp_path / "secret").chmod(0o600)
    own = {"user": USER, "password_file": "secret", "region_url": "https://pacs.example.pe/dicom-web"}
    own |= {"changes_url": real.url, "request_seconds": 20}
    stored = [real.store(an_image(number)) for number in range(3)]
    real.store(an_image(3, charset="ISO_IR 192", PatientName="山田^太郎=山田^太郎=やまだ^たろう"))
    archive = open_archive(real.web, **own)
    archive.check()
    outcomes = list(archive.preview(None))
    check_admitted([item for item in outcomes if isinstance(item, Mapped)])
    archive.read(outbox)
    assert sorted(uid for uid, _ in studies(outbox)) == [f"1.2.9.{number}" for number in range(4)]
    found = {each["id"]: each for each in told(outbox) if each["resourceType"] == "ImagingStudy"}
    first = next(each for each in found.values() if each["identifier"][0]["value"] == "urn:oid:1.2.9.0")
    assert first["started"] == "2026-03-05T10:15:00-05:00"
    assert first["referrer"]["display"] == "ELENA CHÁVEZ"
    assert first["description"] == "RX TÓRAX"
    assert first["series"][0]["bodySite"]["code"] == "CHEST"
    assert first["series"][0]["numberOfInstances"] == 1
    names = [each["name"] for each in told(outbox) if each["resourceType"] == "Patient"]
    assert any('"MAMANI"' in json.dumps(name[0].get("_family")) for name in names)
    assert any(len(name) == 3 for name in names), "the other scripts stand beside"
    # Another image of a known study, and a study of a day that was read long ago.
    real.store(an_image(0, instance="1.2.9.0.1.2"))
    real.store(an_image(4, StudyDate="20250101", SeriesDate="20250101"))
    archive.read(outbox)
    waiting = {
        each["identifier"][0]["value"]: each
        for each in told(outbox)
        if each["resourceType"] == "ImagingStudy"
    }
    assert waiting["urn:oid:1.2.9.0"]["series"][0]["numberOfInstances"] == 2
    assert waiting["urn:oid:1.2.9.4"]["started"].startswith("2025-01-01")
    # One is deleted.
    real.delete(stored[1])
    night = open_archive(real.web, **own, compare_hours="01:00-05:00", compare_days=3)
    night.read(outbox)
    assert dict(studies(outbox))["1.2.9.1"] == "cancelled"


def test_a_wrong_password_is_told_and_takes_nothing_away(real, open_archive, outbox, tmp_path):
    (tmp_path / "secret").write_text("otra")
    (tmp_path / "secret").chmod(0o600)
    archive = open_archive(real.web, user=USER, password_file="secret", request_seconds=20)
    with pytest.raises(WebUnavailable) as refused:
        archive.read(outbox, threading.Event())
    assert refused.value.code == "A-602"
