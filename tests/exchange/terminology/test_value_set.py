"""Which codes a value set takes in: its rules, followed exactly or refused."""

from __future__ import annotations

import pytest

from exchange.problems import NotSupported, TooCostly
from exchange.terminology.value_set import codes_of_value_set
from tests.exchange.terminology.conftest import COLOURS, a_code_system, a_value_set


def codes(world, url: str, system: str = COLOURS) -> set[str]:
    with world.database_store.transaction() as transaction:
        found = codes_of_value_set(transaction, url)
    assert {each for each, _ in found} <= {system}
    return {code for _, code in found}


def refused(world, url: str, text: str, problem=NotSupported):
    with world.database_store.transaction() as transaction, pytest.raises(problem, match=text) as caught:
        codes_of_value_set(transaction, url, named="http.code:in")
    assert "urn:" not in str(caught.value), "problems name parameters, never values"
    return caught.value


def filtered(name: str, operator: str, value: str) -> list[dict]:
    return [{"system": COLOURS, "filter": [{"property": name, "op": operator, "value": value}]}]


ALL = {"warm", "red", "crimson", "ochre", "cold", "blue", "purple"}


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ([{"system": COLOURS}], ALL),
        ([{"system": COLOURS, "concept": [{"code": "red"}, {"code": "blue"}]}], {"red", "blue"}),
        (filtered("concept", "is-a", "red"), {"red", "crimson", "purple"}),
        (filtered("concept", "descendent-of", "warm"), {"red", "crimson", "purple", "ochre"}),
        (filtered("concept", "is-not-a", "warm"), {"cold", "blue"}),
        (filtered("concept", "generalizes", "purple"), {"purple", "red", "warm", "blue", "cold"}),
        (filtered("hex", "=", "f00"), {"red"}),
        (filtered("hex", "exists", "true"), {"red"}),
        (filtered("hex", "exists", "false"), ALL - {"red"}),
        (filtered("parent", "=", "cold"), {"blue"}),
        (filtered("code", "in", "red,blue,nothing"), {"red", "blue"}),
        (filtered("code", "not-in", "red,blue"), ALL - {"red", "blue"}),
        (filtered("code", "regex", "[a-e].*"), {"crimson", "blue", "cold"}),
        (filtered("display", "regex", "Ro.*"), {"red"}),
        (filtered("concept", "is-a", "nothing"), set()),
        ([{"system": COLOURS, "filter": [{"property": "concept", "op": "is-a", "value": "red"},
                                        {"property": "concept", "op": "is-a", "value": "blue"}]}], {"purple"}),
    ],
)  # fmt: skip
def test_a_rule_takes_in_exactly_these(world, include, expected):
    world.post.store(a_value_set("v", include))
    assert codes(world, "urn:test:v") == expected


def test_what_is_excluded_is_not_in_it(world):
    world.post.store(a_value_set("v", [{"system": COLOURS}], filtered("concept", "is-a", "warm")))
    assert codes(world, "urn:test:v") == {"cold", "blue"}


def test_imports_of_one_rule_narrow_and_rules_widen(world):
    world.post.store(
        a_value_set("warm", filtered("concept", "is-a", "warm")),
        a_value_set("cold", filtered("concept", "is-a", "cold")),
        a_value_set("both", [{"valueSet": ["urn:test:warm", "urn:test:cold"]}]),
        a_value_set("either", [{"valueSet": ["urn:test:warm"]}, {"valueSet": ["urn:test:cold"]}]),
        a_value_set("some", [{"system": COLOURS, "concept": [{"code": "red"}, {"code": "blue"}], "valueSet": ["urn:test:cold"]}]),
    )  # fmt: skip
    assert codes(world, "urn:test:both") == {"purple"}
    assert codes(world, "urn:test:either") == ALL
    assert codes(world, "urn:test:some") == {"blue"}


def test_it_is_found_by_url_by_version_and_by_id(world):
    world.post.store(
        a_value_set("v", filtered("concept", "is-a", "cold"), version="9"),
        a_value_set("v10", filtered("concept", "is-a", "red"), url="urn:test:v", version="10"),
    )
    assert codes(world, "urn:test:v") == {"red", "crimson", "purple"}, "the newest: ten comes after nine"
    assert codes(world, "urn:test:v|9") == codes(world, "ValueSet/posta-v") == {"cold", "blue", "purple"}
    refused(world, "urn:test:v|11", "not known")


def test_what_changes_counts_from_then_on(world):
    world.post.store(a_value_set("v", [{"system": COLOURS, "concept": [{"code": "red"}]}]))
    assert codes(world, "urn:test:v") == {"red"}
    world.post.store(a_value_set("v", filtered("concept", "is-a", "cold")))
    assert codes(world, "urn:test:v") == {"cold", "blue", "purple"}
    world.post.store(a_code_system(concept=[{"code": "cold"}, {"code": "grey", "display": "Gris"}]))
    assert codes(world, "urn:test:v") == {"cold"}
    world.post.delete("ValueSet/posta-v")
    refused(world, "urn:test:v", "not known")


def test_a_write_that_fails_is_not_remembered(world):
    world.post.store(a_value_set("v", [{"system": COLOURS, "concept": [{"code": "red"}]}]))
    assert codes(world, "urn:test:v") == {"red"}
    from tests.passage.world import entry

    changed = a_value_set("v", [{"system": COLOURS, "concept": [{"code": "blue"}]}])
    broken = {"resourceType": "Patient", "id": "hospital-p1"}
    said = world.post.bundle(
        "transaction",
        [entry("PUT", "ValueSet/posta-v", changed), entry("PUT", "Patient/hospital-p1", broken)],
    )
    assert said.status >= 400
    assert codes(world, "urn:test:v") == {"red"}


def test_an_unknown_system_is_taken_in_whole_and_not_listed(world):
    world.post.store(
        a_value_set("v", [{"system": "urn:test:unknown"}, {"system": COLOURS, "concept": [{"code": "red"}]}])
    )
    with world.database_store.transaction() as transaction:
        found = codes_of_value_set(transaction, "urn:test:v")
    assert found.systems == {"urn:test:unknown"}
    assert found.contains("urn:test:unknown", "anything")
    assert found.contains(COLOURS, "red")
    assert not found.contains(COLOURS, "blue")
    assert not found.contains("", "red")
    assert set(found) == {(COLOURS, "red")}


def test_a_value_set_that_imports_itself_is_refused(world):
    world.post.store(
        a_value_set("a", [{"valueSet": ["urn:test:b"]}]), a_value_set("b", [{"valueSet": ["urn:test:a"]}])
    )
    refused(world, "urn:test:a", "imports itself")


@pytest.mark.parametrize(
    ("include", "text"),
    [
        ([{"valueSet": ["urn:test:nowhere"]}], "imports one that is not known"),
        ([{"system": "urn:test:unknown", "filter": [{"property": "concept", "op": "is-a", "value": "a"}]}], "filters a code system"),
        (filtered("code", "regex", "(a"), "regular expression"),
        (filtered("code", "regex", r"(a)\1"), "regular expression"),
        (filtered("hex", "is-a", "a"), "hierarchy"),
        ([{"valueSet": ["http://hl7.org/fhir/ValueSet/observation-codes"], "system": COLOURS, "version": "1"}], "."),
    ],
)  # fmt: skip
def test_what_cannot_be_known_exactly_is_refused_and_not_guessed(world, include, text):
    world.post.store(a_value_set("v", include))
    world.post.store(a_value_set("w", [{"valueSet": ["urn:test:v"]}]))
    if text != ".":
        problem = refused(world, "urn:test:w", text)
        assert problem.issues[0].expression == "http.code:in"


def test_codes_taken_out_of_an_unknown_system_are_refused(world):
    system = {"system": "urn:test:unknown"}
    world.post.store(a_value_set("v", [system], [system | {"concept": [{"code": "a"}]}]))
    refused(world, "urn:test:v", "not known")


def test_a_bomb_of_a_pattern_does_not_hang(world):
    world.post.store(
        a_code_system(concept=[{"code": "a" * 3000 + "!"}]),
        a_value_set("v", filtered("code", "regex", "(a+)+")),
    )
    assert codes(world, "urn:test:v") == set()


def test_a_value_set_without_end_is_too_costly(world):
    many = [{"code": f"c{number}"} for number in range(20_001)]
    world.post.store(a_value_set("v", [{"system": COLOURS, "concept": many}]))
    refused(world, "urn:test:v", "more than", TooCostly)


def test_a_listed_expansion_counts_where_there_are_no_rules(world):
    told = {"contains": [{"system": COLOURS, "code": "red", "contains": [{"system": COLOURS, "code": "crimson"}]},
                         {"system": COLOURS, "code": "warm", "abstract": True}],
            "timestamp": "2024-01-01"}  # fmt: skip
    whole = a_value_set("v", []) | {"expansion": told}
    del whole["compose"]
    world.post.store(whole)
    assert codes(world, "urn:test:v") == {"red", "crimson"}
    world.post.store(whole | {"expansion": told | {"total": 40}})
    refused(world, "urn:test:v", "no rules")


# FHIR's own


@pytest.mark.parametrize(
    ("url", "inside", "outside"),
    [
        ("http://hl7.org/fhir/ValueSet/administrative-gender", "female", "FEMALE"),
        ("http://hl7.org/fhir/ValueSet/observation-status|4.0.1", "final", "done"),
        ("http://hl7.org/fhir/ValueSet/condition-clinical", "active", "open"),
        ("http://terminology.hl7.org/ValueSet/v3-PurposeOfUse", "TREAT", "AMB"),
        ("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", "AMB", "TREAT"),
    ],
)
def test_fhirs_own_value_sets_are_known(world, url, inside, outside):
    with world.database_store.transaction() as transaction:
        found = {code for _, code in codes_of_value_set(transaction, url)}
    assert inside in found
    assert outside not in found


def test_fhirs_own_value_sets_cannot_be_redefined(world):
    url = "http://hl7.org/fhir/ValueSet/administrative-gender"
    world.post.store(a_value_set("v", [{"system": COLOURS}], url=url))
    assert codes(world, url, "http://hl7.org/fhir/administrative-gender") == {
        "male",
        "female",
        "other",
        "unknown",
    }
    system = "http://hl7.org/fhir/administrative-gender"
    world.post.store(a_code_system(url=system, resource_id="posta-gender"))
    assert codes(world, url, system) == {"male", "female", "other", "unknown"}


@pytest.mark.parametrize("name", ["condition-code", "observation-vitalsignresult", "body-site"])
def test_official_sets_of_codes_that_may_not_be_shipped_are_refused(world, name):
    refused(world, f"http://hl7.org/fhir/ValueSet/{name}", "may not carry|not known")


def test_every_official_value_set_is_listed_or_refused(world):
    from exchange.fhir.definitions import official_value_set_rules

    listed, told = 0, set()
    with world.database_store.transaction() as transaction:
        for url in official_value_set_rules():
            try:
                codes_of_value_set(transaction, url)
                listed += 1
            except NotSupported as problem:
                told.add(str(problem))
            except TooCostly as problem:
                told.add(str(problem))
    assert listed > 1_050, told
    assert len(told) < 9
