"""R4's composite search - the parts stand in one element - and near: #composite, location.html#positional."""

from __future__ import annotations

import pytest

from tests.exchange.search.asking import a_shelf, found, refused
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient

U = "http://unitsofmeasure.org"
L = "http://loinc.org"


def _component(code: str, value: float, unit: str = "mm[Hg]") -> dict:
    return {
        "code": {"coding": [{"system": L, "code": code}]},
        "valueQuantity": {"value": value, "unit": unit, "system": U, "code": unit},
    }


def _pressure(name: str, high: float, low: float) -> dict:
    observation = an_observation(name, "p", code="85354-9", component=[_component("8480-6", high), _component("8462-4", low)])  # fmt: skip
    del observation["valueQuantity"]
    return observation


OBSERVATIONS = (
    _pressure("bp1", 150, 70), _pressure("bp2", 110, 95), _pressure("bp3", 55, 40),
    an_observation("k1", "p", code="2823-3", valueQuantity={"value": 5.6, "system": U, "code": "mmol/L"}), an_observation("k2", "p", code="2823-3", valueQuantity={"value": 5.2, "system": U, "code": "mmol/L"}),
    {key: value for key, value in an_observation("c1", "p", code="883-9").items() if key != "valueQuantity"} | {"valueCodeableConcept": {"coding": [{"system": "urn:abo", "code": "O"}]}},
    {key: value for key, value in an_observation("s1", "p", code="883-9").items() if key != "valueQuantity"} | {"valueString": "Cero, positivo $"},
    {key: value for key, value in an_observation("d1", "p", code="11778-8").items() if key != "valueQuantity"} | {"valueDateTime": "2026-11-30"},
)  # fmt: skip


def _group(name: str, *characteristics: tuple[str, str]) -> dict:
    return {
        "resourceType": "Group", "id": name, "type": "person", "actual": False,
        "characteristic": [{"code": {"coding": [{"code": code}]}, "valueCodeableConcept": {"coding": [{"code": value}]}, "exclude": False} for code, value in characteristics],
    }  # fmt: skip


def _form(name: str, *contexts: tuple[str, str]) -> dict:
    return {
        "resourceType": "Questionnaire", "id": name, "status": "active", "url": f"http://example.org/{name}",
        "useContext": [{"code": {"system": "http://terminology.hl7.org/CodeSystem/usage-context-type", "code": code}, "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": value}]}} for code, value in contexts],
    }  # fmt: skip


PLACES = [
    {"resourceType": "Location", "id": name, "position": {"longitude": longitude, "latitude": latitude}}
    for name, latitude, longitude in (("otuzco", -7.9009, -78.5657), ("trujillo", -8.1118, -79.0288), ("lima", -12.0464, -77.0428), ("fiji", -17.7, 179.9), ("pole", 90, 0))
]  # fmt: skip


@pytest.fixture(scope="module")
def post(server):
    groups = (
        _group("g1", ("gender", "mixed"), ("owner", "ana")),
        _group("g2", ("gender", "ana"), ("owner", "mixed")),
    )
    forms = (_form("f1", ("focus", "408934002"), ("venue", "1")), _form("f2", ("focus", "1"), ("venue", "408934002")))  # fmt: skip
    report = {
        "resourceType": "DiagnosticReport", "id": "r1", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/p"},
        "result": [{"reference": "Observation/k1"}, {"reference": "Observation/bp3"}],
    }  # fmt: skip
    with a_shelf(server, a_patient("p"), *OBSERVATIONS, *groups, *forms, report, *PLACES, {"resourceType": "Location", "id": "nowhere"}) as caller:  # fmt: skip
        yield caller


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        # the specification's examples
        (f"DiagnosticReport?result.code-value-quantity={L}|2823-3$gt5.4|{U}|mmol/L", "r1"), (f"DiagnosticReport?result.code-value-quantity={L}|2823-3$lt5.4|{U}|mmol/L", ""),
        (f"Observation?component-code-value-quantity={L}|8480-6$lt60", "bp3"), ("Group?characteristic-value=gender$mixed", "g1"), ("Group?characteristic-value=gender$mixed,owner$mixed", "g1 g2"),
        ("Questionnaire?context-type-value=focus$http://snomed.info/sct|408934002", "f1"), ("Questionnaire?context-type-value=venue$408934002", "f2"), ("Questionnaire?context-type-value=focus$408934003", ""),
        # one and the same component
        (f"Observation?component-code-value-quantity={L}|8480-6$gt140", "bp1"), (f"Observation?component-code-value-quantity={L}|8462-4$gt90", "bp2"), (f"Observation?component-code-value-quantity={L}|8462-4$gt140", ""),
        (f"Observation?component-code-value-quantity=8480-6$gt140|{U}|mm[Hg]&component-code-value-quantity=8462-4$lt80", "bp1"), (f"Observation?component-code-value-quantity=8480-6$gt18|{U}|kPa", "bp1"),
        ("Observation?component-code-value-quantity=8480-6$gt140,8462-4$gt90", "bp1 bp2"), (f"Observation?combo-code-value-quantity={L}|8480-6$gt140", "bp1"), (f"Observation?combo-code-value-quantity={L}|2823-3$gt5.4", "k1"),
        (f"Observation?code-value-quantity={L}|2823-3$5.6|{U}|mmol/L", "k1"), (f"Observation?code-value-quantity={L}|2823-3$ge5|{U}|mmol/L", "k1 k2"), (f"Observation?code-value-quantity={L}|2823-3$5600|{U}|umol/L", "k1"),
        ("Observation?code-value-concept=883-9$urn:abo|O", "c1"), ("Observation?code-value-concept=883-9$AB", ""), (r"Observation?code-value-string=883-9$cero\, positivo \$", "s1"), ("Observation?code-value-string=883-9$cero", "s1"),
        ("Observation?code-value-date=11778-8$2026-11", "d1"), ("Observation?code-value-date=11778-8$gt2026-11-30", ""), ("Observation?code-value-quantity:missing=false", "k1 k2"), ("Group?characteristic-value:missing=true", ""),
    ],
)  # fmt: skip
def test_pairs(post, query, ids):
    assert found(post, query) == set(ids.split())


@pytest.mark.parametrize(
    "query",
    [
        "Observation?code-value-quantity=x", "Observation?code-value-quantity=x$", "Observation?code-value-quantity=$5", "Observation?code-value-quantity=x$5$6", "Observation?code-value-quantity=x$y", "Observation?code-value-quantity:not=x$5",
        "Observation?code-value-quantity:exact=x$5", "Observation?code-value-date=x$y", "Group?characteristic-value=gender",
    ],
)  # fmt: skip
def test_what_is_no_pair(post, query):
    refused(post, query)


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("-7.9|-78.56|5|km", "otuzco"), ("-7.9|-78.56|60|km", "otuzco trujillo"), ("-7.9|-78.56|60", "otuzco trujillo"), ("-7.9|-78.56|60000|m", "otuzco trujillo"), ("-7.9|-78.56|40|[mi_us]", "otuzco trujillo"),
        ("-7.9|-78.56|1000|km", "otuzco trujillo lima"), ("-7.9|-78.56", "otuzco"), ("-7.9|-78.56|0|km", ""), ("-17.7|-179.9|50|km", "fiji"), ("90|123|1|km", "pole"), ("-12.0464|-77.0428|1|m", "lima"), ("0|0|1e9|km", "otuzco trujillo lima fiji pole"),
        ("-7.9|-78.56|5|km,-12.05|-77.04|5|km", "otuzco lima"),
    ],
)  # fmt: skip
def test_near(post, value, ids):
    assert found(post, f"Location?near={value}") == set(ids.split())


@pytest.mark.parametrize(
    "value",
    ["x", "1", "1|", "|1", "91|0", "0|181", "1|1|5|parsec", "1|1|x|km", "gt1|1", "1|lt1|5", "1|1|gt5|km", "NaN|0", "0|Infinity", "1|1|5|km|more", "", "1e999|0", "1|1|1e9999|km"],
)  # fmt: skip
def test_what_is_not_near(post, value):
    refused(post, f"Location?near={value}")
