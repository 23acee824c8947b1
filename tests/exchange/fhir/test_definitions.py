import pytest

from exchange.fhir import definitions
from exchange.fhir.definitions import build


def test_there_are_146_concrete_resource_types_with_codes_of_their_own():
    codes = [definitions.type_code(name) for name in definitions.RESOURCE_TYPES]
    assert len(codes) == len(set(codes)) == 146
    assert min(codes) == 1


@pytest.mark.parametrize(
    ("name", "code"),
    [("Account", 1), ("Encounter", 44), ("Observation", 96), ("Patient", 103), ("VisionPrescription", 146)],
)
def test_stored_type_codes_never_change(name, code):
    assert definitions.type_code(name) == code
    assert definitions.type_name(code) == name


@pytest.mark.parametrize(
    "name", ["Resource", "DomainResource", "SubscriptionStatus", "HumanName", "patient", ""]
)
def test_abstract_later_and_unknown_types_have_no_code(name):
    assert not definitions.is_resource_type(name)
    with pytest.raises(KeyError):
        definitions.type_code(name)
    with pytest.raises(KeyError):
        definitions.search_parameters(name)


def test_search_parameters_include_those_of_resource_and_domain_resource():
    found = definitions.search_parameters("Observation")
    assert {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source", "_text", "_content"} <= set(
        found
    )
    assert found["code"].kind == "token"
    assert found["subject"].targets
    assert found["code-value-quantity"].components[1][1] == "value.as(Quantity)"
    assert "_text" not in definitions.search_parameters("Binary")


def test_only_official_parameters_are_taken():
    every = {p.url for t in definitions.RESOURCE_TYPES for p in definitions.search_parameters(t).values()}
    assert len(every) == 1377
    assert all(url.startswith("http://hl7.org/fhir/SearchParameter/") for url in every)


def test_shapes_inherit_and_choices_spell_their_properties():
    observation = definitions.shape("Observation")
    assert observation.elements["meta"].types == ("Meta",)
    assert observation.elements["id"].types == ("id",)
    assert ("valueQuantity", "Quantity") in observation.elements["value[x]"].properties()
    assert observation.elements["component"].types == ("Observation.component",)
    assert observation.elements["status"].minimum == 1
    assert "modifierExtension" in definitions.shape("Observation.component").elements


def test_types_that_the_source_package_carries_in_a_later_shape_are_r4():
    assert "exposureBackground" in definitions.shape("Evidence").elements
    assert "variableDefinition" not in definitions.shape("Evidence").elements
    assert definitions.shape("EvidenceVariable").elements["characteristic"].minimum == 1


def test_every_type_of_every_element_is_known():
    patterns = definitions.primitive_patterns()
    for name in definitions.RESOURCE_TYPES:
        for element in definitions.shape(name).elements.values():
            assert element.types
            for each in element.types:
                assert each in patterns or definitions.shape(each)


def test_subtypes():
    assert definitions.is_subtype("Age", "Quantity")
    assert definitions.is_subtype("code", "string")
    assert definitions.is_subtype("Observation", "Resource")
    assert not definitions.is_subtype("Quantity", "Age")
    assert not definitions.is_subtype("nothing", "Resource")


def test_required_value_sets_are_enumerated():
    status = definitions.shape("Observation").elements["status"].value_set
    assert "final" in definitions.value_set_codes(status)
    assert "foo" not in definitions.value_set_codes(status)
    clinical = definitions.shape("Condition").elements["clinicalStatus"].value_set
    assert (
        "http://terminology.hl7.org/CodeSystem/condition-clinical",
        "active",
    ) in definitions.value_set_codings(clinical)


def test_new_types_are_numbered_after_the_stored_ones():
    codes = build.numbered([*definitions.RESOURCE_TYPES, "AaaNew"])
    assert codes["AaaNew"] == 147
    assert codes["Account"] == 1
