"""What the permit leaves to the result: the answer is held against it once more before it leaves.

Spec:    docs/decisions/0006-hidden-looks-absent.md.
Leaves:  nothing; the predicates in store/visibility did the work, and this check finds the defect in one of them.
"""

from __future__ import annotations

from exchange.permit import Permit
from exchange.problems import SealBroken
from exchange.request import Answer


def enforce(permit: Permit, answer: Answer) -> None:
    """Hold an answer against the permit. Raises: SealBroken - it holds a record that the permit does not reach."""
    if permit.compartments is None or permit.audit:
        return
    reached = {*permit.compartments, *permit.beside}
    for touched in answer.touched:
        if touched.compartment > 0 and touched.compartment not in reached:
            raise SealBroken("an answer held a record outside of its permit; it was not sent")
