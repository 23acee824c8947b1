"""The worker that tells of emergency cases: the privacy officer within seconds, and the patient by the own log.

Spec:    docs/emergency.md, "Notices".
Leaves:  which cases are told of, and their stamps, to consent/emergency_notices.

A notice is {number, opened_at, facility}: whoever reads it on the way learns of nobody. It may arrive twice.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import httpx
from psycopg2 import Error as DatabaseError

from exchange.authentication.bounded_fetch import is_fetchable
from exchange.consent.emergency_notices import Notice, Notices, Stamped
from exchange.perform import Spine
from exchange.problems import Problem
from exchange.settings import settings

LOG: Final = logging.getLogger("exchange.worker")
PAUSE_SECONDS: Final = 1.0
MOST_SECONDS: Final = 5.0
_TAKEN: Final = frozenset({200, 201, 202, 204})


def notify_until(stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Tell until told to stop. A failing step is logged and tried again: it left nothing half done."""
    url = settings().officer_notice_url or ""
    is_safe = not url or is_fetchable(url)
    if not is_safe:
        LOG.error(
            "E-604 EXCHANGE_OFFICER_NOTICE_URL is no address that notices are sent to: nobody is told there"
        )
    while not stopped.is_set():
        try:
            tell_patients(spine.notices)
            if is_safe:
                tell_officers(spine.notices, url)
        except (Problem, DatabaseError) as problem:
            LOG.warning("E-603 telling of emergency cases failed: %s", type(problem).__name__)
        stopped.wait(pause_seconds)


def tell_patients(notices: Notices) -> None:
    """Stamp what the patients can read in their logs."""
    _log("patient", notices.logged())


def tell_officers(notices: Notices, url: str) -> None:
    """Send what is due to the officers' address; without one, the list tells them."""
    if not url:
        _log("privacy officer", notices.listed())
        return
    due = notices.claim()
    if not due:
        return
    failures = asyncio.run(sent(url, [_told(each) for each in due]))
    now = time.time_ns() // 1000
    for notice, failure in zip(due, failures, strict=True):
        if failure:
            LOG.warning(
                "E-601 the notice of %s was not taken at try %d: %s", notice.number, notice.tries, failure
            )
            if notices.is_late(notice, now):
                LOG.error("E-602 the privacy officer is not told of %s in time", notice.number)
    _log(
        "privacy officer",
        notices.taken([each.number for each, failed in zip(due, failures, strict=True) if not failed]),
    )


async def sent(url: str, notices: Sequence[Mapping[str, str]]) -> list[str]:
    """Send notices of any kind all at once; for each "" or what went wrong, without a word of what the address said."""
    async with httpx.AsyncClient(timeout=MOST_SECONDS, follow_redirects=False, trust_env=False) as client:
        return list(await asyncio.gather(*(_posted(client, url, each) for each in notices)))


def _told(notice: Notice) -> dict[str, str]:
    opened_at = datetime.fromtimestamp(notice.opened_at // 1_000_000, UTC).isoformat().replace("+00:00", "Z")
    return {"number": notice.number, "opened_at": opened_at, "facility": notice.facility}


async def _posted(client: httpx.AsyncClient, url: str, told: Mapping[str, str]) -> str:
    try:
        # The answer's head is enough: its body is never read.
        async with asyncio.timeout(MOST_SECONDS), client.stream("POST", url, json=told) as answer:
            return "" if answer.status_code in _TAKEN else f"status {answer.status_code}"
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError) as failed:
        return type(failed).__name__


def _log(who: str, stamped: Stamped) -> None:
    for number in stamped.late:
        LOG.error("E-602 the %s was told of %s late", who, number)
