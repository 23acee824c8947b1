import pytest

from exchange.fhir.definitions import RESOURCE_TYPES, search_parameters
from exchange.fhir.path import compile_expression, composite_extractor, extractor

OBSERVATION = {
    "resourceType": "Observation",
    "id": "o1",
    "meta": {"lastUpdated": "2024-05-01T10:00:00Z", "tag": [{"code": "t"}]},
    "status": "final",
    "category": [{"coding": [{"code": "laboratory"}]}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2024-05-01",
    "valueQuantity": {"value": 12, "unit": "g/dL"},
    "component": [
        {"code": {"text": "a"}, "valueQuantity": {"value": 1}},
        {"code": {"text": "b"}, "valueCodeableConcept": {"text": "c"}},
        {"code": {"text": "d"}},
    ],
}


def select(expression, resource):
    return compile_expression(expression, resource["resourceType"])(resource)


def found_by_name(resource):
    return {parameter.name: found for parameter, found in extractor(resource["resourceType"])(resource)}


@pytest.mark.parametrize("resource_type", RESOURCE_TYPES)
def test_every_official_expression_compiles_for_each_of_its_types(resource_type):
    for parameter in search_parameters(resource_type).values():
        if parameter.expression:
            found = compile_expression(parameter.expression, resource_type)({"resourceType": resource_type})
            assert parameter.kind == "composite" or found in ([], [("boolean", False)])
    composite_extractor(resource_type)


def test_the_extractor_finds_everything_with_its_type():
    found = found_by_name(OBSERVATION)
    assert found["_id"] == [("id", "o1")]
    assert found["_lastUpdated"] == [("instant", "2024-05-01T10:00:00Z")]
    assert found["_tag"] == [("Coding", {"code": "t"})]
    assert found["status"] == [("code", "final")]
    assert found["code"] == [("CodeableConcept", OBSERVATION["code"])]
    assert len(found["combo-code"]) == 4
    assert found["date"] == [("dateTime", "2024-05-01")]
    assert found["patient"] == found["subject"] == [("Reference", {"reference": "Patient/p1"})]
    assert found["value-quantity"] == [("Quantity", OBSERVATION["valueQuantity"])]
    assert found["component-value-concept"] == [("CodeableConcept", {"text": "c"})]


def test_the_extractor_leaves_out_what_is_empty_composite_or_special():
    names = set(found_by_name(OBSERVATION))
    assert not names & {"encounter", "value-string", "code-value-quantity", "_text", "_content", "_query"}
    location = {"resourceType": "Location", "position": {"longitude": 1, "latitude": 2}}
    assert "near" not in found_by_name(location)


def test_composite_values_come_from_one_element():
    found = {p.name: values for p, values in composite_extractor("Observation")(OBSERVATION)}
    assert found["component-code-value-quantity"] == [
        ([("CodeableConcept", {"text": "a"})], [("Quantity", {"value": 1})])
    ]
    assert found["component-code-value-concept"] == [
        ([("CodeableConcept", {"text": "b"})], [("CodeableConcept", {"text": "c"})])
    ]
    assert len(found["combo-code-value-quantity"]) == 2
    assert "code-value-string" not in found


def test_composites_may_start_at_the_root():
    sequence = {
        "resourceType": "MolecularSequence",
        "referenceSeq": {"chromosome": {"text": "1"}, "windowStart": 1},
        "variant": [{"start": 5, "end": 9}],
    }
    found = {p.name: values for p, values in composite_extractor("MolecularSequence")(sequence)}
    assert found["chromosome-variant-coordinate"] == [
        ([("CodeableConcept", {"text": "1"})], [("integer", 5)], [("integer", 9)])
    ]


@pytest.mark.parametrize(
    ("reference", "is_patient"),
    [
        ({"reference": "Patient/1"}, True),
        ({"reference": "Patient/1/_history/2"}, True),
        ({"reference": "http://other.pe/fhir/Patient/1"}, True),
        ({"reference": "#p"}, True),
        ({"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "type": "Patient"}, True),
        ({"type": "Patient", "identifier": {"value": "1"}}, True),
        ({"reference": "Group/1"}, False),
        ({"reference": "Group/1", "type": "Patient"}, False),
        ({"reference": "#g"}, False),
        ({"reference": "#absent"}, False),
        ({"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}, False),
        ({"identifier": {"value": "1"}}, False),
        ({"display": "Patient/1"}, False),
        ({"reference": 5, "type": 6}, False),
    ],
)
def test_resolve_is_decided_by_what_the_reference_says(reference, is_patient):
    resource = {
        "resourceType": "Observation",
        "contained": [{"resourceType": "Patient", "id": "p"}, {"resourceType": "Group", "id": "g"}],
        "subject": reference,
    }
    found = select("Observation.subject.where(resolve() is Patient)", resource)
    assert found == ([("Reference", reference)] if is_patient else [])


@pytest.mark.parametrize(
    ("deceased", "answer"),
    [
        ({}, False),
        ({"deceasedBoolean": False}, False),
        ({"deceasedBoolean": True}, True),
        ({"deceasedDateTime": "2024"}, True),
    ],
)
def test_deceased(deceased, answer):
    patient = {"resourceType": "Patient", **deceased}
    assert select("Patient.deceased.exists() and Patient.deceased != false", patient) == [("boolean", answer)]
    assert found_by_name(patient)["deceased"] == [("boolean", answer)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Patient.telecom.where(system='email')", [("ContactPoint", {"system": "email", "value": "e"})]),
        ("telecom.where(system = 'phone').value", [("string", "p")]),
        ("Patient.telecom[1].value", [("string", "e")]),
        ("Patient.telecom[9]", []),
        ("Patient.name.given", [("string", "Ana"), ("string", "Luz")]),
        ("Patient.name.given.first()", [("string", "Ana")]),
        ("Patient.name.family | Observation.status", [("string", "Quispe")]),
        ("Patient.extension('http://x').value", [("code", "c")]),
        ("(Patient.extension('http://x').value as code)", [("code", "c")]),
        ("Patient.extension('http://x').value.ofType(Coding).code", []),
        ("Resource.id", [("id", "p1")]),
        ("$this.id", [("id", "p1")]),
        ("%resource.id", [("id", "p1")]),
        ("Patient.active.not()", [("boolean", False)]),
        ("Patient.active is boolean", [("boolean", True)]),
        ("Patient.active and name.exists()", [("boolean", True)]),
        ("gender = 'female' or gender = 'male'", [("boolean", True)]),
        ("Patient.birthDate", []),
        ("Patient.contained", [("Basic", {"resourceType": "Basic", "id": "b"})]),
        ("Patient.contained.ofType(Basic).id", [("id", "b")]),
        ("Patient.contained.ofType(Group)", []),
    ],
)
def test_the_language(expression, expected):
    patient = {
        "resourceType": "Patient",
        "id": "p1",
        "contained": [{"resourceType": "Basic", "id": "b"}],
        "extension": [{"url": "http://x", "valueCode": "c"}, {"url": "http://y", "valueCode": "d"}],
        "active": True,
        "gender": "female",
        "name": [{"family": "Quispe", "given": ["Ana", None, "Luz"]}],
        "telecom": [{"system": "phone", "value": "p"}, {"system": "email", "value": "e"}],
        "_birthDate": {"extension": [{"url": "http://x", "valueCode": "unknown"}]},
    }
    assert select(expression, patient) == expected


def test_booleans_and_numbers_are_not_confused():
    assert select("active = 1", {"resourceType": "Patient", "active": True}) == [("boolean", False)]


def test_the_first_entry_of_a_bundle_has_the_type_of_its_resource():
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": OBSERVATION}, {"resource": {"resourceType": "Basic"}}],
    }
    assert select("Bundle.entry[0].resource", bundle) == [("Observation", OBSERVATION)]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "Patient.",
        "Patient..name",
        "Patient.name[",
        "Patient.name[x]",
        "Patient.name.where(",
        "Patient.name as",
        "Patient.name)",
        "Patient.nonsense",
        "Patient.birthDate.year",
        "Observation.status",
        "Patient.name.repeat(given)",
        "Patient.name + 1",
        "iif(true, 1, 2)",
        "(" * 60 + "Patient" + ")" * 60,
        "Patient.name | " * 5000,
        "'unclosed",
    ],
)
def test_what_it_does_not_know_is_refused(expression):
    with pytest.raises(ValueError, match=r"."):
        compile_expression(expression, "Patient")


@pytest.mark.parametrize("bad", ["text", 5, True, None, [], {}, [[]], [None], [{}], ["text"], [[{}]]])
def test_structural_nonsense_is_passed_over(bad):
    for name in OBSERVATION:
        if name != "resourceType":
            extractor("Observation")({**OBSERVATION, name: bad})
            composite_extractor("Observation")({**OBSERVATION, name: bad})
    extractor("Encounter")(
        {"resourceType": "Encounter", "participant": bad, "contained": bad, "subject": {"reference": "#a"}}
    )
