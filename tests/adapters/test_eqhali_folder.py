"""A folder of e-Qhali exports, from the files to the hub: everything once, also when it is exported again."""

import os
import threading

import pytest

from adapters.cycle import Cycle, preview
from adapters.outbox import Outbox
from adapters.source_record import Mapped
from tests.adapters.test_eqhali import HEADER, LINES, row
from tests.adapters.test_eqhali_workbook import a_book


@pytest.fixture
def center(site, tmp_path):
    """A site of e-Qhali, and a function that puts an export in its folder and delivers it."""
    settings = site("eqhali-folder")
    box = Outbox(settings.data_folder)

    def deliver(content, name="FUA_202603.csv", exported_at=1_775_000_000):
        path = settings.source_folder / name
        path.write_bytes(content)
        os.utime(path, (exported_at, exported_at))
        Cycle(settings, box).run(threading.Event(), once=True, announce=print)
        return box.status()

    deliver.settings, deliver.box = settings, box
    yield deliver
    box.close()


def statuses(hub, resource_type):
    return sorted(item["status"] for item in hub.of_type(resource_type))


def test_an_export_is_delivered_once_and_the_rest_waits_for_a_person(center, hub):
    status = center(HEADER + b"".join(LINES))
    assert (status["applied"], status["pending"], status["quarantined"]) == (8, 0, 4)
    assert hub.written_more_than_once() == []
    assert statuses(hub, "Encounter") == ["entered-in-error", *["finished"] * 4]
    assert status["skipped"] == {"other_columns": 1}


def test_an_export_restated_changes_nothing_twice(center, hub):
    before = center(HEADER + b"".join(LINES))
    transactions = len(hub.transactions)
    center(HEADER + b"".join(reversed(LINES)), "FUA_202603_otra_vez.csv", 1_775_100_000)
    after = center(HEADER + b"".join(LINES), exported_at=1_775_200_000)
    assert len(hub.transactions) == transactions
    assert (before["applied"], before["quarantined"]) == (after["applied"], after["quarantined"])


def test_the_same_rows_in_a_workbook_change_no_resource(center, hub):
    center(HEADER + LINES[1])
    center(a_book({}), "FUA_202603.xlsx", 1_775_100_000)
    assert all(
        len({str({**version, "meta": 0}) for version in versions}) == 1 for versions in hub.resources.values()
    )


def test_an_annulled_fua_takes_back_what_was_told_at_it(center, hub):
    center(HEADER + LINES[1])
    assert statuses(hub, "ServiceRequest") == ["active"]
    center(HEADER + row(1, estado_fua="ANULADO"), exported_at=1_775_100_000)
    for resource_type in ("Encounter", "ServiceRequest", "Observation"):
        assert set(statuses(hub, resource_type)) == {"entered-in-error"}


def test_an_older_export_does_not_undo_a_newer_one(center, hub):
    center(HEADER + row(1, estado_fua="ANULADO"), exported_at=1_775_100_000)
    center(HEADER + LINES[1], "vieja.csv", 1_775_000_000)
    assert statuses(hub, "Encounter") == ["entered-in-error"]


def test_a_fua_of_another_patient_is_taken_from_the_first(center, hub):
    center(HEADER + LINES[1])
    other = row(1, num_doc_paciente="45678901", historia_clinica="77")
    center(HEADER + other, exported_at=1_775_100_000)
    told = {item["subject"]["reference"]: item["status"] for item in hub.of_type("Encounter")}
    assert sorted(told.values()) == ["entered-in-error", "finished"]
    for resource_type in ("ServiceRequest", "Observation"):
        for item in hub.of_type(resource_type):
            is_old = told[item["subject"]["reference"]] == "entered-in-error"
            assert (item["status"] == "entered-in-error") == is_old
    center(HEADER + LINES[1], exported_at=1_775_200_000)
    again = {item["subject"]["reference"]: item["status"] for item in hub.of_type("Encounter")}
    assert again == {
        who: "finished" if status != "finished" else "entered-in-error" for who, status in told.items()
    }


def test_a_fua_told_of_two_in_one_export_stays_with_the_last(center, hub):
    center(HEADER + LINES[0] + row(0, num_doc_paciente="45678901", historia_clinica="77"))
    assert statuses(hub, "Encounter") == ["entered-in-error", "finished"]
    finished = next(item for item in hub.of_type("Encounter") if item["status"] == "finished")
    names = {item["id"]: item["identifier"][0]["value"] for item in hub.of_type("Patient")}
    assert names[finished["subject"]["reference"].removeprefix("Patient/")] == "45678901"


def test_a_corrected_row_takes_the_place_of_the_one_in_quarantine(center, hub):
    assert center(HEADER + row(0, num_doc_paciente="1234567"))["quarantined"] == 1
    status = center(HEADER + row(0), exported_at=1_775_100_000)
    assert (status["quarantined"], status["discarded"], status["pending"]) == (0, 1, 0)
    assert statuses(hub, "Encounter") == ["finished"]


def test_a_row_in_quarantine_is_freed_by_the_setting(site, center, hub):
    center(HEADER + row(0, num_doc_paciente="1234567"))
    text = center.settings.path.read_text().replace("[retry]", "pad_documents = true\n[retry]")
    center.settings.path.write_text(text)
    from adapters.settings import read_settings

    cycle = Cycle(read_settings(center.settings.path, {}), center.box)
    assert cycle.retry() == (1, 0)
    cycle.run(threading.Event(), once=True, announce=print)
    assert statuses(hub, "Encounter") == ["finished"]
    assert len(hub.of_type("Patient")) == 1


def test_a_file_of_another_kind_waits_for_a_person_and_is_let_go(center):
    status = center(b"a;b\n1;2\n", "otro.csv")
    assert status["quarantine_reasons"] == [{"reason_class": "mapping", "code": "A-281", "times": 1}]
    assert center(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 99, "viejo.xls")["quarantined"] == 2
    assert Cycle(center.settings, center.box).retry() == (0, 2)


def test_a_look_takes_nothing(center):
    (center.settings.source_folder / "x.csv").write_bytes(HEADER + LINES[0])
    outcomes = list(preview(center.settings, None))
    assert [type(item) for item in outcomes] == [Mapped, Mapped]
    assert center.box.pending() == 0


def test_nothing_of_a_patient_is_readable_on_disk_or_in_the_log(center, caplog):
    center(HEADER + b"".join(LINES))
    center(a_book({"num_doc_paciente": 1234567}), "x.xlsx")
    content = b"".join(
        path.read_bytes() for path in center.settings.data_folder.iterdir() if path.suffix != ".key"
    )
    for word in (b"01234567", b"1234567", b"ROSA", "ÑIQUE".encode(), b"QUISPE", b"0000101", b"HC0990001"):
        assert word not in content
        assert word.decode() not in caplog.text
