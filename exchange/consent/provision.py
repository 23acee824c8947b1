"""Consent resources as flat rules: who, for which purpose, when, permitted or denied, and how deep.

Spec:    https://hl7.org/fhir/R4/consent.html; IHE PCF 1.1; docs/decisions/0011-consent-rules.md.
Leaves:  combining rules to decision.

Fail closed: a dimension that is not understood makes a permit never match and a deny always match; so does an actor
that cannot be resolved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from exchange.fhir.datatype import MAX_INSTANT, MIN_INSTANT, date_range, parse_reference
from exchange.requester import custodian_key
from exchange.settings import settings

PRIVACY_SCOPE: Final = "patient-privacy"
ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
SUBSUMED: Final = {
    "TREAT": ("TREAT", "ETREAT", "CAREMGT", "COC"),
    "PUBHLTH": ("PUBHLTH", "DISASTER", "THREAT"),
}
"""v3 ActReason: what a purpose covers besides itself. BTG (break the glass) is in none of them."""

_ACTOR_EXTENSIONS: Final = frozenset({"extension", "id", "role", "reference"})
_KNOWN: Final = frozenset({"id", "extension", "type", "period", "actor", "purpose", "provision", "action"})
_ACCESS_ACTIONS: Final = frozenset({"access", "use", "disclose"})
MOST_RULES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One provision for one actor. Units: microseconds since the epoch; `actor` None is anybody."""

    compartment: int
    consent_id: str
    depth: int
    is_permit: bool
    actor: int | None
    purposes: tuple[str, ...] | None
    starts_at: int
    ends_at: int


def rules(consent: dict[str, Any], compartment: int) -> list[Rule]:
    """The rules of a Consent; none where it is not active or not about privacy.

    Spec: https://hl7.org/fhir/R4/consent-definitions.html#Consent.provision
    """
    scope = consent.get("scope", {}).get("coding", ())
    is_privacy = any(coding.get("code") == PRIVACY_SCOPE for coding in scope)
    if consent.get("status") != "active" or not is_privacy:
        return []
    root = consent.get("provision") or {"type": "deny"}
    is_understood = "modifierExtension" not in consent
    # R4: the root's type is what the consent rests on; one without a type rests on the policy, which denies.
    flat = _flatten(root, consent["id"], compartment, root.get("type", "deny"), 0, is_understood)
    found = list(islice(flat, MOST_RULES + 1))
    if len(found) > MOST_RULES:  # nobody's choices: too much to judge on each request, so it denies
        return [Rule(compartment, consent["id"], 0, False, None, None, MIN_INSTANT, MAX_INSTANT)]
    return found


def _flatten(
    provision: dict[str, Any],
    consent_id: str,
    compartment: int,
    kind: str,
    depth: int,
    is_understood: bool,  # noqa: FBT001
) -> Iterator[Rule]:
    is_permit = kind == "permit"
    is_known = is_understood and not (provision.keys() - _KNOWN)
    purposes = _purposes(provision)
    starts_at, ends_at, is_period = _period(provision.get("period"))
    understood = is_known and purposes != () and is_period and _is_access(provision)
    inner = "deny" if is_permit else "permit"  # a nested provision is an exception to its parent
    nested = [(each, each.get("type", inner)) for each in provision.get("provision", ())]
    if is_permit and not understood:
        # A permit that is not understood permits nothing. What is denied inside of it may concern somebody whom
        # another consent permits, so it is denied wherever the permit might have spoken.
        for each, nested_kind in nested:
            found = _flatten(each, consent_id, compartment, nested_kind, depth + 1, is_understood)
            yield from (rule for rule in found if not rule.is_permit)
        return
    if not is_permit and not understood:
        yield Rule(compartment, consent_id, depth, False, None, None, MIN_INSTANT, MAX_INSTANT)
        return  # exceptions inside a deny that is not understood are not honoured either
    for actor in _actors(provision, is_permit=is_permit):
        yield Rule(compartment, consent_id, depth, is_permit, actor, purposes, starts_at, ends_at)
    for each, nested_kind in nested:
        for rule in _flatten(each, consent_id, compartment, nested_kind, depth + 1, is_understood):
            yield from _narrowed(rule, provision, starts_at, ends_at, purposes)


def _narrowed(
    rule: Rule, parent: dict[str, Any], starts_at: int, ends_at: int, purposes: tuple[str, ...] | None
) -> Iterator[Rule]:
    """A nested rule speaks only where its parent does: dimensions that it leaves open are the parent's."""
    actors: list[int | None] = [rule.actor]
    allowed = list(_actors(parent, is_permit=rule.is_permit))
    if None not in allowed:
        actors = [each for each in allowed if rule.actor in (None, each)]
    narrowed = rule.purposes
    if purposes is not None:
        narrowed = purposes if rule.purposes is None else tuple(set(rule.purposes) & set(purposes))
    if narrowed == ():
        return
    low, high = max(rule.starts_at, starts_at), min(rule.ends_at, ends_at)
    if low > high:
        return
    for actor in actors:
        yield Rule(rule.compartment, rule.consent_id, rule.depth, rule.is_permit, actor, narrowed, low, high)


def _actors(provision: dict[str, Any], *, is_permit: bool) -> list[int | None]:
    """The organisations that a provision names; [None] is anybody, [] nobody."""
    if "actor" not in provision:
        return [None]
    found: list[int | None] = []
    for actor in provision["actor"]:
        named = parse_reference(str(actor.get("reference", {}).get("reference", "")))
        is_resolved = named.type == "Organization" and named.id and not (actor.keys() - _ACTOR_EXTENSIONS)
        if is_resolved and named.id:
            found.append(custodian_key(named.id))
        elif not is_permit:
            return [None]  # a deny whose actor cannot be resolved denies everybody
    return list(dict.fromkeys(found))


def _purposes(provision: dict[str, Any]) -> tuple[str, ...] | None:
    """The purposes of a provision with what they cover; None is any, () one that is not understood."""
    if "purpose" not in provision:
        return None
    found: set[str] = set()
    for coding in provision["purpose"]:
        if coding.get("system") != ACT_REASON or not coding.get("code"):
            return ()
        found |= set(SUBSUMED.get(coding["code"], (coding["code"],)))
    return tuple(sorted(found))


def _period(period: dict[str, Any] | None) -> tuple[int, int, bool]:
    """Start, end and whether both were understood. An end without a time covers its whole day."""
    if period is None:
        return MIN_INSTANT, MAX_INSTANT, True
    zone = settings().zone
    try:
        start = date_range(period["start"], zone)[0] if "start" in period else MIN_INSTANT
        end = date_range(period["end"], zone)[1] if "end" in period else MAX_INSTANT
    except (ValueError, TypeError):
        return MIN_INSTANT, MAX_INSTANT, False
    return start, end, start <= end and not (period.keys() - {"start", "end", "id", "extension"})


def _is_access(provision: dict[str, Any]) -> bool:
    """Whether a provision speaks of access at all (absent: of every action)."""
    if "action" not in provision:
        return True
    codes = {coding.get("code") for action in provision["action"] for coding in action.get("coding", ())}
    return bool(codes & _ACCESS_ACTIONS)
