"""The index of an event, put together from remembered parts: indexing each anew would cost more than sealing it.

Spec:    docs/decisions/0012-audit-log.md.
Leaves:  what an index is to search/index, which makes every part that is remembered; a test compares the whole.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.fhir.datatype import date_range
from exchange.fhir.resource import dump
from exchange.search import reference
from exchange.search.index import hash_text, index, parameter_number
from exchange.store.session import Transaction
from exchange.store.versions import Index

MOST_KEPT: Final = 2_000
_EVENT: Final = {"resourceType": "AuditEvent"}


def event_index(
    transaction: Transaction, fixed: dict[str, Any], varying: dict[str, Any], patient_id: str
) -> Index:
    """The index of an event, from the part that like events share and the part that is its own.

    1. The shared part has few values: remembered whole. 2. Of the entities, kinds and roles are few: remembered. What
    they name - one resource, a request - is hashed anew; its own patient has the same form in every event. 3. The clock.
    """
    blind = transaction.crypto.blind_index
    # 1.
    tokens = set(_remembered(transaction, fixed))
    # 2.
    entities = varying.get("entity", [])
    kinds = [{key: value for key, value in each.items() if key in ("type", "role")} for each in entities]
    if kinds:
        tokens |= _remembered(transaction, {"entity": kinds})
    for what in (each["what"] for each in entities if "what" in each):
        for form in reference.forms("Reference", what, (), ""):
            is_patient = form.startswith("Patient/")
            place = reference.of_record(blind.patient_compartment(form[8:])) if is_patient else form
            tokens.add(blind.value(hash_text("AuditEvent", "entity", place)))
            if is_patient:
                own = reference.OWN_PATIENT if form[8:] == patient_id else place
                tokens.add(blind.value(hash_text("AuditEvent", "patient", own)))
    # 3.
    low, high = date_range(varying["recorded"])
    return Index(low, tokens=tokens, ranges=[parameter_number("date"), low, high])


def _remembered(transaction: Transaction, part: dict[str, Any]) -> frozenset[int]:
    kept = transaction.store.audit_tokens
    # No search looks at the description; the hub's own description of itself is always the same.
    key = dump({name: value for name, value in part.items() if name not in ("outcomeDesc", "source")})
    tokens = kept.get(key)
    if tokens is None:
        if len(kept) >= MOST_KEPT:
            kept.clear()
        tokens = kept[key] = frozenset(index(_EVENT | part, (), transaction.crypto.blind_index).tokens)
    return tokens
