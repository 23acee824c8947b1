"""One node of a FHIRPath tree as one Python closure, for a focus whose FHIR type is known while compiling.

Spec:    https://hl7.org/fhir/R4/searchparameter.html#fhirpath
Leaves:  the text of expressions to path_grammar.py, whole expressions and extractors to path.py.

A closure takes (value, root resource, list to append to). Compiling hands each node what shall happen next,
as a function from the FHIR type found there; every type of a choice so gets a closure of its own, and a
branch that can never select anything is None and costs nothing. JSON of another structure than its type's
is passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias

from exchange.fhir.datatype import parse_reference
from exchange.fhir.definitions import is_resource_type, is_subtype, primitive_patterns, shape
from exchange.fhir.path_grammar import Call, Child, Index, Literal, Node, Operation, Start, TypeTest

Element: TypeAlias = tuple[str, Any]
Run: TypeAlias = Callable[[Any, dict[str, Any], list[Any]], None]
Next: TypeAlias = Callable[[str], "Run | None"]
Values: TypeAlias = Callable[[Any, dict[str, Any]], list[Any]]
Predicate: TypeAlias = Callable[[Any, dict[str, Any]], bool]

_ABSTRACT: Final = ("Resource", "DomainResource")


@cache
def emit(at: str) -> Run:
    """The last closure of a path: append (FHIR type, value)."""
    if at == "Resource":

        def emit_resource(value: Any, _root: dict[str, Any], out: list[Any]) -> None:
            out.append((value.get("resourceType", "Resource"), value))

        return emit_resource

    def emit_value(value: Any, _root: dict[str, Any], out: list[Any]) -> None:
        out.append((at, value))

    return emit_value


def build(node: Node, at: str, then: Next) -> Run | None:
    """The closure for a node on a focus of type `at`; None when nothing can ever be selected."""
    match node:
        case Start(name="%resource" | "%context"):
            return _from_root(then)
        case Start():
            return then(at)
        case Child(of=Start(name=""), name=name) if name in _ABSTRACT or is_resource_type(name):
            return then(at) if is_subtype(at, name) else None
        case Child(of=of, name=name):
            return build(of, at, lambda type_: _child(type_, name, then))
        case TypeTest(of=of, operator="as", type=wanted):
            return build(of, at, lambda type_: _as(type_, wanted, then))
        case Index(of=of, position=position):
            return _index(of, position, at, then)
        case Call(of=of, function="first", arguments=()):
            return _index(of, 0, at, then)
        case Call(of=of, function="where", arguments=(condition,)):
            return build(of, at, lambda type_: _where(condition, type_, then))
        case Call(of=of, function="extension", arguments=(Literal(value=url),)):
            is_that = Operation("=", Child(Start(""), "url"), Literal(url))
            return build(Call(Child(of, "extension"), "where", (is_that,)), at, then)
        case Operation(operator="|", left=left, right=right):
            return _both(build(left, at, then), build(right, at, then))
        case _:
            return _truth(_predicate(node, at), then)


def _from_root(then: Next) -> Run | None:
    nexts: dict[str, Run | None] = {}  # the type of the root is known when a resource comes

    def run(_value: Any, root: dict[str, Any], out: list[Any]) -> None:
        at = root["resourceType"]
        if at not in nexts:
            nexts[at] = then(at)
        following = nexts[at]
        if following is not None:
            following(root, root, out)

    return run


def _both(left: Run | None, right: Run | None) -> Run | None:
    if left is None or right is None:
        return left or right
    one, other = left, right

    def run(value: Any, root: dict[str, Any], out: list[Any]) -> None:
        one(value, root, out)
        other(value, root, out)

    return run


def _child(at: str, name: str, then: Next) -> Run | None:
    if at in primitive_patterns():
        return None
    elements = shape(at).elements
    element = elements.get(name) or elements.get(name + "[x]")
    if element is None:
        return None
    following = [(key, type_, then(type_)) for key, type_ in element.properties()]
    runs = [_property(key, type_, run) for key, type_, run in following if run is not None]
    if len(runs) <= 1:
        return runs[0] if runs else None
    steps = tuple(runs)

    def run(value: Any, root: dict[str, Any], out: list[Any]) -> None:
        for step in steps:
            step(value, root, out)

    return run


def _property(key: str, type_: str, then: Run) -> Run:
    if type_ in primitive_patterns():
        return _primitive_property(key, then)
    if then is emit(type_) and type_ != "Resource":
        return _last_property(key, type_)

    def inner(value: Any, root: dict[str, Any], out: list[Any]) -> None:
        found = value.get(key)
        if type(found) is dict:
            then(found, root, out)
        elif type(found) is list:
            for each in found:
                if type(each) is dict:
                    then(each, root, out)

    return inner


def _primitive_property(key: str, then: Run) -> Run:
    def primitive(value: Any, root: dict[str, Any], out: list[Any]) -> None:
        found = value.get(key)
        if found is None or type(found) is dict:
            return
        if type(found) is not list:
            then(found, root, out)
            return
        for each in found:
            if each is not None and type(each) not in (dict, list):
                then(each, root, out)

    return primitive


def _last_property(key: str, type_: str) -> Run:
    def last(value: Any, _root: dict[str, Any], out: list[Any]) -> None:
        found = value.get(key)
        if type(found) is dict:
            out.append((type_, found))
        elif type(found) is list:
            out.extend([(type_, each) for each in found if type(each) is dict])

    return last


def _as(at: str, wanted: str, then: Next) -> Run | None:
    wanted = _type_named(wanted)
    if is_subtype(at, wanted):
        return then(at)
    if at != "Resource" or not is_resource_type(wanted):
        return None
    following = then(wanted)
    if following is None:
        return None
    chosen = following

    def run(value: Any, root: dict[str, Any], out: list[Any]) -> None:
        if value.get("resourceType") == wanted:
            chosen(value, root, out)

    return run


def _type_named(name: str) -> str:
    """A type as FHIR spells it: one official expression says DateTime for dateTime."""
    lower = name[:1].lower() + name[1:]
    return lower if lower in primitive_patterns() else name


def _index(of: Node, position: int, at: str, then: Next) -> Run | None:
    nexts: dict[str, Run | None] = {}

    def gather(type_: str) -> Run:
        nexts[type_] = then(type_)

        def append(value: Any, _root: dict[str, Any], out: list[Any]) -> None:
            out.append((type_, value))

        return append

    inner = build(of, at, gather)
    if inner is None:
        return None
    gathering = inner

    def run(value: Any, root: dict[str, Any], out: list[Any]) -> None:
        found: list[Element] = []
        gathering(value, root, found)
        if position < len(found):
            type_, chosen = found[position]
            following = nexts[type_]
            if following is not None:
                following(chosen, root, out)

    return run


def _where(condition: Node, at: str, then: Next) -> Run | None:
    following = then(at)
    if following is None:
        return None
    chosen, holds = following, _predicate(condition, at)

    def run(value: Any, root: dict[str, Any], out: list[Any]) -> None:
        if holds(value, root):
            chosen(value, root, out)

    return run


def _truth(holds: Predicate, then: Next) -> Run | None:
    following = then("boolean")
    if following is None:
        return None
    chosen = following

    def run(value: Any, root: dict[str, Any], out: list[Any]) -> None:
        chosen(holds(value, root), root, out)

    return run


def _predicate(node: Node, at: str) -> Predicate:
    """A condition on a focus of type `at`; what FHIRPath calls empty counts as false."""
    match node:
        case Operation(operator="and", left=left, right=right):
            one, other = _predicate(left, at), _predicate(right, at)
            return lambda value, root: one(value, root) and other(value, root)
        case Operation(operator="or", left=left, right=right):
            one, other = _predicate(left, at), _predicate(right, at)
            return lambda value, root: one(value, root) or other(value, root)
        case Operation(operator="=" | "!=" as operator, left=left, right=right):
            return _comparison(operator, _values(left, at), _values(right, at))
        case Call(of=of, function="exists", arguments=()):
            some = _values(of, at)
            return lambda value, root: bool(some(value, root))
        case Call(of=of, function="not", arguments=()):
            positive = _predicate(of, at)
            return lambda value, root: not positive(value, root)
        case TypeTest(of=Call(of=Start(), function="resolve"), operator="is", type=wanted):
            return lambda value, root: refers_to(value, wanted, root)
        case TypeTest(of=of, operator="is", type=wanted):
            those = _values(TypeTest(of, "as", wanted), at)
            return lambda value, root: bool(those(value, root))
        case Literal(value=bool(constant)):
            return lambda _value, _root: constant
        case Child():
            truth = _values(node, at)
            return lambda value, root: truth(value, root) == [True]
        case _:
            raise ValueError("the expression uses a part of FHIRPath that search does not")


def _comparison(
    operator: str,
    left: Callable[[Any, dict[str, Any]], list[Any]],
    right: Callable[[Any, dict[str, Any]], list[Any]],
) -> Predicate:
    def compare(value: Any, root: dict[str, Any]) -> bool:
        these, those = left(value, root), right(value, root)
        if not these or not those:
            return False
        same = these == those and [type(each) for each in these] == [type(each) for each in those]
        return same == (operator == "=")

    return compare


def _values(node: Node, at: str) -> Values:
    if isinstance(node, Literal):
        constant = [node.value]
        return lambda _value, _root: constant
    run = build(node, at, emit)
    if run is None:
        return lambda _value, _root: []
    chosen = run

    def values(value: Any, root: dict[str, Any]) -> list[Any]:
        found: list[Element] = []
        chosen(value, root, found)
        return [each for _, each in found]

    return values


def refers_to(reference: Any, wanted: str, root: dict[str, Any]) -> bool:
    """Whether a Reference says that it points to a type: by text, `type` or contained resource."""
    said = reference_type(reference, root)
    return said is not None and is_subtype(said, wanted)


def reference_type(reference: Any, root: dict[str, Any]) -> str | None:
    """The resource type that a Reference says it points to; None when it does not say."""
    if type(reference) is not dict:
        return None
    text = reference.get("reference")
    if type(text) is str:
        found = parse_reference(text)
        if found.is_contained:
            return _contained_type(found.fragment, root)
        if found.type is not None:
            return found.type
    return _known(reference.get("type"))


def _contained_type(fragment: str | None, root: dict[str, Any]) -> str | None:
    contained = root.get("contained")
    for each in contained if type(contained) is list else ():
        if type(each) is dict and each.get("id") == fragment:
            return _known(each.get("resourceType"))
    return None


def _known(name: Any) -> str | None:
    return name if type(name) is str and is_resource_type(name) else None
