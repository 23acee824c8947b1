"""FHIRPath search expressions as functions, and the extractors that run all of a resource type's.

Spec:    https://hl7.org/fhir/R4/searchparameter.html#fhirpath
Leaves:  text to path_grammar.py, closures to path_closure.py; hashing what is found to search and store.

`resolve() is X` is answered from the reference itself: nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, TypeAlias

from exchange.fhir.definitions import SearchParameter, search_parameters
from exchange.fhir.path_closure import Element, Next, Run, build, emit, reference_type, refers_to
from exchange.fhir.path_grammar import read_expression

__all__ = [
    "Composed",
    "Element",
    "Extracted",
    "compile_expression",
    "composite_extractor",
    "extractor",
    "reference_type",
    "refers_to",
]

Extracted: TypeAlias = list[tuple[SearchParameter, list[Element]]]
Composed: TypeAlias = list[tuple[SearchParameter, list[tuple[list[Element], ...]]]]


@lru_cache(maxsize=4096)
def compile_expression(expression: str, resource_type: str) -> Callable[[dict[str, Any]], list[Element]]:
    """A function from a resource to the elements that an expression selects, each with its FHIR type.

    Raises: ValueError - not in the part of FHIRPath that is known here, or it can never select anything.
    """
    run = build(read_expression(expression), resource_type, emit)
    if run is None:
        raise ValueError("the expression selects nothing in this resource type")
    chosen = run

    def evaluate(resource: dict[str, Any]) -> list[Element]:
        found: list[Element] = []
        chosen(resource, resource, found)
        return found

    return evaluate


@cache
def extractor(resource_type: str) -> Callable[[dict[str, Any]], Extracted]:
    """A function that runs all parameters of a type and returns those that found something.

    Composite and special parameters are left out (composite_extractor has the former), and so are those
    without an expression (_text, _content, _query).
    """
    plan: list[tuple[SearchParameter, Run]] = []
    for parameter in search_parameters(resource_type).values():
        if parameter.expression and parameter.kind not in ("composite", "special"):
            run = build(read_expression(parameter.expression), resource_type, emit)
            if run is not None:
                plan.append((parameter, run))

    def extract(resource: dict[str, Any]) -> Extracted:
        result: Extracted = []
        for parameter, run in plan:
            found: list[Element] = []
            run(resource, resource, found)
            if found:
                result.append((parameter, found))
        return result

    return extract


@cache
def composite_extractor(resource_type: str) -> Callable[[dict[str, Any]], Composed]:
    """A function that returns, for each composite parameter, the component values found together.

    Every tuple comes from one element, so values of different elements never mix.
    """
    plan: list[tuple[SearchParameter, Run]] = []
    for parameter in search_parameters(resource_type).values():
        if parameter.kind == "composite":
            run = build(read_expression(parameter.expression), resource_type, _together(parameter))
            if run is not None:
                plan.append((parameter, run))

    def extract(resource: dict[str, Any]) -> Composed:
        result: Composed = []
        for parameter, run in plan:
            found: list[tuple[list[Element], ...]] = []
            run(resource, resource, found)
            if found:
                result.append((parameter, found))
        return result

    return extract


def _together(parameter: SearchParameter) -> Next:
    parts = [read_expression(part) for _, part in parameter.components]

    def at_element(type_: str) -> Run | None:
        runs = [run for run in (build(part, type_, emit) for part in parts) if run is not None]
        if len(runs) < len(parts):
            return None

        def run(value: Any, root: dict[str, Any], out: list[Any]) -> None:
            found: list[list[Element]] = [[] for _ in runs]
            for each, values in zip(runs, found, strict=True):
                each(value, root, values)
                if not values:
                    return
            out.append(tuple(found))

        return run

    return at_element
