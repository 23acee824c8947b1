"""Judging one resource by the rules of consents, in memory and explained: what store/visibility does inside of queries.

Spec:    docs/decisions/0018-decision-inside-queries.md.
Leaves:  reading Consents to provision; deciding requests to decision, which puts the same judgement into SQL.

Pure: the same rules give the same answer in whatever order they come. A property test holds both forms together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exchange.consent.provision import BOTH, Rule


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, what for and when. Units: microseconds since the epoch."""

    actors: frozenset[int]
    custodian: int
    purpose: str
    at: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked for: the facets of a resource, see policy/facets, and its clinical date where it has one."""

    facets: frozenset[str]
    clinical: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Filed:
    """The rules of one Consent, and the key of the facility that filed it."""

    rules: Sequence[Rule]
    filed_by: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the consents permit, and the rules that decided, as `Consent/id#rule`."""

    permits: bool
    because: tuple[str, ...]


def judge(filed: Iterable[Filed], asked: Asked, subject: Subject, assumed: int = 0) -> Judgement:
    """Whether consents permit somebody to see something. Silence denies; `assumed` are authorisations taken as given.

    1. A rule applies when its actors, purposes and period all do; what the asker filed never permits the asker.
    2. It matches when the resource does: its clauses, bars and clinical dates.
    3. It speaks when no exception to it matches.
    4. Whatever speaks and denies decides; else access and sending must both be permitted.
    """
    speaking: list[Rule] = []
    for consent in filed:
        # 1., 2.
        matching = [
            rule
            for rule in consent.rules
            if _applies(rule, consent.filed_by, asked) and _matches(rule, subject)
        ]
        # 3.
        excepted = {rule.parent for rule in matching}
        speaking += [rule for rule in matching if rule.number not in excepted]
    # 4.
    denying = sorted(_name(rule) for rule in speaking if not rule.is_permit)
    if denying:
        return Judgement(permits=False, because=tuple(denying))
    opening = [rule for rule in speaking if rule.opens is None or rule.opens & subject.facets]
    covers = assumed
    for rule in opening:
        covers |= rule.covers
    return Judgement(covers == BOTH and bool(opening), tuple(sorted(_name(rule) for rule in opening)))


def _applies(rule: Rule, filed_by: int, asked: Asked) -> bool:
    return (
        (rule.actors is None or not asked.actors.isdisjoint(rule.actors))
        and not any(asked.actors.isdisjoint(each) for each in rule.among)
        and (rule.purposes is None or asked.purpose in rule.purposes)
        and rule.starts_at <= asked.at <= rule.ends_at
        and not (rule.is_permit and filed_by == asked.custodian)
    )


def _matches(rule: Rule, subject: Subject) -> bool:
    if any(clause.isdisjoint(subject.facets) for clause in rule.clauses) or rule.bars & subject.facets:
        return False
    if rule.clinical is None:
        return True
    if subject.clinical is None:
        return not rule.is_permit  # undated: inside of what is denied, outside of what is permitted
    (start, end), (low, high) = subject.clinical, rule.clinical
    return low <= start and end <= high if rule.is_permit else start <= high and low <= end


def _name(rule: Rule) -> str:
    return f"Consent/{rule.consent_id}#{rule.number}"
