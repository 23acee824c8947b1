"""What a signal is: its kinds, how much each weighs, and how each is told in Spanish and in English.

Spec:    docs/audit.md, "Signals".
Leaves:  finding them to signs; keeping them to kept.

A signal is no verdict: it says where to look first. What a treatment explains weighs a quarter, and the person's former
treatment at the facility half of what nothing explains.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Relation = Literal["recent", "former", ""]
"""What the facility has of the person: something dated within 30 days, something older, nothing."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: what it weighs where nothing explains it, and its words."""

    weight: int
    spanish: str
    english: str


KINDS: Final = {
    "questioned": Kind(
        100, "La persona cuestionó este acceso.", "The person questioned this access."
    ),
    "enumeration": Kind(
        90, "Búsqueda de números de DNI en orden o muy cercanos: {count} en una hora.",
        "Search of DNI numbers in order, or close to each other: {count} within an hour.",
    ),
    "denied-then-retry": Kind(
        80, "Se negó el acceso, y minutos después se pidió lo mismo con otro motivo.",
        "Refused, and asked for again with another purpose minutes later.",
    ),
    "repeated-reason": Kind(
        75, "El mismo texto justificó otra emergencia, de otra persona.",
        "The same words justified another emergency, of another person.",
    ),
    "mass-browsing": Kind(
        70, "{count} personas en una hora; lo usual de esta cuenta son {usual}.",
        "{count} persons within an hour; this account's usual number is {usual}.",
    ),
    "colleague": Kind(
        65, "La persona consultada trabaja en el establecimiento que consultó.",
        "The person who was looked at works at the facility that asked.",
    ),
    "same-surname": Kind(
        60, "Quien consultó y la persona consultada comparten un apellido.",
        "Whoever looked and the person share a surname.",
    ),
    "sensitive-first": Kind(
        55, "Lo primero que esta cuenta vio de la persona es información sensible o por emergencia.",
        "The first that this account saw of the person is sensitive, or by emergency.",
    ),
    "after-hours": Kind(
        50, "Fuera del horario usual, sin atención que lo explique.",
        "Outside of usual hours, with no treatment that explains it.",
    ),
    "no-relation": Kind(
        45, "El establecimiento no tiene atenciones de la persona en 30 días antes o después.",
        "The facility has nothing of the person within 30 days before or after.",
    ),
}  # fmt: skip
_EXPLAINED: Final = frozenset({"colleague", "same-surname", "sensitive-first", "after-hours", "no-relation"})
"""Kinds that a treatment explains; the others are about how somebody asks, not of whom."""
_SHARES: Final[dict[Relation, int]] = {"recent": 4, "former": 2, "": 1}


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal.

    once     what it is about, in words: a second one of the same is not kept
    events   ids of the audit events that it is about, newest first
    numbers  what its words name
    """

    kind: str
    weight: int
    custodian: int
    agent: int
    happened_at: int
    once: str
    events: tuple[str, ...]
    facility: str
    user: str = ""
    user_name: str = ""
    client: str = ""
    relation: Relation = ""
    numbers: dict[str, int] = field(default_factory=dict)


def weight_of(kind: str, relation: Relation) -> int:
    """How much a signal of a kind weighs where the facility has this much of the person."""
    return KINDS[kind].weight // (_SHARES[relation] if kind in _EXPLAINED else 1)


def words_of(kind: str, numbers: dict[str, int]) -> tuple[str, str]:
    """A signal's why, in Spanish and in English."""
    known = KINDS[kind]
    return known.spanish.format(**numbers), known.english.format(**numbers)
