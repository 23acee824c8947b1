"""The national profile that a resource satisfies, judged on the resource itself: none is claimed that does not hold.

Spec:    national guide HL7.FHIR.PE.COREPE, draft 0.1: PacientePe, PractitionerPe, OrganizacionPe, ConditionPe,
         CompositionPe; docs/adapters.md, "Profiles".
Leaves:  whatever has no national profile: it is base R4, and claims none.

The guide is a draft that was read in part. Where it leaves open what is allowed, the narrower reading is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from adapters.source_record import Resource
from adapters.source_record.countries import COUNTRIES
from exchange.fhir import peru


def claim(resource: Resource) -> None:
    """Say in meta.profile which national profile holds; profiles of others that a source told stay."""
    told = [url for url in resource.get("meta", {}).get("profile", []) if not url.startswith(peru.RENHICE)]
    if (profile := profile_of(resource)) is not None:
        told.append(profile)
    if told:
        resource.setdefault("meta", {})["profile"] = told
    elif "meta" in resource:
        resource["meta"].pop("profile", None)


def profile_of(resource: Resource) -> str | None:
    """The national profile that a resource satisfies, or None where there is none or it does not hold."""
    profile, holds = _PROFILES.get(resource["resourceType"], (None, None))
    return profile if holds is not None and holds(resource) else None


def is_personal(identifier: Resource) -> bool:
    """Whether an identifier is one of a person as the guide has it: a value, a type, and the country of issue.

    The type's code is bound to the persons' identifiers: a coding of any other system has no place beside it.
    """
    kind = identifier.get("type", {})
    countries = [
        coding
        for extension in kind.get("extension", [])
        if extension.get("url") == peru.COUNTRY_EXTENSION
        for coding in extension.get("valueCodeableConcept", {}).get("coding", [])
    ]
    return (
        bool(identifier.get("value"))
        and len(countries) == 1
        and countries[0].get("system") == peru.COUNTRIES
        and countries[0].get("code") in COUNTRIES
        and all(
            coding.get("system") == peru.PERSON_ID_TYPES and coding.get("code") in peru.PERSON_ID_CODES
            for coding in kind.get("coding", [])
        )
    )


def _is_patient(resource: Resource) -> bool:
    return _are_personal(resource) and any(
        name.get("family") or name.get("given") for name in resource.get("name", [])
    )


def _are_personal(resource: Resource) -> bool:
    identifiers = resource.get("identifier", [])
    return bool(identifiers) and all(map(is_personal, identifiers))


def _is_practitioner(resource: Resource) -> bool:
    """A professional's number stands beside the college that gave it."""
    qualifications = resource.get("qualification", [])
    return (
        _are_personal(resource)
        and bool(qualifications)
        and all(
            any(identifier.get("value") for identifier in item.get("identifier", []))
            and _has_only(item.get("code"), peru.COLLEGES)
            for item in qualifications
        )
    )


def _is_organization(resource: Resource) -> bool:
    identifiers = resource.get("identifier", [])
    return (
        "active" in resource
        and any(_has_only(item.get("type"), peru.FACILITY_CODES) for item in identifiers)
        and all(
            item.get("value")
            and ("coding" not in item.get("type", {}) or _has_only(item["type"], peru.FACILITY_CODES))
            for item in identifiers
        )
    )


def _is_condition(resource: Resource) -> bool:
    """The onset is the source's own: no visit's date stands for it."""
    code = resource.get("code", {})
    return (
        "verificationStatus" in resource
        and any(item.get("system") == peru.CIE10_SYSTEM and item.get("code") for item in _codings(code))
        and bool(code.get("text"))
        and "subject" in resource
        and bool(resource.get("onsetPeriod", {}).get("start"))
    )


def _is_composition(resource: Resource) -> bool:
    """The basic clinical information of one professional, kept by one custodian."""
    authors = resource.get("author", [])
    return (
        resource.get("status") == "final"
        and any(
            item.get("system") == peru.LOINC_SYSTEM and item.get("code") == peru.BASIC_INFORMATION
            for item in _codings(resource.get("type", {}))
        )
        and all(resource.get(name) for name in ("subject", "title", "custodian"))
        and len(authors) == 1
        and (
            authors[0].get("type") == "Practitioner"
            or authors[0].get("reference", "").startswith("Practitioner/")
        )
        and all(
            any(item.get("system") == peru.LOINC_SYSTEM for item in _codings(section.get("code", {})))
            for section in resource.get("section", [])
        )
    )


def _codings(concept: Resource) -> Sequence[Any]:
    found: Sequence[Any] = concept.get("coding", [])
    return found


def _has_only(concept: Resource | None, system: str) -> bool:
    """Whether a concept has codes of one system, and of no other."""
    codings = _codings(concept or {})
    return bool(codings) and all(item.get("system") == system and item.get("code") for item in codings)


_PROFILES: Final[dict[str, tuple[str, Callable[[Resource], bool]]]] = {
    "Patient": (peru.PATIENT_PROFILE, _is_patient),
    "Practitioner": (peru.PRACTITIONER_PROFILE, _is_practitioner),
    "Organization": (peru.ORGANIZATION_PROFILE, _is_organization),
    "Condition": (peru.CONDITION_PROFILE, _is_condition),
    "Composition": (peru.COMPOSITION_PROFILE, _is_composition),
}
