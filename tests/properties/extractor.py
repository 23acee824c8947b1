"""What search extracts from a resource, against another implementation of FHIRPath that shares nothing with ours.

Every official search parameter's expression, on every official example: `python -m tests.properties.extractor`.

Two things that fhirpathpy lacks are put beside it: `resolve()` answers with the type that a reference names, and `as` on
a collection becomes ofType, which is what the official expressions mean.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any

from fhirpathpy import compile as compile_other
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models

from exchange.fhir.definitions import SearchParameter, search_parameters
from exchange.fhir.path import compile_expression, reference_type
from exchange.fhir.resource import parse
from tests.sample import official

MAX_BYTES = 16 * 1024 * 1024
MAX_COMPARED = 400_000
"""Bytes of an example that is compared: the other implementation takes minutes for a bundle of definitions."""
KNOWN = frozenset({("ConceptMap", "source-uri"), ("ConceptMap", "target-uri")})
"""`source as uri` where the source is a canonical: a canonical is a uri (R4, datatypes), which fhirpathpy does not know."""


def examples(most_of_a_type: int = 10_000) -> Iterator[tuple[str, bytes]]:
    """The official examples of a size that the other implementation can take: name and text."""
    taken: Counter[str] = Counter()
    for name, text in official.examples(MAX_COMPARED):
        kind = name.partition("-")[0]
        if taken[kind] < most_of_a_type:
            taken[kind] += 1
            yield name, text


def parameters(resource_type: str) -> list[SearchParameter]:
    """The parameters of a type that have an expression of their own."""
    return [each for each in search_parameters(resource_type).values() if each.expression]


def compare(text: bytes) -> Iterator[tuple[str, list[str], list[str]]]:
    """For each parameter of an example's type: its name, what we extract, and what the other does."""
    resource = parse(text, max_bytes=MAX_BYTES)
    kind = resource["resourceType"]
    for parameter in parameters(kind):
        if (kind, parameter.name) in KNOWN:
            continue
        ours = compile_expression(parameter.expression, kind)(resource)
        theirs = _other(parameter.expression, kind)(deepcopy(resource), resource)
        yield parameter.name, _told([value for _, value in ours]), _told(theirs)


@cache
def _other(expression: str, kind: str) -> Callable[[dict[str, Any], dict[str, Any]], list[Any]]:
    known: dict[str, Any] = {}

    def resolve(collection: list[Any]) -> list[Any]:
        named = [reference_type(getattr(each, "data", each), known["root"]) for each in collection]
        return [ResourceNode({"resourceType": each}, each) for each in named if each]

    table = {"resolve": {"fn": resolve}}
    run = compile_other(rewritten(expression, kind), models["r4"], {"userInvocationTable": table})

    def evaluate(copy: dict[str, Any], root: dict[str, Any]) -> list[Any]:
        known["root"] = root
        return run(copy)

    return evaluate


def rewritten(expression: str, kind: str) -> str:
    """The expression with every `as` as ofType, the abstract types named, and the type that is spelt wrongly put right."""
    expression = re.sub(r"\b(?:Domain)?Resource\.", f"{kind}.", expression)
    expression = expression.replace("as DateTime", "as dateTime")
    expression = re.sub(r"\.as\(\s*(\w+)\s*\)", r".ofType(\1)", expression)
    return re.sub(r" as (\w+)", r".ofType(\1)", expression)


def _told(values: list[Any]) -> list[str]:
    """Values as a set of texts: a union has no order and no repetitions. Nothing and false are one condition."""
    return sorted({json.dumps(each, sort_keys=True, default=str) for each in values if each is not False})


def main() -> int:
    """Compare everything; print each difference once by parameter."""
    cases = 0
    differences: Counter[str] = Counter()
    for name, text in examples():
        for parameter, ours, theirs in compare(text):
            cases += 1
            if ours != theirs:
                kind = parse(text, max_bytes=MAX_BYTES)["resourceType"]
                differences[f"{kind}.{parameter}"] += 1
                if differences[f"{kind}.{parameter}"] == 1:
                    print(f"{kind}.{parameter} of {name}:\n  ours   {ours[:2]}\n  theirs {theirs[:2]}")
    print(f"{cases} cases, {sum(differences.values())} differences in {len(differences)} parameters")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
