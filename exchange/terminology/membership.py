"""Whether a coding is in a value set or a code system: yes, no, or not to be known here.

Spec:    https://hl7.org/fhir/R4/terminology-service.html#validation
Leaves:  Parameters to operations/validate_code; what a binding asks for to operations/validate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchange.store.session import Transaction
from exchange.terminology.code_system import find_system
from exchange.terminology.concept import CodeSystem, Concept
from exchange.terminology.value_set import Expansion

UNKNOWN_SYSTEM: Final = "the code system is not known here, so the code cannot be checked"
NO_CODE: Final = "the code system has no such code"
NOT_IN_SET: Final = "the code is not in the value set"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a code belongs; None is unknown. `why` says it in words that repeat no value."""

    belongs: bool | None
    concept: Concept | None = None
    why: str = ""


def in_system(transaction: Transaction, system_url: str, code: str, version: str = "") -> Verdict:
    """Whether a code is one of a system's."""
    return in_known_system(find_system(transaction, system_url, version), code)


def in_known_system(system: CodeSystem | None, code: str) -> Verdict:
    """Whether a code is one of a system's; None where the system is not known, or only partly."""
    if system is None:
        return Verdict(None, None, UNKNOWN_SYSTEM)
    concept = system.get([code]).get(code)
    if concept is None:
        return Verdict(False if system.is_complete else None, None, NO_CODE)
    return Verdict(True, concept)


def in_value_set(transaction: Transaction, expansion: Expansion, system_url: str, code: str) -> Verdict:
    """Whether a code is taken in: a listed one, or one of a system that is taken in whole."""
    listed = expansion.members.get((system_url, code))
    if listed is not None:
        return Verdict(True, listed)
    found = in_system(transaction, system_url, code)
    if found.concept is not None and found.concept.code != code:  # a system that does not tell A from a
        listed = expansion.members.get((system_url, found.concept.code))
        if listed is not None:
            return Verdict(True, listed)
    if system_url in expansion.systems:
        return found
    return Verdict(False, found.concept, NOT_IN_SET)


def is_display_of(concept: Concept, display: str) -> bool:
    """Whether a text is the concept's display or one of its designations; space and case aside."""
    known = {concept.display, *(str(each.get("value", "")) for each in concept.designations)}
    return not any(known) or _plain(display) in {_plain(each) for each in known}


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
