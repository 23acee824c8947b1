"""A FHIRPath expression as closures over a resource's JSON, with a budget that no expression can exceed.

Spec:    http://hl7.org/fhirpath/N1/, https://hl7.org/fhir/R4/fhirpath.html
Leaves:  text to grammar.py, comparison to values.py, functions to functions.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, Final

from exchange.fhir.definitions import is_resource_type, primitive_patterns, shape_names
from exchange.fhir.fhirpath import functions, text_functions
from exchange.fhir.fhirpath.grammar import Measure, Moment, Tree, read
from exchange.fhir.fhirpath.navigate import children_named, is_a
from exchange.fhir.fhirpath.scope import Scope, Step, World
from exchange.fhir.fhirpath.values import (
    EvaluationError,
    Item,
    Items,
    boolean,
    compare,
    equal,
    equivalent,
    integer_of,
    system_type,
    truth,
)
from exchange.fhir.peru import LOINC_SYSTEM, UCUM_SYSTEM

FUNCTIONS: Final = functions.FUNCTIONS | text_functions.FUNCTIONS
_SNOMED: Final = "http://snomed.info/sct"


class Expression:
    """A compiled expression."""

    __slots__ = ("_step",)

    def __init__(self, step: Step) -> None:
        self._step = step

    def evaluate(
        self, item: Item, resource: Item | None = None, root: Item | None = None, world: World | None = None
    ) -> Items:
        """What it selects. Raises: EvaluationError."""
        of = resource or item
        try:
            return self._step(Scope(world or World(), root or of, of, item, [item]))
        except RecursionError:
            raise EvaluationError("the expression nests too deeply") from None
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
            # JSON of another structure than its type's: the structural check tells of it.
            raise EvaluationError("the expression does not fit the resource") from None


@lru_cache(maxsize=4096)
def compile_fhirpath(expression: str) -> Expression:
    """An expression, kept. Raises: ValueError - no FHIRPath, or a function that is not known here."""
    return Expression(_compiled(read(expression)))


def _compiled(tree: Tree) -> Step:
    match tree.kind:
        case "literal":
            return _constant(_literal(tree.told))
        case "variable":
            return {"$this": _this, "$index": _index, "$total": _total}[tree.told]
        case "constant":
            return _environment(tree.told)
        case "member":
            return _member(tree)
        case "at":
            return _at(*map(_compiled, tree.below))
        case "type":
            operator, name = tree.told
            return _typed(operator, name, _compiled(tree.below[0]))
        case "negation":
            return text_functions.negation(_compiled(tree.below[0]))
        case "operation":
            return _operation(tree.told, *map(_compiled, tree.below))
    of, *arguments = tree.below
    return _call(tree.told, _compiled(of), [_compiled(each) for each in arguments])


def _this(scope: Scope) -> Items:
    return scope.this


def _index(scope: Scope) -> Items:
    return [Item("System.Integer", scope.index)]


def _total(scope: Scope) -> Items:
    return scope.total


def _literal(value: Any) -> Items:
    if value is None:
        return []
    if isinstance(value, Moment):
        return [Item(value.type, value)]
    if isinstance(value, Measure):
        return [Item("Quantity", value)]
    return [Item(system_type(value), value)]


def _constant(items: Items) -> Step:
    return lambda _scope: items


def _environment(name: str) -> Step:
    match name:
        case "resource":
            return lambda scope: [scope.resource]
        case "rootResource":
            return lambda scope: [scope.root]
        case "context":
            return lambda scope: [scope.context]
    fixed = {"ucum": UCUM_SYSTEM, "loinc": LOINC_SYSTEM, "sct": _SNOMED}
    if name in fixed:
        return _constant(_literal(fixed[name]))
    if name.startswith("vs-"):
        return _constant(_literal(f"http://hl7.org/fhir/ValueSet/{name[3:]}"))
    if name.startswith("ext-"):
        return _constant(_literal(f"http://hl7.org/fhir/StructureDefinition/{name[4:]}"))
    raise ValueError("a constant that is not known")


def _member(tree: Tree) -> Step:
    name = tree.told
    if tree.below:
        of = _compiled(tree.below[0])
        return lambda scope: children_named(of(scope), name, scope.world)

    def first(scope: Scope) -> Items:
        found = scope.this
        if name[0].isupper() and found and is_a(found[0].type, name):
            return found
        return children_named(found, name, scope.world)

    return first


@cache
def known_types() -> frozenset[str]:
    """Types that may be named beside resources and primitives."""
    return frozenset(shape_names()) | {
        "Any",
        "Boolean",
        "String",
        "Integer",
        "Decimal",
        "Date",
        "DateTime",
        "Time",
    }


def _typed(operator: str, name: str, of: Step) -> Step:
    plain = name.removeprefix("FHIR.").removeprefix("System.")
    small = plain[:1].lower() + plain[1:]
    if not (is_resource_type(plain) or small in primitive_patterns() or plain in known_types()):
        raise ValueError("a type that is not known")
    if operator == "is":

        def is_type(scope: Scope) -> Items:
            found = of(scope)
            if len(found) > 1:
                raise EvaluationError("one value is expected, and there are several")
            return boolean(is_a(found[0].type, name)) if found else []

        return is_type
    # `as` of several is what official expressions mean by ofType.
    return lambda scope: [each for each in of(scope) if is_a(each.type, name)]


def _at(of: Step, place: Step) -> Step:
    def at(scope: Scope) -> Items:
        number = integer_of(place(scope))
        found = of(scope)
        return found[number : number + 1] if number is not None and number >= 0 else []

    return at


def _call(name: str, of: Step, arguments: list[Step]) -> Step:
    made = FUNCTIONS.get((name, len(arguments)))
    if made is None:
        raise ValueError("a function that is not known")
    return made(of, *arguments)


def _operation(operator: str, left: Step, right: Step) -> Step:
    if operator in _LOGIC:
        return _logic(_LOGIC[operator], left, right)
    if operator in _COMPARISONS:
        return _comparison(_COMPARISONS[operator], left, right)
    match operator:
        case "=" | "!=":
            return _equality(left, right, is_wanted=operator == "=")
        case "~" | "!~":
            return _equivalence(left, right, is_wanted=operator == "~")
        case "in" | "contains":
            one, many = (left, right) if operator == "in" else (right, left)
            return functions.membership(one, many)
        case "|":
            return lambda scope: functions.distinct([*left(scope), *right(scope)], scope.world)
    return text_functions.arithmetic(operator, left, right)


def _logic(
    answer: Callable[[bool | None, Callable[[], bool | None]], bool | None], left: Step, right: Step
) -> Step:
    return lambda scope: boolean(answer(truth(left(scope)), lambda: truth(right(scope))))


def _and(one: bool | None, other: Callable[[], bool | None]) -> bool | None:  # noqa: FBT001
    if one is False:
        return False
    second = other()
    return False if second is False else (True if one and second else None)


def _or(one: bool | None, other: Callable[[], bool | None]) -> bool | None:  # noqa: FBT001
    if one:
        return True
    second = other()
    return True if second else (False if one is False and second is False else None)


def _xor(one: bool | None, other: Callable[[], bool | None]) -> bool | None:  # noqa: FBT001
    second = other()
    return None if one is None or second is None else one != second


def _implies(one: bool | None, other: Callable[[], bool | None]) -> bool | None:  # noqa: FBT001
    if one is False:
        return True
    second = other()
    return True if second else (second if one else None)


_LOGIC: Final[Mapping[str, Callable[[bool | None, Callable[[], bool | None]], bool | None]]] = {
    "and": _and, "or": _or, "xor": _xor, "implies": _implies,
}  # fmt: skip
_COMPARISONS: Final[Mapping[str, Callable[[int], bool]]] = {
    "<": lambda sign: sign < 0, "<=": lambda sign: sign <= 0, ">": lambda sign: sign > 0, ">=": lambda sign: sign >= 0,
}  # fmt: skip


def _comparison(holds: Callable[[int], bool], left: Step, right: Step) -> Step:
    def compared(scope: Scope) -> Items:
        one, other = left(scope), right(scope)
        if not one or not other:
            return []
        if len(one) > 1 or len(other) > 1:
            raise EvaluationError("one value is expected, and there are several")
        sign = compare(one[0], other[0])
        return [] if sign is None else boolean(holds(sign))

    return compared


def _equality(left: Step, right: Step, *, is_wanted: bool) -> Step:
    def equals(scope: Scope) -> Items:
        one, other = left(scope), right(scope)
        if not one or not other:
            return []
        scope.world.spend(len(one))
        if len(one) != len(other):
            return boolean(not is_wanted)
        answers = [equal(*pair) for pair in zip(one, other, strict=True)]
        if None in answers:
            return []
        return boolean(all(answers) == is_wanted)

    return equals


def _equivalence(left: Step, right: Step, *, is_wanted: bool) -> Step:
    def equivalents(scope: Scope) -> Items:
        one, other = left(scope), list(right(scope))
        scope.world.spend(len(one) * max(1, len(other)))
        same = len(one) == len(other)
        for each in one if same else ():
            match = next((found for found in other if equivalent(each, found)), None)
            if match is None:
                same = False
                break
            other.remove(match)
        return boolean(same == is_wanted)

    return equivalents
