"""Slices: which item belongs to which, by R4's five discriminators, and whether counts, order and rules hold.

Spec:    https://hl7.org/fhir/R4/profiling.html#slicing
Leaves:  what a slice asks of its items to profile_check.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from exchange.fhir.definitions import is_subtype, shape_names
from exchange.fhir.fhirpath import EvaluationError, Item, compile_fhirpath
from exchange.fhir.profile import Node, core_name, is_core
from exchange.fhir.profile_values import has_pattern, is_fixed

if TYPE_CHECKING:
    from exchange.fhir.profile_check import Check, Place

_STEP: Final = re.compile(
    r"(?:ofType|as)\((\w+)\)|extension\('([^']+)'\)|(resolve)\(\)|(\$this)|(\w+)(?:\[x\])?"
)
_BY_TYPE: Final = [{"type": "type", "path": "$this"}]
_BY_URL: Final = [{"type": "value", "path": "url"}]


class UndecidableError(Exception):
    """A discriminator that this check cannot follow."""


class Slicer:
    """The slices of one element."""

    def __init__(self, check: Check, node: Node, expression: str) -> None:
        self._check = check
        self._node = node
        self._expression = expression
        slicing = node.told.get("slicing", {})
        by_default = _BY_URL if node.name in ("extension", "modifierExtension") else _BY_TYPE
        self._discriminators: list[dict[str, Any]] = slicing.get("discriminator") or (
            [] if slicing.get("rules") and node.name not in ("extension", "modifierExtension") else by_default
        )
        self._rules = slicing.get("rules", "open")
        self._is_ordered = bool(slicing.get("ordered"))

    def hold(self, places: list[Place]) -> None:
        """Give each item to its slice, and hold both against what is asked."""
        taken: dict[str, list[Place]] = {name: [] for name in self._node.slices}
        order: list[int] = []
        is_open_seen = False
        names = list(self._node.slices)
        for place in places:
            try:
                name = next((each for each in names if self._belongs(place, self._node.slices[each])), None)
            except UndecidableError as reason:
                self._check.report(
                    "informational", f"Slices were not checked: {reason}", self._expression, "information"
                )
                return
            if name is None:
                is_open_seen = True
                if self._rules == "closed":
                    self._check.report("structure", "The element is in none of the slices, and the profile allows "
                                                    "no other", place.expression)  # fmt: skip
                continue
            if is_open_seen and self._rules == "openAtEnd":
                text = "An element of a slice stands behind others, which the profile wants at the end"
                self._check.report("structure", text, place.expression)
            taken[name].append(place)
            order.append(names.index(name))
        if self._is_ordered and order != sorted(order):
            self._check.report("structure", "The slices are not in the profile's order", self._expression)
        for name, found in taken.items():
            self._hold_slice(name, self._node.slices[name], found)

    def _hold_slice(self, name: str, node: Node, places: list[Place]) -> None:
        if not node.minimum <= len(places) <= node.maximum:
            most = "any number" if node.maximum == float("inf") else str(int(node.maximum))
            code = "required" if len(places) < node.minimum else "structure"
            self._check.report(code, f"The profile asks for {node.minimum} to {most} of the slice {name[:80]}, and there "
                                     f"are {len(places)}", self._expression)  # fmt: skip
        for place in places:
            self._check.element(place, node)
        if node.slices:
            Slicer(self._check, node, self._expression).hold(places)

    def _belongs(self, place: Place, node: Node) -> bool:
        if not self._discriminators:
            raise UndecidableError("the profile names no discriminator")
        return all(self._told_apart(each, place, node) for each in self._discriminators)

    def _told_apart(self, discriminator: Mapping[str, Any], place: Place, node: Node) -> bool:
        kind, path = discriminator.get("type"), str(discriminator.get("path", "$this"))
        targets = self._descend([node], path)
        items = self._items(place, path)
        match kind:
            case "value" | "pattern":
                told = [each for each in targets if _is_telling(each)]
                if not told:
                    if node.types() and path == "url":
                        return any(
                            place.item.value.get("url") == url.partition("|")[0] for url in _profiles(node)
                        )
                    raise UndecidableError("a slice has no value to be told by")
                return any(all(self._is_like(item, each) for each in told) for item in items)
            case "exists":
                wants = not any(each.told.get("max") == "0" for each in targets)
                return bool(items) == wants
            case "type":
                types = [
                    str(told.get("code")) for each in targets for told in each.types()
                ] or _types_in_name(node)
                if not types:
                    raise UndecidableError("a slice has no type to be told by")
                return any(is_subtype(item.type, type_) for item in items for type_ in types)
            case "profile":
                profiles = [url for each in targets for url in _profiles(each)]
                if not profiles:
                    raise UndecidableError("a slice has no profile to be told by")
                return any(self._conforms(place, item, url) for item in items for url in profiles)
        raise UndecidableError("a discriminator is of no kind that R4 knows")

    def _conforms(self, place: Place, item: Item, url: str) -> bool:
        is_resource = isinstance(item.value, dict) and "resourceType" in item.value
        within = replace(place, item=item, resource=item if is_resource else place.resource)
        answer = self._check.conforms(url, within)
        if answer is None:
            raise UndecidableError("a profile that tells slices apart is not known here")
        return answer

    def _items(self, place: Place, path: str) -> list[Item]:
        try:
            expression = compile_fhirpath(path)
            return expression.evaluate(place.item, place.resource, place.root, self._check.world(place))
        except (EvaluationError, ValueError) as error:
            if "outside" in str(error):
                return []
            raise UndecidableError("the path of a discriminator is not understood") from None

    def _descend(self, nodes: list[Node], path: str) -> list[Node]:
        """The definitions that a discriminator's path leads to, through the profiles of types where it has to."""
        found = nodes
        for match in _STEP.finditer(path):
            of_type, url, resolve, this, name = match.groups()
            if of_type or this:
                continue
            if resolve:
                found = [self._of_target(each) for each in found]
            elif url:
                found = [each for each in self._below(found, "extension") if url in _profiles(each)]
            else:
                found = self._below(found, name)
        return found

    def _of_target(self, node: Node) -> Node:
        """What a reference's definition says of its target: as types, and as profiles of them."""
        types: list[dict[str, Any]] = []
        for url in (url for each in node.types() for url in each.get("targetProfile", ())):
            profile = None if is_core(url) else self._check.profile(url)
            if isinstance(profile, str):
                raise UndecidableError("a profile that tells slices apart is not known here")
            types.append(
                {"code": core_name(url)} if profile is None else {"code": profile.type, "profile": [url]}
            )
        return Node(node.name, node.path, {"type": types})

    def _below(self, nodes: Iterable[Node], name: str) -> list[Node]:
        found = []
        for node in nodes:
            if name in node.children:
                child = node.children[name]
                found += [child, *child.slices.values()]
                continue
            for url in _profiles(node):
                profile = self._check.profile(url)
                if not isinstance(profile, str) and name in profile.root.children:
                    found.append(profile.root.children[name])
        return found

    def _is_like(self, item: Item, node: Node) -> bool:
        """Whether an item has the fixed value, pattern or binding of a definition, or of those below it."""
        fixed, pattern = node.by_type("fixed"), node.by_type("pattern")
        if fixed is not None:
            return is_fixed(item.value, fixed[1])
        if pattern is not None:
            return has_pattern(item.value, pattern[1])
        if _binding(node):
            answer, why = self._check.member(item, _binding(node))
            if answer is None:
                raise UndecidableError(why)
            return answer
        below = {name: child for name, child in node.children.items() if _is_telling(child)}
        return all(
            any(self._is_like(each, child) for each in compile_fhirpath(name).evaluate(item))
            for name, child in below.items()
        )


def _is_telling(node: Node) -> bool:
    if node.by_type("fixed") or node.by_type("pattern") or _binding(node):
        return True
    return any(_is_telling(child) for child in node.children.values())


def _binding(node: Node) -> str:
    binding = node.told.get("binding") or {}
    return str(binding.get("valueSet", "")) if binding.get("strength") == "required" else ""


def _profiles(node: Node) -> list[str]:
    return [url for each in node.types() for url in each.get("profile", ())]


def _types_in_name(node: Node) -> list[str]:
    """`valueQuantity` as the name of a slice of value[x] says the type."""
    told = node.name.removeprefix(node.path.rpartition(".")[2])
    names = (told, told[:1].lower() + told[1:])
    return [each for each in names if told != node.name and each in shape_names()]
