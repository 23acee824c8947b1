"""An institute's documents as FHIR."""

import base64
import hashlib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.code_map import CodeMap
from adapters.settings import IdentifierRule
from adapters.source_record import Mapped, Origin, Refused
from adapters.tertiary import Institute, map_document
from tests.adapters.conftest import GOLDEN, ID_KEY, LIMA, RENIPRESS, as_fhir, check_golden, check_valid

INSTITUTE = Institute(
    Origin(RENIPRESS, RENIPRESS, "ccda", ID_KEY), LIMA, CodeMap(), (IdentifierRule("hc", "2.25.99"),)
)
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "ccda"
DOCUMENT = (GOLDEN / "institute.xml").read_bytes()
AT = "2026-03-20T00:00:00Z"


def read(raw=DOCUMENT):
    return map_document(INSTITUTE, raw, AT)


def only(outcome, resource_type):
    assert isinstance(outcome, Mapped), outcome
    return [item for item in as_fhir(outcome) if item["resourceType"] == resource_type]


def test_the_reviewed_document():
    outcome = read()
    check_valid([outcome])
    check_golden("institute", [outcome])


@pytest.mark.skipif(not SHARED.is_dir(), reason="documents of other projects are not on this machine")
def test_documents_of_others_are_taken():
    outcomes = [read(path.read_bytes()) for path in sorted(SHARED.glob("*.xml"))]
    assert len(outcomes) == 4
    assert all(isinstance(outcome, Mapped) for outcome in outcomes)
    assert check_valid(outcomes) > 90
    names = {entry.resource["resourceType"] for outcome in outcomes for entry in outcome.entries}
    assert names >= {
        "Patient", "Encounter", "Condition", "AllergyIntolerance", "MedicationStatement", "Immunization",
        "Observation", "DiagnosticReport", "Procedure", "DocumentReference", "Binary", "Provenance",
    }  # fmt: skip


def test_the_document_is_kept_to_the_byte():
    outcome = read()
    binary, reference = only(outcome, "Binary")[0], only(outcome, "DocumentReference")[0]
    attachment = reference["content"][0]["attachment"]
    assert base64.b64decode(binary["data"]) == DOCUMENT
    assert attachment["size"] == len(DOCUMENT)
    assert base64.b64decode(attachment["hash"]) == hashlib.sha1(DOCUMENT).digest()
    assert attachment["url"] == f"Binary/{binary['id']}"
    patient = only(outcome, "Patient")[0]
    assert binary["securityContext"] == reference["subject"] == {"reference": f"Patient/{patient['id']}"}


def test_digits_surnames_and_birth_order_stay():
    outcome = read()
    assert only(outcome, "Observation")[0]["valueQuantity"]["value"] == Decimal("11.50")
    patient = only(outcome, "Patient")[0]
    assert patient["name"][0]["family"] == "ÑIQUE PAREDES"
    assert patient["multipleBirthInteger"] == 2
    assert [item["system"] for item in patient["identifier"]] == [
        "urn:oid:2.16.840.1.113883.4.904",
        f"urn:chasqui:ipress:{RENIPRESS}:hc",
    ]


def test_what_is_only_planned_did_not_happen():
    outcome = read()
    assert [item["code"]["text"] for item in only(outcome, "Procedure")] == ["Implante de lente intraocular"]
    # The procedure that is ordered, by its code; the medicine and the goal beside it.
    [request] = only(outcome, "ServiceRequest")
    assert (request["intent"], request["code"]["coding"][0]["code"]) == ("order", "X")
    [medicine] = only(outcome, "MedicationRequest")
    assert (medicine["intent"], medicine["medicationCodeableConcept"]["text"]) == ("plan", "Enalapril")
    [goal] = only(outcome, "Goal")
    assert goal["target"][0]["detailQuantity"]["value"] == Decimal("7.0")
    assert [item["medicationCodeableConcept"]["text"] for item in only(outcome, "MedicationStatement")] == [
        "Metformina"
    ]


def test_the_familys_illness_is_not_the_patients():
    outcome = read()
    [member] = only(outcome, "FamilyMemberHistory")
    assert member["condition"][0]["onsetAge"]["value"] == Decimal(48)
    assert sorted(item["code"]["coding"][0]["code"] for item in only(outcome, "Condition")) == [
        "E11.9",
        "I10",
    ]


def test_every_section_has_its_place():
    outcome = read()
    [whole] = only(outcome, "Composition")
    [document] = only(outcome, "DocumentReference")
    sections = {item["code"]["coding"][0]["code"]: item for item in whole["section"]}
    assert len(sections) == len(whole["section"]) == DOCUMENT.count(b"<section")
    # Words alone: the document has them, and its label.
    assert sections["8648-8"]["entry"] == [{"reference": f"DocumentReference/{document['id']}"}]
    assert "text" not in sections["8648-8"]
    # Nothing known is said so, and is not the same as none.
    assert sections["11369-6"]["emptyReason"]["coding"][0]["code"] == "unavailable"
    assert "entry" not in sections["11369-6"]
    inside = {entry["reference"] for item in whole["section"] for entry in item.get("entry", ())}
    apart = {"Patient", "Binary", "DocumentReference", "Composition", "Provenance"}
    made = {
        f"{item['resourceType']}/{item['id']}"
        for item in as_fhir(outcome)
        if item["resourceType"] not in apart
    }
    stay = document["context"]["encounter"][0]["reference"]
    assert inside - {f"DocumentReference/{document['id']}"} == made - {stay}
    assert document["relatesTo"][0]["code"] == whole["relatesTo"][0]["code"] == "replaces"


@pytest.mark.parametrize("mood", ["INT", "RQO", "PRP", "GOL", "DEF", "X"])
def test_no_mood_but_the_events_says_that_something_was(mood):
    """Whatever an entry is, only moodCode EVN tells of what was."""
    happened = {"Condition", "Observation", "Procedure", "Immunization", "FamilyMemberHistory", "Encounter"}
    raw = DOCUMENT.replace(b'moodCode="EVN"', f'moodCode="{mood}"'.encode())
    outcome = read(raw)
    told = {item["resourceType"] for item in as_fhir(outcome)}
    assert told & happened <= {"Encounter"}
    assert len(only(outcome, "Encounter")) == 1


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"</ClinicalDocument>", b"", "A-272"),
        (b"urn:hl7-org:v3", b"urn:other", "A-272"),
        (
            b"<ClinicalDocument",
            b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><ClinicalDocument',
            "A-272",
        ),
        (
            b"<ClinicalDocument",
            b'<!DOCTYPE a [<!ENTITY x "aa"><!ENTITY y "&x;&x;">]><ClinicalDocument',
            "A-272",
        ),
        (b"<ClinicalDocument", b'<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><ClinicalDocument', "A-272"),
        (b'<id root="2.25.77001" extension="D1"/>', b"", "A-273"),
        (b"recordTarget", b"otherTarget", "A-274"),
        (b'extension="01234567"', b'extension=""', None),
    ],
)
def test_bad_documents_are_refused_with_a_reason(old, new, code):
    outcome = read(DOCUMENT.replace(old, new))
    if code is None:
        assert isinstance(outcome, Mapped)
    else:
        assert outcome.refusal.code == code
        assert outcome.record.original == DOCUMENT.replace(old, new)


def test_deep_and_large_documents_are_refused():
    assert read(b"<a>" * 5000 + b"</a>" * 5000).refusal.code == "A-272"
    deep = b"<x>" * 200 + b"</x>" * 200
    assert read(DOCUMENT.replace(b"<title>", deep + b"<title>")).refusal.code == "A-272"
    assert read(DOCUMENT + b" " * 20_000_001).refusal.code == "A-271"


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(DOCUMENT) - 1), st.binary(max_size=20), st.integers(0, 60))
def test_any_damage_ends_in_valid_fhir_or_in_a_refusal(place, put, cut):
    outcome = read(DOCUMENT[:place] + put + DOCUMENT[place + cut :])
    assert isinstance(outcome, Mapped | Refused)
    check_valid([outcome])


VALUES = st.sampled_from(
    [b"", b"x", b"20261399", b"2026", b"1e9", b"-1", b"9" * 40, b"2.25.1", b"&#9;", b"active"]
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_attribute_values_end_in_valid_fhir_or_in_a_refusal(data):
    parts = DOCUMENT.split(b'"')
    for _ in range(data.draw(st.integers(1, 6))):
        parts[data.draw(st.integers(15, len(parts) // 2 - 2)) * 2 + 1] = data.draw(VALUES)
    check_valid([read(b'"'.join(parts))])
