"""Benchmark bundles are valid R4, deterministic, of the asked size, and closed in their references."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from itertools import islice
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from exchange.demo.bundles import organizations, patient_bundles
from exchange.demo.region import build_region
from exchange.fhir import peru

REGION = build_region(seed=11, people=200, reference_date=date(2026, 6, 30))


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["reference"]] if isinstance(node.get("reference"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


def test_bundles_are_valid_r4() -> None:
    for bundle in islice(patient_bundles(REGION, resources_per_patient=60), 0, 200, 15):
        get_fhir_model_class("Bundle").model_validate(bundle)


def test_every_reference_is_in_the_bundle_or_an_organization() -> None:
    known = {f"Organization/{one['id']}" for one in organizations(REGION)}
    for bundle in islice(patient_bundles(REGION, resources_per_patient=60), 40):
        names = [entry["fullUrl"] for entry in bundle["entry"]]
        assert len(set(names)) == len(names)
        assert set(_references(bundle)) <= known | set(names)


@pytest.mark.parametrize("size", [2, 3, 10, 77, 400])
def test_size_is_exact(size: int) -> None:
    for bundle in islice(patient_bundles(REGION, resources_per_patient=size), 20):
        assert len(bundle["entry"]) == size


def test_a_bundle_needs_two() -> None:
    with pytest.raises(ValueError, match="at least one Encounter"):
        next(patient_bundles(REGION, resources_per_patient=1))


def test_mix_and_weight_are_realistic() -> None:
    kinds: Counter[str] = Counter()
    characters = 0
    for bundle in patient_bundles(REGION, resources_per_patient=100):
        for entry in bundle["entry"]:
            assert entry["request"] == {"method": "POST", "url": entry["resource"]["resourceType"]}
            kinds[entry["resource"]["resourceType"]] += 1
            characters += len(json.dumps(entry["resource"], ensure_ascii=False))
    total = sum(kinds.values())
    assert 0.5 < kinds["Observation"] / total < 0.7
    assert set(kinds) == {
        "Patient", "Encounter", "Observation", "Condition", "MedicationRequest", "DiagnosticReport",
        "Immunization", "Procedure", "ServiceRequest", "AllergyIntolerance",
    }  # fmt: skip
    assert 1000 < characters / total < 1600


def test_same_seed_same_bytes() -> None:
    told = [json.dumps(list(islice(patient_bundles(REGION, resources_per_patient=40), 15))) for _ in range(2)]
    assert told[0] == told[1]


def test_patients_carry_peruvian_names_and_documents() -> None:
    patients = [bundle["entry"][0]["resource"] for bundle in patient_bundles(REGION, resources_per_patient=2)]
    with_mother = [
        one
        for one in patients
        if any(e["url"] == peru.MOTHERS_FAMILY_EXTENSION for e in one["name"][0]["_family"]["extension"])
    ]
    assert len(with_mother) == len(patients)
    assert any(one["identifier"][0]["system"] == peru.DNI_SYSTEM for one in patients)
    assert {"urn:chasqui:ipress:00090011:hc"} & {i["system"] for one in patients for i in one["identifier"]}


def test_organizations_are_valid_and_in_loading_order() -> None:
    seen: set[str] = set()
    for one in organizations(REGION):
        get_fhir_model_class("Organization").model_validate(one)
        assert set(_references(one)) <= seen
        seen.add(f"Organization/{one['id']}")
    assert f"Organization/{peru.organization_id(REGION.primary.renipress)}" in seen
    assert len(seen) == len(REGION.facilities) + 9
