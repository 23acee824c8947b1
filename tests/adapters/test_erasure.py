"""An order erases a patient from a facility's PC: nothing is left of him in the folder, and his neighbours are untouched."""

from __future__ import annotations

import json
import sqlite3

import httpx
import pytest
from typer.testing import CliRunner

from adapters.cli import app
from adapters.outbox import Outbox
from adapters.sender.hub import Erased, HubClient, Later, Rejected
from adapters.source_record import Refusal, Refused, keyed_name
from tests.adapters.conftest import ID_KEY, a_mapped, a_record, write_site

SECRET = "QUISPE MAMANI 40123456"
TABLES = ("record", "ledger", "known_by", "version", "told", "merged")


def patient_id(outbox: Outbox, key: str, system: str = "his") -> str:
    return "i00005196-" + keyed_name(outbox.id_key, "resource", f"{system}|Patient|{key}")


def rows(folder) -> dict[str, int]:
    with sqlite3.connect(folder / "outbox.sqlite") as other:
        return {table: other.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in TABLES}


def content(folder) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "outbox.key")


def apply_all(outbox: Outbox) -> None:
    for group in outbox.waiting_groups(99):
        waiting = outbox.batch(group, 99)
        outbox.mark_applied(waiting, {entry.url: 'W/"1"' for each in waiting for entry in each.entries})


@pytest.fixture
def filled(outbox):
    """Of each of two patients: applied, in quarantine, waiting behind it."""
    for number, patient in enumerate((SECRET, "neighbour")):
        outbox.accept([a_mapped(f"{number}a", patient, f"{patient} applied", states_all=True)])
        apply_all(outbox)
        refusal = Refusal("mapping", "A-999", f"{patient}", parks=True)
        outbox.accept(
            [
                Refused(a_record(f"{number}b", patient, patient.encode()), refusal),
                a_mapped(f"{number}c", patient),
            ]
        )
    return outbox


def test_everything_of_a_patient_goes_and_nothing_of_another(filled, tmp_path):
    folder = tmp_path / "data"
    before = rows(folder)
    gone, _ = [row[0] for row in filled._rows("SELECT DISTINCT group_hash FROM record ORDER BY sequence")]
    sealed = [bytes(row[0]) for row in filled._rows("SELECT detail FROM record WHERE group_hash = ?", gone)]
    keys = [row[0] for row in filled._rows("SELECT key_hash FROM record WHERE group_hash = ?", gone)]
    assert any(each in content(folder) for each in sealed)
    assert filled.erase_patient(patient_id(filled, SECRET)) == 3
    after = rows(folder)
    assert after == {table: number // 2 for table, number in before.items()}
    left = content(folder)
    assert not [each for each in sealed if each in left], "deleted bytes are still in the file or its log"
    assert not [each for each in keys if each.encode() in left]
    # The neighbour's quarantine and queue are as they were.
    status = filled.status()
    assert (status["applied"], status["quarantined"], status["parked"]) == (1, 1, 1)
    assert filled.original(filled.quarantined()[0]["number"]) == b"neighbour"


def test_the_next_export_does_not_bring_him_back(filled):
    filled.erase_patient(patient_id(filled, SECRET))
    assert filled.accept([a_mapped("0a", SECRET, "again"), a_mapped("9", SECRET), a_mapped("9", "neighbour")]) == [
        "erased", "erased", "new",
    ]  # fmt: skip
    assert SECRET.encode() not in content(filled._folder)


def test_whoever_is_not_there_is_not_erased(filled, tmp_path):
    before = rows(tmp_path / "data")
    assert filled.erase_patient(patient_id(filled, "nobody")) is None
    assert filled.erase_patient(patient_id(filled, SECRET, "other-system")) is None
    assert filled.erase_patient("") is None
    assert rows(tmp_path / "data") == before


def test_what_was_merged_into_him_goes_too(outbox, tmp_path):
    outbox.accept(
        [a_mapped("1", "old"), a_mapped("2", "new", merged_patient_key="old"), a_mapped("3", "other")]
    )
    assert outbox.erase_patient(patient_id(outbox, "old")) == 2
    assert rows(tmp_path / "data")["merged"] == 0
    assert outbox.accept([a_mapped("4", "old"), a_mapped("5", "new"), a_mapped("6", "other")]) == [
        "erased",
        "erased",
        "new",
    ]


def test_a_stolen_folder_without_its_key_shows_nothing(filled, tmp_path):
    for path in (tmp_path / "data").iterdir():
        for word in (b"QUISPE", b"40123456", b"neighbour", b"Basic"):
            assert word not in path.read_bytes(), path.name


# --- when the hub says so


class Says:
    """A hub that gives one answer to every delivery."""

    def __init__(self, answer) -> None:
        self.answer = answer

    def send(self, *_):
        return self.answer


def test_what_the_hub_erased_is_erased_here_and_the_log_names_nobody(filled, sender, caplog, tmp_path):
    filled.accept([a_mapped("x", "third", SECRET)])
    [group] = filled.waiting_groups(9)
    sender._hub = Says(Erased())
    with caplog.at_level("INFO"):
        sender._deliver([group])
    assert "A-316" in caplog.text
    assert "records=1" in caplog.text
    assert group not in caplog.text
    assert SECRET not in caplog.text
    assert filled.waiting_groups(9) == []
    assert filled.accept([a_mapped("y", "third")]) == ["erased"]
    assert filled.status()["quarantined"] == 2


def test_of_two_merged_patients_a_person_decides(outbox, sender):
    outbox.accept([a_mapped("1", "new", merged_patient_key="old")])
    sender._hub = Says(Erased())
    sender._deliver(outbox.waiting_groups(1))
    assert [item["code"] for item in outbox.quarantined()] == ["A-315"]


def outcome(*codes: str) -> dict:
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": code} for code in codes],
    }


@pytest.mark.parametrize(("status", "body", "means"), [
    (410, outcome("deleted"), Erased), (410, outcome("not-found"), Later), (410, outcome(), Later),
    (410, outcome("deleted", "invalid"), Later), (410, {}, Later), (404, outcome("deleted"), Later),
    (422, outcome("deleted"), Rejected),
])  # fmt: skip
def test_only_a_410_that_says_deleted_erases(client: HubClient, status, body, means):
    """A page of somebody else's on the way destroys nothing."""
    assert isinstance(client._read(httpx.Response(status, content=json.dumps(body)), 1), means)


# --- the command


def test_the_command(tmp_path):
    site = write_site(tmp_path, "http://127.0.0.1:1/fhir")
    box = Outbox(tmp_path / "data")
    box.accept([a_mapped("1", SECRET), a_mapped("2", "neighbour")])
    name = patient_id(box, SECRET)
    box.close()
    done = CliRunner().invoke(app, ["erase", str(site), "--patient", f"Patient/{name}"])
    assert done.exit_code == 0, done.output
    assert "A-406 Se eliminaron 1 registros" in done.output
    assert CliRunner().invoke(app, ["erase", str(site), "--patient", name]).exit_code == 2
    assert rows(tmp_path / "data")["record"] == 1
    assert ID_KEY not in content(tmp_path / "data")
