"""What a search asks of one resource, as a check of the opened resource.

Spec:    https://hl7.org/fhir/R4/search.html
Leaves:  the same as SQL to predicate; single values to one file per search type.

A check is compiled once a search: values are read once, and a resource is walked for the parameters in question only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

from exchange.fhir.definitions import SearchParameter
from exchange.fhir.path import Element, compile_expression, composite_extractor
from exchange.search import composite, date, number, quantity, reference, special, string, token, uri
from exchange.search.composite import Test
from exchange.search.tree import All, Among, AnyOf, Coded, Criterion, Node, Not, Pointing, Shared
from exchange.settings import settings

Check: TypeAlias = Callable[[dict[str, Any], int], bool]
"""From an opened resource and the instant of its last update to whether it holds."""


def check(node: Node, resource_type: str, now: int) -> Check:
    """The check of one resolved node. Raises: NotSupported - a value that its search type does not know."""
    match node:
        case Criterion():
            return _criterion(node, resource_type, now)
        case Pointing(parameter=parameter, targets=targets):
            return _any_element(parameter, resource_type, _points_to(targets))
        case Coded(parameter=parameter):
            inside = _any_element(parameter, resource_type, _coded(node))
            return _not(inside) if node.is_negated else inside
        case Among(targets=targets):
            return lambda resource, _updated: f"{resource['resourceType']}/{resource['id']}" in targets
        case Shared():  # SQL decides it
            return lambda _resource, _updated: True
        case All(nodes=nodes):
            every = [check(each, resource_type, now) for each in nodes]
            return lambda resource, updated: all(each(resource, updated) for each in every)
        case AnyOf(nodes=nodes):
            several = [check(each, resource_type, now) for each in nodes]
            return lambda resource, updated: any(each(resource, updated) for each in several)
        case Not(node=inner):
            return _not(check(inner, resource_type, now))
        case _:
            raise TypeError("a node that looks at other resources reached a check")


def _not(inner: Check) -> Check:
    return lambda resource, updated: not inner(resource, updated)


def _criterion(criterion: Criterion, resource_type: str, now: int) -> Check:
    name, parameter, values = criterion.name, criterion.parameter, criterion.values
    if name == "_id":
        return lambda resource, _updated: resource["id"] in values
    if name == "_lastUpdated":
        wanted = [date.parse(each, name, settings().zone, now) for each in values]
        return lambda _resource, updated: any(date.matches(updated, updated, each) for each in wanted)
    if name in ("_text", "_content"):
        has_words = [special.words(each, name) for each in values]
        return lambda resource, _updated: any(each(resource) for each in has_words)
    if parameter.kind == "composite":
        return _composite(criterion, resource_type, now)
    elements = _elements(parameter, resource_type)
    if criterion.modifier == "missing":
        is_missing = values == ("true",)
        return lambda resource, _updated: (not elements(resource)) == is_missing
    tests = [element_test(parameter, criterion.modifier, each, now) for each in values]
    is_negated = parameter.kind == "token" and criterion.modifier == "not"

    def holds(resource: dict[str, Any], _updated: int) -> bool:
        found = elements(resource)
        return any(test(*element) for element in found for test in tests) != is_negated

    return holds


def _composite(criterion: Criterion, resource_type: str, now: int) -> Check:
    parameter = criterion.parameter
    extract = composite_extractor(resource_type)

    def together(resource: dict[str, Any]) -> list[tuple[list[Element], ...]]:
        return next((found for each, found in extract(resource) if each.name == parameter.name), [])

    if criterion.modifier == "missing":
        is_missing = criterion.values == ("true",)
        return lambda resource, _updated: (not together(resource)) == is_missing
    each_value = [
        [element_test(part, "", value, now) for part, value in composite.parts_of(parameter, text)]
        for text in criterion.values
    ]
    return lambda resource, _updated: any(
        composite.holds(tests, element) for element in together(resource) for tests in each_value
    )


def element_test(parameter: SearchParameter, modifier: str, text: str, now: int) -> Test:
    """The test of one element by one value. Raises: NotSupported - no value of the parameter's type."""
    name = parameter.name
    if modifier == "ne" and parameter.kind != "string":  # `_filter`: some element is not this
        is_equal = element_test(parameter, "", text, now)
        return lambda fhir_type, value: not is_equal(fhir_type, value)
    match parameter.kind:
        case "token":
            return token.test(text, name, modifier)
        case "string":
            return string.test(text, modifier)
        case "date":
            return date.test(text, name, modifier, settings().zone, now)
        case "number":
            return number.test(text, name)
        case "quantity":
            return quantity.test(text, name)
        case "uri":
            return uri.test(text, modifier)
        case "reference":
            return reference.test(text, name, modifier, parameter.targets, settings().fhir_url)
        case _:
            return special.near(text, name)


def _any_element(parameter: SearchParameter, resource_type: str, test: Test) -> Check:
    elements = _elements(parameter, resource_type)
    return lambda resource, _updated: any(test(*element) for element in elements(resource))


def _points_to(targets: frozenset[str]) -> Test:
    url = settings().fhir_url
    return lambda fhir_type, value: any(
        form in targets for form in reference.forms(fhir_type, value, (), url)
    )


def _coded(node: Coded) -> Test:
    codes = node.codes
    bare = frozenset(code for _, code in codes.pairs)  # a code element says no system: the set knows it

    def is_in(fhir_type: str, value: Any) -> bool:
        for system, code in token.codings(fhir_type, value):
            is_bare = not system and fhir_type == "code"
            if code in bare if is_bare else codes.contains(system, code):
                return True
        return False

    return is_in


@lru_cache(maxsize=4096)
def _elements(parameter: SearchParameter, resource_type: str) -> Callable[[dict[str, Any]], list[Element]]:
    """What a parameter selects in a resource of a type."""
    try:
        return compile_expression(parameter.expression, resource_type)
    except ValueError:  # the expression can never select anything in this type
        return lambda _resource: []
