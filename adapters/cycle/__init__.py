"""Read, map, keep, send: the one place that sees all four, and that any crash may interrupt anywhere.

Spec:    docs/adapters.md, "The path of a record".
Leaves:  each step to its own floor; what is on the screen to the CLI.

A record is acknowledged, or its file remembered as taken, only after its outcome is durable in the outbox;
what was durable is sent until the hub has applied it. Whatever happens twice in between changes nothing:
the ledger knows the content, the hub knows the id.
"""

from __future__ import annotations

import fcntl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from adapters.cycle.upkeep import Upkeep
from adapters.outbox import Outbox
from adapters.outbox.identified import identified
from adapters.outbox.sealing import ID_KEY_FILE, make_data_folder, new_key, read_key
from adapters.sender import Retry, Sender
from adapters.sender.client_key import read_client_key
from adapters.sender.hub import HubClient
from adapters.sender.state_report import StateReporter
from adapters.settings import Settings
from adapters.source_record import Outcome, Refused
from adapters.sources import source_of


class AlreadyRunning(Exception):  # noqa: N818 - a state of the site, told to the IT desk
    """Another process has this site's outbox."""


class Cycle:
    """One site: its source, its outbox, and the runs over them."""

    def __init__(self, settings: Settings, outbox: Outbox) -> None:
        self.settings = settings
        self.outbox = outbox
        outbox.obey(settings)
        self.source = source_of(settings, outbox.id_key)
        self.upkeep = Upkeep(settings, outbox, self.source)

    def retry(self, *, numbers: set[int] | None = None, code: str | None = None) -> tuple[int, int]:
        """Map quarantined records again with today's tables; how many wait to be sent, how many stay."""
        return self.source.retry(self.outbox, numbers=numbers, code=code)

    def replay(
        self,
        since: datetime,
        until: datetime,
        *,
        is_trial: bool = False,
        tell: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Counter[str]:
        """Map what was applied in a time once more, with today's tables, and queue what would be told otherwise.

        Counts `changed`, `same`, and by its code what cannot be mapped any more; `tell` hears how far it went.
        """
        counts: Counter[str] = Counter()
        numbers = self.outbox.kept_between(since, until)
        for done, number in enumerate(numbers, 1):
            record = self.outbox.source_record(number, "applied")
            outcome = self.source.again(record) if record is not None else None
            if isinstance(outcome, Refused):
                counts[outcome.refusal.code] += 1
            elif outcome is not None:
                is_changed = self.outbox.retell(number, outcome, is_trial=is_trial)
                counts["changed" if is_changed else "same"] += 1
            tell(done, len(numbers))
        return counts

    def run(self, stop: threading.Event, *, once: bool, announce: Callable[[str], None]) -> str:
        """Read and send until told to stop; with `once`, until everything that there is was delivered.

        Returns the code of what bars the way to the hub, else nothing.
        """
        settings = self.settings
        hub = HubClient(
            settings.hub_url,
            settings.client_id,
            read_client_key(settings.data_folder),
            scope=settings.scope,
            timeout_seconds=settings.timeout_seconds,
            proxy=settings.proxy,
        )
        hub.on_clock = self.outbox.note_clock
        sender = Sender(
            self.outbox,
            hub,
            retry=Retry(settings.retry_first_seconds, settings.retry_cap_seconds),
            workers=settings.workers,
            batch_records=settings.batch_records,
        )
        state = StateReporter(settings, self.outbox, hub)
        sender.on_trouble = state.tell_soon
        try:
            self.upkeep.once()
            if once:
                self.source.read(self.outbox, stop)
                sender.run(stop, until_empty=True)
                if self.upkeep.once() and not sender.barred:
                    sender.run(stop, until_empty=True)
            else:
                state.start()
                self.upkeep.start()
                self._run_on(stop, sender, announce)
        finally:
            self.upkeep.stop()
            state.stop()
            hub.close()
        return sender.barred

    def _run_on(self, stop: threading.Event, sender: Sender, announce: Callable[[str], None]) -> None:
        """Read in a thread of its own, send in this one; what ends one of them ends both."""
        failures: list[BaseException] = []

        def read() -> None:
            try:
                self.source.run(self.outbox, stop, announce)
            except BaseException as failure:  # noqa: BLE001 - raised again by the one who waits
                failures.append(failure)
            finally:
                stop.set()

        reader = threading.Thread(target=read, name="reader")
        reader.start()
        try:
            sender.run(stop)
        finally:
            stop.set()
            reader.join()
        if failures:
            raise failures[0]


def preview(settings: Settings, path: Path | None) -> Iterator[Outcome]:
    """The outcomes of a file, or of the whole folder, without touching the outbox.

    A site that has sent nothing yet has no key of ids: the ids shown are then of this one look.
    """
    id_key = read_key(settings.data_folder / ID_KEY_FILE) or new_key()
    for outcome in source_of(settings, id_key).preview(path):
        yield identified(outcome, id_key)


def check(settings: Settings) -> None:
    """Look at what only the source itself can say of the settings. Raises: SettingsError, OSError."""
    source_of(settings, new_key()).check()


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the site while a run lasts; the system lets go of it however the process ends.

    Raises: AlreadyRunning.
    """
    make_data_folder(folder)
    path = folder / "adapter.lock"
    path.touch(mode=0o600)
    with path.open("r+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning from None
        yield
