"""Appending to the audit log: the event lies in the act's own transaction, sealed, with its Merkle leaf.

Spec:    docs/decisions/0005-one-act-one-event.md; docs/decisions/0012-audit-log.md.
Leaves:  the place in the tree to seal - a number given here would make every request wait for every other.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from typing import Any, Final

from exchange.audit.chain import commitment, leaf_hash
from exchange.audit.event import audit_event
from exchange.crypto.envelope import associated_data, seal
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import dump
from exchange.problems import Problem
from exchange.request import Request, Touched
from exchange.requester import Requester
from exchange.search.index import index
from exchange.store.data_keys import REGION, key_place
from exchange.store.session import Transaction

SALT_BYTES: Final = 16
AUDIT_TYPE: Final = type_code("AuditEvent")

_INSERT: Final = (
    "INSERT INTO audit_event (compartment, custodian, last_updated, version_id, type, id, clinical_at, tokens,"
    " ranges, body, salt, leaf) VALUES "
)
_ROW: Final = "(%s,%s,%s,1,%s,%s,%s,%s::bigint[],%s::bigint[],%s,%s,%s)"


def append_and_commit(
    transaction: Transaction,
    request: Request,
    requester: Requester | None,
    touched: Sequence[Touched],
    reason: str,
    problem: Problem | None = None,
) -> None:
    """Write the events of an act - one for each patient's record it touched, else one - and commit both."""
    records = [each for each in touched if each.compartment > 0]
    patient_ids: dict[int, str] = {}
    if records:
        compartments = sorted({each.compartment for each in records})
        patient_ids = transaction.store.patient_ids.of(transaction, compartments)
    pieces, values = [], []
    for each in records or [None]:
        values += _row(transaction, request, requester, each, patient_ids, reason, problem)
        pieces.append(_ROW)
    transaction.finish(_INSERT + ",".join(pieces), values)


def _row(
    transaction: Transaction,
    request: Request,
    requester: Requester | None,
    touched: Touched | None,
    patient_ids: dict[int, str],
    reason: str,
    problem: Problem | None,
) -> list[Any]:
    event_id = str(uuid.uuid4())
    crypto = transaction.crypto
    patient_id = patient_ids.get(touched.compartment, "") if touched else ""
    compartment = touched.compartment if touched and patient_id else crypto.blind_index.own_compartment(
        "AuditEvent", event_id
    )
    event = audit_event(event_id, transaction.now, request, requester, touched, patient_id, reason, problem)
    event = {name: value for name, value in event.items() if value is not None}
    found = index(event, (patient_id,), crypto.blind_index)
    place = key_place(compartment) if compartment > 0 else REGION
    cipher = transaction.store.data_keys.ciphers_to_write(transaction, (compartment,))[place]
    body = seal(cipher, crypto.dictionaries, dump(event), associated_data(compartment, AUDIT_TYPE, event_id, 1))
    salt = os.urandom(SALT_BYTES)
    return [
        compartment,
        requester.custodian if requester else 0,
        transaction.now,
        AUDIT_TYPE,
        event_id,
        found.clinical_at,
        f"{{{','.join(map(str, found.tokens))}}}",
        f"{{{','.join(map(str, found.ranges))}}}",
        body,
        salt,
        leaf_hash(commitment(salt, body)),
    ]
