"""Bisection learns nothing: a thousand probes about one hidden value answer alike, whatever the value is.

Who may not see a value can still ask for "less than 120" and halve the rest with each answer, or sort by it, or count.
Each probe is asked of a region in which the value is A, in which it is B, and in which what bears it never was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import product
from typing import Any

import pytest

from exchange.fhir import peru
from tests.passage.world import World, patient_of
from tests.properties.hidden_searches import directory, visit
from tests.properties.noninterference import _pages
from tests.sample.consent import a_consent, a_provision
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
RESTRICTED = {"security": [{"system": CONFIDENTIALITY, "code": "R"}]}
RUNGS = 40

Value = dict[str, Any]
"""What is hidden: a value and a date, a diagnosis, a birth date."""
A: Value = {"value": 117, "date": "2026-05-11", "diagnosis": "B20", "born": "1951-03-09"}
B: Value = {"value": 163, "date": "2026-05-23", "diagnosis": "F32.1", "born": "1987-11-30"}


def build(world: World, hidden: Value | None) -> None:
    """The hospital's patient, and at the post one whom it sees but for what is sensitive, and one who is hidden.

    `None` leaves out the sensitive Observation and Condition and the hidden person.
    """
    world.hospital.store(*directory(), patient_of(HOSPITAL, 1), *visit("hospital-p1", 2))
    world.hospital.store(_observation("hospital-p1", "hospital-p1-o0", A | {"date": "2026-05-02"}))
    world.post.store(patient_of(POST, 1), *visit("posta-p1", 4))
    world.post.store(_observation("posta-p1", "posta-p1-o1", B | {"date": "2026-05-04"}))
    world.post.store(patient_of(POST, 2), *visit("posta-p2", 5))
    world.post.store(a_consent("posta-p1-c", "posta-p1", permit=HOSPITAL))
    labelled = a_provision("deny", securityLabel=[{"system": CONFIDENTIALITY, "code": "R"}])
    world.post.store(a_consent("posta-p2-c", "posta-p2", provision=a_provision("permit", actors=[HOSPITAL], inside=[labelled])))  # fmt: skip
    if hidden is not None:
        world.post.store(*_sensitive("posta-p1", hidden), *_sensitive("posta-p2", hidden))
        world.post.store(patient_of(POST, 3, birth_date=hidden["born"]), *_sensitive("posta-p3", hidden))


def _observation(patient: str, name: str, told: Value, **more: Any) -> dict[str, Any]:
    quantity = {"value": told["value"], "system": peru.UCUM_SYSTEM, "code": "mm[Hg]"}
    component = [
        {"code": {"coding": [{"system": peru.LOINC_SYSTEM, "code": "8462-4"}]}, "valueQuantity": quantity}
    ]
    return an_observation(
        name, patient, effective=told["date"], valueQuantity=quantity, component=component, encounter={"reference": f"Encounter/{patient}-e"},
        performer=[{"reference": "Practitioner/hospital-d1"}], **more,
    )  # fmt: skip


def _sensitive(patient: str, told: Value) -> list[dict[str, Any]]:
    code = {"coding": [{"system": peru.CIE10_SYSTEM, "code": told["diagnosis"]}]}
    subject = {"reference": f"Patient/{patient}"}
    return [
        _observation(patient, f"{patient}-s", told, meta=RESTRICTED, derivedFrom=[{"reference": f"Observation/{patient}-o1"}]),
        {"resourceType": "Condition", "id": f"{patient}-h", "subject": subject, "code": code, "onsetDateTime": told["date"], "meta": RESTRICTED,
         "encounter": {"reference": f"Encounter/{patient}-e"}, "evidence": [{"detail": [{"reference": f"Observation/{patient}-s"}]}]},
    ]  # fmt: skip


def _of_value() -> Iterator[str]:
    bounds = (
        "value-quantity={c}{v}",
        "component-value-quantity={c}{v}",
        "code-value-quantity=8480-6${c}{v}",
        "component-code-value-quantity=8462-4${c}{v}",
    )
    ways = (
        "Observation?{b}",
        "Patient?_has:Observation:patient:{b}",
        "Encounter?_has:Observation:encounter:{b}&_summary=count",
        "Practitioner?_has:Observation:performer:{b}",
        "Observation?derived-from.{b}",
        "Observation?_has:Observation:derived-from:{b}",
        "Condition?evidence-detail.{b}",
        "Patient?_has:Encounter:patient:_has:Observation:encounter:{b}",
    )
    for number in range(RUNGS):
        value = 60 + 3 * number
        for place, way in enumerate(ways):
            bound = bounds[(number + place) % len(bounds)]
            yield way.format(b=bound.format(c=("lt", "ge", "ap", "")[(number // 4 + place) % 4], v=value))
        yield f"Observation?_filter=value-quantity lt {value} and not (code eq 8462-4)"
        yield f"Observation?patient=posta-p2,posta-p1&value-quantity=gt{value}&_total=accurate&_count=1"
        yield f"Observation?patient=posta-p2&_sort={'-' * (number % 2)}value-quantity&_count=1"
        yield f"Observation?value-quantity:missing={'true' if number % 2 else 'false'}&code-value-quantity=8480-6$lt{value}&_summary=count"  # fmt: skip


def _of_date() -> Iterator[str]:
    ways = (
        "Observation?date={c}{d}",
        "Patient?_has:Observation:patient:date={c}{d}",
        "Condition?onset-date={c}{d}",
        "Patient?_has:Condition:patient:onset-date={c}{d}",
        "Encounter?_has:Condition:encounter:onset-date={c}{d}&_summary=count",
        "Condition?evidence-detail.date={c}{d}",
        "Observation?_filter=date lt {d}",
        "Patient/posta-p2/$everything?start={d}",
        "Observation?patient=posta-p2&date={c}{d}&_include=Observation:encounter&_revinclude=Observation:derived-from",
    )
    for day in range(1, 29):
        for place, way in enumerate(ways):
            yield way.format(c=("lt", "ge", "sa", "ne")[(day + place) % 4], d=f"2026-05-{day:02d}")


def _of_diagnosis() -> Iterator[str]:
    codes = ("B20", "F32.1", "J45.0", "I10", "B24", "Z21")
    ways = (
        "Condition?code={x}",
        "Condition?code:not={x}",
        "Condition?code:below={x}",
        "Patient?_has:Condition:patient:code={x}",
        "Patient?_has:Condition:patient:code:not={x}&_summary=count",
        "Encounter?_has:Condition:encounter:code={x}",
        "Condition?_filter=code eq {x}",
        "Condition?patient=posta-p2&code={x}",
        "Observation?_has:Condition:evidence-detail:code={x}",
        "Condition?code=http://hl7.org/fhir/sid/icd-10|{x}&_total=accurate&_count=0",
        "Condition?_content={x}",
        "Patient?_has:Observation:patient:encounter.status=finished&_has:Condition:patient:code={x}",
    )
    for code, way in product(codes, ways):
        yield way.format(x=code)
    for sort in ("code", "-code", "onset-date", "-onset-date", "evidence-detail", "_lastUpdated"):
        yield f"Condition?_sort={sort}&_count=1"
        yield f"Condition?patient=posta-p2&_sort={sort}&_count=1"
    for name, said in product(
        ("onset-date", "evidence-detail", "encounter", "code", "asserter", "severity"), ("true", "false")
    ):
        yield f"Condition?{name}:missing={said}"
        yield f"Patient?_has:Condition:patient:{name}:missing={said}&_summary=count"


def _of_birth() -> Iterator[str]:
    ways = (
        "Patient?birthdate={c}{y}",
        "Observation?patient.birthdate={c}{y}",
        "Condition?subject:Patient.birthdate={c}{y}",
        "Encounter?patient.birthdate={c}{y}&_summary=count",
        "Observation?encounter.patient.birthdate={c}{y}",
        "Patient?_filter=birthdate lt {y}",
        "Condition?evidence-detail.subject:Patient.birthdate={c}{y}",
    )
    for year in range(1940, 2000, 2):
        for place, way in enumerate(ways):
            yield way.format(c=("lt", "ge", "", "ap")[(year // 2 + place) % 4], y=year)
    for sort in ("birthdate", "-birthdate", "birthdate,family", "gender,-birthdate"):
        yield f"Patient?_sort={sort}&_count=1"
    for born in ("1951-03-09", "1987-11-30", "1951-03", "1987"):
        yield f"Patient?birthdate={born}&family=quispe"
        yield f"Patient?birthdate={born}&_total=accurate&_count=0"
        yield f"Patient?birthdate:missing=false&birthdate=ne{born}&_summary=count"


FAMILIES: dict[str, Callable[[], Iterator[str]]] = {"value": _of_value, "date": _of_date, "diagnosis": _of_diagnosis, "birth date": _of_birth}  # fmt: skip


def answers(world: World, hidden: Value | None) -> list[tuple[str, Any]]:
    """Every probe with its answer."""
    made = world.clear()
    build(made, deepcopy(hidden))
    made.settle()
    return [(path, _pages(made.hospital, path)) for each in FAMILIES.values() for path in each()]


@pytest.fixture(scope="module")
def probed(shared_hub) -> list[list[tuple[str, Any]]]:
    return [answers(shared_hub, hidden) for hidden in (A, B, None)]


def test_there_are_a_thousand_probes():
    paths = [path for each in FAMILIES.values() for path in each()]
    assert len(paths) >= 1_000
    assert len(set(paths)) >= 900


@pytest.mark.parametrize("other", [1, 2], ids=["another value", "absent"])
def test_every_probe_answers_alike(probed, other):
    for (path, said), (_, instead) in zip(probed[0], probed[other], strict=True):
        assert said == instead, path


def test_the_probes_are_questions_that_the_hub_answers(probed):
    statuses = [pages[0][0] for _, pages in probed[0]]
    assert statuses.count(200) > 0.97 * len(statuses), {
        path for path, pages in probed[0] if pages[0][0] != 200
    }


def test_the_probes_would_learn_it_where_it_is_seen(shared_hub):
    """The post itself finds by the same probes what its value is."""
    seen = []
    for hidden in (A, B):
        world = shared_hub.clear()
        build(world, hidden)
        seen.append([_pages(world.post, path) for each in FAMILIES.values() for path in list(each())[:200:7]])
    assert sum(one != other for one, other in zip(*seen, strict=True)) > len(seen[0]) // 3
