"""Signals as they are kept: weight, instant and keyed numbers open, everything else sealed under the region's key.

Spec:    docs/audit.md, "Signals"; docs/decisions/0008-sealed-by-default.md.
Leaves:  who may read them to the permit; what a signal is to signal.

A signal names events and the account that asked, never a patient: whom an event is about is read in the event, under
the patient's key. What a patient wrote of an access is sealed under that key, too, inside of the region's.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any, Final, Literal

from exchange.audit.signals.signal import Signal
from exchange.crypto.envelope import associated_data, open_sealed, seal
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import dump
from exchange.permit import Permit
from exchange.problems import KeyDestroyed
from exchange.requester import Requester
from exchange.store.data_keys import key_place
from exchange.store.session import Transaction

Verdict = Literal["explained", "misuse", "unclear"]
VERDICTS: Final[tuple[Verdict, ...]] = ("explained", "misuse", "unclear")
BEGINNING: Final = (2**15 - 1, 2**62, "")
REGION: Final = 0
_AUDIT: Final = type_code("AuditEvent")
_VERSION: Final = 3
"""What seals are bound to in the place of a version: neither an event's nor a manifest's."""
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

INSERT: Final = """
INSERT INTO access_signal (number, custodian, kind, weight, happened_at, agent, once, body)
VALUES (%(number)s, %(custodian)s, %(kind)s, %(weight)s, %(at)s, %(agent)s, %(once)s, %(body)s)
ON CONFLICT (once) DO NOTHING RETURNING number"""
_COLUMNS: Final = (
    "s.number, s.kind, s.weight, s.happened_at, s.agent, s.body, s.verdict, s.judged_at, s.judgement"
)
PAGE: Final = f"""
SELECT {_COLUMNS} FROM access_signal s
WHERE {{reach}} AND (s.weight, s.happened_at, s.number) < (%(weight)s, %(at)s, %(number)s)
  AND s.happened_at >= %(since)s AND s.happened_at < %(until)s
  AND (%(kind)s = '' OR s.kind = %(kind)s) AND (%(facility)s::bigint IS NULL OR s.custodian = %(facility)s)
  AND (%(is_judged)s::boolean IS NULL OR (s.verdict IS NOT NULL) = %(is_judged)s)
ORDER BY s.weight DESC, s.happened_at DESC, s.number DESC LIMIT %(limit)s"""  # noqa: S608 - constants only
FIND: Final = f"SELECT {_COLUMNS} FROM access_signal s WHERE s.number = %(number)s AND {{reach}} FOR UPDATE"  # noqa: S608
JUDGE: Final = """
UPDATE access_signal SET verdict = %(verdict)s, judged_at = %(now)s, judgement = %(judgement)s
WHERE number = %(number)s"""


@dataclass(frozen=True, slots=True)
class Kept:
    """One signal as it stands. Units: microseconds since 1970 UTC."""

    number: str
    kind: str
    weight: int
    happened_at: int
    agent: int
    body: bytes
    verdict: Verdict | None
    judged_at: int | None
    judgement: bytes | None

    @property
    def position(self) -> tuple[int, int, str]:
        """Its place in the order of pages: what weighs most first, of these the newest."""
        return self.weight, self.happened_at, self.number


def keep(transaction: Transaction, signal: Signal, *, record: int = 0, words: str = "") -> str:
    """Keep a signal; its number, or "" where the same one is kept already. `words` are sealed under the record."""
    number = _number()
    told: dict[str, Any] = {
        "events": list(signal.events), "facility": signal.facility, "user": signal.user, "name": signal.user_name,
        "client": signal.client, "relation": signal.relation, "numbers": signal.numbers,
    }  # fmt: skip
    if words:
        told |= {
            "record": record,
            "words": b64encode(_sealed(transaction, record, number, {"words": words})).decode(),
        }
    rows = transaction.rows(
        INSERT,
        {
            "number": number, "custodian": signal.custodian, "kind": signal.kind, "weight": signal.weight,
            "at": signal.happened_at, "agent": signal.agent,
            "once": transaction.crypto.blind_index.value(f"signal|{signal.kind}|{signal.once}"),
            "body": _sealed(transaction, REGION, number, told),
        },
    )  # fmt: skip
    return number if rows else ""


def signals(transaction: Transaction, permit: Permit, asked: dict[str, Any]) -> list[Kept]:
    """Signals in the order of pages."""
    reach, told = _reach(permit)
    return [Kept(*row) for row in transaction.rows(PAGE.format(reach=reach), asked | told)]


def find_signal(transaction: Transaction, permit: Permit, number: str) -> Kept | None:
    """A signal by its number, held until the transaction ends; None where it is absent, or not this officer's."""
    reach, told = _reach(permit)
    rows = transaction.rows(FIND.format(reach=reach), told | {"number": number})
    return Kept(*rows[0]) if rows else None


def judge_signal(
    transaction: Transaction, requester: Requester, signal: Kept, verdict: Verdict, comment: str
) -> None:
    """Note who looked into a signal, and what it came to."""
    user = requester.user
    told = {"by": user.name or user.id if user else requester.client_id, "comment": comment}
    judgement = _sealed(transaction, REGION, f"{signal.number}.judgement", told)
    transaction.run(
        JUDGE,
        {"number": signal.number, "verdict": verdict, "now": transaction.now, "judgement": judgement},
    )


def told_of(transaction: Transaction, signal: Kept) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a signal is about, and what it came to. Of an erased record what the patient wrote is gone.

    Raises: SealBroken - a row was altered or moved.
    """
    body = _opened(transaction, REGION, signal.number, signal.body)
    if "words" in body:
        sealed = b64decode(body.pop("words"))
        try:
            body |= _opened(transaction, body["record"], signal.number, sealed)
        except KeyDestroyed:
            body["words"] = ""
    judgement = signal.judgement and _opened(
        transaction, REGION, f"{signal.number}.judgement", signal.judgement
    )
    return body, judgement or {}


def _reach(permit: Permit) -> tuple[str, dict[str, Any]]:
    """Everybody's, or those of one facility's accounts; a patient's permit reaches none."""
    if permit.audit_of == "all":
        return "true", {}
    if permit.audit_of == "facility":
        return "s.custodian = %(custodian)s", {"custodian": permit.custodian}
    return "false", {}


def _number() -> str:
    return "SE-" + "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))


def _sealed(transaction: Transaction, compartment: int, name: str, told: dict[str, Any]) -> bytes:
    cipher = transaction.store.data_keys.ciphers_to_write(transaction, (compartment,))[key_place(compartment)]
    bound_to = associated_data(compartment, _AUDIT, name, _VERSION)
    return seal(cipher, transaction.crypto.dictionaries, dump(told), bound_to)


def _opened(transaction: Transaction, compartment: int, name: str, sealed: bytes) -> dict[str, Any]:
    cipher = transaction.store.data_keys.ciphers(transaction, (compartment,))[key_place(compartment)]
    bound_to = associated_data(compartment, _AUDIT, name, _VERSION)
    found: dict[str, Any] = json.loads(
        open_sealed(cipher, transaction.crypto.dictionaries, bytes(sealed), bound_to)
    )
    return found
