"""A parsed search: what every file of this room hands to the next.

Spec:    https://hl7.org/fhir/R4/search.html
Leaves:  reading query strings to grammar; meaning to predicate and resolution.

A search first is a tree of what was asked. `resolution` then replaces the nodes that look at other resources (chains,
`_has`, lists, value sets) by nodes that look at one resource only: those have an SQL form and a check.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from exchange.fhir.definitions import SearchParameter


@dataclass(frozen=True, slots=True)
class Criterion:
    """One `name:modifier=value,value`: any of the values suffices."""

    parameter: SearchParameter
    modifier: str
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        """The parameter's name, as a problem names it."""
        return self.parameter.name


@dataclass(frozen=True, slots=True)
class Chain:
    """`parameter:Type.rest`: what the reference points to satisfies the rest, in one of these types."""

    parameter: SearchParameter
    targets: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Has:
    """`_has:source:parameter:rest`: some resource of the source type that points here satisfies the rest."""

    source: str
    parameter: SearchParameter
    node: Node


@dataclass(frozen=True, slots=True)
class All:
    """Every one of these."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of these."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not this."""

    node: Node


@dataclass(frozen=True, slots=True)
class Listed:
    """`_list`: an entry of one of these Lists."""

    list_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pointing:
    """Resolved: the parameter refers to one of these.

    targets  Type/id
    records  of Patients, by their compartments: those of the targets, and those that are linked to them
    places   compartments that every match lies in; None where nothing is known
    """

    parameter: SearchParameter
    targets: frozenset[str]
    records: frozenset[int] = frozenset()
    places: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Among:
    """Resolved: the resource is one of these Type/id."""

    targets: frozenset[str]


@dataclass(frozen=True, slots=True)
class HasInRecord:
    """Resolved: the Patient's record holds a resource of the source type whose `parameter` is that Patient."""

    source: str
    parameter: SearchParameter
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Shared:
    """Resolved: the resource is about several patients, and lies in one of these records of theirs."""

    places: frozenset[int]


class Codes(Protocol):
    """A set of codes: those listed, and whole systems."""

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """The (system, code) listed."""
        ...

    @property
    def systems(self) -> frozenset[str]:
        """The systems taken in whole."""
        ...

    def contains(self, system: str, code: str) -> bool:
        """Whether a code of a system belongs to it."""
        ...


@dataclass(frozen=True, slots=True)
class Coded:
    """Resolved: a token parameter has a code of a set (`:in`, `:below`), or none of it (`:not-in`)."""

    parameter: SearchParameter
    codes: Codes
    is_negated: bool = False


Node: TypeAlias = (
    Criterion | Chain | Has | All | AnyOf | Not | Listed | Pointing | Among | HasInRecord | Shared | Coded
)
"""What a search asks of one resource."""


@dataclass(frozen=True, slots=True)
class Include:
    """One `_include` or `_revinclude`: from a type, by its reference parameters, to a type or to all."""

    source: str
    parameters: tuple[str, ...]
    target: str
    is_reverse: bool
    is_iterated: bool = False


@dataclass(slots=True)
class Query:
    """A parsed search. `used` is the query that the answer's self link states; `nodes` must all hold.

    `resource_type` is the type searched; a search over several types is taken apart into one Query a type.
    """

    resource_type: str
    nodes: list[Node] = field(default_factory=list)
    sort: list[tuple[str, bool]] = field(default_factory=list)
    count: int = 0
    includes: list[Include] = field(default_factory=list)
    total: str = ""
    is_count_only: bool = False
    summary: str = ""
    elements: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    page: str = ""
    used: list[tuple[str, str]] = field(default_factory=list)

    @property
    def criteria(self) -> list[Criterion]:
        """The plain criteria among the nodes."""
        return [node for node in self.nodes if isinstance(node, Criterion)]
