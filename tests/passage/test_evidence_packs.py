"""From "I doubt this access" to a pack that a court verifies offline; and packs that somebody changed."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange import cli
from exchange.audit import export
from exchange.audit.receipt import receipt
from exchange.commands import audit
from exchange.hub import Hub
from exchange.problems import NotFound, SealBroken
from exchange.settings import settings
from tests.passage.world import patient_of, seal_all
from tests.sample.observation import an_observation
from tests.sample.requester import POST
from tests.simulators.witness import honest_witness

VERIFIER = Path(export.__file__).parent / "offline" / "verify.py"


@pytest.fixture
def run(empty, monkeypatch):
    """The command line of a hub where two patients were looked at."""
    empty.post.store(patient_of(POST, 1), patient_of(POST, 2))
    empty.post.store(*(an_observation(f"posta-o{n}", f"posta-p{1 + n % 2}") for n in range(4)))
    seal_all(empty)
    empty.hospital.get("Patient/posta-p1")
    empty.post.get("Observation?patient=posta-p1")
    monkeypatch.setattr(audit, "opened_hub", lambda: Hub(empty.database_store, empty.spine))

    def typed(*words: object):
        return CliRunner().invoke(cli.app, ["audit", *map(str, words)], env={"COLUMNS": "200"})

    typed.world = empty
    return typed


def verified(*words: object):
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(VERIFIER), *map(str, words)],
        capture_output=True, text=True, check=False, timeout=60, env={},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def keys(run, tmp_path):
    path = tmp_path / "keys.txt"
    path.write_text(run("keys").stdout)
    return path


@pytest.fixture
def pack(run, keys, tmp_path):
    path = tmp_path / "pack.zip"
    done = run("pack", "--patient", "posta-p1", "--case", "2026-0042", "--out", path, "--manifests")
    assert done.exit_code == 0, done.output
    return path


def changed(pack: Path, change) -> Path:
    """A pack with members changed: `change` takes and gives {name: bytes}."""
    with zipfile.ZipFile(pack) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    other = pack.with_name("changed.zip")
    with zipfile.ZipFile(other, "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
    return other


def proof(members) -> dict:
    return json.loads(members["proof.json"])


def test_a_pack_verifies_and_says_what_it_proves(run, pack, keys):
    code, told = verified(pack, "--keys", keys)
    assert code == 0, told
    with zipfile.ZipFile(pack) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    events = proof(members)["events"]
    assert [each["sequence"] for each in events] == list(range(1, len(events) + 1))
    assert f"events 1 to {len(events)}, the last one being the request for this pack, case 2026-0042" in told
    assert f"{len(events)} shown, 0 as digests alone" in told
    texts = [json.loads(members[each["text"]]) for each in events]
    assert all("Patient/posta-p1" in json.dumps(each) for each in texts)
    assert [each["subtype"][0]["code"] for each in texts][-2:] == ["search-type", "operation"]
    query = [base64.b64decode(each["query"]).decode() for each in texts[-1]["entity"] if "query" in each]
    assert query == ["exchange audit pack --patient posta-p1 --case 2026-0042"]
    assert {"LEEME.txt", "README.txt", "verify.py", "keys.txt", "head.note", "proof.json"} <= set(members)
    assert members["verify.py"] == VERIFIER.read_bytes()
    assert any(name.startswith("manifests/") for name in members)
    assert "posta-p2" not in b"".join(members.values()).decode()
    assert pack.stat().st_mode & 0o777 == 0o600


def test_the_keys_of_the_pack_are_not_taken_for_the_region_s(pack):
    code, told = verified(pack)
    assert code == 0
    assert "compare them with those that the region published" in told


def test_the_request_is_an_event_that_the_patient_s_log_holds(run, pack):
    found = [each for each in run.world.events() if "2026-0042" in base64.b64decode(
        next((e["query"] for e in each.get("entity", []) if "query" in e), "")).decode()]  # fmt: skip
    assert len(found) == 1
    assert any(e.get("what", {}).get("reference") == "Patient/posta-p1" for e in found[0]["entity"])


def test_a_period_shows_its_events_and_counts_the_others(run, keys, tmp_path):
    out = tmp_path / "period.zip"
    done = run("pack", "--patient", "posta-p1", "--case", "7", "--out", out, "--until", "2001-01-01")
    assert done.exit_code == 0, done.output
    code, told = verified(out, "--keys", keys)
    assert code == 0, told
    assert "1 shown" in told
    with zipfile.ZipFile(out) as opened:
        assert len([name for name in opened.namelist() if name.startswith("events/")]) == 1


def test_a_pack_is_cosigned_when_it_is_made(run, tmp_path, monkeypatch):
    """The request's own event lies under a head that no witness had seen: it is handed to them first."""
    publics = run.world.database_store.crypto.checkpoint_keys
    with honest_witness(tmp_path / "w", settings().audit_origin, *publics) as (url, key):
        named = settings().model_copy(update={"witnesses": f"{url} {key.text()}"})
        monkeypatch.setattr(audit, "settings", lambda: named)
        published, out = tmp_path / "published.txt", tmp_path / "cosigned.zip"
        published.write_text(run("keys").stdout)
        done = run("pack", "--patient", "posta-p1", "--case", "7", "--out", out)
    assert "with 1 cosignatures" in done.output
    code, told = verified(out, "--keys", published)
    assert code == 0, told
    assert "cosigned by the witness witness.example/1 at " in told
    assert "NOT cosigned" not in told
    # A witness that is away leaves a pack that says so.
    monkeypatch.setattr(audit, "settings", lambda: named)
    assert run("pack", "--patient", "posta-p1", "--case", "7", "--out", tmp_path / "alone.zip").exit_code == 0
    assert verified(tmp_path / "alone.zip", "--keys", published)[0] == 0


def test_two_packs_for_one_case(run, keys, tmp_path):
    for name in ("a.zip", "b.zip"):
        assert run("pack", "--patient", "posta-p1", "--case", "7", "--out", tmp_path / name).exit_code == 0
        assert verified(tmp_path / name, "--keys", keys)[0] == 0


@pytest.mark.parametrize("between", [0, 1, 5])
def test_a_head_that_somebody_kept(run, keys, tmp_path, between):
    kept = tmp_path / "kept.note"
    run("seal")
    kept.write_text(run("head").stdout)
    for _ in range(between):
        run.world.hospital.get("Patient/posta-p1")
    out = tmp_path / "pack.zip"
    assert (
        run("pack", "--patient", "posta-p1", "--case", "7", "--out", out, "--from-note", kept).exit_code == 0
    )
    code, told = verified(out, "--keys", keys, "--seen", kept)
    assert code == 0, told
    assert told.count("the log grew out of the head") == 1


def test_a_head_for_which_the_pack_has_no_proof(run, keys, pack, tmp_path):
    """Neither another history nor a shorter one passes for the log that somebody saw."""
    older, newer = tmp_path / "older.note", tmp_path / "newer.note"
    with run.world.sql() as cursor:
        cursor.execute("SELECT note FROM audit_checkpoint ORDER BY size")
        older.write_text(cursor.fetchone()[0])
    run.world.hospital.get("Patient/posta-p1")
    seal_all(run.world)
    newer.write_text(run("head").stdout)
    assert "ask for a pack with --from-note" in verified(pack, "--keys", keys, "--seen", older)[1]
    code, told = verified(pack, "--keys", keys, "--seen", newer)
    assert (code, "it is newer than this head" in told) == (1, True)


def _without(number):
    def change(members):
        found = proof(members)
        del found["events"][number]
        members["proof.json"] = json.dumps(found).encode()

    return change


def _renumbered(members):
    found = proof(members)
    del found["events"][1]
    for place, each in enumerate(found["events"], 1):
        each["sequence"] = place
    members["proof.json"] = json.dumps(found).encode()


def _edited(members):
    members["events/000002.json"] = members["events/000002.json"].replace(
        b"ipress-00090011", b"ipress-00090099"
    )


def _swapped(members):
    one, two = "events/000001.json", "events/000002.json"
    members[one], members[two] = members[two], members[one]


def _of_another_record(members):
    found = proof(members)
    found["record"] = str(int(found["record"]) + 1)
    members["proof.json"] = json.dumps(found).encode()


def _of_another_patient(members):
    found = proof(members)
    found["patient"] = "posta-p2"
    members["proof.json"] = json.dumps(found).encode()


def _of_another_case(members):
    found = proof(members)
    found["case"] = "2026-0043"
    members["proof.json"] = json.dumps(found).encode()


def _other_head(members):
    members["head.note"] = members["head.note"].replace(b"time 1", b"time 2")


def _other_manifest(members):
    name = next(name for name in members if name.startswith("manifests/"))
    members[name] = members[name].replace(b"posta", b"poste")


def _other_hash(members):
    found = proof(members)
    found["hashes"] = ["00" * 32 for _ in found["hashes"]]
    members["proof.json"] = json.dumps(found).encode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without(0), "event 1 of the record is missing"), (_without(2), "event 3 of the record is missing"),
        (_without(-1), "is not the request for this pack"), (_renumbered, "does not lie at its place"),
        (_edited, "the text is not the one"), (_swapped, "the text is not the one"),
        (_of_another_record, "does not lie at its place"), (_of_another_patient, "is not about Patient/posta-p2"),
        (_of_another_case, "is not the request for this pack"), (_other_head, "does not hold"),
        (_other_manifest, "the list of what it showed"), (_other_hash, "does not lie at its place"),
    ],
)  # fmt: skip
def test_a_pack_that_somebody_changed(pack, keys, change, said):
    code, told = verified(changed(pack, change), "--keys", keys)
    assert code == 1, told
    assert said in told


@pytest.mark.parametrize(
    "name",
    [
        "../x.json",
        "/etc/x.txt",
        "events/../../x.json",
        "events\\x.json",
        "C:x.json",
        "events/a/b.json",
        "x.sh",
    ],
)
def test_a_member_with_a_path_is_refused(pack, keys, name):
    def change(members):
        members[name] = b"{}"

    code, told = verified(changed(pack, change), "--keys", keys)
    assert (code, "a member that packs do not have" in told) == (2, True)


def test_a_zip_bomb_is_refused(pack, keys):
    def change(members):
        members["events/000001.json"] = b" " * (70 * 2**20)

    bomb = changed(pack, change)
    small = bomb.with_name("bomb.zip")
    with zipfile.ZipFile(bomb) as old, zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert small.stat().st_size < 2**20
    code, told = verified(small, "--keys", keys)
    assert (code, "larger than packs are" in told) == (2, True)


@pytest.mark.parametrize("raw", [b"", b"PK", b"PK\x03\x04" + b"\0" * 100, b"{", b"[]", b'{"note": 1}', b"chasqui-audit-log/v1\n", b"\xff" * 50])  # fmt: skip
def test_what_is_no_pack(keys, tmp_path, raw):
    path = tmp_path / "x"
    path.write_bytes(raw)
    assert verified(path, "--keys", keys)[0] == 2


def test_refusals_of_the_command(run, tmp_path):
    out = tmp_path / "x.zip"
    assert isinstance(run("pack", "--patient", "nobody", "--case", "7", "--out", out).exception, NotFound)
    for words in (
        ("--patient", "a b", "--case", "7"),
        ("--patient", "posta-p1", "--case", "a b"),
        ("--patient", "posta-p1", "--case", ""),
    ):
        assert run("pack", *words, "--out", out).exit_code == 2
    assert run("pack", "--patient", "posta-p1", "--out", out).exit_code == 2
    out.write_text("kept")
    assert run("pack", "--patient", "posta-p1", "--case", "7", "--out", out).exit_code == 2
    assert out.read_text() == "kept"
    assert run("export", "--out", out).exit_code == 2


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE audit_event SET body = set_byte(body, 20, get_byte(body, 20) # 1) WHERE id = %(id)s",
        "UPDATE audit_event SET text_digest = sha256(text_digest) WHERE id = %(id)s",
        "UPDATE audit_event SET agent = 1 WHERE id = %(id)s",
        "DELETE FROM audit_event WHERE id = %(id)s",
        "UPDATE audit_leaf SET leaf = sha256(leaf) WHERE id = %(id)s::uuid",
    ],
)
def test_no_pack_is_made_of_a_log_that_was_changed(run, tmp_path, attack):
    compartment = run.world.database_store.crypto.blind_index.patient_compartment("posta-p1")
    with run.world.sql() as cursor:
        cursor.execute(f"SELECT id::text FROM audit_leaf WHERE compartment = {compartment} AND sequence = 2")
        cursor.execute(attack, {"id": cursor.fetchone()[0]})
    out = tmp_path / "x.zip"
    done = run("pack", "--patient", "posta-p1", "--case", "7", "--out", out)
    assert isinstance(done.exception, SealBroken)
    assert not out.exists()


# --- receipts


def test_a_receipt_is_printed_small_and_verifies(run, keys, tmp_path):
    store = run.world.database_store
    compartment = store.crypto.blind_index.patient_compartment("posta-p1")
    with store.transaction() as transaction:
        event_id = transaction.rows(
            "SELECT id::text FROM audit_leaf WHERE compartment = %s LIMIT 1", (compartment,)
        )[0][0]
        shown = receipt(transaction, compartment, event_id)
        hidden = receipt(transaction, compartment, event_id, is_shown=False)
    for found in (shown, hidden):
        path = tmp_path / "receipt.json"
        path.write_text(json.dumps(found))
        assert path.stat().st_size < 8_000
        code, told = verified(path, "--keys", keys)
        assert code == 0, told
        assert verified(path)[0] == 2, "a receipt brings no keys"
    assert "text" not in hidden["event"]
    for change in (
        ("record", str(compartment + 1)),
        ("hashes", ["00" * 32] * len(shown["hashes"])),
        ("note", shown["note"].replace("time 1", "time 2")),
    ):
        path.write_text(json.dumps(shown | dict([change])))
        assert verified(path, "--keys", keys)[0] == 1
    shown["event"]["text"] = shown["event"]["text"].replace("AuditEvent", "AuditEvents")
    path.write_text(json.dumps(shown))
    assert "the text is not the one" in verified(path, "--keys", keys)[1]


def test_no_receipt_for_what_has_no_place_or_is_of_another_record(run):
    store = run.world.database_store
    compartment = store.crypto.blind_index.patient_compartment("posta-p1")
    other = store.crypto.blind_index.patient_compartment("posta-p2")
    with store.transaction() as transaction:
        waiting = "SELECT id FROM audit_event WHERE compartment = %s ORDER BY id DESC LIMIT 1"
        newest = transaction.rows(waiting, (compartment,))[0][0]
        placed = transaction.rows("SELECT id::text FROM audit_leaf WHERE compartment = %s LIMIT 1", (other,))[
            0
        ][0]
        for event_id in (newest, placed):
            with pytest.raises(NotFound):
                receipt(transaction, compartment, event_id)
