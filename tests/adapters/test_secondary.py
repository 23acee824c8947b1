"""A hospital's messages as FHIR."""

import base64
import hashlib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.code_map import CodeMap
from adapters.hl7v2.batch import split_messages
from adapters.secondary import map_message
from adapters.secondary.gather import Hospital
from adapters.settings import IdentifierRule
from adapters.source_record import Mapped, Origin, Refused
from exchange.fhir.validate import check
from tests.adapters.conftest import GOLDEN, ID_KEY, LIMA, RENIPRESS, as_fhir, check_golden, check_valid

HOSPITAL = Hospital(Origin(RENIPRESS, RENIPRESS, "hl7v2", ID_KEY), LIMA, CodeMap())
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "hl7v2"
AT = "2026-03-20T00:00:00Z"


def read(text, hospital=HOSPITAL):
    return map_message(hospital, text.replace("\n", "\r").encode(), AT)


def message(kind, *segments):
    return "\n".join([f"MSH|^~\\&|SIGH|H|C|G|20260315101500-0500||{kind}|1|P|2.5.1", *segments])


def check_admitted(outcomes):
    """What the hub itself would say of every resource."""
    for outcome in outcomes:
        if isinstance(outcome, Mapped):
            for resource in as_fhir(outcome):
                assert check(resource) == [], resource["resourceType"]


def only(outcome, resource_type):
    assert isinstance(outcome, Mapped), outcome
    return [item for item in as_fhir(outcome) if item["resourceType"] == resource_type]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("hospital", 8),
        ("hospital-orders", 5),
        ("hospital-appointments", 5),
        ("hospital-documents", 5),
        ("hospital-vaccines", 1),
    ],
)
def test_the_reviewed_messages(name, count):
    outcomes = [
        map_message(HOSPITAL, raw, AT) for raw in split_messages((GOLDEN / f"{name}.hl7").read_bytes())
    ]
    assert len(outcomes) == count
    check_valid(outcomes)
    check_admitted(outcomes)
    check_golden(name, outcomes)


def test_the_same_bytes_give_the_same_bytes():
    raw = split_messages((GOLDEN / "hospital.hl7").read_bytes())[1]
    first, second = (map_message(HOSPITAL, raw, AT) for _ in range(2))
    assert first.entries == second.entries
    assert first.record.message_id(ID_KEY) == second.record.message_id(ID_KEY)


@pytest.mark.skipif(not SHARED.is_dir(), reason="messages of other projects are not on this machine")
def test_messages_of_others_are_applied_or_refused_with_a_reason():
    files = sorted(SHARED.glob("*.hl7"))
    assert len(files) == 75
    outcomes = [map_message(HOSPITAL, path.read_bytes(), AT) for path in files]
    check_valid(outcomes)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert all(item.refusal.code.startswith("A-") and item.refusal.text for item in refused)
    assert not any(item.refusal.code == "A-299" for item in refused)
    assert len(outcomes) - len(refused) >= 40


PV1 = "PV1|1|{kind}|||||||||||||||||V1|||||||||||||||||||||||||20260315"


@pytest.mark.parametrize(
    ("trigger", "status"),
    [
        ("A01", "in-progress"),
        ("A02", "in-progress"),
        ("A03", "finished"),
        ("A04", "in-progress"),
        ("A11", "cancelled"),
        ("A13", "in-progress"),
    ],
)
def test_events_move_the_same_stay(trigger, status):
    outcome = read(
        message(f"ADT^{trigger}", f"EVN|{trigger}|20260316", "PID|1||1^^^^HC||A^B", PV1.format(kind="I"))
    )
    stay = only(outcome, "Encounter")[0]
    assert stay["status"] == status
    assert stay["class"]["code"] == "IMP"
    assert stay["id"] == HOSPITAL.origin.resource_id("Encounter", "visita|V1")


@pytest.mark.parametrize("trigger", ["A28", "A31"])
def test_person_events_have_no_stay(trigger):
    assert not only(read(message(f"ADT^{trigger}", "PID|1||1^^^^HC||A^B", PV1.format(kind="I"))), "Encounter")


@pytest.mark.parametrize(
    ("written", "family", "maternal", "given"),
    [
        ("GARCIA PEREZ^JUAN^CARLOS", "GARCIA PEREZ", "PEREZ", ["JUAN", "CARLOS"]),
        ("GARCIA&PEREZ^JUAN", "GARCIA PEREZ", "PEREZ", ["JUAN"]),
        ("DE LA CRUZ QUISPE^ANA", "DE LA CRUZ QUISPE", "QUISPE", ["ANA"]),
        ("QUISPE^ANA MARIA", "QUISPE", None, ["ANA", "MARIA"]),
        ("A B C^ANA", "A B C", None, ["ANA"]),
        ("RN^RN", None, None, None),
    ],
)
def test_surnames_are_told_apart_where_they_can_be(written, family, maternal, given):
    patient = only(read(message("ADT^A28", f"PID|1||1^^^^HC||{written}")), "Patient")[0]
    name = patient.get("name", [{}])[0]
    assert name.get("family") == family
    assert name.get("given") == given
    extension = name.get("_family", {}).get("extension", [{}])[0]
    assert extension.get("valueString") == maternal


def test_a_site_may_say_that_the_third_component_is_the_maternal_surname():
    hospital = replace(HOSPITAL, surname_order="maternal")
    patient = only(read(message("ADT^A28", "PID|1||1^^^^HC||GARCIA^JUAN^PEREZ"), hospital), "Patient")[0]
    assert patient["name"][0]["family"] == "GARCIA PEREZ"
    assert patient["name"][0]["given"] == ["JUAN"]


def test_identifiers_follow_the_sites_rules():
    hospital = replace(
        HOSPITAL, rules=(IdentifierRule("dni", authority="PADRON"), IdentifierRule("ignore", type="XX"))
    )
    ids = "01234567^^^PADRON^L~9^^^^XX~H1^^^LAB^MR~001122334^^^MIGRACIONES^CE~AB123^^^^PAS~123^^^RENIEC^DNI~00000000^^^^DNI"
    patient = only(read(message("ADT^A28", f"PID|1||{ids}||A^B"), hospital), "Patient")[0]
    found = [(item["system"].rpartition(":")[2], item["value"]) for item in patient["identifier"]]
    assert ("oid", "x") not in found
    assert [value for _, value in found] == ["01234567", "H1", "001122334", "AB123", "123"]
    assert found[0][0] == "2.16.840.1.113883.4.904"
    assert found[1][0] == "hc-lab"
    assert found[4][0] == "documento-sin-validar"


def test_a_mother_a_twin_and_a_missing_birth_date():
    patient = only(
        read(message("ADT^A28", "PID|1||1^^^^HC||A^B|ROJAS DIAZ^EVA|19000101|F||||||||||||||||Y|2")),
        "Patient",
    )[0]
    assert "birthDate" not in patient
    assert patient["multipleBirthInteger"] == 2
    assert patient["contact"][0]["name"]["family"] == "ROJAS DIAZ"


def pid(
    ids="1^^^^HC",
    born="20260314",
    mother="40111222^^^RENIEC^DNI",
    twin="",
    order="",
    mothers_name="ROJAS DIAZ^EVA",
):
    fields = [""] * 26
    fields[:6] = ["PID", "1", "", ids, "", "RN^RN"]
    fields[6], fields[7], fields[21], fields[24], fields[25] = mothers_name, born, mother, twin, order
    return "|".join(fields).rstrip("|")


def mother_of(patient):
    (contact,) = patient["contact"]
    assert contact["relationship"][0]["coding"] == [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH"}
    ]
    return contact


def test_a_newborn_carries_its_mother_beside_it_and_not_as_itself():
    outcome = read(message("ADT^A28", pid(order="2", twin="Y")))
    check_valid([outcome])
    patient = only(outcome, "Patient")[0]
    mother = mother_of(patient)
    assert mother["name"]["family"] == "ROJAS DIAZ"
    (extension,) = mother["extension"]
    assert extension["url"] == "urn:chasqui:pe:mother-identifier"
    assert extension["valueIdentifier"]["system"] == "urn:oid:2.16.840.1.113883.4.904"
    assert extension["valueIdentifier"]["value"] == "40111222"
    assert patient["multipleBirthInteger"] == 2
    assert [item["value"] for item in patient["identifier"]] == ["1"]


def test_a_mother_without_a_name_is_known_by_her_document():
    outcome = read(message("ADT^A28", pid(mothers_name="")))
    check_valid([outcome])
    mother = mother_of(only(outcome, "Patient")[0])
    assert mother["name"]["extension"][0]["valueCode"] == "unknown"
    assert mother["extension"][0]["valueIdentifier"]["value"] == "40111222"


def test_the_mothers_document_in_the_newborns_own_field_is_still_the_mothers():
    outcome = read(message("ADT^A28", pid(ids="1^^^^HC~40111222^^^RENIEC^DNI")))
    patient = only(outcome, "Patient")[0]
    assert [item["value"] for item in patient["identifier"]] == ["1"]
    assert mother_of(patient)["extension"][0]["valueIdentifier"]["value"] == "40111222"
    assert outcome.record.patient_key == "hc|1"


def test_a_newborn_filed_by_its_mothers_document_is_neither_her_nor_its_twin():
    def key(**more):
        outcome = read(message("ADT^A28", pid(ids="40111222^^^RENIEC^DNI", **more)))
        check_valid([outcome])
        assert "identifier" not in only(outcome, "Patient")[0]
        return outcome.record.patient_key

    her = read(message("ADT^A28", "PID|1||40111222^^^RENIEC^DNI||ROJAS DIAZ^EVA")).record.patient_key
    keys = [key(), key(twin="Y", order="1"), key(twin="Y", order="2"), key(born="20250101")]
    assert keys[0] == keys[1]
    assert len({her, *keys}) == 4


@pytest.mark.parametrize("more", [{"born": ""}, {"born": "19000101"}, {"twin": "Y"}])
def test_a_newborn_that_could_be_another_child_is_held(more):
    outcome = read(message("ADT^A28", pid(ids="40111222^^^RENIEC^DNI", **more)))
    assert (outcome.refusal.code, outcome.refusal.reason_class) == ("A-234", "identity")


def test_a_grown_person_whose_own_document_stands_as_the_mothers_keeps_it():
    patient = only(
        read(message("ADT^A28", pid(ids="1^^^^HC~40111222^^^RENIEC^DNI", born="19800101"))), "Patient"
    )[0]
    assert [item["value"] for item in patient["identifier"]] == ["1", "40111222"]
    assert "extension" not in mother_of(patient)


def test_a_document_is_kept_to_the_byte_in_its_patients_record():
    words = "Paciente de alta.", "Control en 7 días: ñandú."
    outcome = read(
        message(
            "MDM^T02", "PID|1||1^^^^HC||A^B", "TXA|1|EP^Epicrisis|TX|20260317||||||||DOC1",
            *(f"OBX|{number}|TX|||{text}" for number, text in enumerate(words, 1)),
        )
    )  # fmt: skip
    check_valid([outcome])
    binary, reference = only(outcome, "Binary")[0], only(outcome, "DocumentReference")[0]
    patient = only(outcome, "Patient")[0]
    content = base64.b64decode(binary["data"])
    assert content == "\n".join(words).encode()
    assert binary["securityContext"] == reference["subject"] == {"reference": f"Patient/{patient['id']}"}
    attachment = reference["content"][0]["attachment"]
    assert "data" not in attachment
    assert attachment["url"] == f"Binary/{binary['id']}"
    assert attachment["contentType"] == binary["contentType"]
    assert attachment["size"] == len(content)
    assert base64.b64decode(attachment["hash"]) == hashlib.sha1(content).digest()


def test_a_merge_points_from_the_old_record_to_the_one_that_stays():
    outcome = read(message("ADT^A40", "PID|1||NEW^^^^HC||A^B", "MRG|OLD^^^^HC"))
    new, old = only(outcome, "Patient")
    assert old["active"] is False
    assert old["link"] == [{"other": {"reference": f"Patient/{new['id']}"}, "type": "replaced-by"}]
    assert outcome.record.merged_patient_key == "hc|OLD"


@pytest.mark.parametrize(
    ("segments", "code", "reason_class"),
    [
        (["EVN|A01"], "A-231", "identity"),
        (["PID|1||||A^B"], "A-232", "identity"),
        (["PID|1||00000000^^^^DNI||A^B"], "A-232", "identity"),
    ],
)
def test_a_patient_that_nobody_can_know_is_held(segments, code, reason_class):
    outcome = read(message("ADT^A01", *segments))
    assert (outcome.refusal.code, outcome.refusal.reason_class) == (code, reason_class)


@pytest.mark.parametrize(
    "kind",
    ["SIU^S18", "RDE^O11", "DFT^P03", "MDM^T03", "MDM^T07", "ORM^O02", "CUSTOM^PAT", "ADT^Z99", "", "ADT"],
)
def test_types_that_are_not_kept_are_refused_without_holding_the_patient(kind):
    outcome = read(message(kind, "PID|1||1^^^^HC||A^B"))
    assert outcome.refusal.code == "A-221"
    assert not outcome.refusal.parks


def values(*segments):
    text = message("ORU^R01", "PID|1||1^^^^HC||A^B", "OBR|1||F1|718-7^X^LN|||20260315", *segments)
    return only(read(text), "Observation")


@pytest.mark.parametrize(
    ("segment", "key", "value"),
    [
        ("OBX|1|NM|1^X^LN||98.00|mg/dL|||||F", "valueQuantity", {"value": Decimal("98.00"), "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"}),
        ("OBX|1|NM|1^X^LN||7,5|furlong|||||F", "valueQuantity", {"value": Decimal("7.5"), "unit": "furlong"}),
        ("OBX|1|NM|1^X^LN||<5||||||F", "valueQuantity", {"value": 5, "comparator": "<"}),
        ("OBX|1|NM|1^X^LN||positivo||||||F", "valueString", "positivo"),
        ("OBX|1|SN|1^X^LN||^1^:^128||||||F", "valueRatio", {"numerator": {"value": 1}, "denominator": {"value": 128}}),
        ("OBX|1|SN|1^X^LN||^2^-^4|g|||||F", "valueRange", {"low": {"value": 2, "unit": "g", "system": "http://unitsofmeasure.org", "code": "g"}, "high": {"value": 4, "unit": "g", "system": "http://unitsofmeasure.org", "code": "g"}}),
        ("OBX|1|DT|1^X^LN||20260102||||||F", "valueDateTime", "2026-01-02"),
        ("OBX|1|TM|1^X^LN||0830||||||F", "valueTime", "08:30:00"),
        ("OBX|1|ST|1^X^LN||a\\T\\b~c||||||F", "valueString", "a&b\nc"),
    ],
)  # fmt: skip
def test_values_by_their_type(segment, key, value):
    assert values(segment)[0][key] == value


def test_a_missing_value_is_said_to_be_missing():
    assert values("OBX|1|NM|1^X^LN||||||||F")[0]["dataAbsentReason"]["coding"][0]["code"] == "unknown"


def test_a_correction_keeps_the_id_of_what_it_corrects():
    final, corrected = values("OBX|1|NM|1^X^LN||5||||||F")[0], values("OBX|1|NM|1^X^LN||6||||||C")[0]
    assert final["id"] == corrected["id"]
    assert corrected["status"] == "corrected"


def test_a_result_does_not_rewrite_what_admission_knows():
    outcome = read(message("ORU^R01", "PID|1||1^^^^HC||A^B", "OBR|1||F1|1^X^LN", "OBX|1|ST|1^X^LN||a"))
    patient = next(entry for entry in outcome.entries if entry.resource["resourceType"] == "Patient")
    assert patient.only_if_absent


def test_an_unknown_code_stays_text_is_flagged_and_counted():
    outcome = read(
        message(
            "ADT^A01", "PID|1||1^^^^HC||A^B", PV1.format(kind="I"), "DG1|1||L77^Mal de altura^L||20260315|F"
        )
    )
    condition = only(outcome, "Condition")[0]
    assert condition["code"]["text"] == "Mal de altura"
    assert all("icd" not in coding["system"] for coding in condition["code"]["coding"])
    assert condition["meta"]["tag"][0]["code"] == "unmapped"
    assert outcome.unmapped == (("diagnosis", "L77"),)


SEGMENTS = st.sampled_from(
    ["PID", "PV1", "DG1", "AL1", "OBR", "OBX", "NTE", "RXA", "ORC", "MRG", "TXA", "EVN", "ZZZ"]
)
FIELD = st.text('AZaz09 ^~&\\|<>.-+/"ñ', max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["ADT^A01", "ADT^A08", "ADT^A40", "ORU^R01", "VXU^V04", "MDM^T02"]),
    st.lists(st.tuples(SEGMENTS, st.lists(FIELD, max_size=25)), max_size=8),
)
def test_any_segments_end_in_valid_fhir_or_in_a_refusal(kind, segments):
    lines = ["|".join([name, *fields]) for name, fields in segments]
    outcome = read(message(kind, "PID|1||77^^^^HC||A^B", *lines))
    assert isinstance(outcome, Mapped | Refused)
    check_valid([outcome])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_end_in_a_record(raw):
    assert map_message(HOSPITAL, raw, AT).record.original == raw
