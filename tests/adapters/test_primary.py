"""A post's HIS files as FHIR."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.code_map import CodeMap
from adapters.primary import Masters, Post, Skipped, map_patients, map_record, map_trama, read_table
from adapters.source_record import Mapped, Origin, Refused
from tests.adapters.conftest import GOLDEN, ID_KEY, LIMA, RENIPRESS, as_fhir, check_golden, check_valid

POST = Post(Origin(RENIPRESS, RENIPRESS, "his", ID_KEY), LIMA, CodeMap())
HIS = GOLDEN / "his"
AT = "2024-03-01T00:00:00Z"
HEADER = (HIS / "TRAMA_202401.csv").read_bytes().splitlines(keepends=True)[0]
GOOD = (HIS / "TRAMA_202401.csv").read_bytes().splitlines(keepends=True)[1]


def masters():
    found = Masters()
    for path in sorted(HIS.glob("MAESTRO_*.csv")):
        found.add(read_table(path.name, path.read_bytes()))
    return found


def trama(name="TRAMA_202401.csv", content=None, skipped=None):
    table = read_table(name, (HIS / name).read_bytes() if content is None else content)
    return list(map_trama(POST, masters(), table, AT, skipped or Skipped()))


def by_key(outcomes):
    return {outcome.record.natural_key: outcome for outcome in outcomes}


def only(outcome, resource_type):
    return [item for item in as_fhir(outcome) if item["resourceType"] == resource_type]


def test_the_reviewed_patients():
    path = HIS / "MAESTRO_PACIENTE.csv"
    outcomes = list(map_patients(POST, read_table(path.name, path.read_bytes()), AT))
    check_valid(outcomes)
    check_golden("his/MAESTRO_PACIENTE", outcomes)
    assert [o.refusal.code for o in outcomes if isinstance(o, Refused)] == ["A-254", "A-253"]


@pytest.mark.parametrize("month", ["TRAMA_202401", "TRAMA_202402"])
def test_the_reviewed_months(month):
    outcomes = trama(f"{month}.csv")
    check_valid(outcomes)
    check_golden(f"his/{month}", outcomes)


def test_many_rows_are_one_visit_and_repeated_items_one_entry():
    visit = by_key(trama())["cita|1001"]
    assert len(only(visit, "Encounter")) == 1
    assert only(visit, "Procedure")[0]["note"] == [{"text": "Valor Lab: 1, TA"}]
    assert [item["valueQuantity"]["value"] for item in only(visit, "Observation")] == [
        Decimal("61.50"),
        Decimal("158.0"),
    ]
    condition = only(visit, "Condition")[0]
    assert condition["verificationStatus"]["coding"][0]["code"] == "provisional"
    assert [coding["code"] for coding in condition["code"]["coding"]] == ["F10.1", "F101"]


def test_a_vaccine_is_an_immunization_with_its_dose():
    dose = only(by_key(trama())["cita|1002"], "Immunization")[0]
    assert dose["vaccineCode"]["coding"][0] == {"system": "http://hl7.org/fhir/sid/cvx", "code": "03"}
    assert dose["protocolApplied"] == [{"doseNumberPositiveInt": 2}]


def test_a_repeat_is_no_new_condition():
    visit = by_key(trama("TRAMA_202402.csv"))["cita|1010"]
    assert [item["coding"][0]["code"] for item in only(visit, "Encounter")[0]["reasonCode"][:2]] == [
        "F10.1",
        "E11.9",
    ]
    flags = [entry.only_if_absent for entry in visit.entries if entry.resource["resourceType"] == "Condition"]
    assert flags == [True, True, False]


def test_an_administrative_u_code_is_no_diagnosis():
    visit = by_key(trama("TRAMA_202402.csv"))["cita|1010"]
    reason = only(visit, "Encounter")[0]["reasonCode"][2]
    assert all("icd" not in coding["system"] for coding in reason["coding"])
    assert ("item", "U140") in visit.unmapped


def test_group_activities_are_skipped_and_counted():
    skipped = Skipped()
    trama(skipped=skipped)
    assert skipped.group_activity_rows == 1
    assert skipped.rows == 9


def test_bad_rows_go_aside_with_line_and_bytes_and_the_rest_goes_on():
    refused = [outcome for outcome in trama() if isinstance(outcome, Refused)]
    found = {(item.refusal.code, item.refusal.location) for item in refused}
    expected = {("A-256", 8), ("A-258", 9), ("A-251", 10), ("A-262", 7)}
    assert found == {(code, f"TRAMA_202401.csv:{line}") for code, line in expected}
    raw = next(item for item in refused if item.refusal.code == "A-251").record.original
    assert raw.splitlines()[1] == b"1007;1;24/01/2024;2024;1;24;0123456739058;;;302101"


@pytest.mark.parametrize("code", ["5196", "05196", "00005196", "000005196", "39058"])
def test_facility_codes_of_any_length_are_one_facility(code):
    assert masters().renipress(POST, code) == "00005196"


@pytest.mark.parametrize("code", ["", "0", "1234567890", "abc", "39059"])
def test_other_codes_are_not_this_facility(code):
    assert masters().renipress(POST, code) != "00005196"


def test_both_charsets_and_both_orders_of_dates_give_the_same_visit():
    original = (HIS / "TRAMA_202401.csv").read_bytes()
    again = b"\xef\xbb\xbf" + original.decode("cp1252").encode("utf-8")
    again = again.replace(b";", b",") if b"," not in original else again
    again = again.replace(b"15/01/2024", b"2024-01-15")
    first, second = (by_key(trama(content=content))["cita|1001"] for content in (original, again))
    drop = {"Provenance"}
    resources = [
        [e.resource for e in outcome.entries if e.resource["resourceType"] not in drop]
        for outcome in (first, second)
    ]
    assert resources[0] == resources[1]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"61,50", b"-61,50", "A-257"),
        (b"61,50", b"sesenta", "A-257"),
        (b"15/01/2024;2024", b"15/01/2199;2199", "A-256"),
        (b"1001;", b";", "A-255"),
        (b";39058;", b";99999;", "A-258"),
    ],
)
def test_impossible_values_are_refused(old, new, code):
    content = HEADER + GOOD.replace(old, new, 1)
    assert [outcome.refusal.code for outcome in trama(content=content)] == [code]


def test_control_characters_do_not_travel():
    content = HEADER + GOOD.replace(b";P;;", b";P;1\x00\x07;")
    assert only(trama(content=content)[0], "Condition")[0]["note"] == [{"text": "Valor Lab: 1"}]


def test_a_diagnosis_of_unknown_certainty_is_a_reason_only():
    visit = trama(content=HEADER + GOOD.replace(b";P;", b";X;"))[0]
    assert not only(visit, "Condition")
    assert only(visit, "Encounter")[0]["reasonCode"][0]["coding"][0]["code"] == "F10.1"


def test_a_quarantined_visit_can_be_mapped_again_from_its_bytes():
    outcome = by_key(trama())["cita|1004"]
    known = masters()
    known.patients.add("9999999939058")
    again = map_record(POST, known, outcome.record)
    assert isinstance(again, Mapped)
    assert again.record.natural_key == outcome.record.natural_key


def test_a_visit_with_a_row_that_cannot_be_read_does_not_state_all():
    head, first, *_ = (HIS / "TRAMA_202401.csv").read_bytes().splitlines(keepends=True)
    broken = first.replace(b"61,50", b"x")
    whole, partial, any_visit = (
        by_key(trama(content=head + first + rest))["cita|1001"].record
        for rest in (b"2" + broken, broken, b";" + broken)
    )
    assert whole.states_all
    assert not partial.states_all
    assert not any_visit.states_all
    assert whole.content_hash != partial.content_hash
    again = map_record(POST, masters(), partial)
    assert not again.record.states_all
    assert again.record.content_hash == partial.content_hash


def test_nothing_is_read_into_a_file_of_another_kind():
    assert read_table("x.csv", b"a;b;c\n1;2;3\n") is None
    assert read_table("x.csv", b"") is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=120), max_size=6))
def test_any_rows_end_in_visits_or_refusals(rows):
    outcomes = trama(content=HEADER + b"\r\n".join(rows) + b"\r\n" + GOOD)
    assert all(isinstance(outcome, Mapped | Refused) for outcome in outcomes)
    check_valid(outcomes)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text('0123456789/-,.;"AZazñ \x00=+', max_size=12), min_size=26, max_size=26))
def test_any_cells_end_in_visits_or_refusals(cells):
    cells[6] = "0123456739058"
    content = HEADER + ";".join(cell.replace(";", "") for cell in cells).encode("cp1252") + b"\r\n"
    check_valid(trama(content=content))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_none(content):
    read_table("x.csv", content)
