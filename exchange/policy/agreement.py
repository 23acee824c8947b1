"""Whether the parts of a policy agree with each other, and with the code systems that they are written in.

Spec:    https://terminology.hl7.org/CodeSystem-v3-ActReason.html, https://terminology.hl7.org/CodeSystem-v3-ActCode.html
Leaves:  each part's own form to regional_policy; lines of the file to toml_lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

from exchange.fhir.definitions import RESOURCE_TYPES
from exchange.policy.code_tables import ACT_CODE, CodeTables
from exchange.requester import ROLES
from exchange.terminology.code_system import official_system

if TYPE_CHECKING:
    from exchange.policy.regional_policy import RegionalPolicy, Sensitive

ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
BREAK_THE_GLASS: Final = "BTG"

Disagreement = tuple[tuple[str | int, ...], str]
"""The path of a key, and what is wrong there."""


def disagreements(policy: RegionalPolicy) -> list[Disagreement]:
    """Everything in which a policy contradicts itself or names what there is not."""
    return [*_purposes(policy), *_roles(policy), *_systems(policy), *_sensitive(policy), *_emergency(policy)]


_NEVER_BASIC: Final = frozenset(
    {
        "AuditEvent", "Binary", "Bundle", "Composition", "Consent", "DiagnosticReport", "DocumentManifest",
        "DocumentReference", "Media", "Provenance",
    }
)  # fmt: skip
"""Types that an emergency never opens: documents hold whatever they hold."""


@cache
def sensitivity_codes() -> frozenset[str]:
    """The sensitivities of v3 ActCode."""
    system = official_system(ACT_CODE)
    found = system.below("_InformationSensitivityPolicy") if system is not None else frozenset[str]()
    return frozenset(each for each in found if not each.startswith("_"))


@cache
def _reasons() -> frozenset[str]:
    system = official_system(ACT_REASON)
    if system is None:
        return frozenset()
    return frozenset(each.code for each in system.page("", 0, 10_000, active_only=False)[1])


def _purposes(policy: RegionalPolicy) -> Iterator[Disagreement]:
    known, told = _reasons(), policy.purposes
    lists: dict[tuple[str, ...], tuple[str, ...]] = {
        ("purposes", "allowed"): told.allowed,
        ("purposes", "refused_by_law"): told.refused_by_law,
    }
    lists |= {("purposes", "covers", name): codes for name, codes in told.covers.items()}
    lists |= {("roles", name, "purposes"): rule.purposes for name, rule in policy.roles.items()}
    for path, codes in lists.items():
        for place, code in enumerate(codes):
            if code not in known:
                yield (*path, place), "is no v3 ActReason code"
            elif path[-1] == "allowed" and code in told.refused_by_law:
                yield (*path, place), "is refused by law and allowed at once"
            elif path[0] == "roles" and not told.is_allowed(code):
                yield (*path, place), "is not among the purposes that are allowed"
            elif path[1] == "covers" and code == BREAK_THE_GLASS:
                yield (*path, place), "breaking the glass is covered by no other purpose"
    for name in told.covers:
        if name not in known:
            yield ("purposes", "covers", name), "is no v3 ActReason code"


def _roles(policy: RegionalPolicy) -> Iterator[Disagreement]:
    for name in ROLES:
        if name not in policy.roles:
            yield ("roles",), f"has no rule for {name}"
    for told in policy.roles:
        if told not in ROLES:
            yield ("roles", told), "is no role of this hub"


def _systems(policy: RegionalPolicy) -> Iterator[Disagreement]:
    claimed: dict[str, str] = {}
    for system, form in policy.systems.items():
        for key, places in (("urls", form.urls), ("oids", form.oids)):
            for number, address in enumerate(places):
                if claimed.setdefault(address, system) != system:
                    yield ("systems", system, key, number), "is another system's already"


def _sensitive(policy: RegionalPolicy) -> Iterator[Disagreement]:
    seen: set[str] = set()
    for place, category in enumerate(policy.sensitive):
        if category.code not in sensitivity_codes():
            yield ("sensitive", place, "code"), "is no sensitivity of v3 ActCode"
        if category.code in seen:
            yield ("sensitive", place, "code"), "stands twice"
        seen.add(category.code)
        yield from _lists(policy, ("sensitive", place), category)


def _lists(
    policy: RegionalPolicy, path: tuple[str | int, ...], category: Sensitive
) -> Iterator[Disagreement]:
    named: dict[str, Mapping[str, tuple[str, ...]]] = {
        "codes": category.codes,
        "implied_by": category.implied_by,
    }
    for name, lists in named.items():
        for system, codes in lists.items():
            form = policy.systems.get(system)
            if form is None:
                yield (*path, name, system), "is none of the systems"
                continue
            for number, code in enumerate(codes):
                if not CodeTables.expanded(code, nests=form.nests, ignored=form.ignored):
                    yield (*path, name, system, number), "is no range of codes"


def _emergency(policy: RegionalPolicy) -> Iterator[Disagreement]:
    for place, name in enumerate(policy.emergency.resource_types):
        if name not in RESOURCE_TYPES:
            yield ("emergency", "resource_types", place), "is no resource type"
        elif name in _NEVER_BASIC:
            yield (
                ("emergency", "resource_types", place),
                "is a document or a consent, and no basic information",
            )
    for place, name in enumerate(policy.emergency.roles):
        if name not in policy.users:
            yield ("emergency", "roles", place), "is none of the users"
