"""The worker that hands new heads to witnesses: none of them stops it, whatever it answers.

Spec:    https://c2sp.org/tlog-witness, add-checkpoint; docs/audit.md, "Witnesses".
Leaves:  proofs, and what is kept of an answer, to audit/witnessing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx
from psycopg2 import Error as DatabaseError

from exchange.audit.witnessing import Head, OutsideWitness, Witnesses, outside_witnesses
from exchange.perform import Spine
from exchange.problems import Invalid, Problem, SealBroken
from exchange.settings import settings

LOG: Final = logging.getLogger("exchange.worker")
PAUSE_SECONDS: Final = 2.0
MOST_SECONDS: Final = 5.0
MOST_BYTES: Final = 16 * 1024
SILENT_SECONDS: Final = 3600
_SIZE_LETTERS: Final = 20


@dataclass(slots=True)
class Standing:
    """What the worker remembers of one witness: since when it owes a signature, whether that was said, and a fork."""

    owes_since: float = 0.0
    is_reported: bool = False
    is_forked: bool = False


@dataclass(slots=True)
class HandingOut:
    """One worker's rounds over the witnesses."""

    witnesses: Witnesses
    outside: Sequence[OutsideWitness]
    standing: dict[str, Standing] = field(default_factory=dict)

    def round(self, now: float) -> int:
        """Hand the newest head to every witness that has not signed it, all at once; how many signed."""
        head = self.witnesses.newest()
        if head is None:
            return 0
        due = []
        for number, witness in enumerate(self.outside):
            size, _ = self.witnesses.last(witness)
            if size < head.checkpoint.size:
                due.append((number, witness, size))
        if not due:
            return 0
        bodies = [self.witnesses.submission(head, old) for _, _, old in due]
        answers = asyncio.run(_asked([(each[1].url, body) for each, body in zip(due, bodies, strict=True)]))
        signed = 0
        for (number, witness, old), answer in zip(due, answers, strict=True):
            is_signed = self._taken(number, witness, head, old, answer)
            signed += is_signed
            self._watch(number, witness, now, is_signed=is_signed)
        return signed

    def _taken(
        self, number: int, witness: OutsideWitness, head: Head, old: int, answer: tuple[int, bytes]
    ) -> bool:
        """What an answer comes to: a cosignature, another size to begin from, or nothing that counts."""
        status, text = answer
        if status == httpx.codes.CONFLICT and (known := _size(text)) is not None and known != old:
            if known > head.checkpoint.size:
                self._alarm(number, witness, "it has seen more events than this log holds")
                return False
            again = self.witnesses.submission(head, known)
            status, text = asyncio.run(_asked([(witness.url, again)]))[0]
        if status == httpx.codes.OK:
            try:
                self.witnesses.keep(witness, head, text.decode("utf-8", "replace"))
            except SealBroken:
                LOG.warning("E-323 witness %d answered with no cosignature of its own", number)
                return False
            self.standing.pop(witness.key.name, None)
            return True
        if status in (httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY):
            self._alarm(number, witness, "it has seen another history")
        elif status:
            LOG.warning("E-322 witness %d did not sign: status %d", number, status)
        else:
            LOG.info("E-321 witness %d did not answer", number)
        return False

    def _alarm(self, number: int, witness: OutsideWitness, why: str) -> None:
        """Whoever restored a backup, or runs a second hub on an older copy, is told so: once, until it signs again."""
        standing = self.standing.setdefault(witness.key.name, Standing())
        if not standing.is_forked:
            LOG.critical("E-324 witness %d refuses the log: %s. It was forked, cut or restored", number, why)
        standing.is_forked = True

    def _watch(self, number: int, witness: OutsideWitness, now: float, *, is_signed: bool) -> None:
        if is_signed:
            return
        standing = self.standing.setdefault(witness.key.name, Standing())
        standing.owes_since = standing.owes_since or now
        if now - standing.owes_since >= SILENT_SECONDS and not standing.is_reported:
            standing.is_reported = True
            LOG.error("E-325 witness %d has signed no head for an hour", number)


def witness_until(stopped: threading.Event, spine: Spine, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Hand out heads until told to stop. A failing round is logged and tried again: it left nothing half done."""
    try:
        outside = outside_witnesses(settings().witnesses or "")
    except Invalid as wrong:
        LOG.error("E-327 EXCHANGE_WITNESSES is not used, and nobody cosigns: %s", wrong)  # noqa: TRY400
        return
    handing_out = HandingOut(spine.witnesses, outside)
    while outside and not stopped.wait(pause_seconds):
        try:
            handing_out.round(time.monotonic())
        except (Problem, DatabaseError) as problem:
            LOG.warning("E-326 handing heads to witnesses failed: %s", type(problem).__name__)


async def _asked(requests: Sequence[tuple[str, bytes]]) -> list[tuple[int, bytes]]:
    """Ask all at once; each answer's status and text, 0 where there is none that can be used."""
    async with httpx.AsyncClient(timeout=MOST_SECONDS, follow_redirects=False, trust_env=False) as client:
        return list(await asyncio.gather(*(_answer(client, url, body) for url, body in requests)))


async def _answer(client: httpx.AsyncClient, url: str, body: bytes) -> tuple[int, bytes]:
    found = bytearray()
    try:
        async with (
            asyncio.timeout(MOST_SECONDS),
            client.stream(
                "POST", f"{url}/add-checkpoint", content=body, headers={"Accept-Encoding": "identity"}
            ) as answer,
        ):
            async for part in answer.aiter_raw():
                found += part
                if len(found) > MOST_BYTES:
                    return 0, b""
            return answer.status_code, bytes(found)
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError):
        return 0, b""


def _size(text: bytes) -> int | None:
    """The size in a witness's refusal; None: it is none. Spec: tlog-witness, 409."""
    told = text.removesuffix(b"\n")
    return int(told) if told.isdigit() and len(told) < _SIZE_LETTERS else None
