"""The search grammar: what is known becomes a tree, what is not is refused by name - and never by value."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.problems import NotSupported, Problem, TooCostly
from exchange.search.grammar import MAX_CRITERIA, MAX_INCLUDES, MAX_VALUES, Query, parse
from exchange.settings import settings

SECRET = "40000001"


def parsed(query: str, resource_type: str = "Observation", *, lenient: bool = False) -> Query:
    return parse(resource_type, tuple(parse_qsl(query, keep_blank_values=True)), is_lenient=lenient)


def refused(query: str, resource_type: str = "Observation", *, kind: type[Problem] = NotSupported) -> str:
    with pytest.raises(kind) as caught:
        parsed(query, resource_type)
    told = " ".join(f"{issue.diagnostics} {issue.expression}" for issue in caught.value.issues)
    assert SECRET not in told
    return told


def test_a_criterion_has_a_parameter_a_modifier_and_values():
    query = parsed(r"code=http://loinc.org|8480-6,8462-4&status:not=final&subject:Patient=p1")
    assert [(each.name, each.modifier, each.values) for each in query.criteria] == [
        ("code", "", ("http://loinc.org|8480-6", "8462-4")),
        ("status", "not", ("final",)),
        ("subject", "Patient", ("p1",)),
    ]


def test_an_escaped_comma_separates_nothing():
    assert parsed(r"value-string=a\,b,c").criteria[0].values == (r"a\,b", "c")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (f"nonsense={SECRET}", "nonsense"),
        (f"code:above={SECRET}", "above"),
        (f"code:text={SECRET}", "text"),
        (f"status:exact={SECRET}", "exact"),
        (f"subject:Practitioner={SECRET}", "Practitioner"),
        (f"subject.name={SECRET}", "subject.name"),
        (f"_has:Observation:subject:code={SECRET}", "_has"),
        (f"_filter={SECRET}", "_filter"),
        (f"_content={SECRET}", "_content"),
        (f"_query={SECRET}", "_query"),
        (f"value-quantity={SECRET}", "value-quantity"),
        (f"code-value-quantity={SECRET}", "code-value-quantity"),
        ("_sort=nonsense", "nonsense"),
        ("_sort=value-quantity", "value-quantity"),
        (f"_include={SECRET}", "_include"),
        ("_include=Observation:code", "_include"),
        ("_include=Observation:subject:Organization", "_include"),
        ("_include=Patient:organization", "_include"),
        ("_revinclude=Provenance:agent", "_revinclude"),
        ("_include:iterate=Observation:subject", "_include"),
        ("_include=*", "_include"),
        (f"_total={SECRET}", "_total"),
        ("_summary=true", "_summary"),
        ("_elements=id", "_elements"),
        ("_contained=true", "_contained"),
        (f"_id:not={SECRET}", "_id"),
        ("_id:missing=true", "_id"),
        ("_lastUpdated:missing=true", "_lastUpdated"),
        ("code:missing=maybe", "missing"),
        ("code=", "code"),
        ("code=a,,b", "code"),
        ("_count=-1", "_count"),
        ("_count=many", "_count"),
        ("_count=９", "_count"),
    ],
)
def test_what_is_not_known_is_refused_and_named(query, named):
    assert named in refused(query)


def test_a_name_that_is_no_name_is_not_repeated():
    assert "Rosa" not in refused("Rosa Quispe=1")
    assert "ñ" not in refused("contraseña=1")
    assert "x" * 65 not in refused("x" * 65 + "=1")


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_refusal_repeats_a_value(name, value):
    marked = f"§{value}§"
    told = []
    try:
        parse("Observation", ((name, marked),))
    except Problem as problem:
        told = [issue.diagnostics + (issue.expression or "") for issue in problem.issues]
    assert "§" not in "".join(told)


def test_lenient_leaves_out_what_is_not_known_and_says_so():
    query = parsed("nonsense=1&code=a&_format=json", lenient=True)
    assert [each.name for each in query.criteria] == ["code"]
    assert query.used == [("code", "a")]


def test_lenient_does_not_forgive_a_wrong_use_of_what_is_known():
    with pytest.raises(NotSupported):
        parsed("code:above=1", lenient=True)


def test_the_self_link_says_what_was_used_without_the_page():
    assert parsed("code=a&_page=xyz&_pretty=true").used == [("code", "a")]


def test_results_are_shaped():
    query = parsed("_count=7&_sort=-date,_id&_total=accurate&_include=Observation:subject:Patient&_page=x")
    assert query.count == 7
    assert query.sort == [("date", True), ("_id", False)]
    assert query.total == "accurate"
    assert (query.includes[0].source, query.includes[0].target) == ("Observation", "Patient")
    assert query.page == "x"


def test_count_is_bounded_and_zero_counts_only():
    assert parsed("").count == settings().default_page_size
    assert parsed("_count=999999999").count == settings().max_page_size
    assert parsed("_count=0").is_count_only
    assert parsed("_summary=count").is_count_only


def test_a_search_has_bounds():
    refused("&".join(["code=a"] * (MAX_CRITERIA + 1)), kind=TooCostly)
    refused("code=" + ",".join(["a"] * (MAX_VALUES + 1)), kind=TooCostly)
    refused("&".join(["_include=Observation:subject"] * (MAX_INCLUDES + 1)), kind=TooCostly)
    refused("_count=1" + "0" * 5_000)


def test_every_resource_type_has_the_parameters_of_all():
    for resource_type in ("Patient", "Bundle", "Organization", "Binary"):
        assert len(parsed("_id=a&_lastUpdated=ge2026&_tag=x", resource_type).criteria) == 3
