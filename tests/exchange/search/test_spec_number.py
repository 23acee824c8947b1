"""R4's number search: https://hl7.org/fhir/R4/search.html#number, #prefix."""

from __future__ import annotations

import json

import pytest

from tests.exchange.search.asking import a_shelf, found, refused
from tests.sample.patient import a_patient

# Stored as decimals, written as they stand: the search's precision counts, not theirs.
FACTORS = {"a": "95", "b": "99.5", "c": "99.994", "d": "99.995", "e": "100", "f": "100.004", "g": "100.005",
                 "h": "100.499", "i": "100.5", "j": "104.99", "k": "105", "m": "0.8", "n": "0.85", "o": "-1"}  # fmt: skip


def _charge(name: str, factor: float) -> dict:
    return {
        "resourceType": "ChargeItem", "id": name, "status": "billable", "code": {"text": "x"},
        "subject": {"reference": "Patient/p"}, "factorOverride": factor,
    }  # fmt: skip


def _risk(name: str, **prediction) -> dict:
    return {
        "resourceType": "RiskAssessment", "id": name, "status": "final", "subject": {"reference": "Patient/p"},
        "prediction": [prediction],
    }  # fmt: skip


def _sequence(name: str, start: int) -> dict:
    return {
        "resourceType": "MolecularSequence",
        "id": name,
        "coordinateSystem": 1,
        "variant": [{"start": start}],
    }


def _range(low=None, high=None) -> dict:
    ends = {"low": low, "high": high}
    return {
        "probabilityRange": {
            key: {"value": value, "unit": "%"} for key, value in ends.items() if value is not None
        }
    }


@pytest.fixture(scope="module")
def post(server):
    charges = [_charge(name, json.loads(value)) for name, value in FACTORS.items()]
    ranges = [
        _risk("r1", **_range(20, 30)),
        _risk("r2", **_range(low=90)),
        _risk("r3", **_range(high=50)),
        _risk("r4", probabilityDecimal=25),
        _risk("none", qualitativeRisk={"text": "high"}),
    ]
    sequences = [_sequence("d1", 1), _sequence("d2", 2), _sequence("d3", 3)]
    with a_shelf(server, a_patient("p"), *charges, *ranges, *sequences) as caller:
        yield caller


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        # what is written says how exact it is: [99.5, 100.5), [99.995, 100.005), [95, 105)
        ("100", "b c d e f g h"), ("100.00", "d e f"), ("1e2", "a b c d e f g h i j"), ("1.00e2", "b c d e f g h"), ("eq100", "b c d e f g h"),
        ("0.8", "m"), ("8e-1", "m"), ("0.80", "m"), ("1", "m n"), ("-1", "o"), ("+100", "b c d e f g h"),
        # every other prefix takes it as it stands
        ("lt100", "a b c d m n o"), ("le100", "a b c d e m n o"), ("gt100", "f g h i j k"), ("ge100", "e f g h i j k"), ("gt0.8", "a b c d e f g h i j k n"),
        ("gt8e-1", "a b c d e f g h i j k n"), ("ge105.000", "k"), ("lt-0.9", "o"), ("sa100", "f g h i j k"), ("eb100", "a b c d m n o"),
        # about: a tenth of it
        ("ap100", "a b c d e f g h i j k"), ("ap0.8", "m n"), ("ap-1", "o"), ("100,0.8", "b c d e f g h m"), ("gt0&factor-override=lt1", "m n"),
    ],
)  # fmt: skip
def test_decimals(post, value, ids):
    assert found(post, f"ChargeItem?factor-override={value}") == set(ids.split())


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        # r1 covers 20 to 30, r2 all from 90 on, r3 all up to 50, r4 is 25
        ("25", "r4"), ("eq25", "r4"), ("ne25", "r1 r2 r3"), ("2.5e1", "r4"), ("1e2", ""), ("gt25", "r1 r2 r3"), ("ge25", "r1 r2 r3 r4"), ("gt30", "r2 r3"), ("ge30", "r1 r2 r3"),
        ("lt25", "r1 r3"), ("le25", "r1 r3 r4"), ("lt20", "r3"), ("le20", "r1 r3"), ("sa25", "r2"), ("sa19", "r1 r2 r4"), ("sa90", ""), ("eb25", ""), ("eb31", "r1 r4"), ("eb51", "r1 r3 r4"),
        ("ap28", "r1 r3"), ("ap1000", "r2"), ("gt99999999", "r2"), ("lt-99999999", "r3"),
    ],
)  # fmt: skip
def test_ranges_with_open_ends(post, value, ids):
    assert found(post, f"RiskAssessment?probability={value}") == set(ids.split())


def test_unequal_is_all_that_has_a_value_and_is_not_inside(post):
    inside = found(post, "ChargeItem?factor-override=100")
    assert found(post, "ChargeItem?factor-override=ne100") == set(FACTORS) - inside
    assert found(post, "RiskAssessment?probability:missing=true") == {"none"}
    assert found(post, "RiskAssessment?probability:missing=false") == {"r1", "r2", "r3", "r4"}


@pytest.mark.parametrize(
    ("value", "ids"),
    [("2", "d2"), ("2.0", "d2"), ("2.4", ""), ("gt1", "d2 d3"), ("le2", "d1 d2"), ("ne2", "d1 d3"), ("1,3", "d1 d3"), ("ge1&variant-start=lt3", "d1 d2")],
)  # fmt: skip
def test_whole_numbers(post, value, ids):
    assert found(post, f"MolecularSequence?variant-start={value}") == set(ids.split())


@pytest.mark.parametrize(
    "value", ["x", "1,5,", "1.", ".5", "1e", "0x1", "NaN", "Infinity", "gt", "xx1", "1 ", "1e9999", "١"]
)
def test_what_is_no_number(post, value):
    assert "probability" in refused(post, f"RiskAssessment?probability={value}")


@pytest.mark.parametrize("modifier", ["exact", "contains", "text", "not", "in", "above", "identifier"])
def test_modifiers_that_numbers_do_not_have(post, modifier):
    refused(post, f"RiskAssessment?probability:{modifier}=1")
