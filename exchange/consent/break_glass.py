"""Emergency cases: what an open one adds to the reach of the person who opened it.

Spec:    Ley 27604, Ley 30024 (Peru): only in grave risk, only the basic information; docs/emergency.md.
Leaves:  opening, judging and listing cases to emergency_cases; what of a record is basic to decision and visibility.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exchange.consent.reach import Person, Record
from exchange.crypto.blind_index import BlindIndex
from exchange.policy.adopted import policy
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.visibility import APPLIES

BREAK_THE_GLASS: Final = "BTG"
MOST_NUMBERS: Final = 3
"""How many cases the event of one use names: the newest ones."""

OPEN: Final = """
SELECT e.number FROM emergency_case e WHERE e.compartment = ANY(%(compartments)s::bigint[])
AND e.custodian = %(custodian)s AND e.client_id = %(client)s AND e.user_key = %(user)s
AND e.opened_at <= %(now)s AND %(now)s < e.expires_at AND e.closed_at IS NULL
ORDER BY e.opened_at DESC, e.number LIMIT %(limit)s"""

# Who says that even an emergency shall not open the record is heard: a denial that names the purpose.
REFUSED: Final = f"""
SELECT DISTINCT c.compartment FROM consent_rule c WHERE c.compartment = ANY(%(compartments)s::bigint[])
AND NOT c.is_permit AND c.purposes IS NOT NULL AND {APPLIES}"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Broken:
    """What open cases add: records of others, and the numbers of the cases."""

    compartments: frozenset[int] = frozenset()
    numbers: tuple[str, ...] = ()


NOTHING: Final = Broken()


def user_key(blind: BlindIndex, requester: Requester) -> int:
    """The keyed hash of the person who asks, at the facility; whichever client is used. Needs a user."""
    assert requester.user is not None
    return blind.value(f"emergency user|{requester.custodian}|{requester.user.id}")


def may_break(requester: Requester) -> bool:
    """Whether this is somebody who may open a case at all: a named person, in a function that the policy names.

    No system opens an emergency by itself, and no other purpose of use is one.
    """
    return (
        requester.purpose_of_use == BREAK_THE_GLASS
        and requester.role in ("system", "clinician")
        and requester.user is not None
        and requester.user.role in policy().emergency.roles
    )


def reach(
    transaction: Transaction, requester: Requester, person: Person, foreign: Sequence[Record]
) -> Broken:
    """The records of others that open emergency cases of this requester add; usually none, at no cost.

    1. The purpose of use is to break the glass, and a person asks who may, now as when the case was opened.
    2. A case of that person for this patient is open.
    3. No consent denies this very purpose.
    """
    # 1.
    if not foreign or not may_break(requester):
        return NOTHING
    # 2.
    told = {
        "compartments": [each.compartment for each in person.records],
        "custodian": requester.custodian,
        "client": requester.client_id,
        "user": user_key(transaction.crypto.blind_index, requester),
        "now": transaction.now,
        "decided_at": transaction.now,
        "purpose": BREAK_THE_GLASS,
        "actors": list(requester.actors),
        "limit": MOST_NUMBERS,
    }
    numbers = tuple(row[0] for row in transaction.rows(OPEN, told))
    if not numbers:
        return NOTHING
    # 3.
    refused = {row[0] for row in transaction.rows(REFUSED, told)}
    return Broken(frozenset(each.compartment for each in foreign) - refused, numbers)
