"""A hospital's column map and site file: checked whole, in Spanish, with lines; and no password anywhere."""

import os
import tomllib
from contextlib import suppress
from datetime import date, time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from adapters.cli import app
from adapters.galenhos.column_map import read_column_map
from adapters.galenhos.database import Access, Database
from adapters.settings import SettingsError, read_settings
from adapters.settings.galenhos import Hours
from exchange.demo.site import SITES
from tests.adapters.galenhos_people import MAP, fill
from tests.simulators.galenhos import GalenhosSimulator

TEXT = MAP.read_text()


def faults(tmp_path, content):
    path = tmp_path / "map.toml"
    path.write_text(content, "utf-8")
    with pytest.raises(SettingsError) as raised:
        read_column_map(path)
    assert {fault.code for fault in raised.value.faults} == {"A-141"}
    return [(fault.line, fault.text) for fault in raised.value.faults]


def line_of(content, start):
    return next(number for number, line in enumerate(content.splitlines(), 1) if line.startswith(start))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('maternal = "ApellidoMaterno"', 'maternno = "ApellidoMaterno"', "maternno"),
        ('paternal = "ApellidoPaterno"\n', "", "paternal"),
        ('"1" = "male"', '"1" = "hombre"', "male"),
        ('table = "Atenciones"', 'table = "Atenciones; DROP TABLE x"', "attention.table"),
        ('sex = "IdTipoSexo"', "sex = 1", "sex"),
        ('parent_field = "account"', 'parent_field = "cuenta"', "parent_field"),
        ('on = "via_service"', 'on = "via_nothing"', "join"),
        ("[attention.values.kind]", "[attention.values.bed]", "attention.values.bed"),
        ('\nonly = { MovTipo = "S" }', '\nonly = "S"', "only"),
        ("[dispense_item]", "[dispensado]", "dispensado"),
    ],
)
def test_each_fault_of_a_map_has_its_line_and_what_to_do(tmp_path, old, new, said):
    assert old in TEXT
    content = TEXT.replace(old, new, 1)
    found = faults(tmp_path, content)
    assert any(said in text for _, text in found)
    if new and not new.startswith("["):
        assert line_of(content, new.strip()) in [line for line, _ in found] or said == "join"


def test_a_map_needs_attentions_and_patients(tmp_path):
    assert len(faults(tmp_path, "")) == 2


def test_codes_without_a_meaning_are_asked_for(tmp_path):
    start = TEXT.index("[attention.values.state]")
    found = faults(tmp_path, TEXT[:start] + TEXT[TEXT.index("[attention.values.origin]") :])
    assert any("[attention.values.state]" in text for _, text in found)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_damage_of_a_map_ends_in_a_map_or_in_faults(tmp_path_factory, data):
    lines = TEXT.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(lines) - 1))
        lines[place] = data.draw(
            st.sampled_from(["", "[x]", "columns = 1", 'table = ["a"]', "[[order.join]]", lines[-1]])
        )
    path = tmp_path_factory.getbasetemp() / "damaged.toml"
    path.write_text("\n".join(lines), "utf-8")
    with suppress(SettingsError):
        read_column_map(path)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_map_or_faults(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError):
        read_column_map(path)


# --- the site file -------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.delenv("ADAPTER_DATABASE_PASSWORD", raising=False)

    def make(**changes):
        content = (SITES / "galenhos.toml").read_text()
        content = content.replace('map = "maps', f'map = "{SITES}/maps').replace(
            'folder = "codes"', f'folder = "{SITES}/codes"'
        )
        head, source = content.split("[source]\n")
        for key, value in changes.items():
            kept = [line for line in source.splitlines() if not line.lstrip("# ").startswith(f"{key} =")]
            source = "\n".join([f"{key} = {value}", *kept])
        content = f"{head}[source]\n{source}\n"
        path = tmp_path / "site.toml"
        path.write_text(content, "utf-8")
        return path

    return make


def refused(path):
    with pytest.raises(SettingsError) as raised:
        read_settings(path, {})
    return [fault.code for fault in raised.value.faults]


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("url", '"mssql+pymssql://lector:secreta@servidor/SIGH"', "A-105"),
        ("url", '"mssql+pyodbc://lector@servidor/SIGH?PWD=secreta"', "A-105"),
        ("url", '"SIGH"', "A-105"),
        ("hours", '"20-06"', "A-105"),
        ("hours", '"24:00-06:00"', "A-105"),
        ("since", '"ayer"', "A-105"),
        ("rows_per_minute", "-1", "A-106"),
        ("password_file", '"no-existe"', "A-145"),
    ],
)
def test_a_site_that_cannot_work_is_refused(site, key, value, code):
    assert refused(site(**{key: value})) == [code]


def test_a_password_that_others_may_read_is_no_secret(site, tmp_path):
    (tmp_path / "password").write_text("secreta\n")
    (tmp_path / "password").chmod(0o644)
    assert refused(site(password_file='"password"')) == ["A-145"]
    (tmp_path / "password").chmod(0o600)
    own = read_settings(site(password_file='"password"'), {}).own
    assert own.password == "secreta"
    assert "secreta" not in repr(own)


def test_the_environment_has_the_password_before_the_file(site, monkeypatch):
    monkeypatch.setenv("ADAPTER_DATABASE_PASSWORD", "otra")
    assert read_settings(site(), {}).own.password == "otra"


def test_hours_may_pass_midnight():
    night, morning = Hours(time(20), time(6)), Hours(time(8), time(12))
    assert [time(hour) in night for hour in (19, 20, 23, 0, 5, 6)] == [False, True, True, True, True, False]
    assert [time(hour) in morning for hour in (7, 8, 11, 12)] == [False, True, True, False]


def test_a_day_to_begin_with_may_be_written_either_way(site):
    assert {read_settings(site(since=day), {}).own.since for day in ('"2026-03-01"', "2026-03-01")} == {
        date(2026, 3, 1)
    }


def test_the_delivered_files_are_good():
    for name in ("galenhos", "eqhali"):
        assert read_settings(SITES / f"{name}.toml", {}).source_kind.startswith(name)
        tomllib.loads((SITES / f"{name}.toml").read_text())


def test_check_config_asks_the_database(site, tmp_path):
    simulator = GalenhosSimulator(f"sqlite:///{tmp_path}/sigh.db")
    path = site(url=f'"{simulator.url}"')
    run = CliRunner()
    good = run.invoke(app, ["check-config", str(path)])
    assert good.exit_code == 0
    assert "A-100" in good.output
    fill(simulator)
    counted = run.invoke(app, ["dry-run", str(path)])
    assert "Encounter" in counted.output
    simulator.without_column("Pacientes", "NroDocumento")
    with pytest.raises(SettingsError) as raised:
        run.invoke(app, ["check-config", str(path)], catch_exceptions=False)
    assert [fault.code for fault in raised.value.faults] == ["A-144"]
    simulator.close()


def test_an_engine_that_cannot_be_asked_is_refused():
    with pytest.raises(SettingsError) as raised:
        Database(Access("oracle://lector@servidor/x", "", 5))
    assert raised.value.faults[0].code in {"A-142", "A-143"}
    for url in ("nada://x", "mssql+pymssql://lector@servidor/SIGH"):
        with pytest.raises(SettingsError) as raised:
            Database(Access(url, "secreta", 5))
        assert raised.value.faults[0].code == "A-142"
        assert "chasqui[galenhos]" in raised.value.faults[0].text
        assert "secreta" not in str(raised.value)
    assert os.environ.get("ADAPTER_DATABASE_PASSWORD") is None
