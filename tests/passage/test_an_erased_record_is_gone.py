"""An order erases a record: nobody reads, finds or writes it again, from nowhere; what the log proved it still proves."""

from __future__ import annotations

import io
import json

import pytest
from typer.testing import CliRunner

from exchange import cli
from exchange.audit.verify import verify_log
from exchange.commands import erase as command
from exchange.hub import Hub
from exchange.problems import KeyDestroyed
from exchange.store import erasure, key_rotation
from exchange.store.erasure import erase, sweep
from exchange.store.tables import metadata
from exchange.store.versions import opened
from tests.passage.world import patient_of, seal_all
from tests.sample.consent import a_consent
from tests.sample.emergency import a_physician
from tests.sample.emergency import opened as opened_case
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST
from tests.tamper.run import verified

OF_RECORDS = {"audit_event", "audit_leaf", "data_key", "emergency_case", "erasure"}
"""Where rows of an erased record stay: what the log commits to, that it was erased, numbers of cases."""


@pytest.fixture
def world(empty):
    empty.post.store(
        patient_of(POST, 1),
        patient_of(POST, 2),
        an_observation("posta-o1", "posta-p1"),
        an_observation("posta-o2", "posta-p2"),
        a_consent("posta-c1", "posta-p1", permit=HOSPITAL),
        shared_appointment(),
    )
    empty.post.put(an_observation("posta-o1", "posta-p1", status="amended"))
    empty.hospital.get("Observation?patient=posta-p1")
    empty.hospital.get("Patient/posta-p2")
    return empty


def shared_appointment() -> dict:
    return {
        "resourceType": "Appointment", "id": "posta-a1", "status": "proposed",
        "participant": [
            {"actor": {"reference": f"Patient/posta-p{each}"}, "status": "accepted"} for each in (2, 1)
        ],
    }  # fmt: skip


def erased(world, patient_id: str = "posta-p1", *, linked: bool = False) -> None:
    world.spine.operate("erase --order EXP-1", lambda tx: erase(tx, patient_id, linked=linked))


def place_of(world, patient_id: str = "posta-p1") -> int:
    return world.database_store.crypto.blind_index.patient_compartment(patient_id)


def rows_of(world, compartment: int) -> dict[str, int]:
    """How many rows of each table say the record's number, in whatever column."""
    found = {}
    with world.sql() as cursor:
        for table in metadata.tables:
            out = io.StringIO()
            cursor.copy_expert(f"COPY {table} TO STDOUT", out)
            number = sum(str(compartment) in line for line in out.getvalue().splitlines())
            if number:
                found[table] = number
    return found


def test_nobody_reads_finds_or_counts_it_again_and_pages_are_whole(world):
    erased(world)
    for caller in (world.post, world.hospital):
        for path in ("Patient/posta-p1", "Patient/posta-p1/_history", "Observation/posta-o1", "Observation/posta-o1/_history/1",
                     "Patient/posta-p1/$everything", "Consent/posta-c1"):  # fmt: skip
            assert caller.get(path).status == 404, path
        for path in ("Observation?patient=posta-p1", "Patient?_id=posta-p1", "Patient?identifier=40000001"):
            assert caller.get(path).ids == [], path
    assert world.post.get("Observation").ids == ["posta-o2"]
    assert world.post.get("Patient").ids == ["posta-p2"]
    assert world.post.get("_history").status == 200


def test_no_row_of_it_stays_but_what_the_log_commits_to(world):
    compartment = place_of(world)
    assert rows_of(world, compartment).keys() > OF_RECORDS - {"emergency_case", "erasure", "audit_leaf"}
    erased(world)
    assert rows_of(world, compartment).keys() <= OF_RECORDS
    with world.sql() as cursor:
        cursor.execute(
            "SELECT DISTINCT tokens, ranges, agent, custodian, is_deleted, finding IS NULL FROM audit_event WHERE compartment = %s",
            (compartment,),
        )
        assert cursor.fetchall() == [([], [], 0, 0, True, False)]
        cursor.execute("SELECT wrapped = ''::bytea FROM data_key WHERE compartment = %s", (compartment,))
        assert cursor.fetchall() == [(True,)]


def test_what_lay_in_the_records_of_two_is_gone_from_both(world):
    assert world.post.get("Appointment/posta-a1").status == 200
    erased(world)
    assert world.post.get("Appointment/posta-a1").status == 404
    assert world.post.get("Observation/posta-o2").status == 200
    with world.sql() as cursor:
        cursor.execute(
            "SELECT count(*) FROM resource WHERE id = 'posta-a1' OR %s = ANY(members)", (place_of(world),)
        )
        assert cursor.fetchone() == (0,)


def test_it_is_not_written_again_under_the_same_id(world):
    erased(world)
    said = world.post.put(patient_of(POST, 1))
    assert (said.status, said.body["issue"][0]["code"]) == (410, "deleted")
    assert world.post.put(an_observation("posta-o9", "posta-p1")).status in (410, 422)
    assert world.post.put(an_observation("posta-o2", "posta-p2", status="amended")).status == 200


def test_every_proof_of_the_log_holds_before_and_after(world):
    seal_all(world)
    erased(world)
    world.post.get("Patient/posta-p2")
    seal_all(world)
    with world.database_store.transaction() as transaction:
        found = verify_log(transaction)
    assert found.findings == []
    assert found.events > 8


def test_the_proofs_hold_when_the_log_s_own_key_was_rotated_and_destroyed(world):
    erased(world)
    crypto = world.database_store.crypto
    world.spine.operate("keys rotate audit", lambda tx: key_rotation.rotate(tx, "audit") and None)
    crypto.look()
    with world.sql() as cursor:
        cursor.execute("UPDATE hub_key SET made_at = made_at - 3600000000 WHERE purpose = 'audit'")
    seal_all(world)
    world.spine.operate("keys retire audit 1", lambda tx: key_rotation.retire(tx, "audit", 1))
    world.spine.operate("keys destroy audit 1", lambda tx: key_rotation.destroy(tx, "audit", 1))
    crypto.look()
    seal_all(world)
    with world.database_store.transaction() as transaction:
        assert verify_log(transaction).findings == []


def test_no_event_of_it_is_read_and_pages_of_events_are_whole(world):
    before = world.events()
    about = [each for each in before if "Patient/posta-p1" in json.dumps(each)]
    assert len(about) >= 4
    erased(world)
    after = world.events()
    assert {each["id"] for each in after if "Patient/posta-p1" in json.dumps(each)} == set()
    assert {each["id"] for each in before} - {each["id"] for each in about} <= {each["id"] for each in after}
    assert world.administrator.get(f"AuditEvent/{about[0]['id']}").status in (404, 410)
    assert world.administrator.get("AuditEvent/$accesses?patient=posta-p1").ids == []
    # The erasure itself is told, with the order, and without the patient.
    operated = [each for each in after if each["subtype"][0]["code"] == "operation"][-1]
    assert operated["outcome"] == "0"
    assert "posta-p1" not in json.dumps(operated)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ("last_updated = last_updated - 86400000000", "was altered"),
        ("finding = sha256(finding)", "was altered"), ("is_deleted = false", "no search finds it"),
    ],
)  # fmt: skip
def test_an_erased_event_that_was_dated_back_or_changed_is_found_here_and_offline(
    world, tmp_path, change, wrong
):
    """Id and instant stay open when what found an event is a digest."""
    erased(world)
    seal_all(world)
    assert verified(world, tmp_path).code == 0
    with world.sql() as cursor:
        cursor.execute(
            f"UPDATE audit_event SET {change} WHERE id ="
            " (SELECT min(id) FROM audit_event WHERE compartment = %s)",
            (place_of(world),),
        )
    with world.database_store.transaction() as transaction:
        assert [each for each in verify_log(transaction).findings if wrong in each]
    outcome = verified(world, tmp_path)
    assert outcome.code == 1, outcome.text
    assert wrong.removeprefix("was ") in outcome.where


def test_whoever_only_says_that_a_record_was_erased_is_found(world):
    """Emptying what finds events, with a forged erasure beside it, hides them and does not verify."""
    seal_all(world)
    compartment = place_of(world, "posta-p2")
    with world.database_store.transaction() as transaction:
        erasure._hidden(transaction, [compartment])
        transaction.commit()
    with world.sql() as cursor:
        cursor.execute(
            "INSERT INTO erasure VALUES (%s, 1, '\\x00112233445566778899aabbccddeeff', true)", (compartment,)
        )
    with world.database_store.transaction() as transaction:
        findings = verify_log(transaction).findings
    assert f"record {compartment}: said to be erased, and not by this hub" in findings
    assert any("marked so that no search finds it" in each for each in findings)


def test_what_a_process_wrote_late_under_the_key_that_it_had_open_is_swept(world, monkeypatch):
    """Its rows would be found and open for nobody."""
    compartment = place_of(world)
    with world.sql() as cursor:
        cursor.execute("CREATE TABLE late AS SELECT * FROM resource WHERE compartment = %s", (compartment,))
        cursor.execute(
            "CREATE TABLE late_entry AS SELECT * FROM token_entry WHERE compartment = %s", (compartment,)
        )
    erased(world)
    with world.sql() as cursor:
        cursor.execute("INSERT INTO resource SELECT * FROM late")
        cursor.execute("INSERT INTO token_entry SELECT * FROM late_entry ON CONFLICT DO NOTHING")
        cursor.execute("DROP TABLE late; DROP TABLE late_entry")
    assert not world.spine.sweep_erased()  # not yet: somebody may still write
    with world.database_store.transaction() as transaction:
        transaction.now += (erasure.SETTLED_SECONDS + 1) * 1_000_000
        assert sweep(transaction)
        transaction.commit()
    assert rows_of(world, compartment).keys() <= OF_RECORDS
    assert not world.spine.sweep_erased()


def test_consents_that_speak_for_records_that_stay_hold_it_up(world):
    world.hospital.store(patient_of(HOSPITAL, 1))
    with pytest.raises(Exception, match="speak for 1 linked records"):
        erased(world)
    assert world.post.get("Patient/posta-p1").status == 200
    erased(world, linked=True)
    assert (
        world.post.get("Patient/posta-p1").status == world.hospital.get("Patient/hospital-p1").status == 404
    )


def test_an_emergency_s_case_keeps_its_number_and_nothing_typed(world):
    world.hospital.store(patient_of(HOSPITAL, 5))
    opened_case(a_physician(world), "hospital-p5")
    erased(world, "hospital-p5")
    with world.sql() as cursor:
        cursor.execute("SELECT body, judgement, reason_key, user_key FROM emergency_case")
        assert [(bytes(row[0]), *row[1:]) for row in cursor.fetchall()] == [(b"", None, 0, 0)]


def test_a_copy_of_its_rows_put_back_opens_for_nobody(world):
    """A dump of the record's rows from before, without the keys that were destroyed."""
    compartment = place_of(world)
    with world.sql() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT * FROM resource WHERE compartment = %s", (compartment,))
    erased(world)
    with world.sql() as cursor:
        cursor.execute("SELECT type, id, version_id, body FROM kept")
        rows = cursor.fetchall()
        cursor.execute("DROP TABLE kept")
    assert len(rows) >= 3
    copies = [(compartment, *row[:3], 0, False, row[3], None, 0) for row in rows]
    with world.database_store.transaction() as transaction:
        for copy in copies:
            with pytest.raises(KeyDestroyed):
                opened(transaction, [copy])


# --- the command


@pytest.fixture
def run(world, monkeypatch):
    monkeypatch.setattr(command, "opened_hub", lambda: Hub(world.database_store, world.spine))
    return lambda *words: CliRunner().invoke(cli.app, ["erase", *words], env={"COLUMNS": "200"})


def test_the_command(world, run):
    done = run("--patient", "Patient/posta-p1", "--order", "EXP 0012-2026/CSJLL", "--yes")
    assert done.exit_code == 0, done.output
    assert "erased: 1 records, 5 versions of resources" in done.output
    assert "exchange keys destroy root" in done.output
    assert world.post.get("Patient/posta-p1").status == 404
    assert run("--patient", "posta-p1", "--order", "EXP-1", "--yes").exit_code == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--patient", "posta-p1", "--order", "EXP-1"), 2), (("--patient", "posta-p1", "--order", "x", "--yes"), 2),
        (("--patient", "posta-p404", "--order", "EXP-1", "--yes"), 1), (("--order", "EXP-1", "--yes"), 2),
    ],
)  # fmt: skip
def test_the_command_refuses(world, run, words, code):
    assert run(*words).exit_code == code
    assert world.post.get("Patient/posta-p1").status == 200
