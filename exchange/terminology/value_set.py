"""Value sets: which codes one takes in, by its rules, as far as the code systems are known here.

Spec:    https://hl7.org/fhir/R4/valueset.html#compositions
Leaves:  paging and Parameters to operations/expand; what a code system is to code_system.py.

A whole system that is unknown, or larger than is ever listed, is kept as one name instead of its codes. What cannot be
known exactly is refused and never guessed: a value set that is silently too small would hide resources from a search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.fhir.definitions import official_value_set_rules
from exchange.problems import NotSupported, TooCostly
from exchange.store.canonical import find_canonical, memory
from exchange.store.session import Transaction
from exchange.terminology.code_system import find_system
from exchange.terminology.concept import MOST_CODES, CodeSystem, Concept

MOST_RULES: Final = 2_000
MOST_IMPORTS: Final = 20
MOST_REMEMBERED: Final = 5_000
Coding = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """A value set's definition. `expansion` holds codes that a resource lists instead of rules."""

    url: str
    version: str
    name: str
    includes: tuple[dict[str, Any], ...]
    excludes: tuple[dict[str, Any], ...]
    expansion: tuple[dict[str, Any], ...] = ()


@dataclass(slots=True)
class Expansion:
    """What a value set takes in: listed codes with their concepts, and whole systems."""

    members: dict[Coding, Concept] = field(default_factory=dict)
    systems: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)

    def has(self, coding: Coding) -> bool:
        """Whether a code is taken in."""
        return coding in self.members or coding[0] in self.systems


@dataclass(frozen=True, slots=True)
class ExpandedValueSet:
    """What a search needs of a value set: iterate it for (system, code); `systems` are taken in whole, unlisted."""

    pairs: frozenset[Coding]
    systems: frozenset[str]

    def contains(self, system: str, code: str) -> bool:
        """Whether a code is in the value set."""
        return system in self.systems or (system, code) in self.pairs

    def __iter__(self) -> Iterator[Coding]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


def codes_of_value_set(transaction: Transaction, url: str, *, named: str = "url") -> ExpandedValueSet:
    """The codes of a value set: `url`, `url|version` or `ValueSet/id`. `named` is the parameter that problems name.

    Raises: NotSupported - it is not known here, or cannot be known exactly; TooCostly - it has too many codes.
    """
    found = expansion_of(transaction, require_rules(transaction, url, named), named, known_as=url)
    return ExpandedValueSet(frozenset(found.members), frozenset(found.systems))


def require_rules(transaction: Transaction, url: str, named: str) -> Rules:
    """A value set's rules. Raises: NotSupported - there is no such value set here."""
    found = find_rules(transaction, url)
    if found is None:
        raise NotSupported("the value set is not known here", named, code="not-found")
    return found


def find_rules(transaction: Transaction, url: str) -> Rules | None:
    """A value set's rules: FHIR's own, which no resource can redefine, or those of a stored ValueSet."""
    plain, _, version = url.partition("|")
    own = official_value_set_rules().get(plain)
    if own is not None and version in ("", own[0]):
        return Rules(plain, own[0], own[1], tuple(own[2]), tuple(own[3]))
    known = memory(transaction)
    key = ("rules", url)
    if key not in known:
        resource = find_canonical(transaction, "ValueSet", url)
        known[key] = None if resource is None else rules_of_resource(resource)
    found: Rules | None = known[key]
    return found


def rules_of_resource(resource: dict[str, Any]) -> Rules:
    """The rules of a ValueSet resource. A stored expansion counts only where there are no rules, and when it is whole."""
    compose = resource.get("compose", {})
    listed = resource.get("expansion", {}) if not compose else {}
    is_whole = listed.get("total", 0) <= _count(listed.get("contains", ()))
    return Rules(
        resource.get("url", ""), resource.get("version", ""), resource.get("title") or resource.get("name", ""),
        tuple(compose.get("include", ())), tuple(compose.get("exclude", ())),
        tuple(listed.get("contains", ())) if is_whole else (),
    )  # fmt: skip


def expansion_of(transaction: Transaction, rules: Rules, named: str, *, known_as: str = "") -> Expansion:
    """What a value set takes in. One that the hub knows is remembered under the canonical by which it is known.

    Raises: NotSupported - it cannot be known exactly; TooCostly - it has too many codes.
    """
    known = memory(transaction)
    key = ("expansion", known_as)
    if known_as and key in known:
        found: Expansion = known[key]
        return found
    made = _Expander(transaction, named).value_set(rules, ())
    if known_as and len(made.members) <= MOST_REMEMBERED:
        known[key] = made
    return made


class _Expander:
    """One expansion: each value set that it imports is worked out once."""

    def __init__(self, transaction: Transaction, named: str) -> None:
        self._transaction = transaction
        self._named = named
        self._done: dict[str, Expansion] = {}
        self._rules = 0

    def value_set(self, rules: Rules, trail: tuple[str, ...]) -> Expansion:
        """Everything that is included, without what is excluded."""
        if len(trail) > MOST_IMPORTS:
            raise TooCostly("value sets import one another too deeply")
        result = Expansion()
        if not rules.includes and not rules.expansion:
            raise NotSupported("the value set has no rules that this hub could follow", self._named)
        for contained in _flat(rules.expansion):
            if "code" in contained:
                concept = Concept(contained["code"], contained.get("display", ""))
                result.members[contained.get("system", ""), concept.code] = concept
        for each in rules.includes:
            part = self._rule(each, trail)
            result.members.update((key, c) for key, c in part.members.items() if key not in result.members)
            result.systems |= part.systems
            result.versions |= part.versions
            self._require_bounded(result)
        for each in rules.excludes:
            self._exclude(result, self._rule(each, trail))
        return result

    def _exclude(self, result: Expansion, part: Expansion) -> None:
        for system in {system for system, _ in part.members} & result.systems:
            # Codes are taken out of a whole system: it has to be listed first.
            whole = self._listed(self._known(system, ""))
            result.systems.discard(system)
            result.members.update({(system, each.code): each for each in whole})
        result.systems -= part.systems
        result.members = {key: each for key, each in result.members.items() if not part.has(key)}

    def _rule(self, rule: Mapping[str, Any], trail: tuple[str, ...]) -> Expansion:
        self._rules += 1
        if self._rules > MOST_RULES:
            raise TooCostly(f"the value set needs more than {MOST_RULES} rules")
        if rule.get("withheld"):
            text = "the value set lists codes that this hub may not carry: load the value set itself"
            raise NotSupported(text, self._named)
        parts = [self._imported(url, trail) for url in rule.get("valueSet", ())]
        if "system" in rule:
            parts.append(self._of_system(rule))
        if not parts:
            raise NotSupported("a rule of the value set names neither a system nor a value set", self._named)
        result = parts[0]
        for each in parts[1:]:
            result = _both(result, each)
        return result

    def _imported(self, url: str, trail: tuple[str, ...]) -> Expansion:
        if url in trail:
            raise NotSupported("the value set imports itself", self._named)
        if url not in self._done:
            rules = find_rules(self._transaction, url)
            if rules is None:
                text = "the value set imports one that is not known here"
                raise NotSupported(text, self._named, code="not-found")
            self._done[url] = self.value_set(rules, (*trail, url))
        return self._done[url]

    def _of_system(self, rule: Mapping[str, Any]) -> Expansion:
        url, version = rule["system"], rule.get("version", "")
        if "concept" in rule:
            return self._concepts(rule)
        if "filter" not in rule:
            system = find_system(self._transaction, url, version)
            if system is None or system.count > MOST_CODES:
                return Expansion(systems={url}, versions={url: system.version if system else version})
            return self._expansion(system, self._listed(system))
        system = self._known(url, version)
        found: list[Concept] | None = None
        for each in rule["filter"]:
            some = system.select(each["property"], each["op"], each["value"], self._named)
            kept = {concept.code for concept in some}
            found = some if found is None else [concept for concept in found if concept.code in kept]
        return self._expansion(system, found or [])

    def _concepts(self, rule: Mapping[str, Any]) -> Expansion:
        url, listed = rule["system"], rule["concept"]
        system = find_system(self._transaction, url, rule.get("version", ""))
        known = system.get([each["code"] for each in listed]) if system is not None else {}
        members = {}
        for each in listed:
            concept = known.get(each["code"], Concept(each["code"]))
            designations = (*each.get("designation", ()), *concept.designations)
            display = each.get("display") or concept.display
            members[url, each["code"]] = Concept(
                each["code"], display, concept.parents, concept.is_inactive, concept.is_abstract,
                concept.properties, designations, concept.definition,
            )  # fmt: skip
        return Expansion(members, versions={url: system.version} if system else {})

    def _known(self, url: str, version: str) -> CodeSystem:
        system = find_system(self._transaction, url, version)
        if system is None:
            text = "the value set filters a code system that is not known here"
            raise NotSupported(text, self._named, code="not-found")
        return system

    def _listed(self, system: CodeSystem) -> list[Concept]:
        if system.count > MOST_CODES:
            raise TooCostly(f"the value set has more than {MOST_CODES} codes", self._named)
        return system.page("", 0, MOST_CODES, active_only=False)[1]

    def _expansion(self, system: CodeSystem, concepts: Iterable[Concept]) -> Expansion:
        members = {(system.url, each.code): each for each in concepts}
        return Expansion(members, versions={system.url: system.version})

    def _require_bounded(self, result: Expansion) -> None:
        if len(result.members) > MOST_CODES:
            raise TooCostly(f"the value set has more than {MOST_CODES} codes", self._named)


def _both(one: Expansion, other: Expansion) -> Expansion:
    """What two parts of a rule share."""
    members = {key: each for key, each in one.members.items() if other.has(key)}
    members |= {key: each for key, each in other.members.items() if key not in members and one.has(key)}
    return Expansion(members, one.systems & other.systems, one.versions | other.versions)


def _flat(contains: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for each in contains:
        if not each.get("abstract"):
            yield each
        yield from _flat(each.get("contains", ()))


def _count(contains: Iterable[Mapping[str, Any]]) -> int:
    return sum(1 for _ in _flat(contains))
