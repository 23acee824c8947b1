"""$expand: the codes of a value set, a page at a time."""

from __future__ import annotations

import pytest

from exchange.fhir.validate import check
from tests.exchange.operations.call import call, given
from tests.exchange.terminology.conftest import COLOURS, a_code_system, a_value_set


@pytest.fixture
def world(empty):
    empty.post.store(
        a_code_system(),
        a_value_set("all", [{"system": COLOURS}], version="3", name="All"),
        a_value_set("open", [{"system": COLOURS}, {"system": "urn:test:unknown"}]),
    )
    return empty


def codes(said) -> list[str]:
    assert said.status == 200, said.text
    assert check(said.body) == []
    return [each["code"] for each in said.body["expansion"].get("contains", ())]


def test_it_lists_what_the_rules_take_in(world):
    said = call(world.hospital, "ValueSet/$expand?url=urn:test:all")
    assert codes(said) == ["warm", "red", "crimson", "ochre", "cold", "blue", "purple"]
    assert codes(call(world.hospital, "ValueSet/posta-all/$expand")) == codes(said)
    body = said.body
    assert (body["url"], body["version"], body["status"], body["expansion"]["total"]) == (
        "urn:test:all",
        "3",
        "active",
        7,
    )
    assert "compose" not in body
    rows = {each["code"]: each for each in body["expansion"]["contains"]}
    assert rows["warm"]["abstract"]
    assert rows["ochre"]["inactive"]
    assert rows["red"] == {"system": COLOURS, "code": "red", "display": "Rojo vivo"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("filter=ROJO", ["red"]),
        ("filter=frio", ["cold"]),
        ("filter=vivo%20rojo", ["red"]),
        ("filter=cri", ["crimson"]),
        ("filter=%25", []),
        ("count=2", ["warm", "red"]),
        ("count=2&offset=5", ["blue", "purple"]),
        ("count=2&offset=50", []),
        ("count=0", []),
        ("activeOnly=true&offset=3", ["cold", "blue", "purple"]),
    ],
)
def test_filter_and_page(world, query, expected):
    said = call(world.post, f"ValueSet/$expand?url=urn:test:all&{query}")
    assert codes(said) == expected
    if "filter" not in query and "active" not in query:
        assert said.body["expansion"]["total"] == 7


def test_designations_and_languages(world):
    said = call(
        world.post,
        "ValueSet/$expand?url=urn:test:all&includeDesignations=true&displayLanguage=en&filter=rojo",
    )
    [row] = said.body["expansion"]["contains"]
    assert (row["display"], row["designation"]) == ("Red", [{"language": "en", "value": "Red"}])


def test_a_value_set_may_be_posted_alone_or_as_a_parameter(world):
    posted = a_value_set("x", [{"system": COLOURS, "concept": [{"code": "blue", "display": "Azul marino"}]}])
    for body in (posted, given(valueSet=posted, count=5)):
        said = call(world.post, "ValueSet/$expand", body)
        assert codes(said) == ["blue"]
        assert said.body["expansion"]["contains"][0]["display"] == "Azul marino"


def test_a_posted_value_set_does_not_stand_in_for_the_stored_one(world):
    posted = a_value_set("all", [{"system": COLOURS, "concept": [{"code": "blue"}]}], version="3")
    assert codes(call(world.post, "ValueSet/$expand", posted)) == ["blue"]
    assert len(codes(call(world.post, "ValueSet/$expand?url=urn:test:all"))) == 7


def test_fhirs_own(world):
    said = call(world.post, "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender")
    assert codes(said) == ["male", "female", "other", "unknown"]


def test_too_many_at_once_are_refused_and_paged(world):
    many = [{"code": f"c{number:04d}"} for number in range(1_500)]
    world.post.store(a_value_set("many", [{"system": COLOURS, "concept": many}]))
    assert call(world.post, "ValueSet/$expand?url=urn:test:many").status == 413
    assert len(codes(call(world.post, "ValueSet/$expand?url=urn:test:many&count=1000&offset=1000"))) == 500


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("ValueSet/$expand?url=urn:test:none", 404),
        ("ValueSet/posta-none/$expand", 404),
        ("ValueSet/$expand", 400),
        ("ValueSet/$expand?url=urn:test:open", 400),
        ("ValueSet/$expand?url=urn:test:all&count=-1", 400),
        ("ValueSet/$expand?url=urn:test:all&count=99999999999", 400),
        ("ValueSet/$expand?url=urn:test:all&context=a", 400),
        ("ValueSet/$expand?url=urn:test:all&filter=" + "a" * 201, 400),
        ("CodeSystem/$expand?url=urn:test:all", 400),
    ],
)
def test_refusals(world, path, status):
    said = call(world.post, path)
    assert said.status == status
    assert b"urn:test" not in said.text


def test_a_posted_value_set_that_is_none_is_refused(world):
    assert call(world.post, "ValueSet/$expand", {"resourceType": "ValueSet"}).status == 400
    assert call(world.post, "ValueSet/$expand", {"resourceType": "Patient"}).status == 400
