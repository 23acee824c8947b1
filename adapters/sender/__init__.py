"""Empties the outbox into the hub: in order for each patient, several patients at once, each record once.

Spec:    docs/adapters.md, "Delivery"; ADAPTERS rules 2-4 as listed there.
Leaves:  what a status code means to `hub`; what is mapped to the mappers.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from adapters.outbox import Builds, Outbox, Waiting, WireEntry
from adapters.sender.hub import Answer, Applied, Barred, Erased, HubClient, Later, Rejected
from adapters.source_record import Refusal

_log = logging.getLogger("adapters.sender")
_PREFETCHED_GROUPS = 500
_CONTESTED_TIMES = 10

REMEDIES = {
    "A-301": "No hay conexión con el hub. Revise la red y [hub] url; lo pendiente queda guardado.",
    "A-302": "El hub no respondió a tiempo. Se volverá a enviar; nada se duplica.",
    "A-303": "El hub está ocupado o en mantenimiento. Se volverá a enviar solo.",
    "A-304": "El hub no reconoce a este adaptador. Pida un código a la región y ejecute `adapter enrol`.",
    "A-305": "El hub no acepta el permiso. Revise client_id y la hora de esta computadora, y avise a la región.",
    "A-306": "El hub no publica su configuración de acceso. Revise [hub] url.",
    "A-307": "El hub no concede los permisos que se piden. Revise [hub] scope con la región.",
    "A-311": "El hub rechazó el contenido. Corrija el registro en su sistema o use `quarantine retry`.",
    "A-312": "El registro es demasiado grande para el hub. Divida el documento o avise a la región.",
    "A-313": "El hub no permite escribir a este adaptador. Pida a la región el permiso que falta y revise [hub] scope;"
    " todo queda guardado y se enviará solo.",
    "A-315": "La región eliminó por orden uno de los pacientes que este registro une. Vea cuál es y descarte el"
    " registro, o use `adapter erase`.",
    "A-314": "El hub lo rechazó varias veces porque choca con lo que ya tiene. Avise a la región con el número.",
}


@dataclass(frozen=True, slots=True)
class Retry:
    """Bounds of trying again. Units: seconds."""

    first_seconds: float
    cap_seconds: float

    def pause(self, attempts: int) -> float:
        """Exponential, capped, with jitter so that clinics do not return all at once."""
        full = min(self.cap_seconds, self.first_seconds * 2.0 ** min(attempts, 30))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret

    def slowest_pause(self) -> float:
        """The cap, with jitter: for what only a person can mend."""
        return self.cap_seconds * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret


@dataclass(slots=True)
class _Held:
    """What waits, and until when."""

    attempts: int = 0
    until: float = 0.0


class Sender:
    """Takes from the outbox, gives to the hub, and writes the receipts."""

    def __init__(
        self, outbox: Outbox, hub: HubClient, *, retry: Retry, workers: int, batch_records: int
    ) -> None:
        self._outbox = outbox
        self._hub = hub
        self._retry = retry
        self._workers = workers
        self._batch_records = batch_records
        self._hub_held = _Held()
        self._held: dict[str, _Held] = {}
        self._one_by_one: set[str] = set()
        self._contested: dict[str, int] = {}
        self._builds: dict[str, Builds] = {}
        self._queue: deque[str] = deque()
        self._lock = threading.Lock()
        self.last_trouble = ""
        self.barred = ""
        self._is_trouble_noted = True  # perhaps by a run before this one
        self.on_trouble: Callable[[], None] = lambda: None
        """Called when trouble begins or ends."""

    def run(self, stop: threading.Event, *, until_empty: bool = False) -> None:
        """Deliver until told to stop; or, with `until_empty`, until nothing is left or the hub bars the way."""
        self.barred = ""
        flying: dict[Future[None], str] = {}
        with ThreadPoolExecutor(self._workers, thread_name_prefix="send") as pool:
            while not stop.is_set():
                self._launch(pool, flying)
                if flying:
                    done, _ = wait(flying, timeout=0.2, return_when=FIRST_COMPLETED)
                    for future in done:
                        flying.pop(future)
                        future.result()
                elif until_empty and (self.barred or self._outbox.pending() == 0):
                    return
                else:
                    stop.wait(min(max(self._hub_held.until - time.monotonic(), 0.05), 0.5))

    def _launch(self, pool: ThreadPoolExecutor, flying: dict[Future[None], str]) -> None:
        """Start as many deliveries as there are free workers, one patient each."""
        now = time.monotonic()
        if self._hub_held.until > now:
            return
        if not self._queue:
            with self._lock:
                waiting = {group for group, held in self._held.items() if held.until > now}
            self._queue.extend(
                self._outbox.waiting_groups(_PREFETCHED_GROUPS, busy=waiting | set(flying.values()))
            )
        # After trouble one patient goes first, to see whether the hub is back.
        free = (1 if self._hub_held.attempts else self._workers) - len(flying)
        while free > 0 and self._queue:
            group = self._queue.popleft()
            if group not in flying.values():
                flying[pool.submit(self._deliver, group)] = group
                free -= 1

    def _deliver(self, group: str) -> None:
        """Send a patient's next records as one transaction and settle what the hub says."""
        limit = 1 if group in self._one_by_one else self._batch_records
        records, entries = _together(self._outbox.batch(group, limit))
        if not records:
            return
        request_id = _request_id(records)
        builds = self._builds.get(group, Builds.BEFORE)
        answer: Answer = self._hub.send(entries, request_id, self._outbox.conditions(entries, builds))
        if isinstance(answer, Applied):
            etags = dict(zip((entry.url for entry in entries), answer.versions, strict=True))
            self._outbox.mark_applied(records, etags)
            self._settled(group)
            _log.info("A-300 applied request=%s records=%d", request_id, len(records))
        elif isinstance(answer, Rejected):
            if answer.is_precondition and builds is not Builds.ANYTHING:
                self._build_on_next(group, records, builds)
            elif answer.is_final or self._is_contested_too_often(group, records):
                self._rejected(group, records, answer)
            else:
                self._later(group, Later(answer.code, is_global=False))
        elif isinstance(answer, Erased):
            self._erased(group, records)
        elif isinstance(answer, Barred):
            self._bar(answer)
        else:
            self._later(group, answer)

    def _build_on_next(self, group: str, records: Sequence[Waiting], builds: Builds) -> None:
        """The hub holds another version than this site was told.

        1. Of several records some may have been applied unheard: one at a time.
        2. This one may itself have been applied: the same again changes nothing then, however late.
        3. Neither: somebody else wrote, or this outbox is new. The source's word stands.
        """
        with self._lock:
            # 1.
            if len(records) > 1:
                self._one_by_one.add(group)
            else:
                # 2. and 3.
                self._builds[group] = Builds(builds + 1)
            self._queue.appendleft(group)

    def _is_contested_too_often(self, group: str, records: Sequence[Waiting]) -> bool:
        """Whether one record, sent alone, has met the same conflict so often that waiting is no remedy."""
        if len(records) > 1:
            return False
        with self._lock:
            self._contested[group] = self._contested.get(group, 0) + 1
            return self._contested[group] >= _CONTESTED_TIMES

    def _bar(self, answer: Barred) -> None:
        """Stop sending: the fault is in this site's registration or settings, whatever the record.

        1. Nothing leaves its place: all of it waits.
        2. One patient's records ask again after the longest pause.
        """
        now = time.monotonic()
        with self._lock:
            if self.barred and self._hub_held.until > now:
                return  # another worker has just heard it
            # 1.
            self.last_trouble = self.barred = answer.code
            # 2.
            self._hub_held = _Held(max(self._hub_held.attempts, 1), now + self._retry.slowest_pause())
            self._outbox.note_trouble(answer.code)
            self._is_trouble_noted = True
            self.on_trouble()
            _log.error("%s %s", answer.code, REMEDIES[answer.code])

    def _rejected(self, group: str, records: Sequence[Waiting], answer: Rejected) -> None:
        """Quarantine the one record that is to blame; of several, find it by sending one at a time."""
        if len(records) > 1:
            with self._lock:
                self._one_by_one.add(group)
                self._queue.appendleft(group)
            return
        text = f"{REMEDIES[answer.code]} {answer.diagnostics}".strip()
        refusal = Refusal(
            answer.reason_class, answer.code, text, location=", ".join(answer.expressions), parks=True
        )
        self._outbox.quarantine(records[0], refusal)
        self._settled(group)
        _log.warning(
            "%s quarantined message=%s elements=%s", answer.code, records[0].message_id, refusal.location
        )

    def _erased(self, group: str, records: Sequence[Waiting]) -> None:
        """Do here what was ordered at the hub; where two patients share the queue, let a person decide."""
        number = self._outbox.erase_group(group)
        if number is None:
            self._rejected(group, records, Rejected("identity", "A-315", (), ""))
            return
        self._settled(group)
        _log.warning("A-316 erased here what the hub has erased: records=%d", number)

    def _later(self, group: str, answer: Later) -> None:
        """Keep everything and wait: the hub as a whole, or this patient only."""
        now = time.monotonic()
        with self._lock:
            self.last_trouble = answer.code
            held = self._hub_held if answer.is_global else self._held.setdefault(group, _Held())
            if not answer.is_global:
                self._one_by_one.add(group)
            if held.until <= now:
                pause = (
                    self._retry.pause(held.attempts) if answer.after_seconds is None else answer.after_seconds
                )
                held.attempts += 1
                held.until = now + pause
                _log.warning("%s waiting seconds=%.1f attempt=%d", answer.code, pause, held.attempts)

    def _settled(self, group: str) -> None:
        with self._lock:
            if not self.barred or self._hub_held.until <= time.monotonic():
                self._hub_held = _Held()
                self.barred = ""
                if self._is_trouble_noted:
                    self._outbox.note_trouble(None)
                    self._is_trouble_noted = False
                    self.on_trouble()
            self._held.pop(group, None)
            self._contested.pop(group, None)
            self._builds.pop(group, None)
            self._queue.append(group)


def _together(records: Sequence[Waiting]) -> tuple[list[Waiting], list[WireEntry]]:
    """As many records as fit into one transaction: none writes a resource twice with different content."""
    taken: list[Waiting] = []
    entries: dict[str, WireEntry] = {}
    for record in records:
        if any(
            item.url in entries and entries[item.url].resource != item.resource for item in record.entries
        ):
            break
        taken.append(record)
        entries.update({item.url: item for item in record.entries})
    return taken, list(entries.values())


def _request_id(records: Sequence[Waiting]) -> str:
    """The name of this transaction: the same records make the same name."""
    if len(records) == 1:
        return records[0].message_id
    return hashlib.sha256("|".join(record.message_id for record in records).encode()).hexdigest()[:32]
