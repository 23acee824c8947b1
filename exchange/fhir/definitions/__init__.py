"""The official facts of FHIR R4 4.0.1: resource types, elements, value sets, search parameters.

Spec:    https://hl7.org/fhir/R4/downloads.html (definitions, CC0), turned into tables by build.py.
Leaves:  evaluating expressions to ../path.py, checking resources to ../validate.py.

Tables are read at their first use; importing this module reads only the list of types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

_HERE = Path(__file__).parent
_SEARCH_PARAMETER = "http://hl7.org/fhir/SearchParameter/"
_NON_DOMAIN = frozenset({"Binary", "Bundle", "Parameters"})


def _table(file: str) -> Any:
    return msgspec.json.decode((_HERE / file).read_bytes())


_CODES: Final[dict[str, int]] = _table("types.json")
_NAMES: Final[dict[int, str]] = {code: name for name, code in _CODES.items()}

RESOURCE_TYPES: Final[tuple[str, ...]] = tuple(_CODES)


def type_code(resource_type: str) -> int:
    """The small integer under which a type is stored; it never changes.

    Raises: KeyError - no R4 resource type.
    """
    return _CODES[resource_type]


def type_name(code: int) -> str:
    """The resource type behind a stored code.

    Raises: KeyError - no such code was ever given.
    """
    return _NAMES[code]


def is_resource_type(name: str) -> bool:
    """Whether a name is a concrete R4 resource type."""
    return name in _CODES


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter, as it applies to one resource type.

    `is_indexed` is false of one that was posted to the hub while the hub still looks for its values in what it holds.
    `kind` is number, date, string, token, reference, composite, quantity, uri or special; `components` are
    pairs of (url of the component's parameter, expression relative to the composite's element).
    """

    name: str
    kind: str
    expression: str
    targets: tuple[str, ...]
    url: str
    components: tuple[tuple[str, str], ...] = ()
    is_indexed: bool = True


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a shape: `name` keeps its [x]; `maximum` 0 is unbounded; `value_set` only if required.

    A type is a datatype, `Resource`, or the path of a backbone shape such as `Observation.component`.
    """

    name: str
    minimum: int
    maximum: int
    types: tuple[str, ...]
    targets: tuple[str, ...]
    value_set: str

    @property
    def is_choice(self) -> bool:
        """Whether the JSON property carries its type: value[x] becomes valueQuantity."""
        return self.name.endswith("[x]")

    def properties(self) -> tuple[tuple[str, str], ...]:
        """The JSON properties that can hold this element, each with the type it says."""
        if not self.is_choice:
            return ((self.name, self.types[0]),)
        stem = self.name[:-3]
        return tuple((stem + each[0].upper() + each[1:], each) for each in self.types)


@dataclass(frozen=True, slots=True)
class Shape:
    """A type of object: resource, complex datatype or backbone element, inherited elements included."""

    name: str
    base: str
    kind: str
    elements: Mapping[str, Element]


@cache
def _shape_rows() -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = _table("elements.json")
    return rows


@cache
def shape(name: str) -> Shape:
    """The shape of a resource type, complex datatype or backbone path.

    Raises: KeyError - neither; primitives have no shape.
    """
    row = _shape_rows()[name]
    own = row["elements"]
    elements = dict(shape(row["base"]).elements) if row["base"] else {}
    for key, minimum, maximum, types, targets, value_set in own:
        elements[key] = Element(key, minimum, maximum, tuple(types), tuple(targets), value_set)
    return Shape(name, row["base"], row["kind"], MappingProxyType(elements))


@cache
def primitive_patterns() -> Mapping[str, str]:
    """Every primitive type with its official regular expression ("" where FHIR gives none)."""
    found = {name: row["pattern"] for name, row in _shape_rows().items() if row["kind"] == "primitive"}
    return MappingProxyType(found)


@cache
def is_subtype(name: str, of: str) -> bool:
    """Whether a type is another, or specialises it (Age is a Quantity, code is a string)."""
    while name:
        if name == of:
            return True
        row = _shape_rows().get(name)
        name = row["base"] if row else ""
    return False


@cache
def _value_sets() -> dict[str, dict[str, list[str]]]:
    sets: dict[str, dict[str, list[str]]] = _table("value_sets.json")
    return sets


@cache
def value_set_codes(url: str) -> frozenset[str]:
    """All codes of a required, enumerable value set, whatever their system."""
    return frozenset(code for codes in _value_sets()[url].values() for code in codes)


@cache
def value_set_codings(url: str) -> frozenset[tuple[str, str]]:
    """All (system, code) pairs of a required, enumerable value set."""
    return frozenset((system, code) for system, codes in _value_sets()[url].items() for code in codes)


@cache
def _parameters_by_base() -> dict[str, dict[str, SearchParameter]]:
    found: dict[str, dict[str, SearchParameter]] = {}
    for url, name, kind, bases, expression, targets, components in _table("search_parameters.json"):
        parts = tuple((_SEARCH_PARAMETER + definition, part) for definition, part in components)
        one = SearchParameter(name, kind, expression, tuple(targets), _SEARCH_PARAMETER + url, parts)
        for each in bases:
            found.setdefault(each, {})[name] = one
    return found


@cache
def search_parameters(resource_type: str) -> Mapping[str, SearchParameter]:
    """Every official search parameter of a type by name, those of Resource and DomainResource included.

    Raises: KeyError - no R4 resource type.
    Spec:   https://hl7.org/fhir/R4/searchparameter-registry.html
    """
    _CODES[resource_type]  # refuses anything but a concrete type
    by_base = _parameters_by_base()
    merged = dict(by_base["Resource"])
    if resource_type not in _NON_DOMAIN:
        merged |= by_base["DomainResource"]
    return MappingProxyType(merged | by_base.get(resource_type, {}))


@cache
def patient_compartment() -> Mapping[str, tuple[str, ...]]:
    """CompartmentDefinition/patient: resource type to the parameters that place it there."""
    rows: dict[str, list[str]] = _table("patient_compartment.json")
    return MappingProxyType({name: tuple(parameters) for name, parameters in rows.items()})


@cache
def official_code_systems() -> Mapping[str, list[Any]]:
    """Code systems that FHIR R4 defines: url to [version, name, is case sensitive, concepts].

    A concept is [code, display, parents, flags], what is empty at the end left out; flags: 1 inactive, 2 abstract.
    """
    rows: dict[str, list[Any]] = _table("code_systems.json")
    return MappingProxyType(rows)


@cache
def official_value_set_rules() -> Mapping[str, list[Any]]:
    """Value sets that FHIR R4 defines: url to [version, name, includes, excludes]."""
    rows: dict[str, list[Any]] = _table("value_set_rules.json")
    return MappingProxyType(rows)


def shape_names() -> Iterable[str]:
    """The name of every type and backbone element."""
    return _shape_rows().keys()


@cache
def _invariants() -> dict[str, list[list[str]]]:
    rows: dict[str, list[list[str]]] = _table("invariants.json")
    return rows


def invariant_rows(path: str) -> list[list[str]]:
    """The rules made at an element: [key, severity, expression, text]."""
    return _invariants().get(path, [])
