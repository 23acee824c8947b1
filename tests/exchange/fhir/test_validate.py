import pytest

from exchange.fhir.resource import parse
from exchange.fhir.validate import check

PATIENT = b'{"resourceType":"Patient","birthDate":"1990-02-28","name":[{"family":"Quispe"}]}'
UNKNOWN = {
    "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    ]
}


@pytest.mark.parametrize("model_check", [True, False])
def test_a_valid_resource_has_no_issue(model_check):
    assert check(parse(PATIENT), model_check=model_check) == []


@pytest.mark.parametrize("model_check", [True, False])
def test_an_invalid_one_has_and_required_bindings_count(model_check):
    observation = {"resourceType": "Observation", "status": "foo", "code": {"text": "a"}}
    assert [issue.expression for issue in check(observation, model_check=model_check)] == [
        "Observation.status"
    ]


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Patient", "extension": [{"url": "http://x", "_valueString": UNKNOWN}]},
        {"resourceType": "MedicinalProductInteraction", "description": "a"},
        {
            "resourceType": "Evidence",
            "status": "draft",
            "exposureBackground": {"reference": "EvidenceVariable/1"},
        },
        {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": {"resourceType": "MedicinalProductInteraction", "description": "a"}}],
        },
        {
            "resourceType": "Basic",
            "code": {"text": "a"},
            "contained": [{"resourceType": "SubstanceProtein", "id": "p", "numberOfSubunits": 1}],
            "subject": {"reference": "#p"},
        },
    ],
)
def test_what_only_the_r4b_model_refuses_is_valid_r4(resource):
    assert check(resource) == []


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Evidence", "status": "draft"},
        {"resourceType": "Evidence", "status": "draft", "variableDefinition": []},
        {"resourceType": "MedicinalProductInteraction", "nonsense": 1},
        {"resourceType": "SubscriptionStatus", "status": "active"},
    ],
)
def test_types_without_a_model_are_still_checked(resource):
    assert check(resource)


def test_digits_of_decimals_do_not_disturb_the_model():
    text = (
        b'{"resourceType":"Observation","status":"final","code":{"text":"a"},"valueQuantity":{"value":1.10}}'
    )
    assert check(parse(text)) == []


def test_space_in_codes_is_that_of_fhirs_patterns_not_pythons():
    system = {
        "resourceType": "CodeSystem",
        "status": "draft",
        "content": "complete",
        "concept": [{"code": "a\u00a0"}],
    }
    assert check(system) == []
    system["concept"][0]["code"] = "a "
    assert [issue.expression for issue in check(system)] == ["CodeSystem.concept[0].code"]
