"""The functions of FHIRPath on collections, and those that FHIR adds, as closures over those of their arguments.

Spec:    http://hl7.org/fhirpath/N1/#functions, https://hl7.org/fhir/R4/fhirpath.html#functions
Leaves:  texts, numbers and moments to text_functions.py. What is in neither table is refused at compilation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from exchange.fhir.fhirpath.navigate import all_children, children_named
from exchange.fhir.fhirpath.scope import Scope, Step, World
from exchange.fhir.fhirpath.values import (
    EvaluationError,
    Item,
    Items,
    boolean,
    compare,
    equal,
    integer_of,
    key_of,
    made,
    single,
    text_of,
    truth,
)
from exchange.fhir.narrative import is_narrative


def _each(scope: Scope, items: Items, step: Step) -> list[tuple[Item, Items]]:
    """A step for every item, with $this and $index."""
    scope.world.spend(len(items))
    found = []
    for place, item in enumerate(items):
        found.append((item, step(replace(scope, this=[item], index=place))))
    return found


# Existence


def _exists(of: Step) -> Step:
    return lambda scope: boolean(bool(of(scope)))


def _empty(of: Step) -> Step:
    return lambda scope: boolean(not of(scope))


def _not(of: Step) -> Step:
    def negated(scope: Scope) -> Items:
        answer = truth(of(scope))
        return boolean(None if answer is None else not answer)

    return negated


def _where(of: Step, condition: Step) -> Step:
    return lambda scope: [item for item, found in _each(scope, of(scope), condition) if truth(found)]


def _exists_where(of: Step, condition: Step) -> Step:
    return _exists(_where(of, condition))


def _all(of: Step, condition: Step) -> Step:
    return lambda scope: boolean(all(truth(found) for _, found in _each(scope, of(scope), condition)))


def _quantified(test: Callable[[list[Any]], bool]) -> Callable[[Step], Step]:
    return lambda of: lambda scope: boolean(test([each.value for each in of(scope)]))


def _count(of: Step) -> Step:
    return lambda scope: made(len(of(scope)))


def distinct(items: Items, world: World) -> Items:
    """The items without repetitions, in their order."""
    world.spend(len(items))
    seen: set[Any] = set()
    rest: Items = []
    found: Items = []
    for item in items:
        key = key_of(item)
        if key is not None:
            if key not in seen:
                seen.add(key)
                found.append(item)
            continue
        world.spend(len(rest) + 1)
        if not any(equal(item, each) for each in rest):
            rest.append(item)
            found.append(item)
    return found


def _distinct(of: Step) -> Step:
    return lambda scope: distinct(of(scope), scope.world)


def _is_distinct(of: Step) -> Step:
    def tested(scope: Scope) -> Items:
        items = of(scope)
        return boolean(len(distinct(items, scope.world)) == len(items))

    return tested


def _has(items: Items, wanted: Item, world: World) -> bool:
    world.spend(len(items) + 1)
    return any(equal(wanted, each) for each in items)


def membership(one: Step, many: Step) -> Step:
    """`one in many`; many contains one."""

    def is_in(scope: Scope) -> Items:
        item = single(one(scope))
        return [] if item is None else boolean(_has(many(scope), item, scope.world))

    return is_in


def _subset(of: Step, other: Step) -> Step:
    def tested(scope: Scope) -> Items:
        those = other(replace(scope, this=[scope.context]))
        return boolean(all(_has(those, each, scope.world) for each in of(scope)))

    return tested


# Filtering, subsetting, combining


def _select(of: Step, step: Step) -> Step:
    def selected(scope: Scope) -> Items:
        found = [each for _, items in _each(scope, of(scope), step) for each in items]
        scope.world.spend(len(found))
        return found

    return selected


def _repeat(of: Step, step: Step) -> Step:
    def repeated(scope: Scope) -> Items:
        found: Items = []
        waiting = of(scope)
        while waiting:
            waiting = [each for _, items in _each(scope, waiting, step) for each in items]
            before = len(found)
            found = distinct([*found, *waiting], scope.world)
            waiting = found[before:]
        return found

    return repeated


def _part(choose: Callable[[Items], Items]) -> Callable[[Step], Step]:
    return lambda of: lambda scope: choose(of(scope))


def _single(of: Step) -> Step:
    def one(scope: Scope) -> Items:
        item = single(of(scope))
        return [] if item is None else [item]

    return one


def _slice(choose: Callable[[Items, int], Items]) -> Callable[[Step, Step], Step]:
    def built(of: Step, number: Step) -> Step:
        return lambda scope: choose(of(scope), max(0, integer_of(number(scope)) or 0))

    return built


def _kept(*, is_wanted: bool) -> Callable[[Step, Step], Step]:
    def built(of: Step, other: Step) -> Step:
        def kept(scope: Scope) -> Items:
            those = other(scope)
            found = [each for each in of(scope) if _has(those, each, scope.world) == is_wanted]
            return distinct(found, scope.world) if is_wanted else found

        return kept

    return built


def _union(of: Step, other: Step) -> Step:
    return lambda scope: distinct([*of(scope), *other(scope)], scope.world)


def _combine(of: Step, other: Step) -> Step:
    def combined(scope: Scope) -> Items:
        found = [*of(scope), *other(scope)]
        scope.world.spend(len(found))
        return found

    return combined


def _children(of: Step) -> Step:
    return lambda scope: all_children(of(scope), scope.world)


def _descendants(of: Step) -> Step:
    def descended(scope: Scope) -> Items:
        found: Items = []
        waiting = all_children(of(scope), scope.world)
        while waiting:
            found += waiting
            waiting = all_children(waiting, scope.world)
        return found

    return descended


def _aggregate(of: Step, step: Step, start: Step | None = None) -> Step:
    def aggregated(scope: Scope) -> Items:
        total = start(scope) if start is not None else []
        for place, item in enumerate(of(scope)):
            scope.world.spend(1)
            total = step(replace(scope, this=[item], index=place, total=total))
        return total

    return aggregated


def _iif(of: Step, condition: Step, then: Step, otherwise: Step | None = None) -> Step:
    def chosen(scope: Scope) -> Items:
        within = replace(scope, this=of(scope))
        if truth(condition(within)):
            return then(within)
        return otherwise(within) if otherwise is not None else []

    return chosen


# What FHIR adds


def _extension(of: Step, url: Step) -> Step:
    def found(scope: Scope) -> Items:
        wanted = text_of(url(scope))
        return [
            each
            for each in children_named(of(scope), "extension", scope.world)
            if each.value.get("url") == wanted
        ]

    return found


def _has_value(of: Step) -> Step:
    def tested(scope: Scope) -> Items:
        items = of(scope)
        return boolean(len(items) == 1 and items[0].value is not None and type(items[0].value) is not dict)

    return tested


def _value(of: Step) -> Step:
    return lambda scope: [
        each for each in of(scope) if each.value is not None and type(each.value) is not dict
    ]


def _resolve(of: Step) -> Step:
    def resolved(scope: Scope) -> Items:
        resolve = scope.world.resolve
        if resolve is None:
            raise EvaluationError("references are not followed here")
        return [found for found in map(resolve, of(scope)) if found is not None]

    return resolved


def _asked(name: str) -> Callable[[Step, Step], Step]:
    def built(of: Step, url: Step) -> Step:
        def tested(scope: Scope) -> Items:
            item, canonical = single(of(scope)), text_of(url(scope))
            ask = getattr(scope.world, name)
            if ask is None or canonical is None:
                raise EvaluationError("this cannot be asked here")
            if item is None:
                return []
            answer = ask(item, canonical)
            if answer is None:
                raise EvaluationError("this cannot be answered here")
            return boolean(answer)

        return tested

    return built


def _html_checks(of: Step) -> Step:
    return lambda scope: boolean(all(type(e.value) is str and is_narrative(e.value) for e in of(scope)))


def _same(of: Step, *_further: Step) -> Step:
    return of


def _extreme(sign: int) -> Callable[[Step], Step]:
    def built(of: Step) -> Step:
        def found(scope: Scope) -> Items:
            items = of(scope)
            best = items[:1]
            for each in items[1:]:
                if compare(each, best[0]) == sign:
                    best = [each]
            return best

        return found

    return built


FUNCTIONS: Final[dict[tuple[str, int], Callable[..., Step]]] = {
    ("exists", 0): _exists,
    ("exists", 1): _exists_where,
    ("empty", 0): _empty,
    ("not", 0): _not,
    ("all", 1): _all,
    ("allTrue", 0): _quantified(lambda v: all(e is True for e in v)),
    ("anyTrue", 0): _quantified(lambda v: any(e is True for e in v)),
    ("allFalse", 0): _quantified(lambda v: all(e is False for e in v)),
    ("anyFalse", 0): _quantified(lambda v: any(e is False for e in v)),
    ("count", 0): _count,
    ("distinct", 0): _distinct,
    ("isDistinct", 0): _is_distinct,
    ("subsetOf", 1): _subset,
    ("supersetOf", 1): lambda of, other: _subset(other, of),
    ("where", 1): _where,
    ("select", 1): _select,
    ("repeat", 1): _repeat,
    ("aggregate", 1): _aggregate,
    ("aggregate", 2): _aggregate,
    ("single", 0): _single,
    ("first", 0): _part(lambda i: i[:1]),
    ("last", 0): _part(lambda i: i[-1:]),
    ("tail", 0): _part(lambda i: i[1:]),
    ("skip", 1): _slice(lambda i, n: i[n:]),
    ("take", 1): _slice(lambda i, n: i[:n]),
    ("intersect", 1): _kept(is_wanted=True),
    ("exclude", 1): _kept(is_wanted=False),
    ("union", 1): _union,
    ("combine", 1): _combine,
    ("children", 0): _children,
    ("descendants", 0): _descendants,
    ("iif", 2): _iif,
    ("iif", 3): _iif,
    ("min", 0): _extreme(-1),
    ("max", 0): _extreme(1),
    ("trace", 1): _same,
    ("trace", 2): _same,
    ("extension", 1): _extension,
    ("hasValue", 0): _has_value,
    ("getValue", 0): _value,
    ("resolve", 0): _resolve,
    ("memberOf", 1): _asked("member_of"),
    ("conformsTo", 1): _asked("conforms_to"),
    ("htmlChecks", 0): _html_checks,
}
