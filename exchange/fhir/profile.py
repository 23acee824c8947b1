"""A profile as a tree of what it asks for beyond base R4: from its snapshot, or from its differential over its base.

Spec:    https://hl7.org/fhir/R4/profiling.html, https://hl7.org/fhir/R4/elementdefinition.html
Leaves:  holding a resource against the tree to profile_check.py.

A profile only narrows. So its snapshot is what its base asks for and what its differential adds, element by element; the
core types themselves need no tree, since structure.py holds them. What a slice inherits from the element that it slices
is not copied: every item answers to the element, and one of the slice to both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.fhir.definitions import is_resource_type, shape, shape_names

CORE: Final = "http://hl7.org/fhir/StructureDefinition/"
MOST_ELEMENTS: Final = 5_000
MOST_BASES: Final = 12
_QUANTITIES: Final = frozenset({"SimpleQuantity", "MoneyQuantity"})
"""Profiles that R4's own elements ask for: structure.py holds their rules where they stand."""
_ADDED: Final = ("constraint",)
_TOLD: Final = (
    "min",
    "max",
    "type",
    "slicing",
    "binding",
    "contentReference",
    "maxLength",
    "constraint",
    "mustSupport",
)
_BY_TYPE: Final = ("fixed", "pattern", "minValue", "maxValue")

Find = Callable[[str], Mapping[str, Any] | None]


class ProfileError(Exception):
    """A profile that cannot be followed: its base is not known, it is too large, or it contradicts its type."""


@dataclass(slots=True)
class Node:
    """What is asked of one element, or of one slice of it."""

    name: str
    path: str
    told: dict[str, Any] = field(default_factory=dict)
    children: dict[str, Node] = field(default_factory=dict)
    slices: dict[str, Node] = field(default_factory=dict)

    @property
    def minimum(self) -> int:
        """How many there must be."""
        return int(self.told.get("min", 0))

    @property
    def maximum(self) -> float:
        """How many there may be."""
        most = str(self.told.get("max", "*"))
        return int(most) if most.isdecimal() else float("inf")

    def types(self) -> list[Mapping[str, Any]]:
        """The types that it allows; [] when it leaves them to the base."""
        return list(self.told.get("type", ()))

    def by_type(self, kind: str) -> tuple[str, Any] | None:
        """fixed[x], pattern[x], minValue[x] or maxValue[x]: the type in the name, and the value."""
        for key, value in self.told.items():
            if key.startswith(kind) and len(key) > len(kind) and key[len(kind)].isupper():
                return key[len(kind) :], value
        return None


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile that can be followed."""

    url: str
    type: str
    root: Node


def is_core(canonical: str) -> bool:
    """Whether a canonical names a type of R4 itself."""
    name = core_name(canonical)
    return canonical.startswith(CORE) and (is_resource_type(name) or name in shape_names())


def core_name(canonical: str) -> str:
    """The type behind the canonical of a core type."""
    name = canonical.partition("|")[0].removeprefix(CORE)
    return "Quantity" if name in _QUANTITIES else name


def build_profile(definition: Mapping[str, Any], find: Find, _bases: int = 0) -> Profile:
    """The tree of a StructureDefinition.

    1. A snapshot says everything. 2. Otherwise the base's tree comes first, and the differential is laid over it.
    Raises: ProfileError.
    """
    url, type_ = str(definition.get("url", "")), str(definition.get("type", ""))
    if (
        not (is_resource_type(type_) or type_ in shape_names())
        or definition.get("derivation") == "specialization"
    ):
        raise ProfileError("it constrains no type of R4")
    # 1.
    listed = definition.get("snapshot", {}).get("element")
    root = Node(type_, type_)
    # 2.
    if not listed:
        listed = definition.get("differential", {}).get("element", ())
        base = str(definition.get("baseDefinition", ""))
        if base and not is_core(base):
            found = find(base)
            if found is None or _bases >= MOST_BASES:
                raise ProfileError("its base is not known here")
            built = build_profile(found, find, _bases + 1)
            if built.type != type_:
                raise ProfileError("its base is of another type")
            root = built.root
    if len(listed) > MOST_ELEMENTS:
        raise ProfileError("it has too many elements")
    for element, identity in _identified(listed):
        _lay(root, element, identity)
    _follow_content_references(root)
    return Profile(url, type_, root)


def _identified(listed: Any) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each element with its id; where it has none, the id that path and slice name give it."""
    slices: dict[str, str] = {}
    for element in listed:
        path = str(element.get("path", ""))
        if element.get("id"):
            yield element, str(element["id"])
            continue
        parts = path.split(".")
        told = slices.get(".".join(parts[:-1]), ".".join(parts[:-1]))
        identity = f"{told}.{parts[-1]}" if told else path
        if element.get("sliceName"):
            identity += f":{element['sliceName']}"
        slices[path] = identity
        yield element, identity


def _lay(root: Node, element: Mapping[str, Any], identity: str) -> None:
    node = root
    for segment in identity.split(".")[1:]:
        name, _, slice_name = segment.partition(":")
        name, typed = _choice(node.path, name)
        node = _below(node.children, name, f"{node.path}.{name}")
        for each in filter(None, (slice_name or typed).split("/")):
            node = _below(node.slices, each, node.path)
    for key, value in element.items():
        if key in _ADDED:
            node.told[key] = [
                *node.told.get(key, ()),
                *(each for each in value if each not in node.told.get(key, ())),
            ]
        elif key in _TOLD or key.startswith(_BY_TYPE):
            node.told[key] = value


def _follow_content_references(root: Node) -> None:
    """An element that says it is like another has that one's children: items of a questionnaire inside items."""
    waiting = [root]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        told = str(node.told.get("contentReference", ""))
        if told and not node.children:
            target: Node | None = root
            for segment in told.partition("#")[2].split(".")[1:]:
                target = target.children.get(segment) if target is not None else None
            if target is not None:
                node.children = target.children
        waiting += [*node.children.values(), *node.slices.values()]


def _below(nodes: dict[str, Node], name: str, path: str) -> Node:
    if name not in nodes:
        nodes[name] = Node(name, path)
    return nodes[name]


def _choice(path: str, name: str) -> tuple[str, str]:
    """`valueQuantity` is short for the slice of that name of value[x]; both are children by the name `value`."""
    if name.endswith("[x]"):
        return name[:-3], ""
    if path.rpartition(".")[2] in ("extension", "modifierExtension"):
        path = "Extension"
    if path in shape_names():
        elements = shape(path).elements
        if name not in elements:
            for element in elements.values():
                if element.is_choice and any(key == name for key, _ in element.properties()):
                    return element.name[:-3], name
    return name, ""
