"""The dimensions of a provision, one function each: what it names, in the terms that rules are kept in.

Spec:    https://hl7.org/fhir/R4/consent-definitions.html#Consent.provision;
         docs/decisions/0018-decision-inside-queries.md.
Leaves:  the tree of provisions to provision.

None says that a dimension is absent, so anything matches. An empty answer says that it is not understood; a deny never
answers so: what it names and nobody understands is everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.fhir.datatype import MAX_INSTANT, MIN_INSTANT, date_range, parse_reference
from exchange.policy.facets import LADDER, level
from exchange.requester import UNKNOWN_PERSON, UNKNOWN_ROLE, actor_key
from exchange.settings import settings

ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
CONSENT_ACTION: Final = "http://terminology.hl7.org/CodeSystem/consentaction"
USER_ROLE: Final = "urn:chasqui:user-role"
"""System of an actor's identifier that names a functional role of the regional policy instead of somebody."""
TYPE_SYSTEMS: Final = frozenset({"http://hl7.org/fhir/resource-types", "http://hl7.org/fhir/fhir-types"})
PROFILE_SYSTEM: Final = "urn:ietf:rfc:3986"
EVER: Final = (MIN_INSTANT, MAX_INSTANT)
MOST_FEATURES: Final = 5_000

_BODIES: Final = frozenset({"Device", "Organization"})
_PEOPLE: Final = frozenset({"Patient", "Practitioner", "RelatedPerson"})
_RESOLVED: Final = frozenset({"CareTeam", "Group"})
_COVERS: Final = {"access": 1, "use": 1, "disclose": 2, "collect": 0, "correct": 0}


@dataclass(frozen=True)
class Lookup:
    """What reading a Consent has to look up elsewhere; each answers None where it cannot.

    members      the participants of a CareTeam, the members of a Group; of a permit, those without an end
    refers_to    the resources that a resource points to
    descendants  the codes that a code subsumes, itself included
    categories   a sensitivity code, and the categories of the regional policy that it subsumes
    every_category, unlabelled_opens  the policy's categories; the confidentialities that an unlabelled permit opens
    """

    members: Callable[[str, bool], tuple[str, ...] | None]
    refers_to: Callable[[str], tuple[str, ...] | None]
    descendants: Callable[[str, str], tuple[str, ...] | None]
    categories: Mapping[str, frozenset[str]]
    subsumed: Mapping[str, tuple[str, ...]]
    unlabelled_opens: frozenset[str]
    leant: set[str] = field(default_factory=set)
    """The resources that were looked up: rules change where these do."""

    @property
    def every_category(self) -> frozenset[str]:
        """Every category that a label can bear."""
        return frozenset(self.categories)

    @property
    def label_features(self) -> frozenset[str]:
        """Every facet that a label makes."""
        levels = {level(each) for each in LADDER} | {f"below|{each}" for each in LADDER}
        return frozenset(levels | {f"category|{each}" for each in self.every_category})


def has_modifier(node: Any) -> bool:
    """Whether anything in a Consent bears an extension that may change the meaning of what it stands in."""
    if isinstance(node, dict):
        return "modifierExtension" in node or any(has_modifier(each) for each in node.values())
    return isinstance(node, list) and any(has_modifier(each) for each in node)


def covers(provision: dict[str, Any], *, is_permit: bool) -> int:
    """Which authorisations a provision speaks of, as bits: 1 access, 2 sending. Absent: every action."""
    if "action" not in provision:
        return 3
    found = 0
    for action in provision["action"]:
        codings = action.get("coding") or [{}]
        for coding in codings:
            code = coding.get("code") if coding.get("system", CONSENT_ACTION) == CONSENT_ACTION else None
            found |= _COVERS.get(str(code), 0 if is_permit else 3)
    return found


def actors(provision: dict[str, Any], lookup: Lookup, *, is_permit: bool) -> tuple[int, ...] | None:
    """The keys of those whom a provision names; None is anybody."""
    if "actor" not in provision:
        return None
    found: list[int] = []
    for actor in provision["actor"]:
        keys = _actor(actor, lookup, is_permit=is_permit)
        if keys is None and not is_permit:
            return None  # a deny whose actor cannot be resolved denies everybody
        found += keys or ()
    return tuple(dict.fromkeys(found))


def _actor(actor: dict[str, Any], lookup: Lookup, *, is_permit: bool) -> tuple[int, ...] | None:
    told = actor.get("reference", {})
    identifier = told.get("identifier", {})
    if identifier.get("system") == USER_ROLE and identifier.get("value"):
        return _with_unknown(f"role/{identifier['value']}", UNKNOWN_ROLE, is_permit=is_permit)
    named = parse_reference(str(told.get("reference", "")))
    if not named.type or not named.id or named.base is not None:
        return None
    reference = f"{named.type}/{named.id}"
    if named.type in _BODIES:
        return (actor_key(reference),)
    if named.type in _PEOPLE:
        return _with_unknown(reference, UNKNOWN_PERSON, is_permit=is_permit)
    if named.type == "PractitionerRole":
        # Whoever has the role may ask under another name: only a permit may take the name at its word.
        return (actor_key(reference),) if is_permit else None
    members = lookup.members(reference, is_permit) if named.type in _RESOLVED else None
    if members is None:
        return None
    return (*map(actor_key, members), *(() if is_permit else (actor_key(UNKNOWN_PERSON),)))


def _with_unknown(reference: str, unknown: str, *, is_permit: bool) -> tuple[int, ...]:
    """The key of a person or role; who does not say who asks might be the one, and is denied too."""
    return (actor_key(reference),) if is_permit else (actor_key(reference), actor_key(unknown))


def purposes(provision: dict[str, Any], lookup: Lookup, *, is_permit: bool) -> tuple[str, ...] | None:
    """The purposes of a provision with what they cover; None is any."""
    if "purpose" not in provision:
        return None
    found: set[str] = set()
    for coding in provision["purpose"]:
        code = coding.get("code")
        if coding.get("system") == ACT_REASON and code:
            found |= {code, *lookup.subsumed.get(code, ())}
        elif not is_permit:
            return None
    return tuple(sorted(found))


def period(told: dict[str, Any] | None, *, is_permit: bool) -> tuple[int, int] | None:
    """Start and end; None is one that is not understood. An end without a time covers its whole day."""
    if told is None:
        return EVER
    zone = settings().zone
    try:
        start = date_range(told["start"], zone)[0] if "start" in told else MIN_INSTANT
        end = date_range(told["end"], zone)[1] if "end" in told else MAX_INSTANT
    except (ValueError, TypeError):
        return None if is_permit else EVER
    is_understood = start <= end and not (told.keys() - {"start", "end", "id", "extension"})
    return (start, end) if is_understood else None if is_permit else EVER


def classes(provision: dict[str, Any], _lookup: Lookup, *, is_permit: bool) -> frozenset[str] | None:
    """The resource types, profiles and kinds of document that a provision speaks of, as facets."""
    if "class" not in provision:
        return None
    found: set[str] = set()
    for coding in provision["class"]:
        system, code = coding.get("system", ""), coding.get("code")
        if not code:
            if not is_permit:
                return None
        elif system in TYPE_SYSTEMS:
            found.add(f"type|{code}")
        elif system == PROFILE_SYSTEM:
            found.add(f"profile|{code}")
        else:
            found.add(f"class|{system}|{code}")
    return frozenset(found)


def codes(provision: dict[str, Any], lookup: Lookup, *, is_permit: bool) -> frozenset[str] | None:
    """The codings of which a resource has one, with what they subsume, as facets."""
    if "code" not in provision:
        return None
    found: set[str] = set()
    for concept in provision["code"]:
        codings = [each for each in concept.get("coding", ()) if each.get("code")]
        if not codings and not is_permit:
            return None  # a text alone
        for coding in codings:
            system, code = coding.get("system", ""), coding["code"]
            below = lookup.descendants(system, code)
            if below is None and not is_permit:
                return None
            for each in below or ():
                found.add(f"code|{system}|{each}")
    if len(found) > MOST_FEATURES:
        return frozenset() if is_permit else None
    return frozenset(found)


def data(provision: dict[str, Any], lookup: Lookup, *, is_permit: bool) -> frozenset[str] | None:
    """The resources that a provision names, and those about them, as facets.

    Spec: https://hl7.org/fhir/R4/valueset-consent-data-meaning.html
    """
    if "data" not in provision:
        return None
    found: set[str] = set()
    for each in provision["data"]:
        named = parse_reference(str(each.get("reference", {}).get("reference", "")))
        reference = f"{named.type}/{named.id}"
        is_known = bool(named.type and named.id and named.base is None and named.type != "Patient")
        meaning = each.get("meaning")
        about = _about(meaning, reference, lookup, is_permit=is_permit) if is_known else None
        if about is None and not is_permit:
            return None
        found |= about or set()
    return frozenset(found)


def _about(meaning: str | None, reference: str, lookup: Lookup, *, is_permit: bool) -> set[str] | None:
    instance, dependents = f"instance|{reference}", f"reference|{reference}"
    match meaning:
        case "instance":
            return {instance}
        case "dependents":
            return {instance, dependents}
        case "authoredby":
            return {f"author|{reference}"}
        case "related":
            # A denial reaches what points here, too: observations of an episode that arrive late.
            forward = lookup.refers_to(reference)
            if forward is None and not is_permit:
                return None
            near = {instance} if is_permit else {instance, dependents}
            return near | {f"instance|{each}" for each in forward or ()}
    return None


def denied_labels(provision: dict[str, Any], lookup: Lookup) -> frozenset[str] | None:
    """The facets that a deny's labels match: R denies R and above. None: everything."""
    found: set[str] = set()
    for coding in provision["securityLabel"]:
        system, code = coding.get("system"), coding.get("code")
        if system == CONFIDENTIALITY and code in LADDER:
            place = LADDER.index(code)
            if place < LADDER.index("N"):
                return None  # normal and below share a facet: a deny from low or moderate on denies all
            found |= {level(each) for each in LADDER[place:]}
        elif system == ACT_CODE and code in lookup.categories:
            found |= {f"category|{each}" for each in lookup.categories[code]}
        else:
            return None
    return frozenset(found)


def permitted_labels(
    provision: dict[str, Any], lookup: Lookup
) -> list[tuple[frozenset[str], frozenset[str]]]:
    """What a permit's labels match, as alternatives of a clause and of bars: R permits R and below.

    A category permits what bears no other category.
    """
    found: list[tuple[frozenset[str], frozenset[str]]] = []
    places: list[int] = []
    categories: set[str] = set()
    for coding in provision["securityLabel"]:
        system, code = coding.get("system"), coding.get("code")
        if system == CONFIDENTIALITY and code in LADDER:
            places.append(LADDER.index(code))
        elif system == ACT_CODE and code in lookup.categories:
            categories |= lookup.categories[code]
    if places:
        place = max(places)
        above = frozenset(level(each) for each in LADDER[place + 1 :] if each in ("R", "V"))
        if place < LADDER.index("N"):
            low = frozenset(f"below|{each}" for each in LADDER[: place + 1])
            found.append((low, above))
        else:
            found.append((frozenset(), above))
    if categories:
        others = frozenset(f"category|{each}" for each in lookup.every_category - categories)
        found.append((frozenset(f"category|{each}" for each in categories), others))
    return found
