"""Appending to the audit log: the event lies in the act's own transaction, sealed, with its Merkle leaf.

Spec:    docs/decisions/0005-one-act-one-event.md; docs/decisions/0012-audit-log.md.
Leaves:  the place in the tree to seal - a number given here would make every request wait for every other.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from typing import Any, Final

from exchange.audit.chain import commitment, leaf_hash, row_text
from exchange.audit.event import fixed_part, varying_part
from exchange.audit.event_index import event_index
from exchange.crypto.envelope import associated_data, seal
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import dump
from exchange.problems import Problem
from exchange.request import Request, Touched
from exchange.requester import Requester
from exchange.store.data_keys import key_place
from exchange.store.session import Transaction

SALT_BYTES: Final = 16
AUDIT_TYPE: Final = type_code("AuditEvent")

_COLUMNS: Final = (
    "compartment", "custodian", "last_updated", "type", "id", "clinical_at", "tokens", "ranges", "body", "salt", "leaf",
)  # fmt: skip
_INSERT: Final = f"INSERT INTO audit_event (version_id, {', '.join(_COLUMNS)}) VALUES "  # noqa: S608 - constants only
_ONE: Final = _INSERT + f"(1, {', '.join(f'%({name})s' for name in _COLUMNS)})"
_ROW: Final = f"(1, {', '.join(['%s'] * len(_COLUMNS))})"


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
    compartments = sorted({each.compartment for each in records})
    patient_ids = transaction.store.patient_ids.of(transaction, compartments) if records else {}
    about: list[tuple[Touched | None, str]] = [
        (each, patient_ids[each.compartment]) for each in records if each.compartment in patient_ids
    ] or [(None, "")]
    fixed = fixed_part(request, requester, reason, problem, is_about_patient=bool(about[0][1]))
    rows = [_row(transaction, request, requester, each, patient_id, fixed) for each, patient_id in about]
    if len(rows) == 1:
        transaction.finish_prepared(_ONE, dict(zip(_COLUMNS, rows[0], strict=True)))
    else:
        transaction.finish(_INSERT + ",".join([_ROW] * len(rows)), [cell for row in rows for cell in row])


def _row(
    transaction: Transaction,
    request: Request,
    requester: Requester | None,
    touched: Touched | None,
    patient_id: str,
    fixed: dict[str, Any],
) -> list[Any]:
    event_id = _event_id(transaction.now)
    crypto = transaction.crypto
    compartment = (
        touched.compartment if touched else crypto.blind_index.own_compartment("AuditEvent", event_id)
    )
    varying = varying_part(event_id, transaction.now, request, touched, patient_id)
    found = event_index(transaction, fixed, varying, patient_id)
    cipher = transaction.store.data_keys.ciphers_to_write(transaction, (compartment,))[key_place(compartment)]
    text = dump(fixed | varying)
    body = seal(cipher, crypto.dictionaries, text, associated_data(compartment, AUDIT_TYPE, event_id, 1))
    salt = os.urandom(SALT_BYTES)
    custodian = requester.custodian if requester else 0
    found_tokens = f"{{{','.join(map(str, found.tokens))}}}"
    ranges = f"{{{','.join(map(str, found.ranges))}}}"
    row = row_text(compartment, custodian, transaction.now, event_id, found.clinical_at, found_tokens, ranges)
    return [
        compartment,
        custodian,
        transaction.now,
        AUDIT_TYPE,
        event_id,
        found.clinical_at,
        found_tokens,
        ranges,
        body,
        salt,
        leaf_hash(commitment(salt, body, row)),
    ]


def _event_id(now: int) -> str:
    """A UUID that begins with the time (version 7): events that are written together lie together in the index.

    Spec: RFC 9562, 5.7
    """
    number = (now // 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=number & ~(0x3 << 62) | 0x2 << 62))
