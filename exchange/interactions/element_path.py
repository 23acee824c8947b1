"""Paths to elements of one resource: the part of FHIRPath that a patch needs, evaluated to places, not to values.

Spec:    https://hl7.org/fhir/R4/fhirpatch.html, http://hl7.org/fhirpath/N1/
Leaves:  reading the text to fhir/path_grammar.

Children, indexes, where(), extension(), first(), last(), ofType(). No function takes a regular expression, nothing can
start again from the root inside of a condition, and every step is counted: a path costs at most MOST_STEPS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from exchange.fhir.definitions import Element, is_resource_type, shape
from exchange.fhir.path_grammar import (
    Call,
    Child,
    Index,
    Literal,
    Node,
    Operation,
    Start,
    TypeTest,
    read_expression,
)
from exchange.problems import Invalid, NotSupported, TooCostly

MOST_LETTERS: Final = 500
MOST_STEPS: Final = 200_000


@dataclass(slots=True)
class Place:
    """One element where it stands: property `key` of what `parent` holds, at `index` where that is a list."""

    type: str
    value: Any
    parent: Place | None = None
    element: Element | None = None
    key: str = ""
    index: int | None = None

    def children(self, *, make: bool = False) -> dict[str, Any]:
        """The object that holds the children: a primitive's stand in the property with an underscore.

        Raises: Invalid - the element cannot have children here.
        """
        if isinstance(self.value, dict):
            return self.value
        if self.parent is None:
            raise Invalid("the path selects no element with children")
        holder, name = self.parent.children(), f"_{self.key}"
        found = holder.get(name)
        if self.index is None:
            if isinstance(found, dict):
                return found
            made: dict[str, Any] = {}
            if make:
                holder[name] = made
            return made
        rows = found if isinstance(found, list) else []
        rows += [None] * (max(self.index + 1, len(holder.get(self.key, ()))) - len(rows))
        row = rows[self.index]
        if not isinstance(row, dict):
            row = {}
            if make:
                rows[self.index] = row
                holder[name] = rows
        return row

    def remove(self) -> None:
        """Take the element away, and every element that it leaves empty."""
        if self.parent is None:
            return
        holder = self.parent.children()
        if self.index is None:
            holder.pop(self.key, None)
            holder.pop(f"_{self.key}", None)
        else:
            for name in (self.key, f"_{self.key}"):
                rows = holder.get(name)
                if isinstance(rows, list) and self.index < len(rows):
                    del rows[self.index]
                    if not any(row is not None for row in rows):
                        del holder[name]
        if not holder:
            self.parent.remove() if isinstance(self.parent.value, dict) else self.parent.bare()

    def bare(self) -> None:
        """Take a primitive's children away; the value stays, and where there is none, nothing does."""
        if self.parent is None or self.value is None:
            self.remove()
            return
        holder, name = self.parent.children(), f"_{self.key}"
        rows = holder.get(name)
        if self.index is not None and isinstance(rows, list):
            rows[self.index] = None
        if self.index is None or not any(row is not None for row in rows or ()):
            holder.pop(name, None)


@dataclass(slots=True)
class Selection:
    """What a path selects. Where it is the whole of one property, that is said too, empty or not."""

    places: list[Place]
    owner: Place | None = None
    element: Element | None = None


def root_of(resource: dict[str, Any]) -> Place:
    """The place of a resource itself."""
    return Place(resource["resourceType"], resource)


@cache
def element_of(type_: str, name: str) -> Element | None:
    """The element of a type by its name; choices go by the name without [x], or with one of their types."""
    try:
        elements = shape(type_).elements
    except KeyError:
        # A primitive has these two.
        elements = {each: shape("Element").elements[each] for each in ("id", "extension")}
    found = elements.get(name) or elements.get(f"{name}[x]")
    if found is not None:
        return found
    choices = (each for each in elements.values() if each.is_choice)
    return next((each for each in choices if name in dict(each.properties())), None)


def read_path(text: str, expression: str) -> Callable[[Place], Selection]:
    """A function from a resource's place to what a path selects in it.

    Raises: NotSupported - not in the part of FHIRPath that patches use here.
    """
    if len(text) > MOST_LETTERS:
        raise TooCostly(f"a path has at most {MOST_LETTERS} letters", expression)
    try:
        tree = read_expression(text)
    except ValueError:
        raise NotSupported(
            "the path is not in the part of FHIRPath that patches use here", expression
        ) from None
    return lambda root: _Evaluation(root, expression).select(tree)


class _Evaluation:
    """One path on one resource."""

    def __init__(self, root: Place, expression: str) -> None:
        self.root = root
        self.expression = expression
        self.steps = 0

    def select(self, node: Node) -> Selection:
        """What the whole path selects."""
        if isinstance(node, Child) and not self._is_root(node):
            owners = self.places(node.of, [self.root])
            element = element_of(owners[0].type, node.name) if len(owners) == 1 else None
            found = [each for owner in owners for each in self._child(owner, node.name)]
            return Selection(found, owners[0] if element else None, element)
        return Selection(self.places(node, [self.root]))

    def places(self, node: Node, focus: list[Place], *, is_inside: bool = False) -> list[Place]:
        """The places that a node selects, starting from a focus."""
        self._count(1)
        match node:
            case Start(name) if name in ("", "$this") or not is_inside:
                return focus
            case Child() if not is_inside and self._is_root(node):
                return focus
            case Child(of, name):
                owners = self.places(of, focus, is_inside=is_inside)
                return [each for owner in owners for each in self._child(owner, name)]
            case Index(of, position):
                return self.places(of, focus, is_inside=is_inside)[position : position + 1]
            case TypeTest(of, "as", wanted):
                found = self.places(of, focus, is_inside=is_inside)
                return [each for each in found if each.type == wanted]
            case Call(of, function, arguments):
                return self._call(self.places(of, focus, is_inside=is_inside), function, arguments)
        raise self._unknown()

    def _is_root(self, node: Child) -> bool:
        return isinstance(node.of, Start) and node.name == self.root.type

    def _child(self, owner: Place, name: str) -> list[Place]:
        element = element_of(owner.type, name)
        if element is None:
            return []
        holder = owner.children()
        found = []
        for key, type_ in element.properties():
            value = holder.get(key, holder.get(f"_{key}"))
            rows = enumerate(value) if isinstance(value, list) else [(None, value)]
            for index, row in rows:
                self._count(1)
                if row is not None or (index is not None and key in holder):
                    told = (
                        row.get("resourceType", "") if type_ == "Resource" and isinstance(row, dict) else ""
                    )
                    inner = told if is_resource_type(told) else type_
                    present = row if key in holder else None
                    found.append(Place(inner, present, owner, element, key, index))
        return found

    def _call(self, found: list[Place], function: str, arguments: tuple[Node, ...]) -> list[Place]:
        match function, arguments:
            case "where", (condition,):
                return [each for each in found if self._holds(condition, each)]
            case "extension", (Literal(url),):
                return [
                    each
                    for owner in found
                    for each in self._child(owner, "extension")
                    if isinstance(each.value, dict) and each.value.get("url") == url
                ]
            case "first", ():
                return found[:1]
            case "last", ():
                return found[-1:]
        raise self._unknown()

    def _holds(self, condition: Node, place: Place) -> bool:
        match condition:
            case Operation("and", left, right):
                return self._holds(left, place) and self._holds(right, place)
            case Operation("or", left, right):
                return self._holds(left, place) or self._holds(right, place)
            case Operation("=" | "!=" as operator, left, Literal(value)):
                found = [each.value for each in self.places(left, [place], is_inside=True)]
                if len(found) != 1:
                    return False  # FHIRPath: nothing, or several, compared with one value are not true
                same = found[0] == value and isinstance(found[0], bool) == isinstance(value, bool)
                return same == (operator == "=")
            case Call(of, "exists", ()):
                return bool(self.places(of, [place], is_inside=True))
        raise self._unknown()

    def _count(self, number: int) -> None:
        self.steps += number
        if self.steps > MOST_STEPS:
            raise TooCostly("the path visits more elements than this hub allows", self.expression)

    def _unknown(self) -> NotSupported:
        return NotSupported("the path is not in the part of FHIRPath that patches use here", self.expression)
