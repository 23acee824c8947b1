"""What a FHIR server's resources become: the same facts under this site's names, in the national form, valid R4."""

from __future__ import annotations

import copy
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir_server import Server, map_resource, withdrawn
from adapters.settings.fhir_server import ALLOWED_TYPES, DEFAULT_TYPES
from adapters.settings.identifiers import IdentifierRule
from adapters.source_record import Mapped, Origin, Refused
from exchange.fhir import peru
from exchange.fhir.validate import check
from tests.adapters.conftest import GOLDEN, ID_KEY, RENIPRESS, as_fhir, check_golden, references

ORIGIN = Origin(RENIPRESS, "i00005196", "fhir", ID_KEY)
RULES = (IdentifierRule("dni", authority="http://clinica.example/dni"),)
BASE = "https://clinica.example/fhir"
SERVER = Server(ORIGIN, BASE, frozenset(DEFAULT_TYPES), RULES)
AT = "2026-03-06T12:00:00Z"
PATIENT = {
    "resourceType": "Patient", "id": "p1", "meta": {"versionId": "3", "lastUpdated": "2026-03-05T10:00:00-05:00"},
    "identifier": [{"system": "http://clinica.example/dni", "value": "04123456"}],
    "name": [{"family": "QUISPE MAMANI", "given": ["ROSA"]}], "gender": "female", "birthDate": "1978-02-14",
}  # fmt: skip
GLUCOSE = {
    "resourceType": "Observation", "id": "o1", "status": "final", "subject": {"reference": "Patient/p1"},
    "code": {"coding": [{"system": "http://loinc.org", "code": "2345-7"}]}, "effectiveDateTime": "2026-03-05",
    "encounter": {"reference": f"{BASE}/Encounter/e1/_history/2"},
    "performer": [{"reference": "Practitioner/9", "display": "Dra. Chávez"}],
    "valueQuantity": {"value": 5.50, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
}  # fmt: skip


def mapped(resource: dict | bytes, server: Server = SERVER):
    raw = resource if isinstance(resource, bytes) else json.dumps(resource).encode()
    return map_resource(server, raw, AT)


def told(resource: dict) -> dict:
    outcome = mapped(resource)
    assert isinstance(outcome, Mapped), outcome
    assert [issue for each in as_fhir(outcome) for issue in check(each)] == []
    return as_fhir(outcome)[0]


def but(resource: dict, **more) -> dict:
    return {**copy.deepcopy(resource), **more}


def test_the_reviewed_resources():
    lines = (GOLDEN / "fhir_server" / "clinic.ndjson").read_bytes().splitlines()
    outcomes = [mapped(line) for line in lines]
    assert [item.refusal.code for item in outcomes if isinstance(item, Refused)] == ["A-621", "A-623"]
    for outcome in outcomes:
        if isinstance(outcome, Mapped):
            assert [issue for each in as_fhir(outcome) for issue in check(each)] == []
    check_golden("fhir_server/clinic", outcomes)


def test_references_mean_what_they_meant():
    found = told(GLUCOSE)
    assert found["subject"] == {"reference": f"Patient/{SERVER.named('Patient', 'p1')}"}
    assert found["encounter"] == {"reference": f"Encounter/{SERVER.named('Encounter', 'e1')}"}
    assert found["performer"] == [{
        "display": "Dra. Chávez", "type": "Practitioner",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"{BASE}/Practitioner/9"},
    }]  # fmt: skip
    assert found["id"] == SERVER.named("Observation", "o1")
    assert found["identifier"][-1]["value"] == f"{BASE}/Observation/o1"


@pytest.mark.parametrize(
    "reference",
    [
        "https://otra.example/fhir/Patient/p1",
        "Patient?identifier=x",
        "urn:uuid:0c8e0a2e-0000-4000-8000-000000000000",
    ],
)
def test_a_reference_to_another_place_is_no_reference_of_ours(reference):
    outcome = mapped(but(GLUCOSE, performer=[{"reference": reference}]))
    assert isinstance(outcome, Mapped)
    assert "reference" not in as_fhir(outcome)[0]["performer"][0]
    assert isinstance(mapped(but(GLUCOSE, subject={"reference": reference})), Refused)


def test_what_is_contained_is_kept_and_its_references_too():
    contained = [{"resourceType": "Specimen", "id": "s", "subject": {"reference": "Patient/p1"}}]
    found = told(but(GLUCOSE, contained=contained, specimen={"reference": "#s"}))
    assert found["specimen"] == {"reference": "#s"}
    assert found["contained"][0]["id"] == "s"
    assert found["contained"][0]["subject"]["reference"].startswith("Patient/i00005196-")


def test_the_sources_own_times_and_labels():
    outcome = mapped(PATIENT)
    assert outcome.record.source_time == "2026-03-05T10:00:00-05:00"
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    found = told(but(GLUCOSE, meta={"versionId": "2", "security": [label], "source": "http://lis"}))
    assert found["meta"] == {"security": [label], "source": f"urn:chasqui:ipress:{RENIPRESS}:fhir"}


def test_a_patient_gets_the_national_form_and_loses_nothing():
    patient = but(
        PATIENT, maritalStatus={"text": "casada"}, extension=[{"url": "http://x/y", "valueString": "z"}]
    )
    found = told(patient)
    national, own, address = found["identifier"]
    assert (national["system"], national["value"]) == (peru.DNI_SYSTEM, "04123456")
    assert {"system": peru.PERSON_ID_TYPES, "code": "1"} in national["type"]["coding"]
    assert national["type"]["extension"][0]["url"] == peru.COUNTRY_EXTENSION
    assert own == PATIENT["identifier"][0]
    assert address["value"] == f"{BASE}/Patient/p1"
    surnames = {each["url"]: each["valueString"] for each in found["name"][0]["_family"]["extension"]}
    assert surnames[peru.MOTHERS_FAMILY_EXTENSION] == "MAMANI"
    assert found["name"][0]["family"] == "QUISPE MAMANI"
    assert (found["maritalStatus"], found["extension"]) == (patient["maritalStatus"], patient["extension"])
    assert found["managingOrganization"] == {"reference": f"Organization/ipress-{RENIPRESS}"}


def test_surnames_that_the_source_tells_apart_stay_as_they_are():
    beside = {"extension": [{"url": peru.MOTHERS_FAMILY_EXTENSIONS[1], "valueString": "DE LA CRUZ"}]}
    found = told(but(PATIENT, name=[{"family": "QUISPE DE LA CRUZ", "_family": beside}]))
    assert found["name"][0]["_family"]["extension"] == [
        {"url": peru.MOTHERS_FAMILY_EXTENSION, "valueString": "DE LA CRUZ"}
    ]


def test_a_document_of_the_national_system_keeps_its_type_and_period():
    own = {
        "use": "official", "system": peru.DNI_SYSTEM, "value": "04123456", "period": {"start": "2020-01-01"},
        "type": {"coding": [{"system": "http://x", "code": "DOC"}], "text": "Documento"},
    }  # fmt: skip
    national = told(but(PATIENT, identifier=[own]))["identifier"][0]
    assert national["period"] == own["period"]
    assert {"system": "http://x", "code": "DOC"} in national["type"]["coding"]
    assert national["type"]["text"] == "Documento"


@pytest.mark.parametrize("value", ["4123456", "00000000", "S/D"])
def test_what_is_no_dni_is_not_said_to_be_one(value):
    found = told(but(PATIENT, identifier=[{"system": "http://clinica.example/dni", "value": value}]))
    assert all(each.get("system") != peru.DNI_SYSTEM for each in found["identifier"])
    assert found["identifier"][0]["value"] == value


DIV = '<div xmlns="http://www.w3.org/1999/xhtml">glucosa 5.5</div>'


@pytest.mark.parametrize(
    ("status", "stays"), [("generated", False), ("extensions", False), ("additional", True)]
)
def test_a_narrative_that_repeats_the_data_is_left_out(status, stays):
    assert ("text" in told(but(GLUCOSE, text={"status": status, "div": DIV}))) is stays


@pytest.mark.parametrize(
    ("resource", "code", "element"),
    [
        (but(GLUCOSE, status="listo"), "A-621", "Observation.status"),
        (but(GLUCOSE, valor=1), "A-621", "Observation.valor"),
        (but(GLUCOSE, text={"status": "additional", "div": DIV.replace("glucosa", "<script/>")}), "A-621", "Observation.text.div"),
        (but(GLUCOSE, implicitRules="http://x"), "A-621", "Observation.implicitRules"),
        ({key: value for key, value in GLUCOSE.items() if key != "id"}, "A-621", "Observation.id"),
        ({"resourceType": "Observacion"}, "A-621", "resourceType"),
        (b"{", "A-621", ""),
        (b'{"resourceType":"Patient","id":"a","id":"b"}', "A-621", ""),
        (b"[" * 3000, "A-621", ""),
        (but(GLUCOSE, subject={"display": "Rosa"}), "A-623", "Observation"),
        (but(GLUCOSE, subject={"reference": "Group/1"}), "A-623", "Observation"),
        (but(PATIENT, birthDate="1978-13-40"), "A-621", "Patient.birthDate"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_names_its_element_and_no_value(resource, code, element):
    outcome = mapped(resource)
    assert isinstance(outcome, Refused)
    assert outcome.refusal.code == code
    assert element in outcome.refusal.location
    assert "QUISPE" not in outcome.refusal.text + outcome.refusal.location


def test_a_type_that_is_not_taken_is_refused():
    assert mapped({"resourceType": "Basic", "id": "x", "code": {"text": "y"}}).refusal.code == "A-621"


def test_digits_of_decimals_stay():
    raw = json.dumps(GLUCOSE).replace("5.5,", "5.500,").encode()
    assert as_fhir(mapped(raw))[0]["valueQuantity"]["value"].as_tuple() == Decimal("5.500").as_tuple()


def test_a_kept_resource_is_mapped_again_alike():
    outcome = mapped(GLUCOSE)
    again = mapped(outcome.record.original)
    assert [each.resource for each in again.entries] == [each.resource for each in outcome.entries]


def test_a_withdrawal_speaks_of_its_patient():
    found = withdrawn(SERVER, "Observation/o1", "Patient/p1", AT, AT)
    assert found.record.natural_key == mapped(GLUCOSE).record.natural_key
    assert [issue for each in as_fhir(found) for issue in check(each)] == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_refusal_or_a_resource(raw):
    assert isinstance(mapped(raw), Mapped | Refused)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12)
    | st.sampled_from(["Patient/p1", "#x", "final", "2026-01-01"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["reference", "coding", "code", "system", "value", "text", "extension", "family", "_family", "type"]), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([PATIENT, GLUCOSE]),
    st.dictionaries(st.sampled_from(["identifier", "name", "text", "contained", "meta", "subject", "performer", "link", "note"]), JSON),
)  # fmt: skip
def test_any_elements_end_in_what_the_hub_admits_or_in_a_refusal(resource, spoilt):
    outcome = mapped(but(resource, **spoilt))
    if isinstance(outcome, Mapped):
        assert [issue for each in as_fhir(outcome) for issue in check(each)] == []
        assert all(each.startswith(("#", "Patient/i0", "Encounter/i0", "Organization/", "Observation/i0"))
                   for each in references(as_fhir(outcome)))  # fmt: skip
    else:
        assert isinstance(outcome, Refused)
        assert outcome.refusal.code != "A-299"


@settings(max_examples=60, deadline=None)
@given(
    st.text(alphabet="abcdef0123456789-", min_size=1, max_size=10),
    st.decimals(min_value=0, max_value=1000, places=3),
    st.dates(),
)
def test_every_code_date_and_quantity_is_found_again(code, amount, day):
    resource = but(GLUCOSE, effectiveDateTime=day.isoformat())
    resource["code"]["coding"][0]["code"] = code
    raw = json.dumps(resource).replace("5.5,", f"{amount},").encode()
    found = as_fhir(mapped(raw))[0]
    assert found["code"]["coding"][0]["code"] == code
    assert found["effectiveDateTime"] == day.isoformat()
    assert found["valueQuantity"]["value"] == amount


def test_the_default_types_may_all_be_chosen():
    assert set(DEFAULT_TYPES) <= ALLOWED_TYPES
    assert not {"Consent", "AuditEvent", "Provenance", "Binary", "Bundle"} & ALLOWED_TYPES
