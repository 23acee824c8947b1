"""Appending to the audit log: the event lies in the act's own transaction, sealed, with its Merkle leaf.

Spec:    docs/decisions/0005-one-act-one-event.md; docs/decisions/0012-audit-log.md.
Leaves:  the place in the tree to seal - a number given here would make every request wait for every other.
"""

from __future__ import annotations

import os
import struct
import uuid
from collections.abc import Sequence
from typing import Any, Final

from exchange.audit.agent import agent_key
from exchange.audit.event import blinded, fixed_part, linkage_part, varying_part
from exchange.audit.event_index import event_index
from exchange.audit.leaf import NO_MANIFEST, commitment, digest, finding_text
from exchange.audit.manifest import MANIFEST_VERSION, manifest_text
from exchange.crypto.envelope import associated_data, seal
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import dump
from exchange.problems import Problem
from exchange.request import Linkage, Request, Touched
from exchange.requester import Requester
from exchange.store.data_keys import key_place
from exchange.store.session import Transaction

_BY_ITSELF: Final = Request("operation", operation="link")
AUDIT_TYPE: Final = type_code("AuditEvent")

_COLUMNS: Final = (
    "compartment", "custodian", "last_updated", "type", "id", "clinical_at", "tokens", "ranges", "agent", "body",
    "manifest", "text_digest", "commitment", "mac",
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
    *,
    linkage: Sequence[Linkage] = (),
    named: str = "",
) -> None:
    """Write the events of an act - one for each patient's record it touched, else one - and commit both.

    What it changed between records is an event of the hub's own in the log of each of both. `named` is the version
    of an act's one resource, where it lies in no patient's record.
    """
    records = _by_record(touched)
    patient_ids = transaction.store.patient_ids.of(transaction, sorted(records)) if records else {}
    about: list[tuple[Touched | None, str]] = [
        (each, patient_ids[each.compartment]) for each in records.values() if each.compartment in patient_ids
    ] or [(None, "")]
    elsewhere = Touched(0, (named,)) if named and about[0][0] is None else None
    rows = []
    for each, patient_id in about:
        names = each or elsewhere
        is_named = names is not None and len(names.references) == 1
        fixed = fixed_part(
            request, requester, reason, problem, is_about_patient=bool(patient_id), is_named=is_named
        )
        rows.append(_row(transaction, request, requester, names, patient_id, fixed))
    rows += _linkage_rows(transaction, linkage) if linkage else []
    if len(rows) == 1:
        transaction.finish_prepared(_ONE, dict(zip(_COLUMNS, rows[0], strict=True)))
    else:
        transaction.finish(_INSERT + ",".join([_ROW] * len(rows)), [cell for row in rows for cell in row])


def event_authentication(event_commitment: bytes, compartment: int, event_id: str) -> bytes:
    """What the hub authenticates of an event: nobody who holds the database alone can add one, or give one away."""
    return event_commitment + struct.pack(">q", compartment) + event_id.encode()


def _linkage_rows(transaction: Transaction, linkage: Sequence[Linkage]) -> list[list[Any]]:
    """An event for each record of each pair. Which the other one is stands in the manifest alone: it may be hidden."""
    pairs = [
        (change, own, other)
        for change in linkage
        for own, other in ((change.compartment, change.other), (change.other, change.compartment))
    ]
    ids = transaction.store.patient_ids.of(transaction, sorted({own for _, own, _ in pairs}))
    return [
        _row(
            transaction,
            _BY_ITSELF,
            None,
            Touched(own, (f"Patient/{ids[own]}", f"Patient/{ids[other]}")),
            ids[own],
            linkage_part(change),
        )
        for change, own, other in pairs
    ]


def _by_record(touched: Sequence[Touched]) -> dict[int, Touched]:
    """What an act touched, once for each patient's record: a bundle may touch one many times."""
    found: dict[int, Touched] = {}
    for each in touched:
        if each.compartment > 0:
            standing = found.get(each.compartment)
            references = each.references if standing is None else standing.references + each.references
            found[each.compartment] = Touched(each.compartment, tuple(dict.fromkeys(references)))
    return found


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
        touched.compartment
        if touched and touched.compartment
        else crypto.blind_index.own_compartment("AuditEvent", event_id)
    )
    cipher = transaction.store.data_keys.ciphers_to_write(transaction, (compartment,))[key_place(compartment)]
    # 1. The event, and what finds it.
    varying = varying_part(event_id, transaction.now, request, touched, patient_id)
    found = event_index(transaction, fixed, varying, patient_id)
    # 2. What exactly was shown, where one event cannot say it.
    manifest: bytes | None = None
    shown = b""
    if touched is not None and len(touched.references) > 1:
        shown = manifest_text(event_id, touched.references)
        manifest = seal(
            cipher,
            crypto.dictionaries,
            shown,
            associated_data(compartment, AUDIT_TYPE, event_id, MANIFEST_VERSION),
        )
    # 3. Both sealed.
    text = dump(blinded(fixed | varying, shown))
    body = seal(cipher, crypto.dictionaries, text, associated_data(compartment, AUDIT_TYPE, event_id, 1))
    # 4. What the log commits to.
    custodian = requester.custodian if requester else 0
    agent = agent_key(crypto.blind_index, requester)
    tokens = f"{{{','.join(map(str, found.tokens))}}}"
    ranges = f"{{{','.join(map(str, found.ranges))}}}"
    finding = finding_text(
        compartment, custodian, transaction.now, event_id, found.clinical_at, agent, tokens, ranges
    )
    text_digest = digest(text)
    committed = commitment(
        digest(body), text_digest, digest(finding), NO_MANIFEST if manifest is None else digest(manifest)
    )
    mac = crypto.authenticate_event(event_authentication(committed, compartment, event_id))
    return [
        compartment, custodian, transaction.now, AUDIT_TYPE, event_id, found.clinical_at, tokens, ranges, agent, body,
        manifest, text_digest, committed, mac,
    ]  # fmt: skip


def _event_id(now: int) -> str:
    """A UUID that begins with the time (version 7): events that are written together lie together in the index.

    Spec: RFC 9562, 5.7
    """
    number = (now // 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=number & ~(0x3 << 62) | 0x2 << 62))
