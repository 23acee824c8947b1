"""R4's own invariants, each at the element where it stands.

Spec:    https://hl7.org/fhir/R4/conformance-rules.html#constraints
Leaves:  walking a resource to structure.py; rules of profiles to operations.

Rules of severity error are checked when a resource is admitted; warnings are for $validate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from exchange.fhir.definitions import invariant_rows, shape, shape_names
from exchange.fhir.fhirpath import EvaluationError, Expression, Item, World, compile_fhirpath, truth
from exchange.fhir.fhirpath.grammar import read
from exchange.fhir.fhirpath.quick import Quick, quick

NOT_CHECKED: Final[dict[str, str]] = {
    "ctm-1": "it follows a reference to another resource",
    "dom-3": "it counts only references and canonicals that it can name by type: an exact form stands in its place",
}
"""Rules that are not evaluated as they are written, and why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One invariant. `expression` is None where it cannot be evaluated here."""

    key: str
    severity: str
    text: str
    expression: Expression | None
    quick: Quick | None = None

    def is_broken(self, item: Item, resource: Item, root: Item, world: World | None = None) -> bool:
        """Whether an element breaks the rule; one without an answer is not broken."""
        if self.expression is None:
            return False
        if self.quick is not None and type(item.value) is dict:
            answer = self.quick(item.value)
            if answer is not None:
                return not answer
        try:
            return truth(self.expression.evaluate(item, resource, root, world)) is False
        except EvaluationError:
            return False


@cache
def rules_of_element(path: str, type_: str = "") -> tuple[Rule, ...]:
    """The rules made at one element of the definitions, such as `Quantity` or `Organization.telecom` of its type."""
    return tuple(_rule(type_ or path, *row) for row in invariant_rows(path))


@cache
def rules_of_type(name: str) -> tuple[Rule, ...]:
    """The rules of a type or backbone element, inherited ones included."""
    found: tuple[Rule, ...] = ()
    while name:
        found += rules_of_element(name)
        name = shape(name).base
    return found


def _rule(type_: str, key: str, severity: str, expression: str, text: str) -> Rule:
    if key in NOT_CHECKED:
        return Rule(key, severity, text, None)
    told = quick(read(expression), type_) if type_ in shape_names() else None
    return Rule(key, severity, text, compile_fhirpath(expression), told)


def unreferenced(resource: dict[str, Any]) -> list[int]:
    """dom-3: the places of contained resources that nothing refers to, and that refer to nothing outside."""
    contained = resource.get("contained")
    if not contained:
        return []
    outer = {key: value for key, value in resource.items() if key != "contained"}
    named = {text for part in (outer, *contained) for text in _texts(part) if text.startswith("#")}
    return [
        place
        for place, each in enumerate(contained)
        if f"#{each.get('id')}" not in named and "#" not in set(_texts(each))
    ]


def _texts(value: Any) -> list[str]:
    found: list[str] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if type(each) is dict:
            waiting.extend(each.values())
        elif type(each) is list:
            waiting.extend(each)
        elif type(each) is str:
            found.append(each)
    return found
