import pytest

from exchange.fhir.compartment import patient_parameters, patient_references
from exchange.fhir.definitions import RESOURCE_TYPES, search_parameters


def test_the_official_definition_is_used():
    assert patient_parameters("Observation") == ("subject", "performer")
    assert patient_parameters("Organization") == ()
    assert patient_parameters("Patient") == ("link",)
    assert sum(bool(patient_parameters(name)) for name in RESOURCE_TYPES) == 67


@pytest.mark.parametrize("resource_type", RESOURCE_TYPES)
def test_every_parameter_exists_and_nothing_gives_nothing(resource_type):
    assert set(patient_parameters(resource_type)) <= set(search_parameters(resource_type))
    assert patient_references({"resourceType": resource_type}) == []


@pytest.mark.parametrize(
    "text",
    [
        "Patient/1",
        "Patient/1/_history/2",
        "http://other.pe/fhir/Patient/1",
        "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
        "Patient?identifier=http://x|1",
    ],
)
@pytest.mark.parametrize("resource_type", ["Observation", "Condition", "Encounter", "Basic"])
def test_references_that_can_be_to_a_patient_count(resource_type, text):
    assert patient_references({"resourceType": resource_type, "subject": {"reference": text}}) == [text]


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "Group/1"},
        {"reference": "http://other.pe/fhir/Device/1"},
        {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "type": "Group"},
        {"reference": "#p"},
        {"reference": ""},
        {"reference": 5},
        {"display": "Patient/1"},
        {"type": "Patient", "identifier": {"value": "1"}},
        {},
        "Patient/1",
    ],
)
def test_references_that_cannot_be_do_not(reference):
    resource = {
        "resourceType": "Observation",
        "contained": [{"resourceType": "Patient", "id": "p"}],
        "subject": reference,
    }
    assert patient_references(resource) == []


def test_only_elements_of_the_compartment_count_and_each_text_once():
    observation = {
        "resourceType": "Observation",
        "subject": {"reference": "Patient/1"},
        "performer": [
            {"reference": "Patient/2"},
            {"reference": "Patient/1"},
            {"reference": "Practitioner/3"},
        ],
        "focus": [{"reference": "Patient/4"}],
        "extension": [{"url": "http://x", "valueReference": {"reference": "Patient/5"}}],
    }
    assert patient_references(observation) == ["Patient/1", "Patient/2"]


def test_resources_of_several_patients():
    group = {
        "resourceType": "Group",
        "member": [{"entity": {"reference": "Patient/1"}}, {"entity": {"reference": "Patient/2"}}],
    }
    assert patient_references(group) == ["Patient/1", "Patient/2"]
    linked = {"resourceType": "Patient", "id": "a", "link": [{"other": {"reference": "Patient/b"}}]}
    assert patient_references(linked) == ["Patient/b"]
