"""R4's own invariants: each refuses what it is for and lets the rest be."""

from __future__ import annotations

import json
import random
import time

import pytest

from exchange.fhir.definitions import invariant_rows, shape_names
from exchange.fhir.fhirpath import EvaluationError, Item, compile_fhirpath, truth
from exchange.fhir.fhirpath.grammar import read
from exchange.fhir.fhirpath.quick import quick
from exchange.fhir.invariants import rules_of_element
from exchange.fhir.structure import structural_issues
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient

UNKNOWN = {"extension": [{"url": "http://x", "valueCode": "unknown"}]}
CODE = {"text": "a"}


def an(**more):
    told = an_observation("o1", "p1") | more
    return {name: value for name, value in told.items() if value is not None}


def keys(resource) -> list[str]:
    return [
        issue.diagnostics.partition(":")[0]
        for issue in structural_issues(resource)
        if issue.code == "invariant"
    ]


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("qty-3", an(valueQuantity={"value": 1, "code": "g", "system": "http://unitsofmeasure.org"}), an(valueQuantity={"value": 1, "code": "g"})),
        ("per-1", an(effectiveDateTime=None, effectivePeriod={"start": "2024-01-01", "end": "2024-01-01"}),
         an(effectiveDateTime=None, effectivePeriod={"start": "2024-01-02", "end": "2024-01-01T10:00:00Z"})),
        ("rng-2", an(valueQuantity=None, valueRange={"low": {"value": 1}, "high": {"value": 2}}), an(valueQuantity=None, valueRange={"low": {"value": 3}, "high": {"value": 2}})),
        ("rat-1", an(valueQuantity=None, valueRatio={"numerator": {"value": 1}, "denominator": {"value": 2}}), an(valueQuantity=None, valueRatio={"numerator": {"value": 1}})),
        ("sqt-1", an(referenceRange=[{"low": {"value": 1}}]), an(referenceRange=[{"low": {"value": 1, "comparator": "<"}}])),
        ("ext-1", an(extension=[{"url": "http://x", "_valueString": UNKNOWN}]), an(extension=[{"url": "http://x"}])),
        ("ext-1", an(extension=[{"url": "http://x", "extension": [{"url": "y", "valueCode": "a"}]}]),
         an(extension=[{"url": "http://x", "valueCode": "b", "extension": [{"url": "y", "valueCode": "a"}]}])),
        ("ref-1", an(contained=[{"resourceType": "Patient", "id": "p"}], subject={"reference": "#p"}), an(subject={"reference": "#p"})),
        ("cpt-2", a_patient("p1", telecom=[{"system": "phone", "value": "1"}]), a_patient("p1", telecom=[{"value": "1"}])),
        ("att-1", a_patient("p1", photo=[{"data": "YQ==", "contentType": "image/png"}]), a_patient("p1", photo=[{"data": "YQ=="}])),
        ("pat-1", a_patient("p1", contact=[{"name": {"text": "a"}}]), a_patient("p1", contact=[{"gender": "male"}])),
        ("obs-6", an(), an(dataAbsentReason=CODE)),
        ("obs-7", an(component=[{"code": {"coding": [{"system": "http://loinc.org", "code": "other"}]}}]),
         an(component=[{"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}}])),
        ("obs-3", an(referenceRange=[{"text": "a"}]), an(referenceRange=[{"age": {"low": {"value": 1}}}])),
        ("dom-3", an(contained=[{"resourceType": "Patient", "id": "p"}], subject={"reference": "#p"}), an(contained=[{"resourceType": "Patient", "id": "p"}])),
        ("dom-4", an(contained=[{"resourceType": "Patient", "id": "p", "meta": {"profile": ["http://x"]}}], subject={"reference": "#p"}),
         an(contained=[{"resourceType": "Patient", "id": "p", "meta": {"versionId": "1"}}], subject={"reference": "#p"})),
        ("org-2", {"resourceType": "Organization", "name": "a", "address": [{"use": "work"}]}, {"resourceType": "Organization", "name": "a", "address": [{"use": "home"}]}),
        ("org-1", {"resourceType": "Organization", "identifier": [{"value": "a"}]}, {"resourceType": "Organization", "active": True}),
        ("bdl-7", {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:a", "resource": a_patient("p1")}, {"fullUrl": "urn:b", "resource": a_patient("p2")}]},
         {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:a", "resource": a_patient("p1")}, {"fullUrl": "urn:a", "resource": a_patient("p2")}]}),
        ("tim-1", {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": {"reference": "Patient/a"}, "medicationCodeableConcept": CODE,
                   "dosageInstruction": [{"timing": {"repeat": {"duration": 1, "durationUnit": "d"}}}]},
         {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": {"reference": "Patient/a"}, "medicationCodeableConcept": CODE,
          "dosageInstruction": [{"timing": {"repeat": {"duration": 1}}}]}),
    ],
)  # fmt: skip
def test_a_rule_refuses_what_it_is_for(key, good, bad):
    assert keys(good) == []
    assert keys(bad) == [key]


def test_a_rule_is_told_by_key_text_and_place_without_any_value():
    [issue] = structural_issues(an(valueQuantity={"value": 7777, "code": "secret-unit"}))
    assert (issue.code, issue.severity, issue.expression) == ("invariant", "error", "Observation.value")
    assert issue.diagnostics.startswith("qty-3: ")
    assert "secret" not in issue.diagnostics
    assert "7777" not in issue.diagnostics


def test_rules_of_resources_inside_others_look_at_their_own():
    inner = an(subject={"reference": "#p"})
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "contained": None,
        "entry": [{"resource": inner}],
    }
    del bundle["contained"]
    assert keys(bundle) == ["ref-1"]
    inner["contained"] = [{"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": "#o"}},
                          {"resourceType": "Organization", "id": "o", "name": "a"}]  # fmt: skip
    assert keys(bundle) == [], "a contained resource refers to its neighbour"


def test_a_warning_is_no_reason_to_refuse():
    assert keys({"resourceType": "ValueSet", "status": "active", "name": "not a name"}) == []


def test_every_rule_compiles_or_says_why_not():
    rules = [rule for path in [*shape_names(), "Organization.telecom"] for rule in rules_of_element(path)]
    assert len(rules) > 220
    assert {rule.key for rule in rules if rule.expression is None} == {"ctm-1", "dom-3"}


def test_what_is_told_from_the_properties_alone_is_what_the_whole_expression_says():
    """Each rule, on objects with a random choice of its type's elements: quick answers agree with whole ones."""
    from exchange.fhir.definitions import primitive_patterns, shape

    chance = random.Random(5)
    compared = 0
    for path in shape_names():
        for _, _, expression, _ in invariant_rows(path):
            told = quick(read(expression), path)
            if told is None:
                continue
            whole = compile_fhirpath(expression)
            for _ in range(25):
                value = {}
                for element in shape(path).elements.values():
                    key, type_ = chance.choice(element.properties())
                    if chance.random() < 0.4:
                        one = _some(type_, chance) if type_ in primitive_patterns() else {"id": "x"}
                        value[key] = one if element.maximum == 1 else [one]
                answer = told(value)
                if answer is None:
                    continue
                item = Item(path, value)
                try:
                    assert truth(whole.evaluate(item, item, item)) == answer, (
                        path,
                        expression,
                        json.dumps(value),
                    )
                    compared += 1
                except EvaluationError:
                    continue
    assert compared > 1_500


def _some(type_: str, chance: random.Random):
    return {
        "boolean": chance.random() < 0.5,
        "integer": 3,
        "decimal": 2,
        "positiveInt": 1,
        "unsignedInt": 1,
    }.get(type_, chance.choice(["#a", "fixed", "instance", "2020-01-01"]))


def test_rules_do_not_make_a_large_resource_slow():
    concepts = [{"code": f"c{number}"} for number in range(20_000)]
    system = {"resourceType": "CodeSystem", "status": "active", "content": "complete", "concept": concepts}
    before = time.monotonic()
    assert keys(system) == []
    system["concept"].append({"code": "c7"})
    assert keys(system) == ["csd-1"]
    assert time.monotonic() - before < 10
