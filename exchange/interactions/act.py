"""The shape of every interaction and operation: parsed first, then decided, then run.

Leaves:  calling them in this order to perform.
"""

from __future__ import annotations

from typing import Protocol

from exchange.permit import Permit
from exchange.request import Answer, Need
from exchange.store.session import Transaction


class Act(Protocol):
    """One parsed request. `need` is what must be allowed; `run` does it within the Permit's reach."""

    need: Need

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Do it. Raises: the problems of problems.py."""
        ...
