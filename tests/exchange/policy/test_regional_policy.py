"""The policy file: what it must say, and where it is wrong."""

from __future__ import annotations

import hashlib

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from exchange.cli import app
from exchange.policy.adopted import shipped
from exchange.policy.regional_policy import MOST_BYTES, PolicyRefused, parse_policy

SHIPPED = shipped().read_bytes()
TEXT = SHIPPED.decode()


def refused(text: str) -> list[str]:
    with pytest.raises(PolicyRefused) as caught:
        parse_policy(text.encode())
    return [str(each) for each in caught.value.faults]


def changed(old: str, new: str) -> tuple[str, int]:
    """The shipped policy with one place changed, and the line of the change."""
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new), TEXT[: TEXT.index(old)].count("\n") + 1


def test_the_shipped_policy_is_sound():
    policy = parse_policy(SHIPPED)
    assert policy.digest == hashlib.sha256(SHIPPED).hexdigest()
    assert (policy.defaults.cross_facility, policy.retention.years, policy.minors.adult_age) == (
        "deny",
        20,
        18,
    )
    assert policy.emergency.longest_minutes == 240
    assert not policy.purposes.is_allowed("HMARKT")
    assert "BTG" not in policy.purposes.covered_by("TREAT")
    assert {"TREAT", "ETREAT", "CAREMGT", "COC"} <= set(policy.purposes.covered_by("TREAT"))


def test_roles_do_what_the_policy_says_and_nothing_else():
    policy = parse_policy(SHIPPED)
    assert policy.may("clinician", "charts", "TREAT")
    assert policy.may("auditor", "events", "HOPERAT")
    for role, act, purpose in (
        ("auditor", "charts", "HOPERAT"), ("operator", "charts", "HOPERAT"), ("operator", "events", "HOPERAT"),
        ("administrator", "charts", "HOPERAT"), ("privacy-officer", "charts", "HOPERAT"), ("clinician", "events", "TREAT"),
        ("clinician", "charts", "HMARKT"), ("clinician", "charts", "PUBHLTH"), ("nobody", "charts", "TREAT"),
    ):  # fmt: skip
        assert not policy.may(role, act, purpose), (role, act, purpose)


def test_what_was_read_cannot_be_changed():
    policy = parse_policy(SHIPPED)
    with pytest.raises(ValidationError):
        policy.defaults.sending = "required"
    with pytest.raises(ValidationError):
        policy.minors = policy.minors


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ('cross_facility = "deny"', 'cross_facility = "permit"', "defaults.cross_facility", "'deny'"),
        ('permit_without_label_covers = "N"', 'permit_without_label_covers = "R"', "defaults.permit_without_label_covers", "'N'"),
        ("longest_minutes = 240", "longest_minutes = 241", "emergency.longest_minutes", "less than or equal"),
        ("longest_minutes = 240", 'longest_minutes = "240"', "emergency.longest_minutes", "integer"),
        ("privacy_officer_notice_seconds = 60", "privacy_officer_notice_seconds = 61",
         "emergency.privacy_officer_notice_seconds", "less than"),
        ("patient_notice_hours = 24", "patient_notice_hours = 25", "emergency.patient_notice_hours", "less than"),
        ('"B20-B24", "F02.4"', '"B24-B20", "F02.4"', "sensitive[0].codes.cie10[0]", "no range"),
        ('"J05AX31"', "31", "sensitive[0].implied_by.atc[25]", "string"),
        ('"SDV"', '"NOSUCH"', "sensitive[5].code", "no sensitivity"),
        ('"STD"', '"SEX"', "sensitive[4].code", "twice"),
        ('confidentiality = "V"', 'confidentiality = "N"', "sensitive[5].confidentiality", "'R' or 'V'"),
        ('"HMARKT", "MARKT"', '"HMARKT", "TREAT"', "purposes.allowed[0]", "refused by law"),
        ('"HMARKT", "MARKT"', '"HMARKT", "XX"', "purposes.refused_by_law[1]", "no v3 ActReason"),
        ('ETREAT = ["ERTREAT"]', 'ETREAT = ["BTG"]', "purposes.covers.ETREAT[0]", "covered by no other"),
        ('ETREAT = ["ERTREAT"]', 'NONE = ["ERTREAT"]', "purposes.covers.NONE", "no v3 ActReason"),
        ("[roles.operator]", "[roles.owner]", "roles.owner", "no role of this hub"),
        ('roles = ["physician", "nurse", "midwife"]', 'roles = ["wizard"]', "emergency.roles[0]", "none of the users"),
        ('"AllergyIntolerance"', '"Allergy"', "emergency.resource_types[2]", "no resource type"),
        ('"AllergyIntolerance"', '"DocumentReference"', "emergency.resource_types[2]", "no basic information"),
        ('urls = ["http://loinc.org"]', 'urls = ["http://snomed.info/sct"]', "systems.snomed.urls[0]", "another system's"),
        ('loinc = ["48018-6"', 'lionc = ["48018-6"', "sensitive[6].codes.lionc", "none of the systems"),
        ('atc = ["N05AN"]', 'atc = "N05AN"', "sensitive[1].implied_by.atc", "tuple"),
        ("reviewed_at = 2026-11-22", 'reviewed_at = "soon"', "region.reviewed_at", "date"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line_and_key(old, new, key, words):
    text, line = changed(old, new)
    faults = refused(text)
    found = [each for each in faults if f" {key}: " in each]
    assert found, faults
    assert words in found[0]
    if "another system's" not in words and key != "purposes.allowed[0]":
        assert found[0].startswith(f"line {line}:"), (found, line)


def test_a_fault_inside_of_a_long_array_has_the_line_of_its_item():
    text, line = changed('"80387-4"', "7")
    assert refused(text)[0].startswith(f"line {line}: sensitive[0].codes.loinc[27]: ")


def test_every_fault_is_told_at_once_in_the_order_of_the_lines():
    text = TEXT.replace("longest_minutes = 240", "longest_minutes = 0").replace(
        'sending = "required"', 'sending = "maybe"'
    )
    lines = [int(each.split()[1].rstrip(":")) for each in refused(text)]
    assert len(lines) == 2
    assert lines == sorted(lines)


def test_an_unknown_key_is_refused_with_its_line():
    text, line = changed("adult_age = 18", "adult_age = 18\ncolour = 1")
    assert refused(text) == [f"line {line + 1}: minors.colour: is not known"]
    assert "line 1: extra: is not known" in refused("extra = 1\n" + TEXT)


@pytest.mark.parametrize("name", ["region", "defaults", "emergency", "retention", "minors"])
def test_nothing_may_be_left_out(name):
    faults = refused(TEXT.replace(f"[{name}]", "[unwanted]"))
    assert any(each.endswith(f"{name}: is missing") for each in faults), faults
    assert any("unwanted: is not known" in each for each in faults)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"[region\nname = 1\n", 1),
        (b"[region]\nname = \n", 2),
        (b"a = 1\na = 2\n", 2),
        (b"\n\n\xff\n", 3),
        (b"a = " + b"[" * 100_000, 1),
        (b"#" * (MOST_BYTES + 1), 1),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(content, line):
    with pytest.raises(PolicyRefused) as caught:
        parse_policy(content)
    assert caught.value.faults[0].line == line


def test_an_unknown_purpose_of_a_role_is_refused():
    text = TEXT.replace('[roles.patient]\nacts = ["charts", "events", "directory"]\npurposes = ["PATRQT"]',
                        '[roles.patient]\nacts = ["charts", "everything"]\npurposes = ["PATRQT", "HMARKT", "PAY"]')  # fmt: skip
    faults = refused(text)
    assert any("roles.patient.acts[1]" in each for each in faults)
    text = text.replace('"everything"', '"events"')
    faults = refused(text)
    assert any("roles.patient.purposes[1]: is not among" in each for each in faults)
    assert any("roles.patient.purposes[2]: is no v3 ActReason code" in each for each in faults)


def test_the_commands_check_and_show(tmp_path):
    run = CliRunner()
    good = run.invoke(app, ["policy", "check", str(shipped())])
    assert good.exit_code == 0
    assert parse_policy(SHIPPED).digest in good.output
    text, line = changed("adult_age = 18", "adult_age = 9")
    file = tmp_path / "bad.toml"
    file.write_text(text)
    bad = run.invoke(app, ["policy", "check", str(file)])
    assert bad.exit_code == 1
    assert f"{file}:{line}: minors.adult_age: " in bad.output
    shown = run.invoke(app, ["policy", "show"])
    assert shown.exit_code == 0
    assert "La Libertad" in shown.output


def test_no_text_of_a_classification_is_shipped():
    """Codes are facts; the texts of ICD-10, LOINC and SNOMED CT are their publishers'."""
    policy = parse_policy(SHIPPED)
    for each in policy.sensitive:
        for lists in (each.codes, each.implied_by):
            for system, codes in lists.items():
                assert system == "dci" or not any(" " in code for code in codes)
