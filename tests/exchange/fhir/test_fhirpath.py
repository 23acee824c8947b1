"""FHIRPath for rules: the language, its bounds, and agreement with another implementation."""

from __future__ import annotations

import contextlib
import time
from decimal import Decimal

import pytest

from exchange.fhir.fhirpath import EvaluationError, Item, World, compile_fhirpath
from exchange.fhir.fhirpath.values import Items

PATIENT = {
    "resourceType": "Patient", "id": "p1", "active": True, "birthDate": "1990-02-28",
    "_birthDate": {"extension": [{"url": "http://x", "valueDateTime": "1990-02-28T10:00:00Z"}]},
    "name": [{"family": "Quispe", "given": ["Ana", "Luz"]}, {"family": "Rojas", "use": "old"}],
    "contact": [{"name": {"text": "a"}, "telecom": [{"system": "phone", "value": "1"}]}],
    "multipleBirthInteger": 2, "_deceasedBoolean": {"extension": [{"url": "http://y", "valueCode": "unknown"}]},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "b"}],
    "managingOrganization": {"reference": "#o"},
}  # fmt: skip


def values(items: Items) -> list:
    return [each.value for each in items]


def evaluate(expression: str, resource=PATIENT, **world):
    return values(
        compile_fhirpath(expression).evaluate(Item(resource["resourceType"], resource), world=World(**world))
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("name.given", ["Ana", "Luz"]), ("Patient.name.family", ["Quispe", "Rojas"]), ("Observation.name", []),
        ("name[1].family", ["Rojas"]), ("name[7]", []), ("name.where(use = 'old').family", ["Rojas"]),
        ("name.select(family & '!')", ["Quispe!", "Rojas!"]), ("name.count() = 2", [True]), ("name.given.first()", ["Ana"]),
        ("name.given.last() | 'Ana'", ["Luz", "Ana"]), ("name.given contains 'Ana'", [True]), ("'x' in name.given", [False]),
        ("name.exists(use = 'old')", [True]), ("name.all(family.exists())", [True]), ("name.use.empty().not()", [True]),
        ("deceased.exists()", [True]), ("deceased.hasValue()", [False]), ("deceased is boolean", [True]),
        ("multipleBirth is integer", [True]), ("(multipleBirth as integer) + 1", [3]), ("multipleBirth is Quantity", [False]),
        ("birthDate.extension('http://x').value", ["1990-02-28T10:00:00Z"]), ("birthDate < @1990-03-01", [True]),
        ("birthDate = @1990-02", []), ("birthDate <= today()", [True]), ("1 + 2 * 3 - 4 / 2", [Decimal(5)]),
        ("7 div 2", [3]), ("7 mod 2", [1]), ("1 / 0", []), ("(-3).abs()", [3]), ("(1 | 2 | 2).count()", [2]),
        ("1 = 1.0", [True]), ("{} = 1", []), ("{} and false", [False]), ("{} or true", [True]), ("true xor {}", []),
        ("false implies {}", [True]), ("{} implies true", [True]), ("true implies {}", []), ("iif(active, 'y', 'n')", ["y"]),
        ("'abc'.substring(1)", ["bc"]), ("'abc'.substring(1, 1)", ["b"]), ("'abc'.indexOf('c')", [2]), ("'a.b'.split('.')", ["a", "b"]),
        ("'abc'.matches('^[a-c]+$')", [True]), ("'abc'.matches('b')", [True]), ("'abc'.length()", [3]), ("'a' ~ 'A'", [True]),
        ("'a' != 'A'", [True]), ("'1'.toInteger() + 1", [2]), ("'x'.toInteger()", []), ("1.toString()", ["1"]),
        ("'true'.toBoolean()", [True]), ("1 'mg' = 1 'mg'", [True]), ("1 'mg' < 2 'mg'", [True]), ("1 'mg' < 2 'g'", []),
        ("(1|2|3).aggregate($this + $total, 0)", [6]), ("(1|2|3).where($this > 1).skip(1)", [3]), ("(3|1).tail()", [1]),
        ("contained.ofType(Organization).name", ["b"]), ("contained.ofType(Patient)", []), ("descendants().ofType(HumanName).family", ["Quispe", "Rojas"]),
        ("%resource.id", ["p1"]), ("%ucum", ["http://unitsofmeasure.org"]), ("name.given.isDistinct()", [True]),
        ("name.family.combine(name.family).isDistinct()", [False]), ("name.given.subsetOf(name.given)", [True]),
        ("name.repeat(given)", ["Ana", "Luz"]), ("name.given.exclude('Ana')", ["Luz"]), ("name.given.intersect('Ana')", ["Ana"]),
        ("name.given.allTrue()", [False]), ("'a' + 'b'", ["ab"]), ("true.not()", [False]), ("`id`", ["p1"]), ("id // why", ["p1"]),
        ("$this.id", ["p1"]), ("name.select($index)", [0, 1]), ("@T10:00 < @T11:00", [True]), ("name.trace('x').count()", [2]),
        ("managingOrganization.resolve().name", ["b"]),
    ],
)  # fmt: skip
def test_the_language(expression, expected):
    def resolve(item):
        contained = PATIENT["contained"][0]
        return Item("Organization", contained) if item.value.get("reference") == "#o" else None

    assert evaluate(expression, resolve=resolve) == expected


@pytest.mark.parametrize(
    "expression",
    ["", "name.", "name..given", "name.where(", "name)", "'open", "nothing()", "name.where()", "1 +", "%nothing", "name is Nothing",
     "name[", "@x", "$that", "(" * 80 + "1" + ")" * 80, "a" * 9_000, "name given", "--" * 100 + "1", "name.where(1, 2)"],
)  # fmt: skip
def test_what_is_no_expression_here_is_refused(expression):
    with pytest.raises(ValueError, match=r"."):
        compile_fhirpath(expression)


@pytest.mark.parametrize(
    "expression", ["name.given + 'a'", "name.given.length()", "'a' < 1", "name.family.single()",
                   "'a'.matches('(a')", "managingOrganization.resolve()", "'a'.memberOf('http://x')", "2.power(999)", "name.given.toInteger()"],
)  # fmt: skip
def test_what_has_no_answer_says_so(expression):
    with pytest.raises(EvaluationError):
        evaluate(expression)


BOMBS = [
    "(descendants() | descendants()).repeat(descendants())",
    "descendants().select(%resource.descendants().select(%resource.descendants().select(%resource.descendants())))",
    "'" + "a" * 6000 + "'" + ".select($this & $this)" * 40,
    "'aaaaaaaaaa'" + ".replace('a', 'aaaaaaaaaa')" * 50,
    "'" + "a" * 3000 + "!'.matches('(a+)+$')",
]


@pytest.mark.parametrize("expression", BOMBS, ids=range(len(BOMBS)))
def test_no_expression_takes_long(expression):
    before = time.monotonic()
    try:
        found = evaluate(expression)
        assert sum(len(str(each)) for each in found) < 10_000_000
    except EvaluationError:
        pass
    assert time.monotonic() - before < 5


def test_a_deadline_is_kept():
    with pytest.raises(EvaluationError, match="too long"):
        evaluate(
            "descendants().select(%resource.descendants().select(%resource.descendants()))",
            deadline=time.monotonic(),
        )


@pytest.mark.parametrize("bad", ["text", 5, True, None, [], {}, [[]], [None], [{}], ["text"], [[{}]]])
@pytest.mark.parametrize(
    "expression",
    ["descendants()", "name.given", "name.where(use = 'a')", "contact.telecom.value", "birthDate < today()"],
)
def test_json_of_another_structure_is_no_crash(bad, expression):
    for name in PATIENT:
        if name != "resourceType":
            with contextlib.suppress(EvaluationError):
                evaluate(expression, {**PATIENT, name: bad})
