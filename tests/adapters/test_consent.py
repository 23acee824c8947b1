"""Nothing leaves without the patient's authorisation to send it, and nobody's record who could be anybody."""

import threading
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.cycle import Cycle
from adapters.outbox import Outbox
from adapters.outbox.consent import ConsentTable, name_of_patient, read_consents
from adapters.settings import SettingsError
from adapters.source_record import Entry
from adapters.source_record.bundle import finish
from adapters.source_record.person import PersonIdentifier, PersonName, patient
from tests.adapters.conftest import ID_KEY, LIMA, ORIGIN, a_mapped, a_record, write_site

HEAD = "patient;given;from;until;form_version\n"
TABLE = '[consent]\nfile = "consent.csv"\n'
BY_FIELD = '[consent]\nmode = "source"\nfield = "CON-11"\nvalues = ["A"]\n'
TODAY = date(2026, 6, 30)


def a_patient(key="p1", dni="01234567", name="ROSA", content="uno", **more):
    """A record that says who its patient is."""
    record = a_record(f"paciente|{key}", key, content.encode(), **more)
    identifiers = [PersonIdentifier("dni", dni)] if dni else [PersonIdentifier("hc", "77")]
    names = PersonName("PAREDES", given=(name,)) if name else PersonName()
    return finish(ORIGIN, record, [Entry(patient(ORIGIN, key, identifiers, names, None, None))])


@pytest.fixture
def held(site, tmp_path):
    """A site's outbox that obeys a table."""
    settings = site("his-trama", consent=TABLE)
    (tmp_path / "data" / "ids.key").write_bytes(ID_KEY)
    box = Outbox(settings.data_folder)
    box.obey(settings)

    def write(*rows):
        (tmp_path / "consent.csv").write_text(HEAD + "".join(f"{row}\n" for row in rows), "utf-8")
        box.review_consent()
        return box.status()

    box.write = write
    yield box
    box.close()


def states(status):
    return status["pending"], status["waiting_consent"], status["parked"]


# --- what may leave


def test_where_nothing_is_said_nothing_leaves(held):
    held.accept([a_patient(), a_mapped("v1", "p1"), a_mapped("x", "")])
    assert states(held.status()) == (0, 3, 0)
    assert held.waiting_groups(9) == []


def test_who_is_in_the_table_leaves_and_nobody_else(held):
    held.write("dni 01234567;si;2026-01-01;;FMT-034 v1")
    held.accept([a_patient(), a_mapped("v1", "p1"), a_patient("p2", "76543210"), a_mapped("v2", "p2")])
    assert states(held.status()) == (2, 2, 0)


def test_a_visit_that_comes_before_its_patient_waits_until_he_is_known(held):
    held.write("01234567;si;;;v1")
    held.accept([a_mapped("v1", "p1")])
    assert states(held.status()) == (0, 1, 0)
    held.accept([a_patient()])
    [group] = held.waiting_groups(9)
    assert [item.sequence for item in held.batch(group, 9)] == [1, 2], "in the order in which they came"


def test_consent_that_comes_releases_in_order_and_withdrawn_stops_what_has_not_left(held, caplog):
    held.accept([a_patient(), a_mapped("v1", "p1")])
    assert states(held.write("hc 5;si;;;v1")) == (0, 2, 0)
    assert states(held.write("dni:01234567;si;;;v1")) == (2, 0, 0)
    [group] = held.waiting_groups(9)
    first = held.batch(group, 1)
    held.mark_applied(first, {})
    status = held.write("dni 01234567;si;2026-01-01;;v1", "dni 01234567;no;2026-02-01;;v1")
    assert states(status) == (0, 1, 0)
    assert (status["consent_withdrawn_patients"], status["consent_withdrawn_sent"]) == (1, 1)
    assert "A-331" in caplog.text
    assert "01234567" not in caplog.text
    status = held.write("dni 01234567;si;2026-03-01;;v2")
    assert (states(status), status["consent_withdrawn_patients"]) == ((1, 0, 0), 0)


def test_a_table_that_is_gone_lets_nobody_leave_and_a_spoilt_one_changes_nothing(held, tmp_path, caplog):
    held.accept([a_patient()])
    assert states(held.write("01234567;si;;;v1")) == (1, 0, 0)
    (tmp_path / "consent.csv").write_text("rubbish")
    held.review_consent()
    assert states(held.status()) == (1, 0, 0)
    assert "A-152" in caplog.text
    (tmp_path / "consent.csv").unlink()
    held.review_consent()
    assert states(held.status()) == (0, 1, 0)


def test_a_parked_patient_stays_parked_whatever_the_table_says(held):
    held.write("01234567;si;;;v1")
    held.accept([a_patient(), a_mapped("v1", "p1"), a_mapped("v2", "p1")])
    [group] = held.waiting_groups(9)
    from adapters.source_record import Refusal

    held.quarantine(held.batch(group, 1)[0], Refusal("validation", "A-311", "x", parks=True))
    assert states(held.status()) == (0, 0, 2)
    assert states(held.write("01234567;no;;;v1")) == (0, 0, 2)
    held.discard(1)
    assert states(held.status()) == (0, 2, 0), "free of the bad record, and without consent"


def test_of_two_patients_who_are_one_a_refusal_counts_for_both(held):
    held.write("01234567;si;;;v1", "76543210;no;;;v1")
    held.accept([a_patient(), a_patient("p2", "76543210")])
    held.accept([a_mapped("m", "p1", merged_patient_key="p2")])
    assert states(held.status()) == (0, 3, 0)


def test_a_run_holds_and_then_delivers(site, tmp_path, hub):
    settings = site("hl7v2-folder", "II-1", DNI_RULE, TABLE)
    (settings.source_folder / "a.hl7").write_bytes(MESSAGE % (b"1", b""))
    box = Outbox(settings.data_folder)
    for expected in ((0, 1), (1, 0)):
        Cycle(settings, box).run(threading.Event(), once=True, announce=print)
        status = box.status()
        assert (status["applied"], status["waiting_consent"]) == expected
        (tmp_path / "consent.csv").write_text(f"{HEAD}01234567;si;2026-01-01;;v1\n")
    box.close()
    assert len(hub.of_type("Patient")) == 1


MESSAGE = (
    b"MSH|^~\\&|SIGH|H|X|Y|20260101120000||ADT^A31|%s|P|2.5\rEVN|A31|20260101120000\r"
    b"PID|1||01234567^^^RENIEC^DNI||PAREDES^ROSA||19800101|F\r%sPV1|1|N\r"
)
DNI_RULE = '[[identifier]]\nauthority = "RENIEC"\ntype = "*"\nkind = "dni"\n'


@pytest.mark.parametrize(("said", "expected"), [(b"A", (1, 0)), (b"R", (0, 1)), (b"", (0, 1))])
def test_messages_may_say_it_themselves(site, hub, said, expected):
    settings = site("hl7v2-folder", "II-1", consent=BY_FIELD)
    con = b"CON|1|||||||||" + b"|" + said + b"\r"
    (settings.source_folder / "a.hl7").write_bytes(MESSAGE % (b"1", con))
    box = Outbox(settings.data_folder)
    Cycle(settings, box).run(threading.Event(), once=True, announce=print)
    status = box.status()
    box.close()
    assert (status["applied"], status["waiting_consent"]) == expected


# --- the table


def read(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text, "utf-8")
    return read_consents(path, str)


def allows(tmp_path, *rows, today=TODAY, names=("dni|01234567",)):
    path = tmp_path / "t.csv"
    path.write_text(HEAD + "".join(f"{row}\n" for row in rows), "utf-8")
    table = ConsentTable(path, str)
    table.read_if_changed()
    return table.may_leave(names, today)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["dni 01234567;si;2026-06-30;2026-06-30;v"], True),
        (["dni 01234567;si;30/06/2026;30/06/2026;v"], True),
        (["dni 01234567;si;2026-07-01;;v"], False),
        (["dni 01234567;si;;2026-06-29;v"], False),
        (["dni 01234567;no;;;"], False),
        (["dni 01234567;si;2026-01-01;;v", "dni 01234567;no;2026-02-01;;"], False),
        (["dni 01234567;no;2026-01-01;;", "dni 01234567;si;2026-02-01;;v"], True),
        (["dni 01234567;si;2026-01-01;;v", "dni 01234567;no;2026-01-01;;"], False),
        (["hc 01234567;si;;;v"], False),
        ([], False),
    ],
)
def test_what_a_table_says_on_a_day(tmp_path, rows, expected):
    assert allows(tmp_path, *rows) is expected


def test_a_refusal_under_one_number_outweighs_a_permission_under_another(tmp_path):
    rows = ("dni 01234567;si;;;v", "hc 9;no;;;")
    assert not allows(tmp_path, *rows, names=("dni|01234567", "hc|9"))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "A-152"),
        ("patient;given\n", "A-152"),
        (HEAD + "01234567;quizas;;;v\n", "A-153"),
        (HEAD + "01234567;si;;;\n", "A-153"),
        (HEAD + "1234567;si;;;v\n", "A-153"),
        (HEAD + "dni 01234567;si;31/02/2026;;v\n", "A-153"),
        (HEAD + "dni 01234567;si;;;v;más\n", "A-153"),
    ],
)
def test_a_bad_table_is_told_by_its_line_and_without_its_values(tmp_path, text, code):
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, text)
    assert refused.value.faults[0].code == code
    assert "01234567" not in str(refused.value)


@given(st.text(max_size=300))
def test_any_table_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes((HEAD + text).encode("utf-8", "surrogatepass"))
    try:
        found = set(read_consents(path, str))
    except SettingsError as refused:
        found = {fault.code for fault in refused.faults}
    assert all(name in {"A-152", "A-153"} or "|" in name for name in found)


def test_names_are_written_in_one_way():
    assert name_of_patient("ce", " 001 ab") == "ce|001AB"


# --- the site file


@pytest.mark.parametrize(
    ("kind", "consent", "code"),
    [
        ("his-trama", '[consent]\nmode = "all"\n', "A-104"),
        ("his-trama", '[consent]\nmode = "everybody"\n', "A-105"),
        ("his-trama", BY_FIELD, "A-151"),
        ("hl7v2-folder", '[consent]\nmode = "source"\nfield = "PID"\nvalues = ["A"]\n', "A-105"),
        ("hl7v2-folder", '[consent]\nmode = "source"\nfield = "CON-11"\n', "A-151"),
    ],
)
def test_a_rule_that_says_nothing_clear_is_refused(site, kind, consent, code):
    with pytest.raises(SettingsError) as refused:
        site(kind, "II-1", consent=consent)
    assert code in {fault.code for fault in refused.value.faults}


def test_a_site_that_says_nothing_asks_a_table(site, tmp_path):
    settings = site("his-trama", consent="")
    assert (settings.consent.mode, settings.consent.file) == ("table", tmp_path / "consent.csv")


# --- who it is


def test_whoever_could_be_anybody_is_held_until_he_is_known(outbox, tmp_path):
    box = outbox
    box.id_key = ID_KEY
    assert box.accept([a_patient(dni="", name=""), a_mapped("v1", "p1")]) == ["refused", "new"]
    assert [item["code"] for item in box.quarantined()] == ["A-254"]
    assert box.identified_since() == set()
    other = a_patient(dni="", name="ROSA", content="dos")
    box.accept([finish(ORIGIN, a_record("otro", "p1", b"z"), other.entries[:1])])
    assert box.identified_since() == {1}
    assert box.requeue(1, a_patient(dni="", name=""))
    [group] = box.waiting_groups(9)
    assert [item.sequence for item in box.batch(group, 9)] == [1, 2, 3]


@pytest.mark.parametrize(("dni", "name"), [("01234567", ""), ("", "ROSA")])
def test_a_document_or_a_name_is_enough(outbox, dni, name):
    outbox.id_key = ID_KEY
    assert outbox.accept([a_patient(dni=dni, name=name)]) == ["new"]


def test_the_zone_of_days_is_the_sites(held):
    assert held.zone == LIMA


def test_names_lie_in_the_outbox_as_keyed_hashes(held, tmp_path):
    held.write("01234567;si;;;v1")
    held.accept([a_patient()])
    for path in (tmp_path / "data").glob("outbox.sqlite*"):
        assert b"01234567" not in path.read_bytes()


def test_a_desk_sees_the_lines_of_a_bad_table(tmp_path, hub, monkeypatch):
    from typer.testing import CliRunner

    from adapters import cli

    path = write_site(tmp_path, hub.url, consent=TABLE)
    (tmp_path / "consent.csv").write_text(HEAD + "01234567;quizas;;;v\n")
    found = CliRunner().invoke(cli.app, ["check-config", str(path)])
    assert [fault.code for fault in found.exception.faults] == ["A-153"]
