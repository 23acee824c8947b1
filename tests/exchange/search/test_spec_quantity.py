"""R4's quantity search: https://hl7.org/fhir/R4/search.html#quantity; UCUM's conversions by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.fhir.ucum import unit
from tests.exchange.search.asking import a_shelf, found, refused, walked
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient

U = "http://unitsofmeasure.org"


def _value(name: str, **value) -> dict:
    observation = an_observation(name, "p", effective="2026-05-01")
    del observation["valueQuantity"]
    return observation | value


def _quantity(name: str, value, code: str = "", unit: str = "", system: str = U, **more) -> dict:
    quantity = {"value": value, **more}
    quantity |= {"unit": unit} if unit else {}
    quantity |= {"code": code, "system": system} if code else {}
    return _value(name, valueQuantity=quantity)


SHELF = (
    # glucose: 90 mg/dL is 0.9 g/L
    _quantity("g1", 90, "mg/dL"), _quantity("g2", 0.9, "g/L"), _quantity("g3", 126, "mg/dL"), _quantity("g4", 0.7, "g/L"),
    # temperature: 37 Cel is 98.6 [degF] is 310.15 K
    _quantity("t1", 37, "Cel"), _quantity("t2", 98.6, "[degF]"), _quantity("t3", 39.5, "Cel"), _quantity("t4", 310.15, "K"),
    # pressure: 120 mm[Hg] is 15.9987 kPa
    _quantity("p1", 120, "mm[Hg]"), _quantity("p2", 16.0, "kPa"), _quantity("p3", 80, "mm[Hg]"),
    # the specification's own: 5.4 mg and its edges, 0.0054 g
    _quantity("m1", 5.4, "mg"), _quantity("m2", 5.44, "mg"), _quantity("m3", 5.45, "mg"), _quantity("m4", 0.0054, "g"), _quantity("m5", 5.35, "mg", unit="milligram"),
    # no UCUM: tablets, a system of one's own, a unit alone, nothing
    _quantity("n1", 2, "TAB", system="http://terminology.hl7.org/CodeSystem/v3-orderableDrugForm"), _quantity("n2", 2, unit="tabletas"), _quantity("n3", 2), _quantity("n4", 2, "TAB", system="urn:own"),
    _quantity("n5", 7, "nonsense-unit"), _quantity("n6", 7, "[iU]/L"), _quantity("n7", 7, "[arb'U]/L"),
    # stored comparators: below 5, at least 1000, at most 3
    _quantity("c1", 5, "ng/mL", comparator="<"), _quantity("c2", 1000, "ng/mL", comparator=">="), _quantity("c3", 3, "ng/mL", comparator="<="), _quantity("c4", 40, "ng/mL"), _quantity("c5", 40, "ng/mL", comparator=">"),
    _value("s1", valueSampledData={"origin": {"value": 0, "system": U, "code": "mV"}, "period": 10, "factor": 2, "lowerLimit": -100, "upperLimit": 100, "dimensions": 1, "data": "E"}),
    _value("x1", valueString="nada"),
)  # fmt: skip


def _condition(name: str, **onset) -> dict:
    return {"resourceType": "Condition", "id": name, "subject": {"reference": "Patient/p"}, **onset}


def _age(value: float, code: str) -> dict:
    return {"value": value, "system": U, "code": code}


CONDITIONS = (
    _condition("k1", onsetAge=_age(2, "a")), _condition("k2", onsetAge=_age(30, "mo")), _condition("k3", onsetRange={"low": _age(1, "a"), "high": _age(3, "a")}),
    _condition("k4", onsetRange={"low": _age(50, "a")}), _condition("k5", onsetRange={"high": _age(6, "mo")}),
)  # fmt: skip


@pytest.fixture(scope="module")
def post(server):
    money = {
        "resourceType": "Invoice",
        "id": "i1",
        "status": "issued",
        "totalGross": {"value": 118.5, "currency": "PEN"},
    }
    with a_shelf(server, a_patient("p"), *SHELF, *CONDITIONS, money) as caller:
        yield caller


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        # UCUM's canonical units
        (f"90|{U}|mg/dL", "g1 g2"), (f"0.90|{U}|g/L", "g1 g2"), (f"900|{U}|mg/L", "g1 g2"), (f"gt1|{U}|g/L", "g3 c2 c5"), (f"ge126|{U}|mg/dL", "g3 c2 c5"), (f"lt90|{U}|mg/dL", "g4 c1 c2 c3 c4 c5"),
        (f"37.0|{U}|Cel", "t1 t2 t4"), (f"98.6|{U}|[degF]", "t1 t2 t4"), (f"310.2|{U}|K", "t1 t2 t4"), (f"gt102|{U}|[degF]", "t3"), (f"lt38|{U}|Cel", "t1 t2 t4"),
        (f"16|{U}|kPa", "p1 p2"), (f"120|{U}|mm[Hg]", "p1 p2"), (f"lt12|{U}|kPa", "p3"), (f"16.00|{U}|kPa", "p1 p2"), (f"15.999|{U}|kPa", "p1"),
        # the specification's examples
        (f"5.4|{U}|mg", "m1 m2 m4 m5"), (f"5.40e-3|{U}|g", "m1 m4"), ("5.4||mg", "m1 m2 m5"), ("5.4", "m1 m2 m5"), (f"le5.4|{U}|mg", "m1 m4 m5"), (f"ap5.4|{U}|mg", "m1 m2 m3 m4 m5"),
        (f"5.4|{U}|kg", ""), ("5.35||milligram", "m5"), ("5.4||mg/dL", ""),
        # no UCUM
        ("2", "n1 n2 n3 n4"), ("2||tabletas", "n2"), ("2||TAB", "n1 n4"), ("2|urn:own|TAB", "n4"), ("2|urn:own|", "n4"), (f"2|{U}|TAB", ""), ("2|urn:own|tab", ""), (f"7|{U}|nonsense-unit", "n5"),
        # arbitrary units measure nothing but themselves
        (f"7|{U}|[iU]/L", "n6"), (f"7000|{U}|[iU]/kL", "n6"), (f"7|{U}|[arb'U]/L", "n7"), (f"7|{U}|", "n5 n6 n7"),
        # what is stored with a comparator is open to that side
        (f"lt4|{U}|ng/mL", "c1 c3"), (f"gt4|{U}|ng/mL", "c1 c2 c4 c5 g1 g2 g3 g4"), (f"40|{U}|ng/mL", "c4"), (f"sa39|{U}|ng/mL", "c2 c4 c5 g1 g2 g3 g4"), (f"eb6|{U}|ng/mL", "c1 c3"), (f"ge1000|{U}|ng/mL", "c2 c5 g1 g2 g3 g4"),
        # a series covers what lies between its limits
        (f"gt0.19|{U}|V", "s1"), (f"gt0.2|{U}|V", ""), (f"lt-0.1|{U}|V", "s1"), (f"sa-1|{U}|V", "s1"),
        (f"37.0|{U}|Cel,120|{U}|mm[Hg]", "t1 t2 t4 p1 p2"),
    ],
)  # fmt: skip
def test_values(post, value, ids):
    assert found(post, f"Observation?value-quantity={value}") == set(ids.split())


def test_missing(post):
    assert found(post, "Observation?value-quantity:missing=true") == {"x1"}
    assert "x1" not in found(post, f"Observation?value-quantity=ne5|{U}|mg")


@pytest.mark.parametrize(
    ("value", "ids"),
    [(f"2|{U}|a", "k1"), (f"24|{U}|mo", "k1"), (f"gt2|{U}|a", "k2 k3 k4"), (f"lt2|{U}|a", "k3 k5"), (f"sa3|{U}|a", "k4"), (f"eb1|{U}|a", "k5"), (f"ge730|{U}|d", "k1 k2 k3 k4"), (f"le1|{U}|a", "k3 k5")],
)  # fmt: skip
def test_ages_and_ranges(post, value, ids):
    assert found(post, f"Condition?onset-age={value}") == set(ids.split())


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("118.5|urn:iso:std:iso:4217|PEN", "i1"),
        ("118.5|urn:iso:std:iso:4217|USD", ""),
        ("gt100||PEN", "i1"),
        ("lt100", ""),
    ],
)
def test_money(post, value, ids):
    assert found(post, f"Invoice?totalgross={value}") == set(ids.split())


def test_an_order_in_one_unit(post):
    walk = walked(post, f"Observation?value-quantity=gt0|{U}|g/L&_sort=value-quantity&_count=2")
    assert [each for each in walk if each[0] == "g"] == ["g4", "g1", "g2", "g3"]


@pytest.mark.parametrize("code", ["10*1000000000", "10^99999999", "[foz_us]999999999", "10*400000000", "yg99", "10*{a}999999999", "m" * 101, "(" * 60])  # fmt: skip
def test_a_unit_that_nobody_could_work_out_is_none(code):
    assert unit(code) is None


@pytest.mark.parametrize(
    ("code", "factor"),
    [("10*3/uL", "1E+12"), ("/10*6", "0.000001"), ("10*-12", "1E-12"), ("%", "0.01"), ("m3", "1"), ("{cells}/uL", "1E+9")],
)  # fmt: skip
def test_powers_that_laboratories_write(code, factor):
    found = unit(code)
    assert found is not None
    assert found.factor == Decimal(factor)


@pytest.mark.parametrize(
    "value",
    ["x", "5|mg", f"5|{U}|mg|more", "|mg", f"|{U}|mg", "", "gt", "5|", "1e99999", "5 mg", "ne", "NaN", "∞"],
)
def test_what_is_no_quantity(post, value):
    refused(post, f"Observation?value-quantity={value}")
