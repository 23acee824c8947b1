"""An authorisation of a patient as a Consent: what its form has to tell, and what it contradicts.

Spec:    Directiva 373-MINSA/OGTI-2025 (Peru), N0AUTE01; IHE PCF 1.1; docs/consent.md.
Leaves:  storing it to operations/file_consent; what Consents come to for a request to judgement.

Two authorisations: to send a record out of its facility (`disclose`), and to access what others hold (`access`, `use`);
one Consent may give both. Each tells its form and version, who signed and how, for whom, from when to when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from exchange.consent.dimension import Lookup
from exchange.consent.judgement import Asked, Filed, Subject, judge
from exchange.consent.provision import SENDING, is_speaking, rules
from exchange.fhir.datatype import parse_reference
from exchange.policy.facets import level
from exchange.problems import Invalid
from exchange.requester import actor_key

SIGNATURE: Final = "urn:chasqui:consent-signature"
REPRESENTATION: Final = "urn:chasqui:consent-representation"
ASSENT: Final = "urn:chasqui:consent-assent"
WITHDRAWAL: Final = "urn:chasqui:consent-withdrawal"
SIGNATURES: Final = frozenset({"digital-signature", "renhice-password", "sihce-password", "handwritten"})
REPRESENTATIONS: Final = frozenset({"guardian", "adoptive-parent", "parent", "legal-representative"})
_NOBODY: Final = actor_key("Organization/nobody.in.particular")
_PROBES: Final = (Subject(frozenset({level("N")})), Subject(frozenset({level("R")})))
_MOST_PROBED: Final = 200


@dataclass(frozen=True, slots=True)
class Conflict:
    """For whom another Consent says something else than this one; `because` names its rules."""

    actor: str
    is_permitted: bool
    because: tuple[str, ...]


def require_complete(consent: dict[str, Any]) -> None:
    """Hold a Consent against what the form of an authorisation tells. Raises: Invalid - with the element that lacks.

    1. It is in force and about privacy, dated, and says from when to when.
    2. The form and its version.
    3. Who signed, and how.
    4. Who signs for another says as what; an adolescent assents.
    """
    # 1.
    if not is_speaking(consent):
        raise Invalid("an authorisation is active, and of the scope patient-privacy", "Consent.status")
    if "dateTime" not in consent:
        raise Invalid("an authorisation tells when it was signed", "Consent.dateTime", code="required")
    if "period" not in consent.get("provision", {}):
        raise Invalid("an authorisation tells how long it holds", "Consent.provision.period", code="required")
    # 2.
    if not any("|" in str(each.get("uri", "")) for each in consent.get("policy", ())):
        words = "an authorisation names its form and the form's version, as uri|version"
        raise Invalid(words, "Consent.policy.uri", code="required")
    # 3.
    if not consent.get("performer"):
        raise Invalid("an authorisation tells who signed it", "Consent.performer", code="required")
    if _coded(consent, SIGNATURE) not in SIGNATURES:
        words = f"the extension {SIGNATURE} is one of: {', '.join(sorted(SIGNATURES))}"
        raise Invalid(words, "Consent.extension", code="required")
    # 4.
    signers = {parse_reference(str(each.get("reference", ""))).type for each in consent["performer"]}
    if "Patient" not in signers and _coded(consent, REPRESENTATION) not in REPRESENTATIONS:
        words = f"who signs for a patient says as what: {REPRESENTATION} is one of {', '.join(sorted(REPRESENTATIONS))}"
        raise Invalid(words, "Consent.extension", code="required")
    assent = _extension(consent, ASSENT)
    if assent is not None and assent.get("valueBoolean") is not True:
        raise Invalid("without the adolescent's assent there is no authorisation", "Consent.extension")


def conflicts(
    consent: dict[str, Any], others: Sequence[dict[str, Any]], lookup: Lookup, filed_by: int, at: int
) -> list[Conflict]:
    """For whom, of those that are named anywhere, other Consents change what this one says."""
    told = [Filed(rules(each, lookup), filed_by) for each in (consent, *others)]
    purposes = {purpose for each in told for rule in each.rules for purpose in rule.purposes or ()} or {
        "TREAT"
    }
    found: list[Conflict] = []
    for name in list(dict.fromkeys(_named([consent, *others])))[:_MOST_PROBED]:
        key = _NOBODY if name == "anybody" else actor_key(name)
        for purpose in sorted(purposes):
            asked = Asked(frozenset({key}), 0, purpose, at)
            changed = _changed(told, asked)
            if changed is not None:
                found.append(Conflict(name, changed[0], changed[1]))
                break
    return found


def _changed(told: Sequence[Filed], asked: Asked) -> tuple[bool, tuple[str, ...]] | None:
    for subject in _PROBES:
        alone = judge(told[:1], asked, subject, SENDING)
        together = judge(told, asked, subject, SENDING)
        if alone.because and alone.permits != together.permits:
            return together.permits, together.because
    return None


def _named(consents: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Everybody whom provisions name, and somebody whom none does."""
    rest = [each.get("provision", {}) for each in consents]
    while rest:
        provision = rest.pop()
        rest += provision.get("provision", ())
        for actor in provision.get("actor", ()):
            reference = actor.get("reference", {}).get("reference")
            if isinstance(reference, str):
                yield reference
    yield "anybody"


def _extension(consent: dict[str, Any], url: str) -> dict[str, Any] | None:
    return next((each for each in consent.get("extension", ()) if each.get("url") == url), None)


def _coded(consent: dict[str, Any], url: str) -> str:
    return str((_extension(consent, url) or {}).get("valueCode", ""))
