"""A hospital's GalenHos rows as FHIR: what each says, and what is refused."""

import json
import os
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.galenhos import Case, map_case, map_kept
from adapters.galenhos.database import Access, Database
from adapters.galenhos.fields import KINDS
from adapters.galenhos.reading import Branch, read_cases
from adapters.galenhos.values import as_text, moment, number
from adapters.source_record import Mapped, Refused
from adapters.sources.owners import Nobody
from tests.adapters.conftest import GOLDEN, LIMA, as_fhir, check_golden
from tests.adapters.galenhos_people import a_hospital, fill
from tests.adapters.test_eqhali import check_admitted
from tests.simulators.galenhos import METADATA, GalenhosSimulator

HOSPITAL = a_hospital()
AT = "2026-04-01T00:00:00Z"


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    simulator = GalenhosSimulator(f"sqlite:///{tmp_path_factory.mktemp('galenhos')}/sigh.db")
    fill(simulator)
    database = Database(Access(simulator.url, "", 5))
    with database.reading() as connection:
        found, _ = read_cases(connection, database.open(HOSPITAL.column_map), [9001, 9002, 9003, 9004, 9005])
    simulator.close()
    database.close()
    return found


def mapped(case, owner=None):
    return list(map_case(HOSPITAL, case, AT, owner or Nobody()))


def a_case(**attention):
    fields = {"key": "1", "patient": "7", "kind": "1", "admitted_date": "2026-03-01 00:00:00", **attention}
    fields = {name: value for name, value in fields.items() if value is not None}
    patient = {
        "key": fields.get("patient", "7"), "paternal": "QUISPE", "given_1": "LUIS", "document_type": "1",
        "document": "45678901", "birth_date": "1990-01-02 00:00:00", "sex": "1",
    }  # fmt: skip
    return Case(attention=fields, patient=patient)


def only(outcome, resource_type):
    return [item for item in as_fhir(outcome) if item["resourceType"] == resource_type]


def encounter(case):
    return only(mapped(case)[-1], "Encounter")[0]


def codes(outcomes):
    return [outcome.refusal.code for outcome in outcomes if isinstance(outcome, Refused)]


def test_the_reviewed_week(cases):
    outcomes = [outcome for case in cases for outcome in mapped(case)]
    check_admitted(outcomes)
    check_golden("galenhos/week", outcomes)
    assert codes(outcomes) == ["A-254", "A-254"]


def test_the_input_beside_the_golden_file_is_what_the_database_gave(cases):
    text = json.dumps(
        [json.loads(mapped(case)[-1].record.original) for case in cases], indent=1, ensure_ascii=False
    )
    path = GOLDEN / "galenhos" / "week.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text + "\n", "utf-8")
    assert path.read_text("utf-8") == text + "\n"


def test_a_newborn_is_not_its_mother(cases):
    child = only(mapped(cases[1])[0], "Patient")[0]
    assert child["multipleBirthInteger"] == 2
    assert all(item["value"] != "01234567" for item in child["identifier"])
    contact = child["contact"][0]
    assert contact["relationship"][0]["coding"][0]["code"] == "MTH"
    assert contact["extension"][0]["valueIdentifier"]["value"] == "01234567"
    assert "given" not in child["name"][0]


def test_a_history_number_is_the_hospitals_own(cases):
    systems = {
        item["value"]: item["system"] for item in only(mapped(cases[0])[0], "Patient")[0]["identifier"]
    }
    assert systems["99001"] == "urn:chasqui:ipress:00005196:hc"
    assert mapped(cases[0])[0].record.patient_key == "paciente|501"


def test_each_code_is_one_condition_and_each_class_a_use(cases):
    outcome = mapped(cases[0])[-1]
    conditions = only(outcome, "Condition")
    assert [[item["code"] for item in each["code"]["coding"]] for each in conditions] == [
        ["O80.0", "O800"],
        ["E11.9", "E11.9"],
    ]
    assert conditions[0]["verificationStatus"]["coding"][0]["code"] == "confirmed"
    stay = only(outcome, "Encounter")[0]
    assert [item["use"]["coding"][0]["code"] for item in stay["diagnosis"]] == ["AD", "DD"]
    assert stay["reasonCode"][0]["coding"][0]["code"] == "E11.9"
    repeats = [entry for entry in outcome.entries if entry.known_as.endswith("E11.9")]
    assert [entry.only_if_absent for entry in repeats] == [True]


def test_a_voided_bill_revokes_the_request_and_leaves_the_stay(cases):
    outcome = mapped(cases[0])[-1]
    told = {item["code"]["coding"][0]["code"]: item["status"] for item in only(outcome, "ServiceRequest")}
    assert told == {"59400": "completed", "85025": "revoked"}
    assert [item["code"]["text"] for item in only(outcome, "Procedure")] == ["ATENCION DE PARTO"]
    assert only(outcome, "Encounter")[0]["status"] == "finished"


def test_a_clinical_void_says_only_that_it_was_an_error(cases):
    kinds = [entry.resource["resourceType"] for entry in mapped(cases[3])[-1].entries]
    assert kinds == ["Patient", "Encounter", "Provenance"]
    assert encounter(cases[3])["status"] == "entered-in-error"


def test_only_what_left_the_pharmacy_was_dispensed(cases):
    given = only(mapped(cases[0])[-1], "MedicationDispense")
    assert [item["quantity"]["value"] for item in given] == [Decimal("2.50")]


@pytest.mark.parametrize(
    ("state", "left", "status"),
    [("2", None, "finished"), ("1", None, "in-progress"), ("1", "2026-03-02", "finished"), (None, None, "in-progress"),
     (None, "2026-03-02", "finished"), ("77", None, "in-progress"), ("0", "2026-03-02", "entered-in-error")],
)  # fmt: skip
def test_states(state, left, status):
    outcome = mapped(a_case(kind="3", state=state, left_date=left))[-1]
    assert only(outcome, "Encounter")[0]["status"] == status
    assert [table for table, _ in outcome.unmapped] == (["estado_atencion"] if state == "77" else [])


def test_an_unknown_class_is_no_class():
    outcome = mapped(a_case(kind="42"))[-1]
    assert only(outcome, "Encounter")[0]["class"]["code"] == "UNK"
    assert ("tipo_servicio", "42") in outcome.unmapped


@pytest.mark.parametrize(
    ("day", "clock", "told"),
    [
        ("2026-03-01 00:00:00", "22:15", "2026-03-01T22:15:00-05:00"),
        ("2026-03-01 00:00:00", "2215", "2026-03-01T22:15:00-05:00"),
        ("2026-03-01 00:00:00", "1899-12-30 22:15:00", "2026-03-01T22:15:00-05:00"),
        ("2026-03-01 10:00:00", "", "2026-03-01T10:00:00-05:00"),
        ("2026-03-01 00:00:00", "99:99", "2026-03-01"),
        ("2026-03-01", "", "2026-03-01"),
        ("01/03/2026", "7:05", "2026-03-01T07:05:00-05:00"),
        ("1753-01-01 00:00:00", "10:00", None),
        ("1900-01-01 00:00:00", "", None),
        ("01/01/1900", "", None),
        ("2079-06-06 00:00:00", "", None),
        ("", "10:00", None),
    ],
)
def test_dates_without_zone_and_dates_that_are_none(day, clock, told):
    assert moment({"d": day, "h": clock}, "d", LIMA, "h") == told


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), ("  ROSA   ", "ROSA"), (b"\x01\xff", "01ff"), (True, "1"), (Decimal("1E+2"), "100"), (7.0, "7"),
        (2.5, "2.5"), (datetime(2026, 3, 1, 5, 6, 7, 89), "2026-03-01 05:06:07"), (date(2026, 3, 1), "2026-03-01"),  # noqa: DTZ001
        (time(7, 5), "07:05:00"), (timedelta(hours=7), "7:00:00"), ("A\x00\x07B\ud800", "AB"),
    ],
)  # fmt: skip
def test_cells_as_text(value, text):
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2,50", Decimal("2.50")),
        ("2.50", Decimal("2.50")),
        ("dos", None),
        ("-1", None),
        ("1e99", None),
        ("NaN", None),
    ],
)
def test_quantities(text, value):
    assert number(text) == value


def test_a_quantity_that_is_no_number_stays_words():
    case = a_case()
    case.dispenses = [
        Branch({"key": "1", "date": "2026-03-01"}, [{"key": "2", "code": "X", "quantity": "media"}])
    ]
    dispense = only(mapped(case)[-1], "MedicationDispense")[0]
    assert "quantity" not in dispense
    assert dispense["note"] == [{"text": "Cantidad: media"}]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"admitted_date": "ayer"}, "A-256"),
        ({"left_date": "2026-02-01"}, "A-292"),
        ({"left_date": "2026-03-01", "left_time": "07:00", "admitted_time": "08:00"}, "A-292"),
    ],
)
def test_impossible_attentions_are_refused(changes, code):
    patient, stay = mapped(a_case(**changes))
    assert isinstance(patient, Mapped)
    assert stay.refusal.code == code
    assert not stay.refusal.parks


def test_an_attention_without_a_patient_is_refused():
    case = a_case(patient=None)
    case.patient = {}
    assert codes(mapped(case)) == ["A-291"]
    case = a_case(patient="8")
    case.patient = {}
    assert codes(mapped(case)) == ["A-291"]


def test_a_key_that_names_two_rows_is_nobodys():
    case = a_case()
    case.is_repeated = True
    assert codes(mapped(case)) == ["A-291"]
    case = a_case()
    case.is_patient_repeated = True
    assert codes(mapped(case)) == ["A-291", "A-291"]


def test_an_attention_that_moved_is_withdrawn_from_its_former_patient_first():
    class Known(Nobody):
        def __call__(self, thing_key):
            return "paciente|99"

    outcomes = mapped(a_case(), Known())
    assert [item.record.patient_key for item in outcomes] == ["paciente|7", "paciente|99", "paciente|7"]
    withdrawn, told = (only(item, "Encounter")[0] for item in outcomes[1:])
    assert (withdrawn["status"], told["status"]) == ("entered-in-error", "finished")
    assert withdrawn["id"] != told["id"]
    assert withdrawn["subject"] != told["subject"]
    check_admitted(outcomes)


def test_an_allergy_is_the_patients():
    case = a_case()
    case.allergies = [{"key": "1", "words": "PENICILINA", "date": "2020-01-01 00:00:00"}, {"key": "2"}]
    patient, stay = mapped(case)
    assert [item["code"]["text"] for item in only(patient, "AllergyIntolerance")] == ["PENICILINA"]
    assert only(stay, "AllergyIntolerance") == []
    assert patient.record.states_all
    check_admitted([patient, stay])


def test_kept_records_can_be_mapped_again(cases):
    for outcome in (outcome for case in cases for outcome in mapped(case)):
        again = map_kept(HOSPITAL, outcome.record)
        assert type(again) is type(outcome)
        if isinstance(outcome, Mapped):
            assert [entry.resource for entry in again.entries] == [
                entry.resource for entry in outcome.entries
            ]
    assert codes(
        [map_kept(HOSPITAL, mapped(cases[0])[0].record.__class__("", "", "x", "", b"\xff", AT))]
    ) == ["A-259"]


def test_no_refusal_repeats_a_value(cases):
    for outcome in (outcome for case in cases for outcome in mapped(case)):
        if isinstance(outcome, Refused):
            assert "NN" not in outcome.refusal.text


TEXTS = st.one_of(
    st.sampled_from(["", "0", "1", "2", "9", "P", "D", "R", "A09", "A09X", "U999", "1753-01-01 00:00:00", "2026-03-01",
                     "2026-03-01 10:11:12", "31/12/2025", "24:61", "7:05", "01234567", "2,5", "ROSA", "R.N."]),
    st.text(max_size=10).map(as_text),
)  # fmt: skip


def rows_of(name):
    # As the reader gives them: no field is there that has no text.
    fields = st.dictionaries(
        st.sampled_from(sorted({"key", "changed_at", *KINDS[name].fields})), TEXTS, max_size=12
    )
    return fields.map(lambda row: {field: text for field, text in row.items() if text})


def branches_of(name):
    return st.lists(
        st.builds(Branch, rows_of(name), st.lists(rows_of(f"{name}_item"), max_size=2)), max_size=2
    )


CASES = st.builds(
    Case,
    attention=rows_of("attention").map(lambda row: {"key": "1", "patient": "7", **row}),
    patient=rows_of("patient").map(lambda row: {**row, "key": "7"}),
    allergies=st.lists(rows_of("allergy"), max_size=2),
    diagnoses=st.lists(rows_of("diagnosis"), max_size=3),
    orders=branches_of("order"),
    dispenses=branches_of("dispense"),
)


@settings(max_examples=150, deadline=None)
@given(CASES)
def test_any_rows_end_in_what_the_hub_admits_or_a_refusal(case):
    outcomes = mapped(case)
    assert len(outcomes) == 2
    check_admitted(outcomes)


FIRST, LAST = datetime(1905, 1, 1), datetime(2070, 1, 1)  # noqa: DTZ001 - columns have no zone
DAYS = st.datetimes(FIRST, LAST).map(lambda at: at.replace(microsecond=0, second=30))
CODES = st.from_regex(r"\A[A-T][0-9]{2}[0-9]?\Z")


@settings(max_examples=100, deadline=None)
@given(DAYS, DAYS, CODES, st.from_regex(r"\A[1-8][0-9]{7}\Z"), st.decimals(1, 999, places=2))
def test_every_date_code_and_quantity_is_found_again(admitted, born, code, dni, quantity):
    case = a_case(admitted_date=as_text(admitted))
    case.patient |= {"birth_date": as_text(born), "document": dni}
    case.diagnoses = [{"key": "1", "code": code, "certainty": "D"}]
    case.dispenses = [
        Branch(
            {"key": "1", "date": as_text(admitted)}, [{"key": "2", "code": dni, "quantity": str(quantity)}]
        )
    ]
    told = str([as_fhir(outcome) for outcome in mapped(case)])
    dotted = code if len(code) == 3 else f"{code[:3]}.{code[3:]}"
    for text in (
        admitted.isoformat(),
        born.date().isoformat(),
        f"'{dotted}'",
        f"'{code}'",
        dni,
        str(quantity),
    ):
        assert text in told


def test_the_simulator_has_what_the_delivered_map_names():
    names = set(METADATA.tables)
    for entity in HOSPITAL.column_map.entities.values():
        assert {entity.table, *(join.table for join in entity.joins)} <= names
