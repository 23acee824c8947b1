"""Emergency cases: opened by one person, followed and judged by another one; what is typed stands sealed.

Spec:    docs/emergency.md; docs/decisions/0018-decision-inside-queries.md.
Leaves:  what an open case shows to break_glass; telling of it to emergency_notices; who may ask to decision.

A case lies in the record on which it was opened. Its number is random: it says nothing of anybody.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from exchange.consent.break_glass import user_key
from exchange.crypto.envelope import associated_data, open_sealed, seal
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import dump
from exchange.permit import Permit
from exchange.policy.adopted import policy
from exchange.problems import Denied, KeyDestroyed
from exchange.requester import Requester
from exchange.store.data_keys import key_place
from exchange.store.session import Transaction

Verdict = Literal["justified", "unjustified", "needs-review"]
VERDICTS: Final[tuple[Verdict, ...]] = ("justified", "unjustified", "needs-review")
JUDGED_WITHIN_HOURS: Final = 72
MICROSECONDS: Final = 1_000_000
_DAY: Final = 24 * 3600 * MICROSECONDS
_PATIENT: Final = type_code("Patient")
_VERSION: Final = 0
"""Seals are bound to it: no version of a resource has this number."""
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUPS: Final = 4

# Of two openings at once by one person the second waits, and counts the first.
WAIT: Final = "SELECT pg_advisory_xact_lock(%(user)s)"
BEFORE: Final = """
SELECT count(*) FILTER (WHERE e.opened_at > %(since)s), coalesce(bool_or(e.reason_key = %(reason)s), false)
FROM emergency_case e WHERE e.custodian = %(custodian)s AND e.user_key = %(user)s"""
INSERT: Final = """
INSERT INTO emergency_case (compartment, number, custodian, facility, client_id, user_key, reason_key, opened_at,
  expires_at, body)
VALUES (%(compartment)s, %(number)s, %(custodian)s, %(facility)s, %(client)s, %(user)s, %(reason)s, %(now)s,
  %(expires)s, %(body)s)"""

_COLUMNS: Final = """e.compartment, e.number, e.facility, e.user_key, e.opened_at, e.expires_at, e.closed_at, e.verdict,
  e.officer_told_at, e.patient_told_at, e.body, e.judgement"""
_IS_JUDGED: Final = "coalesce(e.verdict, 'needs-review') <> 'needs-review'"
FIND: Final = f"SELECT {_COLUMNS} FROM emergency_case e WHERE e.number = %(number)s AND {{reach}} FOR UPDATE"  # noqa: S608
PAGE: Final = f"""
SELECT {_COLUMNS} FROM emergency_case e
WHERE {{reach}} AND ({_IS_JUDGED}, -e.opened_at, e.number) > (%(judged)s, %(opened)s, %(number)s)
ORDER BY {_IS_JUDGED}, -e.opened_at, e.number LIMIT %(limit)s"""  # noqa: S608 - constants only
WAITING: Final = f"SELECT count(*) FROM emergency_case e WHERE {{reach}} AND NOT ({_IS_JUDGED})"  # noqa: S608
CLOSE: Final = """
UPDATE emergency_case SET closed_at = coalesce(closed_at, %(now)s), verdict = %(verdict)s, judgement = %(judgement)s
WHERE compartment = %(compartment)s AND number = %(number)s"""

BEGINNING: Final[tuple[bool, int, str]] = (False, -(2**62), "")


@dataclass(frozen=True, slots=True)
class Opened:
    """A case that was just opened. Units: microseconds since 1970 UTC."""

    number: str
    expires_at: int
    is_repeated: bool
    """Whether the same person gave the same reason before."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case as it stands. Units: microseconds since 1970 UTC."""

    compartment: int
    number: str
    facility: str
    user: int
    opened_at: int
    expires_at: int
    closed_at: int | None
    verdict: Verdict | None
    officer_told_at: int | None
    patient_told_at: int | None
    body: bytes
    judgement: bytes | None

    @property
    def is_judged(self) -> bool:
        """Whether a person said for good what to think of it."""
        return self.verdict is not None and self.verdict != "needs-review"

    @property
    def position(self) -> tuple[bool, int, str]:
        """Its place in the order of pages: those that wait for a verdict first, of these the newest."""
        return self.is_judged, -self.opened_at, self.number

    def state(self, now: int) -> str:
        """`active` shows something, `expired` waits for a verdict, `closed` has one."""
        if self.closed_at is not None:
            return "closed"
        return "active" if now < self.expires_at else "expired"

    def is_overdue(self, now: int) -> bool:
        """Whether it waits for a verdict for longer than it should."""
        return not self.is_judged and now - self.opened_at > JUDGED_WITHIN_HOURS * 3600 * MICROSECONDS


def open_case(
    transaction: Transaction, requester: Requester, compartment: int, *, minutes: int, reason: str,
    attested: Sequence[str],
) -> Opened:  # fmt: skip
    """Open a case on a record that the requester sees. Raises: Denied - that person opened too many within a day."""
    assert requester.user is not None
    blind = transaction.crypto.blind_index
    told: dict[str, Any] = {
        "custodian": requester.custodian,
        "user": user_key(blind, requester),
        "reason": blind.value(f"emergency reason|{' '.join(reason.casefold().split())}"),
        "since": transaction.now - _DAY,
    }
    # 1. How many there were.
    transaction.rows(WAIT, told)
    [(number_of_today, is_repeated)] = transaction.rows(BEFORE, told)
    if number_of_today >= policy().emergency.openings_per_user_per_day:
        raise Denied(
            "this person has opened as many emergencies as one may within a day",
            reason=f"emergency openings within a day: {number_of_today}",
        )
    # 2. The case.
    number = _number()
    user = requester.user
    body = {
        "reason": reason,
        "attested": list(attested),
        "minutes": minutes,
        "repeated": is_repeated,
        "user": {"id": user.id, "name": user.name, "role": user.role, "reference": user.reference},
        "client": requester.client_id,
    }
    expires_at = transaction.now + minutes * 60 * MICROSECONDS
    row = told | {
        "compartment": compartment, "number": number, "facility": requester.organization_id,
        "client": requester.client_id, "now": transaction.now, "expires": expires_at,
        "body": _sealed(transaction, compartment, number, body),
    }  # fmt: skip
    transaction.run(INSERT, row)
    return Opened(number, expires_at, is_repeated)


def find_case(transaction: Transaction, permit: Permit, number: str) -> Case | None:
    """A case by its number, held until the transaction ends; None where it is absent, or not this officer's."""
    reach, told = _reach(permit)
    rows = transaction.rows(FIND.format(reach=reach), told | {"number": number})
    return Case(*rows[0]) if rows else None


def cases(transaction: Transaction, permit: Permit, after: tuple[bool, int, str], limit: int) -> list[Case]:
    """Cases in the order of pages."""
    reach, told = _reach(permit)
    told |= {"judged": after[0], "opened": after[1], "number": after[2], "limit": limit}
    return [Case(*row) for row in transaction.rows(PAGE.format(reach=reach), told)]


def number_waiting(transaction: Transaction, permit: Permit) -> int:
    """How many cases wait for a verdict."""
    reach, told = _reach(permit)
    found: int = transaction.rows(WAITING.format(reach=reach), told)[0][0]
    return found


def judge_case(
    transaction: Transaction, requester: Requester, case: Case, verdict: Verdict, comment: str
) -> None:
    """Close a case: its access ends with this transaction."""
    user = requester.user
    told = {
        "by": {"id": user.id, "name": user.name} if user else {},
        "comment": comment,
        "verdict": verdict,
        "at": transaction.now,
    }
    sealed = _sealed(transaction, case.compartment, _judgement_of(case.number), told)
    transaction.run(
        CLOSE,
        {"compartment": case.compartment, "number": case.number, "now": transaction.now, "verdict": verdict,
         "judgement": sealed},
    )  # fmt: skip


def told_of(transaction: Transaction, case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was typed when a case was opened, and when it was judged; nothing where the record was erased.

    Raises: SealBroken - a row was altered or moved.
    """
    try:
        body = _opened(transaction, case.compartment, case.number, case.body)
        judgement = case.judgement and _opened(
            transaction, case.compartment, _judgement_of(case.number), case.judgement
        )
    except KeyDestroyed:
        return {}, {}
    return body, judgement or {}


def _reach(permit: Permit) -> tuple[str, dict[str, Any]]:
    if permit.audit_of == "all":
        return "true", {}
    return "e.custodian = %(custodian)s", {"custodian": permit.custodian}


def _number() -> str:
    """80 random bits, in letters that are not mistaken for each other on the telephone."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(_GROUPS))
    return "EM-" + "-".join(groups)


def _judgement_of(number: str) -> str:
    return f"{number}.judgement"


def _sealed(transaction: Transaction, compartment: int, name: str, told: dict[str, Any]) -> bytes:
    cipher = transaction.store.data_keys.ciphers_to_write(transaction, (compartment,))[key_place(compartment)]
    bound_to = associated_data(compartment, _PATIENT, name, _VERSION)
    return seal(cipher, transaction.crypto.dictionaries, dump(told), bound_to)


def _opened(transaction: Transaction, compartment: int, name: str, sealed: bytes) -> dict[str, Any]:
    cipher = transaction.store.data_keys.ciphers(transaction, (compartment,))[key_place(compartment)]
    bound_to = associated_data(compartment, _PATIENT, name, _VERSION)
    found: dict[str, Any] = json.loads(
        open_sealed(cipher, transaction.crypto.dictionaries, bytes(sealed), bound_to)
    )
    return found
