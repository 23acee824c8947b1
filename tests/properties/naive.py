"""A naive search: every resource is looked at, chains are followed from one to the next, nothing is indexed.

It knows no SQL, no hash and no compartment. What one criterion means of one element is the hub's own check; everything
between resources - chains, `_has`, lists, hierarchies, includes, linked records - is done anew here, the slow way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from exchange.fhir.path import compile_expression
from exchange.search import reference
from exchange.search.check import check
from exchange.search.parameter import known_parameters
from exchange.search.tree import All, AnyOf, Chain, Coded, Criterion, Has, Include, Listed, Node, Not, Query
from exchange.settings import settings


@dataclass(frozen=True)
class Shelf:
    """All resources by Type/id, when each was last updated, which Patients are of one person, who lies where.

    `shared` are the records that share something with a record.
    """

    resources: Mapping[str, dict[str, Any]]
    updated: Mapping[str, int]
    persons: Mapping[str, frozenset[str]]
    records: Mapping[str, int]
    shared: Mapping[int, Collection[int]] = field(default_factory=dict)

    def is_near(self, place: str, target: str) -> bool:
        """Whether a resource lies in the record of another or shares with it, or either lies in nobody's."""
        own, other = self.records[place], self.records[target]
        return own < 0 or other < 0 or other == own or other in self.shared.get(own, ())

    def only(self, places: set[str]) -> Shelf:
        """The same with these resources only."""
        return replace(self, resources={key: value for key, value in self.resources.items() if key in places})

    def of_type(self, resource_type: str) -> Iterable[dict[str, Any]]:
        return (each for each in self.resources.values() if each["resourceType"] == resource_type)


def place(resource: dict[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def search(shelf: Shelf, query: Query, coded: Mapping[Criterion, Coded], now: int) -> set[str]:
    """The Type/id of everything that a query finds; `coded` has the codes behind `:in`, `:above` and `:below`."""
    return {
        place(each)
        for each in shelf.of_type(query.resource_type)
        if all(satisfies(shelf, node, each, coded, now) for node in query.nodes)
    }


def satisfies(
    shelf: Shelf, node: Node, resource: dict[str, Any], coded: Mapping[Criterion, Coded], now: int
) -> bool:
    match node:
        case All(nodes=nodes):
            return all(satisfies(shelf, each, resource, coded, now) for each in nodes)
        case AnyOf(nodes=nodes):
            return any(satisfies(shelf, each, resource, coded, now) for each in nodes)
        case Not(node=inner):
            return not satisfies(shelf, inner, resource, coded, now)
        case Listed(list_ids=ids):
            lists = [shelf.resources.get(f"List/{each}", {}) for each in ids]
            items = [entry for each in lists for entry in each.get("entry", ()) if not entry.get("deleted")]
            return place(resource) in {
                reference.local(each.get("item", {}).get("reference", ""), settings().fhir_url)
                for each in items
            }
        case Chain(parameter=parameter, targets=targets):
            wanted = dict(targets)
            is_scoping = parameter.name in reference.scoping_parameters(resource["resourceType"])
            for target in points_to(resource, parameter.name):
                of_person = shelf.persons.get(target, {target}) if is_scoping else {target}
                for each in of_person:
                    found = shelf.resources.get(each)
                    inner = wanted.get(each.partition("/")[0])
                    if found and inner and satisfies(shelf, inner, found, coded, now):
                        return True
            return False
        case Has(source=source, parameter=parameter, node=inner):
            return any(
                place(resource) in points_to(each, parameter.name)
                and satisfies(shelf, inner, each, coded, now)
                for each in shelf.of_type(source)
            )
        case Criterion(parameter=parameter) if node in coded:
            return check(coded[node], resource["resourceType"], now)(resource, 0)
        case Criterion(parameter=parameter, modifier="above" | "below") if parameter.kind == "reference":
            return _in_hierarchy(shelf, node, resource)
        case _:
            assert isinstance(node, Criterion)
            return _holds(shelf, node, resource, now)


def included(shelf: Shelf, includes: Iterable[Include], matches: set[str]) -> set[str]:
    """What the includes add to the matches, each once."""
    found = set(matches)
    edge, chosen = set(matches), list(includes)
    while edge:
        new: set[str] = set()
        for include in chosen:
            for name in include.parameters:
                targets = known_parameters(include.source)[name].targets
                if include.is_reverse:
                    new |= {
                        place(each)
                        for each in shelf.of_type(include.source)
                        if any(
                            target in edge
                            and include.target in ("", target.partition("/")[0])
                            and shelf.is_near(place(each), target)
                            for target in points_to(each, name)
                        )
                    }
                    continue
                for start in edge:
                    if start.startswith(include.source + "/"):
                        new |= {
                            target
                            for target in points_to(shelf.resources[start], name)
                            if target in shelf.resources
                            and target.partition("/")[0] in targets
                            and include.target in ("", target.partition("/")[0])
                        }
        edge = new - found
        found |= edge
        chosen = [each for each in includes if each.is_iterated]
        if not chosen:
            break
    return found - matches


def points_to(resource: dict[str, Any], name: str) -> set[str]:
    """The Type/id that a reference parameter of a resource holds."""
    parameter = known_parameters(resource["resourceType"])[name]
    try:
        elements = compile_expression(parameter.expression, resource["resourceType"])(resource)
    except ValueError:
        return set()
    return {form for each in elements for form in reference.forms(*each, (), settings().fhir_url)}


def _holds(shelf: Shelf, node: Criterion, resource: dict[str, Any], now: int) -> bool:
    is_scoping = node.name in reference.scoping_parameters(resource["resourceType"])
    if is_scoping and not node.modifier and node.parameter.kind == "reference" and shelf.persons:
        # A search that names one record of a person is answered from all of them.
        url, targets = settings().fhir_url, node.parameter.targets
        forms = {form for text in node.values for form in reference.wanted(text, node.name, "", targets, url)}
        forms |= {linked for form in forms for linked in shelf.persons.get(form, ())}
        return not forms.isdisjoint(points_to(resource, node.name))
    updated = shelf.updated[place(resource)]
    return check(node, resource["resourceType"], now)(resource, updated)


def _in_hierarchy(shelf: Shelf, node: Criterion, resource: dict[str, Any]) -> bool:
    url, targets = settings().fhir_url, node.parameter.targets
    starts = {form for text in node.values for form in reference.wanted(text, node.name, "", targets, url)}
    held = points_to(resource, node.name)
    if node.modifier == "below":
        return any(starts & _wholes(shelf, each) for each in held)
    return any(held & _wholes(shelf, each) for each in starts)


def _wholes(shelf: Shelf, start: str) -> set[str]:
    """A resource and all that it is a part of."""
    found, edge = {start}, {start}
    while edge:
        resources = [shelf.resources[each] for each in edge if each in shelf.resources]
        names = ("partof", "part-of")
        new = {
            target
            for each in resources
            for name in names
            if name in known_parameters(each["resourceType"])
            for target in points_to(each, name)
            if target.partition("/")[0] == each["resourceType"]
        }
        edge = new - found
        found |= edge
    return found
