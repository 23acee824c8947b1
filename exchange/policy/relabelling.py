"""Labelling everything anew after the policy changed, and whatever has no label yet, step by step while the hub serves.

Spec:    docs/policy.md, "Rolling out a change".
Leaves:  being called again and again to worker/steps.

1. noted     Every process goes by the new policy a few seconds after one of them adopted it.
2. waiting   Until every transaction that may have labelled by the former one is over.
3. filling   Rows in the order of their ids.
4. done      Then only rows that nobody labelled.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.policy.labelling import BATCH_ROWS, relabel_rows
from exchange.policy.regional_policy import RegionalPolicy
from exchange.store.session import Transaction
from exchange.store.transaction_numbers import OLDEST_RUNNING, OWN_NUMBER
from exchange.store.versions import COLUMNS

SETTLED_MICROSECONDS: Final = 5_000_000
_LOCK: Final = 0x72656C6162656C

LOCK: Final = "SELECT pg_try_advisory_xact_lock(%(lock)s)"
ADOPT_LOCK: Final = "SELECT pg_advisory_xact_lock(%(lock)s)"
# The newest adoption is the policy that counts: going back to an older file is a change, too.
ADOPT: Final = """
INSERT INTO policy_version (digest, adopted_at) VALUES (%(digest)s, %(now)s)
ON CONFLICT (digest) DO UPDATE SET adopted_at = %(now)s, state = 'noted', barrier = 0, done = '', done_type = 0
WHERE policy_version.digest <> (SELECT p.digest FROM policy_version p ORDER BY p.adopted_at DESC, p.digest LIMIT 1)
RETURNING digest"""
STATE: Final = """
SELECT adopted_at, state, barrier, done, done_type FROM policy_version v WHERE v.digest = %(digest)s
AND v.digest = (SELECT p.digest FROM policy_version p ORDER BY p.adopted_at DESC, p.digest LIMIT 1)"""
GO_ON: Final = """
UPDATE policy_version SET state = %(state)s, barrier = %(barrier)s, done = %(done)s, done_type = %(done_type)s
WHERE digest = %(digest)s"""
ROWS: Final = f"""
SELECT {COLUMNS}, r.custodian FROM resource r WHERE (r.id, r.type) > (%(done)s, %(done_type)s)
ORDER BY r.id, r.type LIMIT %(limit)s FOR UPDATE"""  # noqa: S608 - constants only
UNLABELLED: Final = f"""
SELECT {COLUMNS}, r.custodian FROM resource r WHERE r.facets IS NULL AND NOT r.is_deleted
LIMIT %(limit)s FOR UPDATE SKIP LOCKED"""  # noqa: S608 - constants only


def adopt(transaction: Transaction, policy: RegionalPolicy) -> bool:
    """Note that a process goes by this policy; whether it is the first to do so. The caller commits."""
    transaction.rows(ADOPT_LOCK, {"lock": _LOCK + 1})
    return bool(transaction.rows(ADOPT, {"digest": policy.digest, "now": transaction.now}))


def relabel_step(transaction: Transaction, policy: RegionalPolicy) -> bool:
    """One step; whether more is to do at once. The caller commits. Of several processes one works, the others wait."""
    if not transaction.rows(LOCK, {"lock": _LOCK})[0][0]:
        return False
    found = transaction.rows(STATE, {"digest": policy.digest})
    if not found:
        return False  # another policy counts: this process will read it in a moment
    adopted_at, state, barrier, done, done_type = found[0]
    row: dict[str, Any] = {"digest": policy.digest, "state": state, "barrier": barrier, "done": done,
                           "done_type": done_type}  # fmt: skip
    # 1.
    if state == "noted":
        if transaction.now - adopted_at < SETTLED_MICROSECONDS:
            return False
        transaction.run(GO_ON, row | {"state": "waiting", "barrier": transaction.rows(OWN_NUMBER)[0][0]})
        return True
    # 2.
    if state == "waiting":
        if transaction.rows(OLDEST_RUNNING)[0][0] < barrier:
            return False
        transaction.run(GO_ON, row | {"state": "filling"})
        return True
    # 3.
    if state == "filling":
        rows = transaction.rows(ROWS, {"done": done, "done_type": done_type, "limit": BATCH_ROWS})
        relabel_rows(transaction, rows, policy)
        if rows:
            row |= {"done_type": rows[-1][1], "done": rows[-1][2]}
        transaction.run(GO_ON, row | {"state": "filling" if len(rows) == BATCH_ROWS else "done"})
        return True
    # 4.
    rows = transaction.rows(UNLABELLED, {"limit": BATCH_ROWS})
    relabel_rows(transaction, rows, policy)
    return len(rows) == BATCH_ROWS
