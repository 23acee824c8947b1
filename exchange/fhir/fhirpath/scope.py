"""Where an expression stands, what it may ask of beside its resource, and how much it may cost.

Leaves:  what is evaluated to compile.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from exchange.fhir.fhirpath.values import EvaluationError, Item, Items

MOST_STEPS: Final = 400_000
_CLOCK_EVERY: Final = 2_048


@dataclass(slots=True)
class World:
    """What an expression may ask of beside its resource; a question without an answer is an EvaluationError.

    resolve      the resource that a reference names, from the same resource or bundle
    member_of    whether a coded value is in a value set
    conforms_to  whether a resource keeps a profile
    """

    resolve: Callable[[Item], Item | None] | None = None
    member_of: Callable[[Item, str], bool | None] | None = None
    conforms_to: Callable[[Item, str], bool | None] | None = None
    deadline: float = float("inf")
    steps: int = MOST_STEPS

    def spend(self, steps: int) -> None:
        """Use up some of the budget. Raises: EvaluationError - it is used up, or the time is."""
        before = self.steps
        self.steps -= steps
        if self.steps < 0:
            raise EvaluationError("the expression takes too many steps")
        if before // _CLOCK_EVERY != self.steps // _CLOCK_EVERY and time.monotonic() > self.deadline:
            raise EvaluationError("the expression takes too long")


@dataclass(slots=True)
class Scope:
    """Where an expression stands: the focus and its place, and the resources around it."""

    world: World
    root: Item
    resource: Item
    context: Item
    this: Items
    index: int = 0
    total: Items = field(default_factory=list)


Step = Callable[[Scope], Items]
