"""Empties the outbox into the hub: in order for each patient, several patients at once, each record once.

Spec:    docs/adapters.md, "Delivery"; ADAPTERS rules 2-4 as listed there.
Leaves:  what a status code means to `hub`; what is mapped to the mappers.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from adapters.outbox import Builds, Outbox, Waiting
from adapters.sender.hub import Answer, Applied, Barred, Erased, HubClient, Later, Rejected
from adapters.sender.parcel import Parcel, pack
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
    "A-308": "El reloj de esta computadora difiere del del hub en más de un minuto. Active la hora automática (NTP).",
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
        self._alone: set[str] = set()
        self._unheard: set[str] = set()
        self._together = batch_records
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
        flying: dict[Future[None], tuple[str, ...]] = {}
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

    def _launch(self, pool: ThreadPoolExecutor, flying: dict[Future[None], tuple[str, ...]]) -> None:
        """Start as many deliveries as there are free workers; no patient is in two of them."""
        now = time.monotonic()
        if self._hub_held.until > now:
            return
        busy = {group for groups in flying.values() for group in groups}
        with self._lock:
            waiting = {group for group, held in self._held.items() if held.until > now}
        if not self._queue:
            self._queue.extend(self._outbox.waiting_groups(_PREFETCHED_GROUPS, busy=waiting | busy))
        # After trouble one delivery goes first, to see whether the hub is back.
        free = (1 if self._hub_held.attempts else self._workers) - len(flying)
        while free > 0 and (groups := self._next_groups(busy | waiting)):
            flying[pool.submit(self._deliver, groups)] = groups
            busy.update(groups)
            free -= 1

    def _next_groups(self, busy: set[str]) -> tuple[str, ...]:
        """The patients of the next delivery: one with whom there was trouble goes alone, others together."""
        found: list[str] = []
        others: list[str] = []
        while self._queue and len(found) < self._together:
            group = self._queue.popleft()
            if group in busy or group in found:
                continue
            if found and (group in self._alone or self._on_what(group) is not self._on_what(found[0])):
                others.append(group)
                continue
            found.append(group)
            if group in self._alone:
                break
        self._queue.extendleft(reversed(others))
        return tuple(found)

    def _on_what(self, group: str) -> Builds:
        return self._builds.get(group, Builds.BEFORE)

    def _deliver(self, groups: Sequence[str]) -> None:
        """Send patients' next records as one transaction and settle what the hub says."""
        is_one = len(groups) == 1
        limit = 1 if is_one and groups[0] in self._one_by_one else self._batch_records
        parcel = pack(self._outbox, groups, limit)
        self._return(groups, parcel)
        if not parcel.records:
            return
        builds = self._on_what(groups[0])
        conditions = self._outbox.conditions(parcel.entries, builds)
        answer: Answer = self._hub.send(parcel.entries, parcel.request_id, conditions)
        if isinstance(answer, Applied):
            etags = dict(zip((entry.url for entry in parcel.entries), answer.versions, strict=True))
            self._outbox.mark_applied(parcel.records, etags)
            self._together = min(self._together * 2, self._batch_records)
            for group in parcel.groups:
                self._settled(group)
            _log.info("A-300 applied request=%s records=%d", parcel.request_id, len(parcel.records))
        elif isinstance(answer, Barred):
            self._bar(answer)
        elif isinstance(answer, Later) and answer.is_global:
            self._later("", answer)
        elif len(parcel.groups) > 1:
            self._part(parcel, builds, answer)
        else:
            self._settle_one(parcel, builds, answer)

    def _return(self, groups: Sequence[str], parcel: Parcel) -> None:
        """Put back the patients for whom there was no room; forget what is said of those who have nothing left."""
        rest = [group for group in groups if group not in parcel.groups]
        empty = set(parcel.groups) - {record.group for record in parcel.records}
        with self._lock:
            self._queue.extendleft(reversed(rest))
            self._one_by_one -= empty
            self._alone -= empty

    def _part(self, parcel: Parcel, builds: Builds, answer: Rejected | Erased | Later) -> None:
        """These patients do not go together as they are.

        1. No answer: all of it may have been applied. Smaller numbers are carried more easily.
        2. Another version is there, and of some nothing was heard: they may stand for themselves.
        3. They do not, or not all of them: each alone, beginning with what was there before.
        4. A refusal names entries: their patients go alone. It names none: smaller numbers find the one.
        """
        groups = set(parcel.groups)
        is_precondition = isinstance(answer, Rejected) and answer.is_precondition
        blamed = parcel.blamed(answer.expressions) if isinstance(answer, Rejected) else set()
        with self._lock:
            if isinstance(answer, Later):
                # 1.
                self._unheard |= groups
                self._together = max(1, len(groups) // 2)
            elif is_precondition and builds is Builds.BEFORE and groups & self._unheard:
                # 2.
                self._builds.update(dict.fromkeys(groups & self._unheard, Builds.ITSELF))
            elif is_precondition and builds is Builds.ITSELF:
                # 3.
                self._alone |= groups
                self._unheard -= groups
                for group in groups:
                    self._builds.pop(group, None)
            elif blamed and blamed != groups:
                # 4.
                self._alone |= blamed
            else:
                self._together = max(1, len(groups) // 2)
            self._queue.extendleft(reversed(parcel.groups))
        if isinstance(answer, Later):
            self._later("", Later(answer.code, is_global=True, after_seconds=answer.after_seconds))

    def _settle_one(self, parcel: Parcel, builds: Builds, answer: Rejected | Erased | Later) -> None:
        """What a refusal, or no answer, means for one patient's records."""
        [group], records = parcel.groups, parcel.records
        if isinstance(answer, Erased):
            self._erased(group, records)
        elif isinstance(answer, Later):
            self._later(group, answer)
        elif answer.is_precondition and builds is not Builds.ANYTHING:
            self._build_on_next(group, records, builds)
        elif answer.is_final or self._is_contested_too_often(group, records):
            self._rejected(group, records, answer)
        else:
            self._later(group, Later(answer.code, is_global=False))

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
                self._alone.add(group)
            else:
                # 2. and 3.
                self._builds[group] = Builds(builds + 1)
                self._alone.add(group)
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
                self._alone.add(group)
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
                self._alone.add(group)
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
            self._unheard.discard(group)
            self._queue.append(group)
