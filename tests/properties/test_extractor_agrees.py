"""What search extracts, and what invariants say, agree with another implementation of FHIRPath.

A part of the official examples each time; `python -m tests.properties.extractor` compares all of them (135,000 cases).
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import pytest
from fhirpathpy import compile as compile_other
from fhirpathpy.models import models

from exchange.fhir.definitions import RESOURCE_TYPES, invariant_rows
from exchange.fhir.fhirpath import Item, compile_fhirpath, truth
from exchange.fhir.path import compile_expression
from exchange.fhir.resource import parse
from tests.properties import extractor
from tests.sample import official

LEFT_OUT = {"dom-3", "ctm-1"}

pytestmark = pytest.mark.skipif(official.archive() is None, reason=official.ABSENT)


def test_what_search_extracts_is_what_the_other_finds():
    cases, types, found = 0, set(), set()
    for name, text in extractor.examples(most_of_a_type=3):
        types.add(name.partition("-")[0])
        for parameter, ours, theirs in extractor.compare(text):
            assert ours == theirs, f"{parameter} of {name}"
            cases += 1
            if ours:
                found.add((name.partition("-")[0], parameter))
    assert cases >= 5_000
    assert len(types) > 60
    assert len(found) > 350, "comparing nothing with nothing is no comparison"


def test_the_comparison_would_see_a_difference():
    text = b'{"resourceType":"Patient","id":"a","name":[{"family":"Quispe"}],"deceasedBoolean":true}'
    told = {name: (ours, theirs) for name, ours, theirs in extractor.compare(text)}
    assert told["family"] == (['"Quispe"'], ['"Quispe"'])
    assert told["deceased"] == (["true"], ["true"])
    other = extractor._other("Patient.name.given", "Patient")(parse(text), parse(text))
    assert extractor._told(other) != told["family"][0]


def test_every_expression_can_be_given_to_the_other():
    compared = sum(len(extractor.parameters(kind)) for kind in RESOURCE_TYPES)
    assert compared > 1_375
    for kind in RESOURCE_TYPES:
        for parameter in extractor.parameters(kind):
            compile_expression(parameter.expression, kind)
            assert " as " not in extractor.rewritten(parameter.expression, kind)


def test_invariants_say_what_the_other_says():
    compared = 0
    for name, text in extractor.examples(most_of_a_type=3):
        resource = parse(text)
        kind = resource["resourceType"]
        for path in (kind, "DomainResource"):
            for key, _, expression, _ in invariant_rows(path):
                if key in LEFT_OUT:
                    continue
                try:
                    theirs = _other(expression.replace(".trace('ids')", ""))(deepcopy(resource))
                except Exception:  # noqa: BLE001 - what the other cannot evaluate is not compared
                    continue
                ours = truth(compile_fhirpath(expression).evaluate(Item(kind, resource)))
                assert ours == (theirs[0] if theirs else None), f"{key} of {name}"
                compared += 1
    assert compared > 1_200


@cache
def _other(expression: str):
    return compile_other(expression, models["r4"])
