"""The search grammar: what is known becomes a tree, what is not is refused by name - and never by value."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.problems import NotSupported, Problem, TooCostly
from exchange.search.filter import MAX_COMPARISONS
from exchange.search.grammar import MAX_CRITERIA, MAX_DEPTH, MAX_VALUES, parse
from exchange.search.result_parameters import MAX_INCLUDES
from exchange.search.tree import All, AnyOf, Chain, Criterion, Has, Include, Listed, Not, Query
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
        (f"code:above:below={SECRET}", "above"),
        (f"code:exact={SECRET}", "exact"),
        (f"status:identifier={SECRET}", "identifier"),
        (f"date:not={SECRET}", "date"),
        (f"value-quantity:above={SECRET}", "value-quantity"),
        (f"subject:Practitioner={SECRET}", "Practitioner"),
        (f"subject:Practitioner.name={SECRET}", "subject"),
        (f"subject.nonsense={SECRET}", "nonsense"),
        (f"code.name={SECRET}", "code"),
        (f"subject:Patient.name:not={SECRET}", "name"),
        (f"_has:Observation:subject={SECRET}", "_has"),
        (f"_has:Patient:organization:name={SECRET}", "_has"),
        (f"_has:Nonsense:subject:code={SECRET}", "_has"),
        (f"_has:Provenance:target:nonsense={SECRET}", "nonsense"),
        (f"_filter={SECRET}", "_filter"),
        (f"_filter=nonsense eq {SECRET}", "nonsense"),
        (f"_filter=code sw {SECRET}", "code"),
        (f"_filter=code eq {SECRET} and", "_filter"),
        (f"_filter=(code eq {SECRET}", "_filter"),
        (f"_filter=code eq {SECRET})", "_filter"),
        ('_filter=code eq "open', "_filter"),
        ('_filter=related[type eq "x"].target pr true', "_filter"),
        (f"_query={SECRET}", "_query"),
        (f"_list={SECRET},", "_list"),
        ("_list=$current-allergies", "_list"),
        (f"_list:not={SECRET}", "_list"),
        ("_elements=nonsense", "nonsense"),
        ("_elements=Nonsense.id", "_elements"),
        ("_summary=maybe", "_summary"),
        ("_sort=nonsense", "nonsense"),
        ("_sort=code-value-quantity", "code-value-quantity"),
        ("_sort=_text", "_text"),
        (f"_include={SECRET}", "_include"),
        ("_include=Observation:code", "_include"),
        ("_include=Observation:subject:Organization", "_include"),
        ("_include=Patient:organization", "_include"),
        ("_revinclude=Provenance:agent", "_revinclude"),
        ("_include:again=Observation:subject", "_include"),
        (f"_total={SECRET}", "_total"),
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
        parsed("code:exact=1", lenient=True)


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


def test_a_chain_is_read_from_left_to_right():
    [chain] = parsed("encounter:Encounter.service-provider.name:exact=Otuzco").nodes
    assert isinstance(chain, Chain)
    [(target, inner)] = chain.targets
    assert (chain.parameter.name, target) == ("encounter", "Encounter")
    assert isinstance(inner, Chain)
    [(target, last)] = inner.targets
    assert target == "Organization"
    assert isinstance(last, Criterion)
    assert (last.name, last.modifier, last.values) == ("name", "exact", ("Otuzco",))


def test_a_chain_without_a_type_goes_to_every_type_that_knows_the_rest():
    [chain] = parsed("subject.identifier=1").nodes
    assert isinstance(chain, Chain)
    assert {target for target, _ in chain.targets} == {"Patient", "Group", "Device", "Location"}
    [chain] = parsed("subject.birthdate=2000").nodes
    assert isinstance(chain, Chain)
    assert {target for target, _ in chain.targets} == {"Patient"}


def test_has_and_chains_mix():
    [has] = parsed("_has:Observation:patient:performer:Organization.name=Otuzco", "Patient").nodes
    assert isinstance(has, Has)
    assert isinstance(has.node, Chain)
    [has] = parsed("_has:Encounter:patient:_has:Observation:encounter:code=1", "Patient").nodes
    assert isinstance(has, Has)
    assert isinstance(has.node, Has)


def test_a_filter_is_read_from_left_to_right():
    [node] = parsed("_filter=code eq 1 or not (status eq final) and date ge 2026").nodes
    assert isinstance(node, All)
    either, last = node.nodes
    assert isinstance(either, AnyOf)
    assert isinstance(either.nodes[1], Not)
    assert isinstance(last, Criterion)
    assert last.values == ("ge2026",)


def test_a_filter_takes_texts_with_anything_in_them():
    [node] = parsed(r'_filter=value-string eq "a, \"b\" (c) | $"').nodes
    assert isinstance(node, Criterion)
    assert node.values == (r'a\, "b" (c) | $',)


def test_lists_elements_and_parts():
    query = parsed("_list=l1,List/l2&_elements=code,Observation.status,Patient.name&_summary=text")
    assert query.nodes == [Listed(("l1", "l2"))]
    assert (query.elements, query.summary) == (("code", "status"), "text")


def test_includes_of_all():
    [forward] = parsed("_include=*").includes
    assert {"subject", "encounter", "performer"} <= set(forward.parameters)
    back = parsed("_revinclude=*", "Patient").includes
    assert {each.source for each in back} >= {"Observation", "Encounter", "Provenance"}
    [iterated] = parsed("_include:iterate=Patient:organization").includes
    assert iterated == Include("Patient", ("organization",), "", is_reverse=False, is_iterated=True)


@pytest.mark.parametrize(
    "query",
    [
        ".".join(["subject"] + ["general-practitioner"] * 50) + "=1",
        ".".join(["encounter"] + ["part-of"] * (MAX_DEPTH + 2)) + "=1",
        "_has:Observation:focus:" * 50 + "code=1",
        "_filter=" + " and ".join(["code eq 1"] * (MAX_COMPARISONS + 1)),
        "_filter=" + "(" * 200 + "code eq 1" + ")" * 200,
        "_filter=" + "x" * 5_000,
    ],
)
def test_chains_and_filters_are_bounded(query):
    with pytest.raises((TooCostly, NotSupported)):
        parsed(query)
