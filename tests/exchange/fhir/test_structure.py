import copy
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.fhir.definitions import RESOURCE_TYPES
from exchange.fhir.structure import MAX_ISSUES, structural_issues

SECRET = "QuispeMamani"
UNKNOWN = {
    "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    ]
}


def an_observation(**changes):
    observation = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2024-05-01",
        "valueQuantity": {"value": 12, "unit": "g/dL"},
    }
    observation |= changes
    return {key: value for key, value in observation.items() if value is not None}


def a_patient(**changes):
    return {"resourceType": "Patient", **changes}


def problems(resource):
    return [(issue.code, issue.expression) for issue in structural_issues(resource)]


@pytest.mark.parametrize(
    "resource",
    [
        an_observation(),
        an_observation(status=None, _status=UNKNOWN),
        an_observation(valueQuantity=None, valueString="a", _valueString=UNKNOWN),
        an_observation(valueQuantity=None, _valueDateTime=UNKNOWN),
        an_observation(component=[{"code": {"text": "a"}, "referenceRange": [{"text": "b"}]}]),
        an_observation(contained=[{"resourceType": "Patient", "id": "p"}], subject={"reference": "#p"}),
        a_patient(),
        a_patient(name=[{"given": ["Ana", None], "_given": [None, UNKNOWN]}]),
        a_patient(name=[{"_given": [UNKNOWN]}]),
        a_patient(_birthDate={"id": "b"}),
        a_patient(extension=[{"url": "http://x", "extension": [{"url": "y", "valueBoolean": True}]}]),
        a_patient(extension=[{"url": "http://x", "_valueString": UNKNOWN}]),
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": an_observation()}]},
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "a", "part": [{"name": "b", "valueInteger": 1}]}],
        },
        {
            "resourceType": "Condition",
            "subject": {"reference": "Patient/1"},
            "clinicalStatus": {
                "coding": [
                    {"system": "http://local", "code": "x"},
                    {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"},
                ]
            },
        },
    ],
)
def test_valid_resources_have_no_issues(resource):
    assert structural_issues(resource) == []


@pytest.mark.parametrize(
    ("resource", "code", "expression"),
    [
        ({}, "structure", "resourceType"),
        ({"resourceType": "Nonsense"}, "structure", "resourceType"),
        ({"resourceType": ["Patient"]}, "structure", "resourceType"),
        (an_observation(status=None), "required", "Observation.status"),
        (an_observation(code=None), "required", "Observation.code"),
        (an_observation(status="foo"), "code-invalid", "Observation.status"),
        (an_observation(status=""), "code-invalid", "Observation.status"),
        (an_observation(status={"a": 1}), "code-invalid", "Observation.status"),
        (an_observation(status=["final"]), "code-invalid", "Observation.status"),
        (an_observation(colour="red"), "structure", "Observation.colour"),
        (an_observation(value="a"), "structure", "Observation.value"),
        (an_observation(valueAddress={"text": "a"}), "structure", "Observation.valueAddress"),
        (an_observation(valueString="a"), "structure", "Observation.value"),
        (an_observation(_valueString=UNKNOWN), "structure", "Observation.value"),
        (an_observation(effectiveDateTime="soon"), "value", "Observation.effective"),
        (an_observation(effectiveDateTime="2024-02-30"), "value", "Observation.effective"),
        (an_observation(issued="2024-05-01"), "value", "Observation.issued"),
        (an_observation(code="718-7"), "structure", "Observation.code"),
        (an_observation(code={}), "structure", "Observation.code"),
        (an_observation(code=[{"text": "a"}]), "structure", "Observation.code"),
        (an_observation(category={"text": "a"}), "structure", "Observation.category"),
        (an_observation(category=[]), "structure", "Observation.category"),
        (an_observation(category=["a"]), "structure", "Observation.category[0]"),
        (an_observation(valueQuantity={"value": "12"}), "value", "Observation.value.value"),
        (
            an_observation(valueQuantity={"value": 1, "comparator": "=="}),
            "code-invalid",
            "Observation.value.comparator",
        ),
        (an_observation(component=[{"code": {"text": "a"}}, {}]), "structure", "Observation.component[1]"),
        (an_observation(component=[{"valueString": "a"}]), "required", "Observation.component[0].code"),
        (an_observation(id="a b"), "value", "Observation.id"),
        (an_observation(_id=UNKNOWN), "structure", "Observation._id"),
        (an_observation(_code=UNKNOWN), "structure", "Observation._code"),
        (an_observation(_status="a"), "structure", "Observation.status"),
        (an_observation(_status={}), "structure", "Observation.status"),
        (an_observation(_status=[UNKNOWN]), "structure", "Observation.status"),
        (an_observation(_status={"value": "a"}), "structure", "Observation.status.value"),
        (an_observation(contained=[{"id": "p"}]), "structure", "Observation.contained[0]"),
        (an_observation(contained=[{"resourceType": "Nonsense"}]), "structure", "Observation.contained[0]"),
        (
            an_observation(contained=[an_observation(status="foo")]),
            "code-invalid",
            "Observation.contained[0].status",
        ),
        (
            an_observation(contained=[a_patient(contained=[a_patient()])]),
            "structure",
            "Observation.contained[0]",
        ),
        (an_observation(code={"resourceType": "Patient"}), "structure", "Observation.code.resourceType"),
        (a_patient(extension=[{"valueString": "a"}]), "required", "Patient.extension[0].url"),
        (a_patient(extension=[{"url": "u", "_url": UNKNOWN}]), "structure", "Patient.extension[0]._url"),
        (
            a_patient(extension=[{"url": "u", "valueString": "a", "valueCode": "b"}]),
            "structure",
            "Patient.extension[0].value",
        ),
        (
            a_patient(extension=[{"url": "u", "valueNonsense": "a"}]),
            "structure",
            "Patient.extension[0].valueNonsense",
        ),
        (a_patient(active="true"), "value", "Patient.active"),
        (a_patient(birthDate=None), "value", "Patient.birthDate"),
        (a_patient(name=[None]), "structure", "Patient.name[0]"),
        (a_patient(name=[{"given": [None]}]), "structure", "Patient.name[0].given[0]"),
        (a_patient(name=[{"given": "Ana"}]), "structure", "Patient.name[0].given"),
        (a_patient(name=[{"given": ["Ana", ""]}]), "value", "Patient.name[0].given[1]"),
        (
            a_patient(name=[{"given": ["Ana"], "_given": [None, UNKNOWN]}]),
            "structure",
            "Patient.name[0].given",
        ),
        (a_patient(name=[{"_given": [None]}]), "structure", "Patient.name[0].given[0]"),
        (a_patient(name=[{"_given": UNKNOWN}]), "structure", "Patient.name[0].given"),
        (a_patient(name=[{"use": "stage"}]), "code-invalid", "Patient.name[0].use"),
        (a_patient(text={"status": "generated", "div": "<div><script/></div>"}), "value", "Patient.text.div"),
        (a_patient(multipleBirthInteger="1"), "value", "Patient.multipleBirth"),
        (
            {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [{"resource": an_observation(status="foo")}],
            },
            "code-invalid",
            "Bundle.entry[0].resource.status",
        ),
        (
            {
                "resourceType": "Condition",
                "subject": {"reference": "Patient/1"},
                "clinicalStatus": {"coding": [{"system": "http://local", "code": "active"}]},
            },
            "code-invalid",
            "Condition.clinicalStatus",
        ),
        (
            {
                "resourceType": "Condition",
                "subject": {"reference": "Patient/1"},
                "clinicalStatus": {"text": "active"},
            },
            "code-invalid",
            "Condition.clinicalStatus",
        ),
    ],
)
def test_invalid_resources_are_named_at_the_element(resource, code, expression):
    assert (code, expression) in problems(resource)


@pytest.mark.parametrize(
    "resource",
    [
        an_observation(status=SECRET),
        an_observation(id=SECRET + " "),
        an_observation(code={"coding": [{"code": SECRET + "\x0b"}]}),
        an_observation(effectiveDateTime=SECRET),
        an_observation(**{SECRET + " 12345678": 1}),
        an_observation(**{"x" * 65 + SECRET: 1}),
        {"resourceType": SECRET},
        an_observation(contained=[{"resourceType": SECRET}]),
    ],
)
def test_no_issue_repeats_a_value(resource):
    assert structural_issues(resource)
    assert SECRET not in repr(structural_issues(resource))


def test_at_most_twenty_issues_come_back_in_bounded_time():
    start = time.perf_counter()
    assert len(structural_issues(a_patient(name=["a"] * 500_000))) == MAX_ISSUES
    assert len(structural_issues(a_patient(**{f"x{i}": 1 for i in range(1000)}))) == MAX_ISSUES
    assert time.perf_counter() - start < 2


def test_a_resource_that_never_passed_parse_and_nests_without_end_is_refused():
    extension = {"url": "u"}
    for _ in range(100_000):
        extension = {"url": "u", "extension": [extension]}
    assert [issue.code for issue in structural_issues(a_patient(extension=[extension]))] == ["too-costly"]


@pytest.mark.parametrize("resource_type", RESOURCE_TYPES)
def test_every_type_has_a_check(resource_type):
    issues = structural_issues({"resourceType": resource_type, "nonsense": 1})
    assert ("structure", f"{resource_type}.nonsense") in [(issue.code, issue.expression) for issue in issues]


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "url", "coding", "code", "_x"]), inner)
    ),
    max_leaves=8,
)


@given(
    st.sampled_from(sorted(an_observation(category=[], component=[], contained=[], meta={}, _status={}))),
    junk,
)
def test_any_json_in_any_element_gives_issues_and_never_an_error(name, value):
    if name != "resourceType":
        resource = {**copy.deepcopy(an_observation()), name: value}
        assert isinstance(structural_issues(resource), list)
