"""The worker that notices adapters that say nothing: a line in the log and a notice, once a silence, and at its end.

Spec:    docs/region.md, "Silence".
Leaves:  who counts as silent to fleet/silence; posting to notices.

A notice is {kind, client, facility, since}: `adapter-silent` or `adapter-back`. It may arrive twice.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import UTC, datetime
from typing import Final

from psycopg2 import Error as DatabaseError

from exchange.authentication.bounded_fetch import is_fetchable
from exchange.fleet.silence import Due
from exchange.perform import Spine
from exchange.problems import Problem
from exchange.settings import settings
from exchange.worker.notices import sent

LOG: Final = logging.getLogger("exchange.worker")
PAUSE_SECONDS: Final = 5.0
_SECOND: Final = 1_000_000


def watch_adapters_until(
    stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS
) -> None:
    """Look until told to stop. A failing step is logged and tried again: it left nothing half done."""
    url = settings().adapter_notice_url or ""
    if url and not is_fetchable(url):
        LOG.error(
            "E-614 EXCHANGE_ADAPTER_NOTICE_URL is no address that notices are sent to: nobody is told there"
        )
        url = ""
    while not stopped.is_set():
        try:
            watch_adapters(spine, url)
        except (Problem, DatabaseError) as problem:
            LOG.warning("E-615 looking for silent adapters failed: %s", type(problem).__name__)
        stopped.wait(pause_seconds)


def watch_adapters(spine: Spine, url: str) -> None:
    """One look: note who fell silent and who is back, and tell the operators' address of it, where there is one."""
    fallen, back = spine.fleet.watch(is_told=bool(url))
    for each in fallen:
        LOG.error(
            "E-610 adapter %s of %s is silent since %s", each.client_id, each.facility, instant(each.since)
        )
    for each in back:
        LOG.warning(
            "W-611 adapter %s of %s is back; silent since %s",
            each.client_id,
            each.facility,
            instant(each.since),
        )
    due = spine.fleet.claim() if url else []
    if not due:
        return
    for each_due, failure in zip(due, asyncio.run(sent(url, [_told(one) for one in due])), strict=True):
        if failure:
            LOG.warning(
                "W-612 the notice of adapter %s was not taken at try %d: %s",
                each_due.client_id,
                each_due.tries,
                failure,
            )
        else:
            spine.fleet.taken(each_due)


def instant(microseconds: int) -> str:
    """An instant as a notice and a log line say it."""
    return datetime.fromtimestamp(microseconds // _SECOND, UTC).isoformat().replace("+00:00", "Z")


def _told(due: Due) -> dict[str, str]:
    return {
        "kind": f"adapter-{due.kind}",
        "client": due.client_id,
        "facility": due.facility,
        "since": instant(due.since),
    }
