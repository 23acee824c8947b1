"""What a site file says of its port and its senders, and what it may not leave unsaid."""

import pytest

from adapters.settings import SettingsError, read_settings
from adapters.settings.mllp_tls import TlsSettings
from tests.adapters.conftest import write_site
from tests.simulators.mllp_peer import Authority

URL = "http://127.0.0.1:1/fhir"


def read(folder, source="", more="", kind="hl7v2-mllp"):
    path = write_site(folder, URL, kind, "II-1", more)
    path.write_text(path.read_text("utf-8").replace("mllp_port = 0", f"mllp_port = 0\n{source}"), "utf-8")
    return read_settings(path, {})


def codes(folder, source="", more="", kind="hl7v2-mllp"):
    with pytest.raises(SettingsError) as raised:
        read(folder, source, more, kind)
    assert all(fault.line for fault in raised.value.faults)
    return [fault.code for fault in raised.value.faults]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_a_port_of_this_machine_needs_no_tls(tmp_path, host):
    assert read(tmp_path, f'mllp_host = "{host}"').own.tls is None


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::", "hospital.local"])
def test_nobody_listens_in_the_clear_on_a_network_by_mistake(tmp_path, host):
    name = f'mllp_host = "{host}"\n'
    assert codes(tmp_path, name) == ["A-110"]
    assert codes(tmp_path, name + "allow_plain = true") == ["A-110"]
    assert codes(tmp_path, name + 'allow_plain = true\nallow_plain_reason = " "') == ["A-110"]
    reason = 'allow_plain = true\nallow_plain_reason = "VLAN de laboratorio, jefe de TI, 2026-03"'
    assert read(tmp_path, name + reason).own.host == host


def test_a_port_with_tls_names_files_that_are_there(tmp_path):
    name = 'mllp_host = "0.0.0.0"\n'
    tls = '[mllp_tls]\ncertificate = "a.pem"\nkey = "a.key"\nclient_authorities = "ca.pem"\n'
    tls += 'required_names = ["lis.hospital"]\n'
    assert codes(tmp_path, name, tls) == ["A-111"] * 3
    for file in ("a.pem", "a.key", "ca.pem"):
        (tmp_path / file).write_text("x")
    assert codes(tmp_path, name, tls) == ["A-111"]
    authority = Authority.make(tmp_path)
    authority.issue("a", "localhost")
    authority.path.rename(tmp_path / "ca.pem")
    own = read(tmp_path, name, tls).own
    files = (tmp_path / "a.pem", tmp_path / "a.key", tmp_path / "ca.pem")
    assert own.tls == TlsSettings(*files, ("lis.hospital",))


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ('certificate = "a.pem"', ["A-104"]),
        ('certificate = "a.pem"\nkey = "a.pem"\nrequired_names = ["x"]', ["A-111"]),
        ('certificate = "a.pem"\nkey = "a.pem"\nrequired_names = "x"', ["A-111"]),
        ('certificate = "a.pem"\nkey = "a.pem"\nversion = "1.0"', ["A-103"]),
    ],
)
def test_what_is_wrong_with_tls_is_told(tmp_path, tls, expected):
    certificate, key = Authority.make(tmp_path).issue("a", "localhost")
    certificate.write_bytes(certificate.read_bytes() + key.read_bytes())
    assert codes(tmp_path, "", f"[mllp_tls]\n{tls}\n") == expected


@pytest.mark.parametrize("kind", ["hl7v2-mllp", "hl7v2-folder"])
def test_senders_have_rules_of_their_own(tmp_path, kind):
    more = """
[[sender]]
application = "LIS"
charset = "8859/15"
surname_order = "maternal"
[[sender.identifier]]
type = "MR"
kind = "dni"
[[sender]]
facility = "H"
"""
    settings = read(tmp_path, 'unknown_senders = "refuse"\ndefault_charset = "8859/1"', more, kind)
    own = settings.own if kind == "hl7v2-folder" else settings.own.messages
    assert (own.charset, own.refuses_unknown) == ("cp1252", True)
    lis, other = own.senders
    assert (lis.charset, lis.surname_order, lis.identifier_rules[0].kind) == ("iso8859-15", "maternal", "dni")
    assert own.rule_of("LIS", "anything") is lis
    assert own.rule_of("SIGH", "H") is other
    assert own.rule_of("SIGH", "X") is None


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ('application = "LIS"\ncharset = "KOI8"', ["A-112"]),
        ('application = "LIS"\nsurname_order = "any"', ["A-112"]),
        ('application = "ÑANDÚ"', ["A-112"]),
        ('application = "LIS"\ncertificates = "x"', ["A-112"]),
        ('application = "LIS"\ncertificates = ["x"]', ["A-112"]),
        ('application = "LIS"\nname = "x"', ["A-103"]),
        ('application = "LIS"\n[[sender.identifier]]\nkind = "dni"\ntipo = "MR"', ["A-109"]),
        ('application = "LIS"\n[[sender.identifier]]\ntype = "MR"', ["A-109"]),
    ],
)
def test_what_is_wrong_with_a_sender_is_told(tmp_path, more, expected):
    assert codes(tmp_path, "", f"[[sender]]\n{more}\n") == expected


def test_to_refuse_all_but_nobody_is_a_mistake(tmp_path):
    assert codes(tmp_path, 'unknown_senders = "refuse"') == ["A-112"]
    assert codes(tmp_path, 'unknown_senders = "maybe"') == ["A-105"]
    assert codes(tmp_path, 'default_charset = "KOI8"') == ["A-105"]
