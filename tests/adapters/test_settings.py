"""A site file is checked whole, in Spanish, with lines."""

import pytest

from adapters.settings import ENVIRONMENT, SettingsError, read_settings
from tests.adapters.conftest import write_site


def faults(path, environment=None):
    with pytest.raises(SettingsError) as raised:
        read_settings(path, environment or {})
    return [str(fault) for fault in raised.value.faults]


def test_a_good_site_is_read(tmp_path):
    settings = read_settings(write_site(tmp_path, "http://127.0.0.1:1/fhir"), {})
    assert settings.renipress == "00005196"
    assert settings.id_prefix == "i00005196"
    assert settings.source_system == "his"
    assert settings.data_folder == tmp_path / "data"


def test_the_environment_replaces_single_values(tmp_path):
    path = write_site(tmp_path, "http://127.0.0.1:1/fhir", "hl7v2-mllp")
    environment = {
        "ADAPTER_HUB_URL": "https://hub.example/fhir/",
        "ADAPTER_MLLP_PORT": "2600",
        "ADAPTER_DATA_FOLDER": "/x",
    }
    settings = read_settings(path, environment)
    assert (settings.hub_url, settings.own.port, str(settings.data_folder)) == (
        "https://hub.example/fhir",
        2600,
        "/x",
    )
    assert all(name.startswith("ADAPTER_") for name in ENVIRONMENT)


def test_every_fault_is_told_with_its_line(tmp_path):
    path = write_site(tmp_path, "http://hub.example/fhir", level="IV")
    path.write_text(path.read_text().replace("00005196", "5196").replace("settle_seconds", "setle_seconds"))
    told = faults(path)
    assert [fault.split()[:3] for fault in told] == [
        ["A-105", "línea", "3:"],
        ["A-105", "línea", "5:"],
        ["A-105", "línea", "7:"],
        ["A-103", "línea", "18:"],
    ]


def test_broken_toml_names_the_line(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('[facility]\nname = "x\n')
    assert faults(path)[0].startswith("A-102 línea 2:")
    assert faults(tmp_path / "absent.toml")[0].startswith("A-101")


def test_missing_values_are_told(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text("")
    assert {fault.split()[0] for fault in faults(path)} == {"A-104"}


def test_rules_and_numbers_are_checked(tmp_path):
    path = write_site(tmp_path, "https://h/fhir", more='workers = 99\n[[identifier]]\nauthority = "RENIEC"\n')
    told = faults(path)
    assert any(fault.startswith("A-106") for fault in told)
    assert any(fault.startswith("A-109") for fault in told)
