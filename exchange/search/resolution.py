"""From what was asked of other resources to what is asked of one: chains, `_has`, lists, value sets, hierarchies.

Spec:    https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has
Leaves:  running a search to matches, which hands itself in; codes to terminology.

Inner searches run under the same Permit as the outer one: what is hidden can neither be found nor make something be
found. A chain over a patient reaches every record linked to the person, as a search that names the patient does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeAlias

from exchange.crypto.blind_index import EVERYWHERE
from exchange.fhir.definitions import SearchParameter, is_resource_type
from exchange.fhir.path import compile_expression
from exchange.problems import NotSupported, TooCostly
from exchange.search import implied, reference
from exchange.search.escape import split_escaped, unescape
from exchange.search.index import hash_text
from exchange.search.parameter import known_parameters
from exchange.search.tree import (
    All,
    Among,
    AnyOf,
    Chain,
    Coded,
    Criterion,
    Has,
    HasInRecord,
    Listed,
    Node,
    Not,
    Pointing,
    Shared,
)  # fmt: skip
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.terminology.code_system import above, below
from exchange.terminology.value_set import ExpandedValueSet, codes_of_value_set

Places: TypeAlias = Callable[[str, tuple[Node, ...]], Mapping[str, int]]
"""Type/id and compartment of every resource of a type that is in reach and satisfies resolved nodes."""
Resources: TypeAlias = Callable[[str, tuple[Node, ...]], list[dict[str, Any]]]
"""The same, opened."""

IsExact: TypeAlias = Callable[[str, Node], bool]
"""Whether SQL alone decides a resolved node of a type that may be read."""

MAX_STEPS: Final = 20
LINKED: Final = """
SELECT other.compartment FROM patient_record one JOIN patient_record other ON other.person = one.person
WHERE one.compartment = ANY(%s::bigint[])"""
SHARED: Final = "SELECT compartment FROM shared_record WHERE member = ANY(%s::bigint[])"
SHARING: Final = "SELECT DISTINCT compartment FROM shared_record"
IN_INDEX: Final = "SELECT DISTINCT compartment FROM token_entry WHERE hash = ANY(%s::bigint[])"
_HIERARCHY: Final = ("partof", "part-of")


class Resolution:
    """Resolves the nodes of one search. `places` and `resources` search under the caller's Permit."""

    def __init__(
        self,
        transaction: Transaction,
        resource_type: str,
        places: Places,
        resources: Resources,
        is_exact: IsExact,
    ) -> None:
        self._transaction = transaction
        self._type = resource_type
        self._is_exact = is_exact
        self._places = places
        self._resources = resources

    def of(self, node: Node, resource_type: str = "") -> Node:
        """A node that looks at one resource only. Raises: NotSupported, TooCostly - the parameter is named."""
        resource_type = resource_type or self._type
        match node:
            case Criterion(parameter=parameter, modifier=modifier):
                if parameter.kind == "token" and modifier in ("in", "not-in", "above", "below"):
                    return node if _is_of_content(node) else self._coded(node)
                if parameter.kind == "reference" and modifier in ("above", "below"):
                    return self._in_hierarchy(node)
                if parameter.kind == "token":
                    return implied.told(node, resource_type)
                if parameter.kind == "uri" and node.name == "url" and not modifier:
                    return _versioned(node, resource_type)
                is_subject = parameter.kind == "reference" and node.name == "subject" and not modifier
                return self._subject(node, resource_type) if is_subject else node
            case Chain():
                return self._chain(node, resource_type)
            case Has():
                return self._has(node, resource_type)
            case Listed(list_ids=ids):
                return self._listed(ids, resource_type)
            case All(nodes=nodes):
                return All(tuple(self.of(each, resource_type) for each in nodes))
            case AnyOf(nodes=nodes):
                return AnyOf(tuple(self.of(each, resource_type) for each in nodes))
            case Not(node=inner):
                return Not(self.of(inner, resource_type))
            case _:
                return node

    def _chain(self, node: Chain, resource_type: str) -> Pointing:
        targets: set[str] = set()
        patients: set[int] = set()
        for target, inner in node.targets:
            found = self._places(target, (self.of(inner, target),))
            targets |= found.keys()
            if target == "Patient":
                patients |= set(found.values())
        if not patients or node.parameter.name not in reference.scoping_parameters(resource_type):
            return Pointing(node.parameter, frozenset(targets))
        records, near = self._linked(patients)
        is_of_patients = all(each.startswith("Patient/") for each in targets)
        return Pointing(
            node.parameter, frozenset(targets), records, records | near if is_of_patients else None
        )

    def _linked(self, patients: Collection[int]) -> tuple[frozenset[int], frozenset[int]]:
        """The records of the persons behind some, and the records with which those share resources."""
        rows = self._transaction.rows(LINKED, (sorted(patients),))
        records = frozenset({row[0] for row in rows} | set(patients))
        shared = self._transaction.rows(SHARED, (sorted(records),))
        return records, frozenset(row[0] for row in shared)

    def _subject(self, node: Criterion, resource_type: str) -> Node:
        """A subject by its bare id: a patient in whatever record of that person, or anything else of that id."""
        url, targets = settings().fhir_url, node.parameter.targets
        forms = {form for each in node.values for form in reference.wanted(each, node.name, "", targets, url)}
        blind = self._transaction.crypto.blind_index
        ids = sorted(form[8:] for form in forms if form.startswith("Patient/"))
        patients = {blind.patient_compartment(each) for each in ids}
        others = [form for form in forms if not form.startswith("Patient/")]
        if not patients or not others or node.name not in reference.scoping_parameters(resource_type):
            return node
        # A hidden record must not answer for its person: that would tell that it exists, and of whom.
        in_reach = self._places("Patient", (Criterion(known_parameters("Patient")["_id"], "", tuple(ids)),))
        records, near = self._linked({*in_reach.values()})
        records |= patients
        near |= {row[0] for row in self._transaction.rows(SHARED, (sorted(patients),))}
        hashes = [blind.token(hash_text(resource_type, node.name, form), EVERYWHERE) for form in others]
        found = self._transaction.rows(IN_INDEX, (hashes,))
        return Pointing(node.parameter, frozenset(forms), records, records | near | {row[0] for row in found})

    def _has(self, node: Has, resource_type: str) -> Node:
        inner = self.of(node.node, node.source)
        is_own = resource_type == "Patient" and node.parameter.name in reference.scoping_parameters(
            node.source
        )
        if is_own and self._is_exact(node.source, inner):
            within = HasInRecord(node.source, node.parameter, (inner,))
            shared = frozenset(row[0] for row in self._transaction.rows(SHARING))
            if not shared:
                return within
            # What is about several patients lies in the record of one.
            others = self._pointed_at(node, All((Shared(shared), inner)), resource_type)
            return AnyOf((within, others)) if others.targets else within
        return self._pointed_at(node, inner, resource_type)

    def _pointed_at(self, node: Has, inner: Node, resource_type: str) -> Among:
        references = compile_expression(node.parameter.expression, node.source)
        url = settings().fhir_url
        found: set[str] = set()
        for resource in self._resources(node.source, (inner,)):
            for element in references(resource):
                found |= {
                    form
                    for form in reference.forms(*element, (), url)
                    if form.startswith(resource_type + "/")
                }
        return Among(frozenset(found))

    def _listed(self, ids: Collection[str], resource_type: str) -> Among:
        asked = Criterion(known_parameters("List")["_id"], "", tuple(ids))
        found: set[str] = set()
        for each in self._resources("List", (asked,)):
            for entry in each.get("entry", ()):
                form = reference.local(entry.get("item", {}).get("reference", ""), settings().fhir_url)
                if form.startswith(resource_type + "/") and not entry.get("deleted"):
                    found.add(form)
        return Among(frozenset(found))

    def _coded(self, node: Criterion) -> Coded:
        named = f"http.{node.name}"
        pairs: set[tuple[str, str]] = set()
        systems: set[str] = set()
        for text in node.values:
            if node.modifier in ("in", "not-in"):
                codes = codes_of_value_set(self._transaction, unescape(text), named=named)
                pairs |= codes.pairs
                systems |= codes.systems
                continue
            parts = [unescape(part) for part in split_escaped(text, "|")]
            if len(parts) != 2 or not all(parts):  # noqa: PLR2004 - a system and a code
                raise NotSupported(f"'{node.name}:{node.modifier}' takes [system]|[code]", named)
            reach = below if node.modifier == "below" else above
            pairs |= {(parts[0], code) for code in reach(self._transaction, *parts, named=named)}
        return Coded(
            node.parameter, ExpandedValueSet(frozenset(pairs), frozenset(systems)), node.modifier == "not-in"
        )

    def _in_hierarchy(self, node: Criterion) -> Node:
        """`:below` and `:above` over resources that contain each other, such as locations."""
        url, targets = settings().fhir_url, node.parameter.targets
        if node.modifier == "below" and all(
            ":" in reference.local(unescape(each), url) for each in node.values
        ):
            return node  # a canonical: its versions
        starts = {
            form for each in node.values for form in reference.wanted(each, node.name, "", targets, url)
        }
        found: set[str] = set()
        if not any(_part_of(each.partition("/")[0]) for each in starts):
            raise NotSupported(f"'{node.name}' has no modifier '{node.modifier}' here", f"http.{node.name}")
        for target in targets:
            own = {each for each in starts if each.startswith(target + "/")}
            part_of = _part_of(target)
            found |= own if part_of is None else self._closure(target, part_of, own, node.modifier)
        return Pointing(node.parameter, frozenset(found))

    def _closure(self, target: str, part_of: SearchParameter, own: set[str], modifier: str) -> set[str]:
        found, edge = set(own), set(own)
        for _ in range(MAX_STEPS):
            if modifier == "below":
                reached = set(self._places(target, (Pointing(part_of, frozenset(edge)),)))
            else:
                reached = self._wholes(target, part_of, edge)
            edge = reached - found
            if not edge:
                return found
            found |= edge
        raise TooCostly(f"a hierarchy of {target} is deeper than {MAX_STEPS}", "http.query")

    def _wholes(self, target: str, part_of: SearchParameter, parts: set[str]) -> set[str]:
        references = compile_expression(part_of.expression, target)
        url = settings().fhir_url
        opened = self._resources(target, (Among(frozenset(parts)),))
        forms = {
            form
            for each in opened
            for element in references(each)
            for form in reference.forms(*element, (), url)
        }
        return {form for form in forms if form.startswith(target + "/")}


def _is_of_content(node: Criterion) -> bool:
    """Whether `:below` asks for kinds of content, such as text/xml with whatever parameters."""
    return node.modifier == "below" and all("/" in each and "|" not in each for each in node.values)


def _versioned(node: Criterion, resource_type: str) -> Node:
    """The url of a conformance resource as a canonical says it: with a version that the resource has, too."""
    version = known_parameters(resource_type).get("version")
    if version is None or not any("|" in each for each in node.values):
        return node
    found: list[Node] = []
    for text in node.values:
        address, *more = split_escaped(text, "|")
        parts: list[Node] = [Criterion(node.parameter, "", (address,))]
        parts += [implied.told(Criterion(version, "", (each,)), resource_type) for each in more if each]
        found.append(All(tuple(parts)))
    return AnyOf(tuple(found))


def _part_of(resource_type: str) -> SearchParameter | None:
    """The parameter by which resources of a type say what they are part of; None for one that does not, or is none."""
    known = known_parameters(resource_type) if is_resource_type(resource_type) else {}
    return next(
        (known[name] for name in _HIERARCHY if name in known and resource_type in known[name].targets), None
    )
