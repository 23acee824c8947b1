"""One step of finding signals: the next events in the order of the log, each once, and where the next step begins.

Spec:    docs/audit.md, "Signals".
Leaves:  being called again and again to worker/signals; what a signal is to signs.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from exchange.audit.access import access_of
from exchange.audit.signals.facts import Facts, Looked
from exchange.audit.signals.kept import keep
from exchange.audit.signals.signs import signals_of
from exchange.fhir.resource import load
from exchange.problems import KeyDestroyed, SealBroken
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, opened

LOG: Final = logging.getLogger("exchange.audit.signals")
BATCH_ROWS: Final = 200
_LOCK: Final = 0x7369676E616C73

LOCK: Final = "SELECT pg_try_advisory_xact_lock(%s)"
POSITION: Final = "SELECT leaf_index FROM signal_position WHERE name = 'accesses'"
GO_ON: Final = """
INSERT INTO signal_position (name, leaf_index) VALUES ('accesses', %s)
ON CONFLICT (name) DO UPDATE SET leaf_index = excluded.leaf_index"""
NEXT: Final = f"""
SELECT {COLUMNS}, r.clinical_at, r.agent, l.leaf_index
FROM (SELECT leaf_index, id, compartment FROM audit_leaf WHERE leaf_index >= %s ORDER BY leaf_index LIMIT %s) l
LEFT JOIN audit_event r ON r.id = l.id::text AND r.compartment = l.compartment
ORDER BY l.leaf_index"""  # noqa: S608 - constants only


def signals_step(transaction: Transaction) -> bool:
    """Look at the next events; whether there is more at once. The caller commits. Of several processes one works."""
    # 1. Where the last step ended.
    if not transaction.rows(LOCK, (_LOCK,))[0][0]:
        return False
    position = transaction.rows(POSITION)
    start = position[0][0] if position else 0
    rows = transaction.rows(NEXT, (start, BATCH_ROWS))
    if not rows:
        return False
    # 2. Each event, and what it raises.
    facts = Facts(transaction)
    number, count = 0, len(rows)
    for row in rows:
        looked = _looked(transaction, row)
        if looked is not None:
            number += sum(bool(keep(transaction, each)) for each in _found(facts, looked))
    # 3. Where the next step begins: with the signals, in one commit.
    transaction.run(GO_ON, (rows[-1][-1] + 1,))
    if number:
        LOG.info("E-311 %d signals were found in %d events", number, count)
    return count == BATCH_ROWS


def _looked(transaction: Transaction, row: tuple[Any, ...]) -> Looked | None:
    """An event, or nothing where it is gone or its record was erased."""
    *columns, clinical_at, agent, leaf_index = row
    if columns[0] is None:
        return None
    try:
        [version] = opened(transaction, [(*columns, clinical_at)])
    except KeyDestroyed:
        return None
    except SealBroken:
        # Somebody changed it: verifying tells what; the rest of the log is looked at all the same.
        LOG.error("E-313 the audit event at leaf %d does not open: verify the log", leaf_index)  # noqa: TRY400
        return None
    if version.is_deleted:
        return None
    event = load(version.text)
    return Looked(access_of(event), event, version.compartment, version.custodian, agent, clinical_at)


def _found(facts: Facts, looked: Looked) -> list[Any]:
    try:
        return list(signals_of(facts, looked))
    except KeyDestroyed:  # a record of the same person was erased meanwhile
        return []
