"""Which Consents a newer one has silenced: of one patient record, one facility and one authorisation the newest speaks.

Spec:    IHE PCF 1.1; docs/decisions/0018-decision-inside-queries.md.
Leaves:  the rules of those that speak to provision.

Pure, and independent of the order in which Consents arrive: an older one that comes late is silent from the start. One
that bears no date neither silences another one nor is silenced. What contradicts itself at the same instant both speaks,
and so denies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from exchange.consent.dimension import covers
from exchange.consent.provision import is_speaking
from exchange.fhir.datatype import date_range
from exchange.settings import settings

ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


@dataclass(frozen=True, slots=True)
class Told:
    """A Consent, and the patient record and facility that it was filed in and by."""

    place: tuple[int, int]
    consent: dict[str, Any]


def superseded(told: Sequence[Told], now: int) -> set[tuple[int, str]]:
    """The (record, id) of the Consents that are silent. Units: microseconds since 1970 UTC."""
    newest: dict[tuple[Any, ...], int] = {}
    dated: list[tuple[Told, tuple[Any, ...], int]] = []
    for each in told:
        at = signed_at(each.consent, now)
        if at is None or not is_speaking(each.consent):
            continue
        key = (each.place, authorisation(each.consent))
        dated.append((each, key, at))
        newest[key] = max(at, newest.get(key, at))
    return {(each.place[0], each.consent["id"]) for each, key, at in dated if at < newest[key]}


def authorisation(consent: dict[str, Any]) -> tuple[Any, ...]:
    """What a Consent is about: its category, the policy or form that it follows, access or sending.

    Opting in and opting out are the two answers to one question, not two questions.
    """
    rule = consent.get("policyRule", {})
    return (
        frozenset(
            (coding.get("system"), coding.get("code"))
            for category in consent.get("category", ())
            for coding in category.get("coding", ())
        ),
        frozenset(str(each.get("uri", "")).partition("|")[0] for each in consent.get("policy", ())),
        frozenset(
            (coding.get("system"), coding.get("code"))
            for coding in rule.get("coding", ())
            if coding.get("system") != ACT_CODE
        ),
        covers(consent.get("provision", {}), is_permit=False),
    )


def signed_at(consent: dict[str, Any], now: int) -> int | None:
    """When a Consent was signed; None where it does not say so, or says a time to come."""
    try:
        at = date_range(consent["dateTime"], settings().zone)[0]
    except (KeyError, ValueError, TypeError):
        return None
    return at if at <= now else None
