"""Holding a resource against a profile: cardinality, types, fixed values, bindings, rules, slices, nested profiles.

Spec:    https://hl7.org/fhir/R4/profiling.html, https://hl7.org/fhir/R4/validation.html
Leaves:  base R4 to structure.py, slices to profile_slicing.py, where definitions and codes come from to the caller.

What could not be checked is an issue of severity information, never silence. Issues name elements, rules and profiles'
own texts, and repeat no value of the resource.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.fhir.definitions import is_subtype
from exchange.fhir.fhirpath import EvaluationError, Item, World, compile_fhirpath, truth
from exchange.fhir.fhirpath.navigate import children_named
from exchange.fhir.path_closure import reference_type
from exchange.fhir.profile import Node, Profile, ProfileError, build_profile, core_name, is_core
from exchange.fhir.profile_slicing import Slicer
from exchange.fhir.profile_values import has_pattern, is_beyond, is_fixed
from exchange.problems import Issue

MOST_ISSUES: Final = 200
MOST_VISITS: Final = 200_000
MOST_NESTED: Final = 12
MAX_SECONDS: Final = 5.0
_CODED: Final = frozenset({"code", "Coding", "CodeableConcept", "Quantity", "string", "uri", "id"})
_SHOWN: Final = 300
ANY_SYSTEM: Final = "*"
"""The system of a code whose element is of type code: its value set says which it is."""


class TooMuchError(Exception):
    """The check used up its bounds."""


@dataclass(slots=True)
class Surroundings:
    """Where definitions and codes come from.

    find      the StructureDefinition of a canonical, or None
    codes     whether (system, code) is in a value set: yes, no, or None with the reason why it is not known
    """

    find: Callable[[str], Mapping[str, Any] | None]
    codes: Callable[[str, str, str], tuple[bool | None, str]]


@dataclass(slots=True)
class Place:
    """An item, where it stands, and the resources around it."""

    item: Item
    expression: str
    resource: Item
    root: Item


@dataclass(slots=True)
class Check:
    """One validation of one resource, against as many profiles as are asked for."""

    root: Item
    surroundings: Surroundings
    issues: list[Issue] = field(default_factory=list)
    deadline: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)
    visits: int = 0
    _built: dict[str, Profile | str] = field(default_factory=dict)
    _under_way: set[tuple[str, int]] = field(default_factory=set)

    def against(self, canonical: str, place: Place | None = None) -> None:
        """Hold the resource, or one place in it, against a profile."""
        place = place or Place(self.root, self.root.type, self.root, self.root)
        if is_core(canonical):
            if not is_subtype(place.item.type, core_name(canonical)):
                self.report("structure", "It is of another type than the profile asks for", place.expression)
            return
        profile = self.profile(canonical)
        if isinstance(profile, str):
            self.report("not-found", f"A profile was not checked: {profile}", place.expression, "information")
            return
        if not is_subtype(place.item.type, profile.type):
            self.report("structure", "It is of another type than the profile constrains", place.expression)
            return
        key = (profile.url, id(place.item.value))
        if key in self._under_way:
            return  # a profile that asks for itself, of the same element
        if len(self._under_way) >= MOST_NESTED:
            raise TooMuchError
        self._under_way.add(key)
        self.element(place, profile.root)
        self._under_way.discard(key)

    def profile(self, canonical: str) -> Profile | str:
        """A profile, or why there is none."""
        if canonical not in self._built:
            definition = self.surroundings.find(canonical)
            try:
                self._built[canonical] = (
                    "it is not known here"
                    if definition is None
                    else build_profile(definition, self.surroundings.find)
                )
            except ProfileError as error:
                self._built[canonical] = str(error)
        return self._built[canonical]

    def conforms(self, canonical: str, place: Place) -> bool | None:
        """Whether a place keeps a profile; None where the profile is not known. Nothing is reported."""
        if not is_core(canonical) and isinstance(self.profile(canonical), str):
            return None
        return not any(
            issue.severity == "error" for issue in self.aside(lambda: self.against(canonical, place))
        )

    def aside(self, act: Callable[[], None]) -> list[Issue]:
        """What an act would report."""
        kept, self.issues = self.issues, []
        try:
            act()
            return self.issues
        finally:
            self.issues = kept

    def report(self, code: str, text: str, expression: str, severity: str = "error") -> None:
        """Add an issue."""
        issue = Issue(code, text, expression, severity)
        if issue not in self.issues:
            self.issues.append(issue)
        if len(self.issues) > MOST_ISSUES:
            raise TooMuchError

    def element(self, place: Place, node: Node) -> None:
        """Everything that a node asks of one item."""
        self.visits += 1
        if self.visits > MOST_VISITS or time.monotonic() > self.deadline:
            raise TooMuchError
        self._values(place, node)
        self._types(place, node)
        self._binding(place, node)
        self._rules(place, node)
        for name, child in node.children.items():
            self._child(place, name, child)

    def _child(self, owner: Place, name: str, child: Node) -> None:
        places = self.places(owner, name)
        expression = f"{owner.expression}.{name}"
        if not child.minimum <= len(places) <= child.maximum:
            most = "any number" if child.maximum == float("inf") else str(int(child.maximum))
            code = "required" if len(places) < child.minimum else "structure"
            self.report(code, f"The profile asks for {child.minimum} to {most} of this element, and there are "
                              f"{len(places)}", expression)  # fmt: skip
        for place in places:
            self.element(place, child)
        if child.slices:
            Slicer(self, child, expression).hold(places)

    def places(self, owner: Place, name: str) -> list[Place]:
        """The children of that name, each with its place."""
        items = children_named([owner.item], name, World())
        is_list = isinstance(owner.item.value, dict) and isinstance(owner.item.value.get(name), list)
        found = []
        for index, item in enumerate(items):
            expression = f"{owner.expression}.{name}" + (f"[{index}]" if is_list else "")
            is_resource = isinstance(item.value, dict) and "resourceType" in item.value
            resource = item if is_resource else owner.resource
            root = item if is_resource and name == "resource" else owner.root
            found.append(Place(item, expression, resource, root))
        return found

    def _values(self, place: Place, node: Node) -> None:
        item = place.item
        fixed, pattern = node.by_type("fixed"), node.by_type("pattern")
        if fixed is not None and not is_fixed(item.value, fixed[1]):
            self.report("value", "The value is not the one that the profile fixes", place.expression)
        if pattern is not None and not has_pattern(item.value, pattern[1]):
            self.report("value", "The value has not the pattern that the profile asks for", place.expression)
        for kind, sign in (("minValue", -1), ("maxValue", 1)):
            bound = node.by_type(kind)
            if bound is not None and item.value is not None and is_beyond(item, bound[1], sign):
                self.report("value", f"The value lies beyond the profile's {kind}", place.expression)
        longest = node.told.get("maxLength")
        if longest is not None and isinstance(item.value, str) and len(item.value) > longest:
            self.report("value", "The text is longer than the profile allows", place.expression)

    def _types(self, place: Place, node: Node) -> None:
        allowed = node.types()
        if not allowed or "." not in node.path:
            return
        own = [each for each in allowed if self._is_of(place.item.type, each)]
        if not own:
            self.report("structure", "The profile does not allow this type here", place.expression)
            return
        profiles = [url for each in own for url in each.get("profile", ())]
        if profiles:
            self._one_of(profiles, place, "The element keeps none of the profiles that are asked for here")
        targets = [url for each in own for url in each.get("targetProfile", ())]
        if targets and place.item.type == "Reference":
            self._target(targets, place)

    def _is_of(self, type_: str, allowed: Mapping[str, Any]) -> bool:
        code = str(allowed.get("code", ""))
        if code.startswith("http://hl7.org/fhirpath/System."):
            return True
        return type_ == code or code in ("Resource", "DomainResource", "Element", "BackboneElement")

    def _one_of(self, profiles: list[str], place: Place, text: str) -> None:
        if len(profiles) == 1:
            self.against(profiles[0], place)
            return
        answers = [self.conforms(each, place) for each in profiles]
        if True in answers:
            return
        if None in answers:
            self.report(
                "not-found",
                "A profile was not checked: it is not known here",
                place.expression,
                "information",
            )
            return
        self.report("structure", text, place.expression)

    def _target(self, targets: list[str], place: Place) -> None:
        """A reference's target: its type, and its profile where the target is at hand."""
        target = self.resolved(place)
        type_ = target.item.type if target else reference_type(place.item.value, place.resource.value)
        if type_ is None:
            self.report(
                "informational",
                "The reference was not checked: it does not say its type",
                place.expression,
                "information",
            )
            return
        fitting = []
        for url in targets:
            profile = None if is_core(url) else self.profile(url)
            wanted = core_name(url) if profile is None else "" if isinstance(profile, str) else profile.type
            if not wanted or wanted == "Resource" or is_subtype(type_, wanted):
                fitting.append(url)
        if not fitting:
            self.report(
                "structure", "The reference is to another type than the profile allows", place.expression
            )
        elif target is not None and not any(is_core(url) for url in fitting):
            self._one_of(fitting, target, "What is referred to keeps none of the profiles that are asked for")
        elif target is None and not any(is_core(url) for url in fitting):
            text = "What is referred to was not checked: it is not in the same resource or bundle"
            self.report("informational", text, place.expression, "information")

    def resolved(self, place: Place) -> Place | None:
        """What a reference names, where it is contained or in the same bundle."""
        value = place.item.value
        reference = value.get("reference") if isinstance(value, dict) else value
        if not isinstance(reference, str):
            return None
        if reference.startswith("#"):
            for index, each in enumerate(place.root.value.get("contained", ())):
                if each.get("id") == reference[1:]:
                    item = Item(str(each.get("resourceType")), each)
                    return Place(item, f"{place.root.type}.contained[{index}]", item, place.root)
            return Place(place.root, place.root.type, place.root, place.root) if reference == "#" else None
        for index, entry in enumerate(self.root.value.get("entry", ()) if self.root.type == "Bundle" else ()):
            resource = entry.get("resource") or {}
            names = (entry.get("fullUrl"), f"{resource.get('resourceType')}/{resource.get('id')}")
            if resource and reference in names:
                item = Item(str(resource["resourceType"]), resource)
                return Place(item, f"Bundle.entry[{index}].resource", item, item)
        return None

    def _binding(self, place: Place, node: Node) -> None:
        binding = node.told.get("binding") or {}
        strength, url = binding.get("strength"), binding.get("valueSet")
        if (
            not url
            or strength not in ("required", "extensible", "preferred")
            or place.item.type not in _CODED
        ):
            return
        answer, why = self.member(place.item, url)
        if answer is None:
            self.report(
                "informational", f"The binding was not checked: {why}", place.expression, "information"
            )
        elif not answer:
            severity = {"required": "error", "extensible": "warning"}.get(strength, "information")
            self.report(
                "code-invalid",
                f"No code is in the value set of a binding that is {strength}",
                place.expression,
                severity,
            )

    def member(self, item: Item, url: str) -> tuple[bool | None, str]:
        """Whether a coded value is in a value set: yes, no, or None and why not."""
        value = item.value
        if value is None:
            return None, "there is no value"
        codings = [value] if isinstance(value, dict) else [{"code": value, "system": ANY_SYSTEM}]
        if item.type == "CodeableConcept":
            codings = value.get("coding", [])
        answers = [self.surroundings.codes(url, str(each.get("system", "")), str(each["code"]))
                   for each in codings if each.get("code")]  # fmt: skip
        if any(answer for answer, _ in answers):
            return True, ""
        unknown = [why for answer, why in answers if answer is None]
        return (None, unknown[0]) if unknown else (False, "")

    def _rules(self, place: Place, node: Node) -> None:
        for rule in node.told.get("constraint", ()):
            # R4's own rules are the structure's: it has checked them already.
            if is_core(str(rule.get("source", ""))) or rule.get("key") in ("ele-1", "ext-1"):
                continue
            key, severity = str(rule.get("key")), "error" if rule.get("severity") == "error" else "warning"
            text = f"{key}: {str(rule.get('human', ''))[:_SHOWN]}"
            try:
                found = compile_fhirpath(str(rule["expression"])).evaluate(
                    place.item, place.resource, place.root, self.world(place)
                )
                if truth(found) is not True:
                    self.report("invariant", text, place.expression, severity)
            except (EvaluationError, ValueError, KeyError) as error:
                why = (
                    str(error) if isinstance(error, (EvaluationError, ValueError)) else "it has no expression"
                )
                self.report("informational", f"{key} was not checked: {why}", place.expression, "information")

    def world(self, place: Place) -> World:
        """What an expression may ask of at a place."""

        def resolve(item: Item) -> Item | None:
            found = self.resolved(Place(item, place.expression, place.resource, place.root))
            if found is None and item.value is not None:
                raise EvaluationError("a reference leads outside of the resource")
            return found.item if found else None

        def conforms(item: Item, url: str) -> bool | None:
            return self.conforms(url, Place(item, place.expression, place.resource, place.root))

        return World(resolve, lambda item, url: self.member(item, url)[0], conforms, self.deadline)
