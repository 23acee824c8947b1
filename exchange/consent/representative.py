"""Who stands for a patient: the patient, or a representative for as long as that lasts.

Spec:    https://hl7.org/fhir/R4/relatedperson.html; docs/policy.md, minors.
Leaves:  proving who asks to authentication.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.consent.lookup import comes_of_age_at
from exchange.fhir.datatype import parse_reference, period_range
from exchange.fhir.definitions import type_code
from exchange.requester import Requester
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, opened

_RELATED: Final = f"""
SELECT {COLUMNS} FROM resource r WHERE r.id = %(id)s AND r.type = %(type)s AND NOT r.is_deleted"""  # noqa: S608
_GUARDIANS: Final = frozenset(
    {"GUARD", "PRN", "MTH", "FTH", "ADOPTF", "ADOPTM", "ADOPTP", "NMTH", "NFTH", "STPPRN"}
)
"""v3 RoleCode: who stands for a minor because of the minority."""


def represented(transaction: Transaction, requester: Requester) -> str:
    """The id of the Patient for whom a person asks; "" where that is nobody, or nobody any more.

    1. A patient asks for himself.
    2. A RelatedPerson asks for the patient whom it names, while it is active and its period lasts.
    3. Who stands for a minor does so until the patient comes of age.
    """
    named = parse_reference(requester.user.reference if requester.user else "")
    # 1.
    if named.type == "Patient" and named.id:
        return named.id
    if named.type != "RelatedPerson" or not named.id:
        return ""
    # 2.
    rows = transaction.rows(_RELATED, {"id": named.id, "type": type_code("RelatedPerson")})
    if not rows:
        return ""
    version = opened(transaction, rows)[0]
    related = version.parsed()
    if related.get("active") is False or not _lasts(related.get("period"), transaction.now):
        return ""
    # 3.
    codes = {
        coding.get("code") for each in related.get("relationship", ()) for coding in each.get("coding", ())
    }
    if codes & _GUARDIANS or not codes:
        ends_at = comes_of_age_at(transaction, version.compartment)
        if ends_at is None or transaction.now >= ends_at:
            return ""
    patient = parse_reference(str(related.get("patient", {}).get("reference", "")))
    return patient.id or "" if patient.type == "Patient" else ""


def _lasts(period: dict[str, Any] | None, now: int) -> bool:
    if period is None:
        return True
    try:
        start, end = period_range(period, settings().zone)
    except (ValueError, TypeError):
        return False
    return start <= now <= end
