"""What the IT desk types, and what it reads."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from adapters.cli import main
from adapters.outbox import Outbox
from adapters.sender.client_key import make_client_key
from adapters.settings import ENVIRONMENT, read_settings
from tests.adapters.conftest import GOLDEN, write_site

SITES = Path(__file__).parents[2] / "deploy" / "sites"


@pytest.fixture
def adapter(monkeypatch, capsys):
    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["adapter", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert (ended.value.code or 0) == code, told
        return told.out + told.err

    return run


@pytest.fixture
def post(tmp_path, hub):
    path = write_site(tmp_path, hub.url)
    for source in (GOLDEN / "his").glob("*.csv"):
        shutil.copy(source, tmp_path / "source")
    hub.register("prueba", make_client_key(tmp_path / "data").public_jwk)
    return path


@pytest.mark.parametrize("name", ["primary", "secondary", "tertiary"])
def test_the_sites_that_come_along_are_good(name, tmp_path):
    environment = {"ADAPTER_SOURCE_FOLDER": str(tmp_path), "ADAPTER_DATA_FOLDER": str(tmp_path / "data")}
    settings = read_settings(SITES / f"{name}.toml", environment)
    assert settings.id_prefix == f"i{settings.renipress}"
    assert settings.code_folder.is_dir()


def test_a_good_site_is_told_to_be_good(adapter, post):
    assert "A-100" in adapter("check-config", post)


def test_faults_come_with_lines_and_an_exit_code(adapter, post):
    post.write_text(post.read_text().replace("00005196", "5196"))
    told = adapter("check-config", post, code=2)
    assert "A-105 línea 3: renipress" in told


def test_a_bad_code_table_is_told_with_its_line(adapter, post, tmp_path):
    (tmp_path / "codes").mkdir()
    (tmp_path / "codes" / "lab.csv").write_text("code;system;target;display\nHB;;718-7;x\n")
    post.write_text(post.read_text() + '[codes]\nfolder = "codes"\n')
    assert "A-123 lab.csv, línea 2" in adapter("check-config", post, code=2)


def test_a_dry_run_counts_and_leaves_nothing_behind(adapter, post, hub, tmp_path):
    told = adapter("dry-run", post)
    assert re.search(r"Encounter\W+3\b", told)
    assert "A-262" in told
    assert hub.attempts == 0
    assert not (tmp_path / "data" / "outbox.sqlite").exists()


def test_a_preview_shows_the_source_beside_its_fhir(adapter, post, tmp_path):
    told = adapter("preview", post, tmp_path / "source" / "TRAMA_202402.csv")
    assert "1010,2024,2,3" in told
    assert '"resourceType": "Encounter"' in told


def test_a_run_tells_what_came_of_it(adapter, post):
    assert "A-300 aplicados 5 · por enviar 0 · en cuarentena 6 · detenidos 0" in adapter(
        "run", post, "--once"
    )
    found = json.loads(adapter("status", post, "--json"))
    assert {"pending", "applied", "quarantined", "parked", "oldest", "last_applied_at"} <= set(found)
    assert found["applied"] == 5
    assert "Aplicados en el hub" in adapter("status", post)


def test_the_quarantine_is_listed_shown_retried_and_discarded(adapter, post):
    adapter("run", post, "--once")
    items = json.loads(adapter("quarantine", "list", post, "--json"))
    assert {item["code"] for item in items} == {"A-251", "A-253", "A-254", "A-256", "A-258", "A-262"}
    assert "A-251" in adapter("quarantine", "list", post)
    number = next(item["number"] for item in items if item["code"] == "A-251")
    assert "1007;1;24/01/2024" in adapter("quarantine", "show", post, number)
    assert "A-403 0 vuelven a la cola, 1 siguen" in adapter("quarantine", "retry", post, number)
    assert "A-402" in adapter("quarantine", "discard", post, number)
    adapter("quarantine", "discard", post, number, code=2)
    adapter("quarantine", "show", post, number, code=2)


def test_a_record_is_corrected_by_hand_and_both_hands_are_kept(adapter, post, tmp_path):
    adapter("run", post, "--once")
    items = json.loads(adapter("quarantine", "list", post, "--json"))
    number = next(item["number"] for item in items if item["code"] == "A-253")
    told = adapter("quarantine", "show", post, number)
    bad = tmp_path / "bad"
    bad.write_bytes(b"nothing that could be read")
    assert "A-414" in adapter("quarantine", "fix", post, number, bad, code=2)
    shown = adapter("quarantine", "show", post, number)
    assert "nothing that could be read" in shown
    assert told.splitlines()[-1] in shown
    assert "corrected (" in shown
    adapter("quarantine", "discard", post, number, "--reason", "repetido")
    adapter("quarantine", "fix", post, number, bad, code=2)
    box = Outbox(tmp_path / "data")
    found = box.decision(number)
    box.close()
    assert found["reason"] == "repetido"
    assert found["by"]


def test_codes_without_translation_are_told_ready_for_a_table(adapter, post):
    adapter("run", post, "--once")
    assert adapter("unmapped", post, "--csv").startswith("code;system;target;display;table;times\n")
    assert "Código" in adapter("unmapped", post)


def test_tables_are_checked_and_counted(adapter, post, tmp_path):
    (tmp_path / "codes").mkdir()
    (tmp_path / "codes" / "lab.csv").write_text("code;system;target;display\nHB;urn:x;718-7;x\n")
    post.write_text(post.read_text() + '[codes]\nfolder = "codes"\n')
    assert "A-413 lab: 1 códigos" in adapter("tables", "check", post)


def test_what_was_told_is_mapped_again(adapter, post):
    adapter("run", post, "--once")
    told = adapter("replay", post, "--from", "2000-01-01", "--to", "2100-01-01", "--dry-run")
    assert "A-410 0 cambiarían, 5 dirían lo mismo" in told
    assert "A-411" in adapter("replay", post, "--from", "ayer", "--to", "2100-01-01", code=2)


def test_room_for_thirty_days_is_reckoned(adapter, post):
    assert "A-412 30 días" in adapter("size", post, "--per-day", 10)
    assert "no alcanza" in adapter("size", post, "--per-day", 10**12, code=2)


def test_the_status_is_told_to_prometheus(adapter, post):
    adapter("run", post, "--once")
    lines = adapter("status", post, "--prometheus").splitlines()
    assert 'chasqui_adapter_applied_records{renipress="00005196",source="his-trama"} 5' in lines


def test_keys_are_public_halves_only(adapter, post):
    jwk = json.loads(adapter("keys", post))["keys"][0]
    assert jwk["crv"] == "P-384"
    assert "d" not in jwk


def test_known_troubles_have_exit_codes(adapter, post, tmp_path):
    (tmp_path / "data" / "client_key.pem").unlink()
    assert "A-131" in adapter("run", post, "--once", code=4)
    Outbox(tmp_path / "data").close()
    (tmp_path / "data" / "outbox.key").write_bytes(b"short")
    assert "A-504" in adapter("status", post, code=6)


def test_a_lost_key_of_ids_stops_everything_that_would_name_anew(adapter, post, hub, tmp_path):
    adapter("run", post, "--once")
    attempts = hub.attempts
    (tmp_path / "data" / "ids.key").unlink()
    told = adapter("run", post, "--once", code=6)
    assert "A-133" in told
    assert "respaldo" in told
    assert hub.attempts == attempts
    assert not (tmp_path / "data" / "ids.key").exists()


def test_a_hub_that_does_not_let_the_adapter_in_has_an_exit_code(adapter, post, hub, tmp_path):
    hub.unscoped_types.add("Patient")
    told = adapter("run", post, "--once", code=8)
    assert "A-313" in told
    assert "región" in told
    found = json.loads(adapter("status", post, "--json"))
    assert found["trouble"] == "A-313"
    assert found["pending"] == 5
    assert {item["code"][:3] for item in found["quarantine_reasons"]} == {"A-2"}
    assert "A-313" in adapter("status", post)


def test_a_missing_folder_has_an_exit_code(adapter, post, tmp_path):
    shutil.rmtree(tmp_path / "source")
    assert "A-502" in adapter("run", post, "--once", code=7)


def test_every_code_and_variable_is_documented():
    docs = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text("utf-8")
    written = set()
    for path in (Path(__file__).parents[2] / "adapters").rglob("*.py"):
        written |= set(re.findall(r"\bA-\d{3}", path.read_text("utf-8")))
    assert sorted(written - set(re.findall(r"\bA-\d{3}", docs))) == []
    assert sorted(name for name in ENVIRONMENT if name not in docs) == []
