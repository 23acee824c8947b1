"""Conditions that can often be told from which properties an object has: answered so, or left to the whole evaluation.

Leaves:  everything else to compile.py. An answer here is the answer there; None says that it has to be asked there.

Most invariants are of the form `code.empty() or system.exists()`. They are checked for every element of every resource
that is admitted, so they cost a look at the object's keys and no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from exchange.fhir.fhirpath.grammar import Tree
from exchange.fhir.fhirpath.navigate import plan

Quick: TypeAlias = Callable[[dict[str, Any]], bool | None]
_CHAIN: Final = frozenset(
    {"where", "select", "first", "last", "tail", "combine", "intersect", "trace", "descendants"}
)


def quick(tree: Tree, type_: str) -> Quick | None:
    """A condition on an object of a type, told from its properties; None where nothing can be told so."""
    match tree:
        case Tree("literal", bool(constant), _):
            return lambda _value: constant
        case Tree("call", "exists" | "empty" as name, (of, *_)):
            return _presence(of, type_, is_bare=len(tree.below) == 1, wants=name == "exists")
        case Tree("call", "hasValue", (Tree("member", name, ()),)):
            return _has_value(name, type_)
        case Tree("call", "not", (of,)):
            return _not(quick(of, type_))
        case Tree("call", "startsWith", (Tree("member", name, ()), Tree("literal", str(start), _))):
            return lambda value: value[name].startswith(start) if type(value.get(name)) is str else None
        case Tree("operation", "=", (Tree("member", name, ()), Tree("literal", str(text), _))):
            return lambda value: value[name] == text if type(value.get(name)) is str else None
        case Tree("operation", "and" | "or" | "implies" | "xor" | "=" | "!=" as operator, (left, right)):
            return _both(operator, quick(left, type_), quick(right, type_))
    return None


def _presence(of: Tree, type_: str, *, is_bare: bool, wants: bool) -> Quick | None:
    """Whether an element is there. A path whose first element is absent selects nothing, whatever follows."""
    first = of
    while (
        first.kind in ("member", "call", "at")
        and first.below
        and (first.kind != "call" or first.told in _CHAIN)
    ):
        first = first.below[0]
    if first.kind != "member" or first.below or first.told[:1].isupper():
        return None
    keys = _keys(type_, first.told)
    if not keys:
        return None
    when_present = wants if first is of and is_bare else None
    if len(keys) == 1:
        key = keys[0]
        return lambda value: when_present if key in value else not wants
    return lambda value: not wants if keys_absent(keys, value) else when_present


def keys_absent(keys: tuple[str, ...], value: dict[str, Any]) -> bool:
    """Whether none of the properties is there."""
    return all(key not in value for key in keys)


def _keys(type_: str, name: str) -> tuple[str, ...]:
    found: list[str] = []
    for key, _, is_primitive in plan(type_, name):
        found += (key, "_" + key) if is_primitive else (key,)
    return tuple(found)


def _has_value(name: str, type_: str) -> Quick | None:
    if [(key, is_primitive) for key, _, is_primitive in plan(type_, name)] != [(name, True)]:
        return None
    return lambda value: None if type(value.get(name)) is list else value.get(name) is not None


def _not(inner: Quick | None) -> Quick | None:
    if inner is None:
        return None
    asked = inner

    def negated(value: dict[str, Any]) -> bool | None:
        answer = asked(value)
        return None if answer is None else not answer

    return negated


def _unknown(_value: dict[str, Any]) -> bool | None:
    return None


def _both(operator: str, left: Quick | None, right: Quick | None) -> Quick | None:
    if left is None and right is None:
        return None
    one, other = left or _unknown, right or _unknown
    if operator == "implies":
        one, operator = _not(one) or _unknown, "or"
    if operator in ("and", "or"):
        decisive = operator == "or"

        def decided(value: dict[str, Any]) -> bool | None:
            first = one(value)
            if first is decisive:
                return decisive
            second = other(value)
            if second is decisive:
                return decisive
            return None if first is None or second is None else not decisive

        return decided
    is_same = operator == "="

    def compared(value: dict[str, Any]) -> bool | None:
        first, second = one(value), other(value)
        return None if first is None or second is None else (first == second) == is_same

    return compared
