"""No code of a source is taken for another's: not by its looks, not by a name that means something else."""

from __future__ import annotations

import pytest

from adapters.code_map import CodeMap
from adapters.secondary import map_message
from adapters.secondary.gather import Hospital
from adapters.source_record import Mapped, Origin
from tests.adapters.conftest import ID_KEY, LIMA, RENIPRESS, as_fhir, check_valid
from tests.adapters.test_eqhali import one

HOSPITAL = Hospital(Origin(RENIPRESS, RENIPRESS, "hl7v2", ID_KEY), LIMA, CodeMap())
PID = "PID|1||HC1^^^HOSP^MR||QUISPE^ROSA\r"


def told(kind, *segments):
    raw = f"MSH|^~\\&|A|B|C|D|20260301101500||{kind}|M1|P|2.5.1\r{PID}" + "\r".join(segments) + "\r"
    outcome = map_message(HOSPITAL, raw.encode(), "2026-03-02T00:00:00Z")
    assert isinstance(outcome, Mapped), outcome
    check_valid([outcome])
    return outcome


def only(outcome, kind):
    return [item for item in as_fhir(outcome) if item["resourceType"] == kind]


@pytest.mark.parametrize(
    ("reason", "code"), [("C01^CONTROL", None), ("C01^CONTROL^L", None), ("C01^TUMOR^I10", "C01")]
)
def test_a_reason_is_a_diagnosis_only_where_its_system_says_so(reason, code):
    """C01 is a consulting room's own number as often as a tumour of the tongue."""
    order = told("ORM^O01", "ORC|NW|P1", f"OBR|1|P1||718-7^HB^LN{'|' * 27}{reason}")
    visit = told("SIU^S12", f"SCH|1|2|||||{reason}||30|min|^^^20260401090000^20260401093000")
    for found in (*only(order, "ServiceRequest"), *only(visit, "Appointment")):
        codings = [
            coding
            for each in found["reasonCode"]
            for coding in each["coding"]
            if "icd-10" in coding["system"]
        ]
        assert [coding["code"] for coding in codings] == ([code] if code else [])
        assert ("meta" in found and "tag" in found["meta"]) == (code is None)


def test_a_diagnosis_without_a_system_is_cie10():
    stay = told("ADT^A01", "PV1|1|I|||||||||||||||||V1", "DG1|1||F101^ABUSO")
    assert only(stay, "Condition")[0]["code"]["coding"][0]["code"] == "F10.1"


def test_the_older_snomed_is_not_snomed_ct():
    result = told("ORU^R01", "OBR|1|P1||X^X^L", "OBX|1|CE|718-7^HB^LN||M-10000^NORMAL^SNM||||||F")
    value = only(result, "Observation")[0]["valueCodeableConcept"]
    assert all(coding["system"] != "http://snomed.info/sct" for coding in value["coding"])


def test_what_passes_as_text_of_a_pregnancy_is_counted():
    outcome = one(gestante="PUERPERA")
    [found] = only(outcome, "Observation")
    assert found["valueCodeableConcept"] == {"text": "PUERPERA"}
    assert found["meta"]["tag"][0]["code"] == "unmapped"
    assert ("gestante", "PUERPERA") in outcome.unmapped
