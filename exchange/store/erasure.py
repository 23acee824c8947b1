"""Erasing a patient's record on an order: its key is destroyed, and what found or described it goes; proofs still hold.

Spec:    Ley 29733 (Peru), art. 20; NIST SP 800-88 rev. 1, 2.5 (cryptographic erase); docs/keys.md, "Erasing a record".
Leaves:  the audit event and the commit to the spine; older backups to rotating and destroying keys.

What a log commits to stays: sealed events, their digests, and of what found them the digest alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from exchange.problems import Conflict, NotFound
from exchange.store.data_keys import KEPT_SECONDS
from exchange.store.session import Transaction
from exchange.store.versions import array_text

BATCH_ROWS: Final = 5_000
SETTLED_SECONDS: Final = 60
"""How long after an erasure some process may still write under the key that it had open: far more than KEPT_SECONDS."""
assert SETTLED_SECONDS > KEPT_SECONDS

RECORDS: Final = """
SELECT o.compartment FROM patient_record p JOIN patient_record o
  ON o.compartment = p.compartment OR (%(linked)s AND o.person = p.person)
WHERE p.compartment = %(compartment)s ORDER BY 1"""

# Consents that are kept in one record may close others: taking them away would open those.
SPOKEN_FOR: Final = """
SELECT count(DISTINCT compartment) FROM consent_rule
WHERE filed_in = ANY(%(records)s::bigint[]) AND NOT compartment = ANY(%(records)s::bigint[])"""

# A resource about several patients lies in the record of each.
SHARED: Final = """
DELETE FROM {table} WHERE members && %(records)s::bigint[] AND compartment IN (
  SELECT s.compartment FROM shared_record s WHERE s.member = ANY(%(records)s::bigint[]))"""

TABLES: Final = (
    "resource", "resource_history", "token_entry", "patient_record", "identity_key", "consent_rule",
    "consent_dependency", "sensitivity_determination",
)  # fmt: skip
PAIRS: Final = (
    ("shared_record", "member"), ("record_link", "other"), ("linkage_review", "candidate"), ("consent_rule", "filed_in"),
)  # fmt: skip
"""Tables of which a row concerns two records: besides `compartment`, this column names one."""

CASES: Final = """
UPDATE emergency_case SET body = '', judgement = NULL, reason_key = 0, user_key = 0
WHERE compartment = ANY(%(records)s::bigint[])"""

EVENTS: Final = """
SELECT compartment, id,
  concat_ws('|', compartment, custodian, clinical_at, agent, tokens::text, ranges::text)
FROM audit_event WHERE compartment = ANY(%(records)s::bigint[]) AND finding IS NULL LIMIT %(limit)s FOR UPDATE"""
HIDE: Final = """
UPDATE audit_event e SET finding = given.finding, is_deleted = true, tokens = '{}', ranges = '{}', agent = 0,
  custodian = 0, clinical_at = e.last_updated
FROM unnest(%s::bigint[], %s::text[], %s::bytea[]) AS given (compartment, id, finding)
WHERE e.compartment = given.compartment AND e.id = given.id"""

NOTE: Final = """
INSERT INTO erasure (compartment, erased_at, mac) SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[])
ON CONFLICT DO NOTHING"""
DUE: Final = (
    "SELECT compartment FROM erasure WHERE NOT is_swept AND erased_at < %s ORDER BY erased_at LIMIT 100"
)
SWEPT: Final = "UPDATE erasure SET is_swept = true WHERE compartment = ANY(%s::bigint[])"


@dataclass(frozen=True, slots=True)
class Erased:
    """What went: records, resources and versions of them, events that nobody reads any more."""

    records: int
    versions: int
    events: int


def erase(transaction: Transaction, patient_id: str, *, linked: bool) -> Erased:
    """Erase a source patient record, or all that are linked with it. The caller commits, with its audit event.

    Raises: NotFound - no such record; Conflict - its consents speak for records that stay.
    """
    compartment = transaction.crypto.blind_index.patient_compartment(patient_id)
    found = transaction.rows(RECORDS, {"compartment": compartment, "linked": linked})
    records = [row[0] for row in found]
    if not records:
        raise NotFound("no such Patient")
    # 1. Nothing is opened by what goes.
    others = transaction.rows(SPOKEN_FOR, {"records": array_text(records)})[0][0]
    if others:
        raise Conflict(
            f"consents in this record speak for {others} linked records: "
            "file them there first, or erase the linked ones too"
        )
    # 2. The keys: from the commit on nothing of the record opens, wherever a copy of it lies.
    for record in records:
        transaction.store.data_keys.destroy(transaction, record)
    # 3. What found it, and the rows themselves.
    versions, events = _removed(transaction, records), _hidden(transaction, records)
    # 4. That it was erased, so that verifying tells an erasure from somebody who hides events.
    macs = [erasure_mac(transaction, record, transaction.now) for record in records]
    transaction.run(NOTE, (array_text(records), array_text([transaction.now] * len(records)), macs))
    return Erased(len(records), versions, events)


def sweep(transaction: Transaction) -> bool:
    """Remove what was written by processes that still had the key open; whether there is more to do at once.

    The caller commits.
    """
    rows = transaction.rows(DUE, (transaction.now - SETTLED_SECONDS * 1_000_000,))
    records = [row[0] for row in rows]
    if records:
        _removed(transaction, records)
        _hidden(transaction, records)
        transaction.run(SWEPT, (array_text(records),))
    return bool(records)


def erasure_mac(transaction: Transaction, compartment: int, erased_at: int) -> bytes:
    """What shows that the hub erased a record, and not whoever holds the database. Units: 16 bytes."""
    return transaction.crypto.authenticate_erasure(erasure_text(compartment, erased_at))


def erasure_text(compartment: int, erased_at: int) -> bytes:
    """What an erasure's MAC authenticates."""
    return struct.pack(">qq", compartment, erased_at)


def _removed(transaction: Transaction, records: list[int]) -> int:
    told = {"records": array_text(records)}
    versions = sum(
        transaction.run(SHARED.format(table=table), told) for table in ("resource", "resource_history")
    )
    for table in TABLES:
        removed = transaction.run(
            f"DELETE FROM {table} WHERE compartment = ANY(%(records)s::bigint[])",  # noqa: S608 - constants only
            told,
        )
        versions += removed if table.startswith("resource") else 0
    for table, column in PAIRS:
        transaction.run(
            f"DELETE FROM {table} WHERE {column} = ANY(%(records)s::bigint[]) "  # noqa: S608 - constants only
            "OR compartment = ANY(%(records)s::bigint[])",
            told,
        )
    transaction.run(CASES, told)
    return versions


def _hidden(transaction: Transaction, records: list[int]) -> int:
    """Take from events what finds them, and keep its digest beside id and instant: their leaves commit to all three."""
    number = 0
    told = {"records": array_text(records), "limit": BATCH_ROWS}
    while rows := transaction.rows(EVENTS, told):
        transaction.run(
            HIDE,
            (
                array_text(row[0] for row in rows),
                [row[1] for row in rows],
                [sha256(str(row[2]).encode()).digest() for row in rows],
            ),
        )
        number += len(rows)
    return number
