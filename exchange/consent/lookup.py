"""What reading a Consent has to know beside it: teams and groups, what a resource points to, codes and categories.

Spec:    docs/decisions/0018-decision-inside-queries.md.
Leaves:  what follows from it to dimension.

Only resources of the facility that filed the Consent are looked at: another one's team cannot let anybody in. Reading
them needs no Permit (a named exception, as for Consents): nothing of them reaches a caller.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Any, Final

from exchange.consent.dimension import ACT_CODE, Lookup
from exchange.fhir.datatype import date_range, parse_reference
from exchange.fhir.definitions import type_code
from exchange.policy.adopted import policy
from exchange.policy.agreement import sensitivity_codes
from exchange.policy.facets import level
from exchange.problems import Problem
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, opened
from exchange.terminology.code_system import below, find_system, official_system

LEANT_ON: Final = frozenset(
    {
        "CarePlan", "CareTeam", "Composition", "DiagnosticReport", "DocumentReference", "Encounter", "EpisodeOfCare",
        "Group", "List",
    }
)  # fmt: skip
"""Types that a Consent may lean on: its rules are made anew when one of them changes."""

_HELD: Final = f"""
SELECT {COLUMNS} FROM resource r
WHERE r.id = %(id)s AND r.type = %(type)s AND r.custodian = %(custodian)s AND NOT r.is_deleted"""  # noqa: S608
_PATIENT: Final = f"""
SELECT {COLUMNS} FROM resource r JOIN patient_record p ON p.compartment = r.compartment AND p.patient_id = r.id
WHERE r.compartment = %(compartment)s AND r.type = %(type)s AND NOT r.is_deleted"""  # noqa: S608


def lookup(transaction: Transaction | None, filed_by: int) -> Lookup:
    """The look-ups for one Consent; without a transaction nothing but the Consent itself is known."""
    leant: set[str] = set()

    def held(reference: str) -> dict[str, Any] | None:
        leant.add(reference)
        return _held(transaction, reference, filed_by) if transaction is not None else None

    def members(reference: str, is_permit: bool) -> tuple[str, ...] | None:  # noqa: FBT001
        resource = held(reference)
        return None if resource is None else _members(resource, is_permit=is_permit)

    def refers_to(reference: str) -> tuple[str, ...] | None:
        if reference.partition("/")[0] not in LEANT_ON:
            return None
        resource = held(reference)
        return None if resource is None else tuple(_references(resource))

    def descendants(system: str, code: str) -> tuple[str, ...] | None:
        if transaction is None or find_system(transaction, system) is None:
            return (code,)  # nobody knows what it subsumes: it is itself
        try:
            return (code, *(below(transaction, system, code) - {code}))
        except Problem:
            return None

    chosen = policy()
    opens = {level("N")} if chosen.defaults.permit_without_label_covers == "N" else set()
    return Lookup(
        members, refers_to, descendants, _categories(), chosen.purposes.covers, frozenset(opens), leant
    )


def adult_at(transaction: Transaction, compartment: int, consent: dict[str, Any]) -> int | None:
    """When a Consent that a representative signed for a minor ends: the day on which the patient comes of age.

    Units: microseconds since 1970 UTC. None: the patient signed, was of age already, or bears no date of birth.
    """
    signers = [parse_reference(str(each.get("reference", ""))).type for each in consent.get("performer", ())]
    if "RelatedPerson" not in signers:
        return None
    of_age_at = comes_of_age_at(transaction, compartment)
    if of_age_at is None:
        return None
    try:
        signed_at = date_range(consent.get("dateTime", ""), settings().zone)[0]
    except (ValueError, TypeError):
        return of_age_at - 1
    return of_age_at - 1 if signed_at < of_age_at else None


def comes_of_age_at(transaction: Transaction, compartment: int) -> int | None:
    """When the patient of a record comes of age, in the region's zone; None without a date of birth."""
    rows = transaction.rows(_PATIENT, {"compartment": compartment, "type": type_code("Patient")})
    born = opened(transaction, rows)[0].parsed().get("birthDate", "") if rows else ""
    day = _plus_years(born, policy().minors.adult_age)
    return None if day is None else date_range(day, settings().zone)[0]


@cache
def _categories() -> dict[str, frozenset[str]]:
    """Each sensitivity of v3 ActCode with those that it subsumes."""
    every = sensitivity_codes()
    system = official_system(ACT_CODE)
    if system is None:
        return {}
    return {code: (system.below(code) & every) | {code} for code in every}


def _held(transaction: Transaction, reference: str, custodian: int) -> dict[str, Any] | None:
    named = parse_reference(reference)
    if not named.type or not named.id:
        return None
    rows = transaction.rows(_HELD, {"id": named.id, "type": type_code(named.type), "custodian": custodian})
    return opened(transaction, rows)[0].parsed() if rows else None


def _members(resource: dict[str, Any], *, is_permit: bool) -> tuple[str, ...] | None:
    """Who stands in a team or group; None where it is not in use."""
    if resource["resourceType"] == "CareTeam":
        if resource.get("status", "active") != "active":
            return None
        listed, element = resource.get("participant", ()), "member"
    else:
        if resource.get("active") is False or resource.get("actual") is False:
            return None
        listed, element = [each for each in resource.get("member", ()) if not each.get("inactive")], "entity"
    found = []
    for each in listed:
        named = parse_reference(str(each.get(element, {}).get("reference", "")))
        if is_permit and "end" in each.get("period", {}):
            continue
        if named.type and named.id and named.base is None:
            found.append(f"{named.type}/{named.id}")
    return tuple(found)


def _references(node: Any) -> list[str]:
    found: list[str] = []
    rest = [node]
    while rest:
        each = rest.pop()
        if isinstance(each, list):
            rest += each
        elif isinstance(each, dict):
            rest += each.values()
            named = parse_reference(str(each.get("reference", ""))) if "reference" in each else None
            if named and named.type and named.id and named.base is None and named.type != "Patient":
                found.append(f"{named.type}/{named.id}")
    return found


def _plus_years(day: str, years: int) -> str | None:
    """A date so many years later, of a date without its day the first; a 29th of February becomes the 1st of March."""
    parts = [int(each) for each in day.split("-")] if day else []
    if not parts:
        return None
    year, month, of_month = (*parts, 1, 1)[:3]
    try:
        return date(year + years, month, of_month).isoformat()
    except ValueError:
        return date(year + years, 3, 1).isoformat()
