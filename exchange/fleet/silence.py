"""Silence: an adapter that says nothing for longer than it may, noticed once, and its end; and telling the operators.

Spec:    docs/region.md, "Silence".
Leaves:  sending notices, and being called again and again, to worker/silent_adapters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from exchange.fleet.state import quiet_microseconds
from exchange.store.session import Transaction

MOST_AT_ONCE: Final = 50
LONGEST_PAUSE_SECONDS: Final = 300
MOST_TRIES: Final = 1_000

_QUIET: Final = "CASE WHEN s.is_stopped THEN %(rest)s ELSE %(silence)s END"
# Each of several workers waits for the row and finds it noticed: one silence is one notice.
FALL_SILENT: Final = f"""
UPDATE adapter_state s SET silent_since = s.contact_at, notice = %(silent)s, notice_due_at = %(now)s, notice_tries = 0
FROM client c WHERE c.client_id = s.client_id AND c.is_adapter AND c.is_active AND s.silent_since IS NULL
  AND s.contact_at < %(now)s - {_QUIET}
RETURNING s.client_id, c.organization_id, s.silent_since"""  # noqa: S608 - constants only
COME_BACK: Final = f"""
WITH back AS (SELECT s.client_id, s.silent_since, c.organization_id
  FROM adapter_state s LEFT JOIN client c ON c.client_id = s.client_id
  WHERE s.silent_since IS NOT NULL
    AND (s.contact_at >= %(now)s - {_QUIET} OR c.is_adapter IS NOT TRUE OR c.is_active IS NOT TRUE) FOR UPDATE OF s)
UPDATE adapter_state s SET silent_since = NULL, notice = %(back)s, notice_due_at = %(now)s, notice_tries = 0
FROM back WHERE s.client_id = back.client_id
RETURNING s.client_id, coalesce(back.organization_id, ''), back.silent_since"""  # noqa: S608 - constants only
CLAIM: Final = """
UPDATE adapter_state s SET notice_tries = least(s.notice_tries + 1, %(tries)s),
  notice_due_at = %(now)s + least(power(2, least(s.notice_tries, 20)), %(longest)s)::bigint * 1000000
FROM (SELECT client_id FROM adapter_state WHERE notice IS NOT NULL AND notice_due_at <= %(now)s
  ORDER BY notice_tries, client_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED) due, client c
WHERE s.client_id = due.client_id AND c.client_id = s.client_id
RETURNING s.client_id, c.organization_id, s.notice, coalesce(s.silent_since, s.contact_at), s.notice_tries"""
TAKEN: Final = "UPDATE adapter_state SET notice = NULL WHERE client_id = %s AND notice = %s"


@dataclass(frozen=True, slots=True)
class Silence:
    """One adapter's silence: whose, and since when. Units: microseconds since 1970."""

    client_id: str
    facility: str
    since: int


@dataclass(frozen=True, slots=True)
class Due:
    """A notice for the operators: `silent` since its last contact, or `back` since then."""

    client_id: str
    facility: str
    kind: str
    since: int
    tries: int


def watch(transaction: Transaction, *, is_told: bool) -> tuple[list[Silence], list[Silence]]:
    """Who has fallen silent since the last look, and whose silence is over. `is_told`: somebody takes notices."""
    told: dict[str, Any] = {
        "now": transaction.now, "rest": quiet_microseconds(is_stopped=True),
        "silence": quiet_microseconds(is_stopped=False),
        "silent": "silent" if is_told else None, "back": "back" if is_told else None,
    }  # fmt: skip
    fallen = [Silence(*row) for row in transaction.rows(FALL_SILENT, told)]
    back = [Silence(*row) for row in transaction.rows(COME_BACK, told)]
    return fallen, back


def claim(transaction: Transaction) -> list[Due]:
    """Notices that are to be sent now; nobody else sends them before the next pause is over."""
    told = {
        "now": transaction.now,
        "longest": LONGEST_PAUSE_SECONDS,
        "limit": MOST_AT_ONCE,
        "tries": MOST_TRIES,
    }
    return [Due(*row) for row in transaction.rows(CLAIM, told)]


def taken(transaction: Transaction, due: Due) -> None:
    """A notice arrived; where something newer is to be told meanwhile, that stays due."""
    transaction.run(TAKEN, (due.client_id, due.kind))
