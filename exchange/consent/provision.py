"""Consent resources as flat rules: who, what for, when, about what, permitted or denied, and as an exception to what.

Spec:    https://hl7.org/fhir/R4/consent.html; IHE PCF 1.1; docs/decisions/0018-decision-inside-queries.md.
Leaves:  one provision's dimensions to dimension; combining rules to decision and store/visibility.

A consent is a tree. A rule speaks where every dimension of it and of what it stands in matches, and no exception to it
does. Fail closed: a dimension that is not understood makes a permit never match and a deny always match.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from exchange.consent import dimension
from exchange.consent.dimension import Lookup
from exchange.fhir.datatype import MAX_INSTANT, MIN_INSTANT

PRIVACY_SCOPE: Final = "patient-privacy"
ACCESS: Final = 1
SENDING: Final = 2
BOTH: Final = ACCESS | SENDING
MOST_RULES: Final = 2_000
MOST_NAMED: Final = 20_000
DEEPEST: Final = 40

_UNDERSTOOD: Final = frozenset(
    {
        "action", "actor", "class", "code", "data", "dataPeriod", "extension", "id", "period", "provision", "purpose",
        "securityLabel", "type",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One provision with what it stands in. Units: microseconds since the epoch.

    number    within the Consent; `parent` is the rule to which this one is an exception
    covers    1 access, 2 sending, 3 both
    actors    keys of those it names; None is anybody
    among     further sets of keys, of what it stands in: whoever it names is one of each of these, too
    clinical  the clinical dates that it speaks of; None is any, undated included
    clauses   of each of these sets of facets, a resource has one
    bars      of these facets a resource has none
    opens     the confidentialities that a permit opens which names no label; None: whatever it matches
    """

    consent_id: str
    number: int
    parent: int | None
    is_permit: bool
    covers: int
    actors: tuple[int, ...] | None
    purposes: tuple[str, ...] | None
    starts_at: int
    ends_at: int
    clinical: tuple[int, int] | None = None
    clauses: tuple[frozenset[str], ...] = ()
    bars: frozenset[str] = frozenset()
    opens: frozenset[str] | None = None
    among: tuple[tuple[int, ...], ...] = ()
    is_content: bool = False
    has_exceptions: bool = False


_ANYTHING: Final = Rule("", 0, None, False, BOTH, None, None, MIN_INSTANT, MAX_INSTANT)


def rules(consent: dict[str, Any], lookup: Lookup) -> list[Rule]:
    """The rules of a Consent; none where it is not active or not about privacy.

    Spec: https://hl7.org/fhir/R4/consent-definitions.html#Consent.provision
    """
    if not is_speaking(consent):
        return []
    root = consent.get("provision") or {"type": "deny"}
    whole = replace(_ANYTHING, consent_id=consent["id"])
    if dimension.has_modifier(consent):
        # Something changes the meaning of all of it: what it denies is denied to everybody, what it permits is not.
        return [replace(whole, is_permit=False)]
    # R4: the root's type is what the consent rests on; one without a type rests on the policy, which denies.
    found = list(islice(_flatten(root, root.get("type", "deny"), None, whole, lookup, 0), MOST_RULES + 1))
    named = sum(
        len(each.rule.actors or ()) + sum(map(len, (*each.rule.among, *each.rule.clauses))) for each in found
    )
    if len(found) > MOST_RULES or named > MOST_NAMED:
        return [
            replace(whole, is_permit=False)
        ]  # nobody's choices: too much to judge on each request, so it denies
    return _numbered(found)


def is_speaking(consent: dict[str, Any]) -> bool:
    """Whether a Consent is active and about privacy."""
    scope = consent.get("scope", {}).get("coding", ())
    is_privacy = any(coding.get("code") == PRIVACY_SCOPE for coding in scope)
    return consent.get("status") == "active" and is_privacy


@dataclass(slots=True)
class _Node:
    """A rule on its way: its parent is known by identity until all are numbered."""

    rule: Rule
    parent: _Node | None


def _flatten(
    provision: dict[str, Any], kind: str, parent: _Node | None, around: Rule, lookup: Lookup, depth: int
) -> Iterator[_Node]:
    is_permit = kind == "permit"
    nested = list(provision.get("provision", ()))
    if depth > DEEPEST or provision.keys() - _UNDERSTOOD:
        yield from _not_understood(
            nested, is_permit=is_permit, parent=parent, around=around, lookup=lookup, depth=depth
        )
        return
    covers = around.covers & dimension.covers(provision, is_permit=is_permit)
    if not covers:
        return  # it speaks of collecting or correcting alone, and so does all that stands in it
    narrowed = _narrowed(provision, replace(around, is_permit=is_permit, covers=covers), lookup)
    if narrowed is None:
        if is_permit:
            yield from _not_understood(
                nested, is_permit=True, parent=parent, around=around, lookup=lookup, depth=depth
            )
        return
    inside = nested if is_permit or _is_understood(provision, lookup) else []
    for each in narrowed:
        node = _Node(each, parent)
        yield node
        for inner in inside:
            inner_kind = inner.get("type", "deny" if is_permit else "permit")
            yield from _flatten(inner, inner_kind, node, replace(each, opens=None), lookup, depth + 1)


def _is_understood(provision: dict[str, Any], lookup: Lookup) -> bool:
    """Whether each dimension of a deny is understood; else its exceptions might open more than they are exceptions to."""
    read: dict[str, Callable[[], object]] = {
        "actor": lambda: dimension.actors(provision, lookup, is_permit=False),
        "purpose": lambda: dimension.purposes(provision, lookup, is_permit=False),
        "class": lambda: dimension.classes(provision, lookup, is_permit=False),
        "code": lambda: dimension.codes(provision, lookup, is_permit=False),
        "data": lambda: dimension.data(provision, lookup, is_permit=False),
        "securityLabel": lambda: dimension.denied_labels(provision, lookup),
        "period": lambda: dimension.period(provision["period"], is_permit=True),
        "dataPeriod": lambda: dimension.period(provision["dataPeriod"], is_permit=True),
    }
    return all(each() is not None for name, each in read.items() if name in provision)


def _not_understood(
    nested: list[dict[str, Any]],
    *,
    is_permit: bool,
    parent: _Node | None,
    around: Rule,
    lookup: Lookup,
    depth: int,
) -> Iterator[_Node]:
    """What is left of a provision that is not understood.

    A deny denies all that it stands in, without exceptions. A permit permits nothing; what is denied inside of it may
    concern somebody whom another consent permits, and is denied.
    """
    if not is_permit:
        yield _Node(replace(around, is_permit=False), parent)
        return
    if depth > DEEPEST:
        yield _Node(replace(around, is_permit=False), parent)
        return
    for inner in nested:
        for node in _flatten(inner, inner.get("type", "deny"), None, around, lookup, depth + 1):
            if not node.rule.is_permit:
                yield node


def _narrowed(provision: dict[str, Any], rule: Rule, lookup: Lookup) -> list[Rule] | None:
    """The rule with the provision's own dimensions on top; several where its labels are alternatives.

    Empty: it can never speak, since nobody or no time is left of what it stands in. None: it is not understood.
    """
    is_permit = rule.is_permit
    # 1. Who.
    actors, among = rule.actors, rule.among
    named = dimension.actors(provision, lookup, is_permit=is_permit)
    if named is not None:
        if not named:
            return None
        # Whoever asks has several names - a facility and those above it, a person, a function - and may bear both.
        among = among if actors is None or set(named) <= set(actors) else (*among, actors)
        actors = named
    # 2. What for.
    purposes = rule.purposes
    wanted = dimension.purposes(provision, lookup, is_permit=is_permit)
    if wanted is not None:
        if not wanted:
            return None
        purposes = wanted if purposes is None else tuple(each for each in wanted if each in purposes)
    # 3. When.
    period = dimension.period(provision.get("period"), is_permit=is_permit)
    if period is None:
        return None
    starts_at, ends_at = max(rule.starts_at, period[0]), min(rule.ends_at, period[1])
    # 4. Clinical dates.
    clinical = rule.clinical
    if "dataPeriod" in provision:
        dated = dimension.period(provision["dataPeriod"], is_permit=is_permit)
        if dated is None:
            return None
        if dated != dimension.EVER:
            clinical = dated if clinical is None else (max(dated[0], clinical[0]), min(dated[1], clinical[1]))
    # 5. About what: each dimension is one clause more.
    clauses = list(rule.clauses)
    for read in (dimension.classes, dimension.codes, dimension.data):
        clause = read(provision, lookup, is_permit=is_permit)
        if clause is not None:
            if not clause:
                return None
            clauses.append(clause)
    made = replace(
        rule, actors=actors, among=among, purposes=purposes, starts_at=starts_at, ends_at=ends_at, clinical=clinical,
        clauses=tuple(clauses),
    )  # fmt: skip
    if purposes == () or starts_at > ends_at or (clinical and clinical[0] > clinical[1]):
        return []
    # 6. Labels.
    return _labelled(provision, made, lookup)


def _labelled(provision: dict[str, Any], rule: Rule, lookup: Lookup) -> list[Rule] | None:
    """The rule with the provision's labels on top."""
    if "securityLabel" not in provision:
        is_labelled = rule.bars or any(each & lookup.label_features for each in rule.clauses)
        opens = lookup.unlabelled_opens if rule.is_permit and not is_labelled else None
        return [replace(rule, opens=opens)]
    if not rule.is_permit:
        clause = dimension.denied_labels(provision, lookup)
        return [rule if clause is None else replace(rule, clauses=(*rule.clauses, clause))]
    found = [
        replace(
            rule, clauses=(*rule.clauses, *([clause] if clause else [])), bars=rule.bars | bars, opens=None
        )
        for clause, bars in dimension.permitted_labels(provision, lookup)
    ]
    return found or None


def _numbered(nodes: list[_Node]) -> list[Rule]:
    numbers = {id(node): number for number, node in enumerate(nodes)}
    excepted = {id(node.parent) for node in nodes if node.parent is not None and id(node.parent) in numbers}
    depends = {
        id(node)
        for node in nodes
        if node.rule.clauses
        or node.rule.bars
        or node.rule.clinical
        or (node.rule.is_permit and node.rule.opens is None)
    }
    on_content = depends | {id(node.parent) for node in nodes if id(node) in depends}
    return [
        replace(
            node.rule, number=numbers[id(node)],
            parent=numbers.get(id(node.parent)) if node.parent is not None else None,
            is_content=id(node) in on_content, has_exceptions=id(node) in excepted,
        )
        for node in nodes
    ]  # fmt: skip
