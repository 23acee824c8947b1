"""A register of live births as FHIR."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.code_map import CodeMap
from adapters.primary import Masters, Post, map_births, map_record, read_table
from adapters.source_record import Mapped, Origin, Refused
from adapters.source_record.person import MOTHER_IDENTIFIER_EXTENSION
from tests.adapters.conftest import GOLDEN, ID_KEY, LIMA, RENIPRESS, as_fhir, check_golden, check_valid

POST = Post(Origin(RENIPRESS, RENIPRESS, "his", ID_KEY), LIMA, CodeMap())
FILE = (GOLDEN / "births" / "CNV_202402.csv").read_bytes()
HEADER, GOOD = FILE.splitlines(keepends=True)[:2]
AT = "2024-03-01T00:00:00Z"


def births(content=FILE):
    table = read_table("CNV_202402.csv", content)
    return list(map_births(POST, Masters(), table, AT))


def only(outcome, resource_type):
    return [item for item in as_fhir(outcome) if item["resourceType"] == resource_type]


def test_the_reviewed_register():
    outcomes = births()
    check_valid(outcomes)
    check_golden("births/CNV_202402", outcomes)
    codes = [outcome.refusal.code for outcome in outcomes if isinstance(outcome, Refused)]
    assert codes == ["A-276", "A-258", "A-256"]


def test_the_mothers_document_is_never_the_childs():
    [child] = only(births()[0], "Patient")
    assert [item["value"] for item in child["identifier"]] == ["90000000012"]
    assert "name" not in child
    [contact] = child["contact"]
    told = [
        item["valueIdentifier"]["value"]
        for item in contact["extension"]
        if item["url"] == MOTHER_IDENTIFIER_EXTENSION
    ]
    assert told == ["01234567"]
    # Seven digits are no DNI: kept as written, never as a document.
    [other] = only(births()[1], "Patient")
    systems = [item["valueIdentifier"]["system"] for item in other["contact"][0]["extension"]]
    assert systems == [f"urn:chasqui:ipress:{RENIPRESS}:documento-sin-validar"]


def test_an_annulled_certificate_is_in_error():
    outcome = births()[1]
    states = {item["status"] for kind in ("Encounter", "Observation") for item in only(outcome, kind)}
    assert states == {"entered-in-error"}
    assert only(outcome, "Patient")[0]["active"] is False


def test_digits_and_the_minute_stay():
    outcome = births()[0]
    values = {
        item["code"]["text"]: item.get("valueQuantity", {}).get("value")
        for item in only(outcome, "Observation")
    }
    assert (values["Peso al nacer"], values["Talla al nacer"]) == (Decimal(3250), Decimal("49.5"))
    assert (values["Apgar al minuto 1"], values["Apgar al minuto 5"]) == (Decimal(8), Decimal(9))
    birth = only(outcome, "Patient")[0]["_birthDate"]["extension"][0]["valueDateTime"]
    assert birth == "2024-02-14T03:25:00-05:00"


def test_one_score_is_no_minute():
    [told] = [item for item in only(births()[1], "Observation") if item["code"]["text"] == "Apgar"]
    assert told["valueString"] == "9"
    assert "coding" not in told["code"]


def test_a_row_that_was_kept_is_mapped_again():
    first = births()[0]
    again = map_record(POST, Masters(), first.record)
    assert as_fhir(again) == as_fhir(first)


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_any_bytes_end_in_records_or_refusals(lines):
    for outcome in births(HEADER + b"\r\n".join(lines)):
        assert isinstance(outcome, Mapped | Refused)


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=12), st.integers(0, 20))
def test_a_damaged_row_ends_in_a_record_or_a_refusal(at, what, count):
    for outcome in births(HEADER + GOOD[:at] + what + GOOD[at + count :]):
        assert isinstance(outcome, Mapped | Refused)


@pytest.mark.parametrize("separator", [b";", b","])
def test_both_separators(separator):
    content = (HEADER + GOOD).replace(b"49,5", b"49.5").replace(b"34,0", b"34.0").replace(b"33,5", b"33.5")
    [outcome] = births(content.replace(b";", separator))
    assert isinstance(outcome, Mapped)
