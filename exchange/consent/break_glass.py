"""Emergency cases: what an open one adds to the reach of the person who opened it.

Spec:    Ley 27604, Ley 30024 (Peru): only in grave risk, only the basic information; docs/policy.md, emergency.
Leaves:  opening and closing a case to operations/emergency_access.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.consent.reach import Person, Record
from exchange.requester import Requester
from exchange.store.session import Transaction

BREAK_THE_GLASS: Final = "BTG"

OPEN: Final = """
SELECT 1 FROM emergency_case e WHERE e.compartment = ANY(%(compartments)s::bigint[])
AND e.custodian = %(custodian)s AND e.client_id = %(client)s AND e.user_id = %(user)s
AND e.opened_at <= %(now)s AND %(now)s < e.expires_at AND e.closed_at IS NULL LIMIT 1"""

# Who says that even an emergency shall not open the record is heard: a denial that names the purpose.
REFUSED: Final = """
SELECT DISTINCT c.compartment FROM consent_rule c WHERE c.compartment = ANY(%(compartments)s::bigint[])
AND NOT c.is_permit AND %(purpose)s = ANY(c.purposes) AND (c.actors IS NULL OR c.actors && %(actors)s::bigint[])
AND c.starts_at <= %(now)s AND %(now)s <= c.ends_at"""


def reach(
    transaction: Transaction, requester: Requester, person: Person, foreign: Sequence[Record]
) -> set[int]:
    """The records of others that an open emergency case of this requester adds; usually none, at no cost.

    1. The purpose of use is to break the glass, and a person asks: no system opens an emergency by itself.
    2. A case of that person for this patient is open.
    3. No consent denies this very purpose.
    """
    # 1.
    if requester.purpose_of_use != BREAK_THE_GLASS or requester.user is None or not foreign:
        return set()
    # 2.
    told = {
        "compartments": [each.compartment for each in person.records],
        "custodian": requester.custodian,
        "client": requester.client_id,
        "user": requester.user.id,
        "now": transaction.now,
        "purpose": BREAK_THE_GLASS,
        "actors": list(requester.actors),
    }
    if not transaction.rows(OPEN, told):
        return set()
    # 3.
    refused = {row[0] for row in transaction.rows(REFUSED, told)}
    return {each.compartment for each in foreign} - refused
