"""From an element to its children, by the types that R4 gives them.

Spec:    http://hl7.org/fhirpath/N1/#path-selection
Leaves:  which steps to take to compile.py and functions.py.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from exchange.fhir.definitions import is_resource_type, is_subtype, primitive_patterns, shape
from exchange.fhir.fhirpath.scope import World
from exchange.fhir.fhirpath.values import Item, Items


def children_named(items: Items, name: str, world: World) -> Items:
    """The children of that name of every item."""
    found: Items = []
    for item in items:
        value = item.value
        if type(value) is not dict:
            if name == "extension" and type(item.beside) is dict:
                found += _listed("Extension", item.beside.get("extension"), None)
            elif name == "id" and type(item.beside) is dict and "id" in item.beside:
                found.append(Item("string", item.beside["id"]))
            continue
        for key, type_, is_primitive in plan(item.type, name):
            child = value.get(key)
            if is_primitive:
                beside = value.get("_" + key)
                if child is not None or beside is not None:
                    found += _primitives(type_, child, beside)
            elif child is not None:
                found += _listed(type_, child, None)
    world.spend(len(items) + len(found))
    return found


def _primitives(type_: str, child: Any, beside: Any) -> Items:
    if type(child) is not list and type(beside) is not list:
        return [Item(type_, child, beside)]
    values = child if type(child) is list else [None] * len(beside)
    besides = beside if type(beside) is list else [None] * len(values)
    return [Item(type_, one, other) for one, other in zip(values, besides, strict=False)]


def _listed(type_: str, child: Any, beside: Any) -> Items:
    if type(child) is list:
        return [Item(_actual(type_, each), each, beside) for each in child]
    return [] if child is None else [Item(_actual(type_, child), child, beside)]


def _actual(type_: str, value: Any) -> str:
    if type_ == "Resource" and type(value) is dict:
        told = value.get("resourceType")
        return told if type(told) is str and is_resource_type(told) else type_
    return type_


@lru_cache(maxsize=8192)
def plan(type_: str, name: str) -> tuple[tuple[str, str, bool], ...]:
    """The JSON properties in which a child of a type lies: key, type, whether it is primitive."""
    if type_ in primitive_patterns() or type_.startswith("System."):
        return ()
    elements = shape(type_).elements
    element = elements.get(name) or elements.get(name + "[x]")
    if element is None:
        return ()
    return tuple((key, each, each in primitive_patterns()) for key, each in element.properties())


@cache
def plans(type_: str) -> tuple[str, ...]:
    """The names of a type's children."""
    if type_ in primitive_patterns() or type_.startswith("System."):
        return ()
    return tuple(each.removesuffix("[x]") for each in shape(type_).elements)


def all_children(items: Items, world: World) -> Items:
    """The children of every item, whatever their names."""
    found: Items = []
    for item in items:
        if type(item.value) is dict:
            present = item.value.keys()
            for name in plans(item.type):
                if any(key in present or "_" + key in present for key, _, _ in plan(item.type, name)):
                    found += children_named([item], name, world)
        elif type(item.beside) is dict:
            found += children_named([item], "extension", world)
    return found


def is_a(type_: str, name: str) -> bool:
    """Whether a type is, or specialises, a named one; `System.` types stand for the FHIR primitives of their kind."""
    plain = name.removeprefix("FHIR.").removeprefix("System.")
    if type_.startswith("System."):
        return type_[7:].casefold() == plain.casefold()
    small = plain[:1].lower() + plain[1:]
    if small in primitive_patterns():
        return is_subtype(type_, small)
    if plain in ("Resource", "DomainResource", "Element", "BackboneElement") and type_ == plain:
        return True
    return is_subtype(type_, plain)
