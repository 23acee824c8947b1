"""Read, map, keep, send: the one place that sees all four, and that any crash may interrupt anywhere.

Spec:    docs/adapters.md, "The path of a record".
Leaves:  each step to its own floor; what is on the screen to the CLI.

A record is acknowledged, or its file remembered as taken, only after its outcome is durable in the outbox;
what was durable is sent until the hub has applied it. Whatever happens twice in between changes nothing:
the ledger knows the content, the hub knows the id.
"""

from __future__ import annotations

import fcntl
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from adapters.cycle.mapping import Mapping
from adapters.hl7v2.acknowledgement import acknowledge
from adapters.hl7v2.framing import Frame
from adapters.outbox import Outbox
from adapters.outbox.sealing import ID_KEY_FILE, OutboxFull, make_data_folder, new_key, read_key
from adapters.primary import Masters, Skipped, is_single_row
from adapters.primary.tables import Table, read_table
from adapters.readers.folder import StableFile, stable_files
from adapters.readers.mllp import MllpListener, NotTaken
from adapters.sender import Retry, Sender
from adapters.sender.client_key import read_client_key
from adapters.sender.hub import HubClient
from adapters.settings import Settings
from adapters.source_record import Mapped, Outcome, Refusal, Refused, SourceRecord

_log = logging.getLogger("adapters.cycle")
_COMMIT_RECORDS: Final = 200
_MAX_FILE_BYTES: Final = 500_000_000
_PATIENT_NOT_IN_MASTER: Final = "A-262"
_REJECTED_TYPES: Final = frozenset({"A-201", "A-202", "A-203", "A-204", "A-221"})


class AlreadyRunning(Exception):  # noqa: N818 - a state of the site, told to the IT desk
    """Another process has this site's outbox."""


class Cycle:
    """One site: its mapping, its outbox, and the runs over them."""

    def __init__(self, settings: Settings, outbox: Outbox) -> None:
        self.settings = settings
        self.outbox = outbox
        self.mapping = Mapping(settings, outbox.id_key)
        self._kinds: dict[Path, tuple[str, str]] = {}
        self._masters = Masters()

    # --- reading ---------------------------------------------------------------------------------

    def read_folder(self, stop: threading.Event | None = None) -> int:
        """Take every file that is new or changed; how many outcomes were new."""
        settings = self.settings
        assert settings.source_folder is not None
        files = list(stable_files(settings.source_folder, settings.file_pattern, settings.settle_seconds))
        if settings.source_kind == "his-trama":
            return self._read_his(files, stop)
        count = 0
        for file in files:
            if (stop and stop.is_set()) or self._is_taken(file):
                continue
            content = _content(file)
            if content is None:
                continue
            mark = self.outbox.content_mark(content)
            if not self._is_restated(file, mark):
                count += self._accept(self.mapping.of_file(file, content), stop)
            if not (stop and stop.is_set()):
                self.outbox.file_taken(file.path.name, file.stamp, mark)
        return count

    def _read_his(self, files: list[StableFile], stop: threading.Event | None) -> int:
        """Masters first, patients next, months last; a new master also repairs visits that waited for it."""
        if all(self._is_read(file) for file in files):
            return 0
        count = 0
        tables = list(self._tables(files))
        for kind in ("patients", "trama"):
            for file, table, mark in tables:
                if table.kind == kind and not (stop and stop.is_set()) and not self._is_taken(file):
                    count += self._take_table(file, table, mark, stop)
        return count

    def _is_read(self, file: StableFile) -> bool:
        stamp, kind = self._kinds.get(file.path, ("", ""))
        return stamp == file.stamp and (kind not in {"patients", "trama"} or self._is_taken(file))

    def _tables(self, files: list[StableFile]) -> Iterator[tuple[StableFile, Table, str]]:
        """The tables that are new, and every master; what is in the masters is remembered on the way."""
        for file in files:
            if self._is_read(file) and self._kinds[file.path][1] in {"trama", "unknown"}:
                continue
            content = _content(file)
            table = read_table(file.path.name, content) if content is not None else None
            self._kinds[file.path] = (file.stamp, table.kind if table else "unknown")
            if table is None:
                if content:
                    self.outbox.accept([self.mapping.of_unknown_file(file, content)])
                continue
            assert content is not None
            self._masters.add(table)
            yield file, table, self.outbox.content_mark(content)

    def _take_table(self, file: StableFile, table: Table, mark: str, stop: threading.Event | None) -> int:
        count = 0
        if not self._is_restated(file, mark):
            skipped = Skipped()
            count = self._accept(self.mapping.of_table(table, file, self._masters, skipped), stop)
            self.outbox.tally("group_activity_rows", skipped.group_activity_rows)
            if table.kind == "patients":
                self.retry(code=_PATIENT_NOT_IN_MASTER)
        if not (stop and stop.is_set()):
            self.outbox.file_taken(file.path.name, file.stamp, mark)
        return count

    def _is_taken(self, file: StableFile) -> bool:
        known = self.outbox.file_state(file.path.name)
        return known is not None and known[0] == file.stamp

    def _is_restated(self, file: StableFile, mark: str) -> bool:
        known = self.outbox.file_state(file.path.name)
        return known is not None and known[1] == mark

    def _accept(self, outcomes: Iterator[Outcome], stop: threading.Event | None) -> int:
        count = 0
        for some in _chunks(outcomes):
            if stop and stop.is_set():
                return count
            count += sum(answer in {"new", "refused"} for answer in self.outbox.accept(some))
        return count

    def take_frame(self, frame: Frame) -> bytes:
        """A frame from the port: durable first, then its acknowledgement.

        Raises: NotTaken - the outbox has no room: silence is the only honest answer.
        """
        message, outcome = self.mapping.of_message(frame.content, "MLLP")
        if frame.is_broken:
            refusal = Refusal(
                "mapping", "A-205", "El mensaje llegó cortado: empezó otro antes de que terminara."
            )
            outcome = Refused(outcome.record, refusal)
        try:
            self.outbox.accept([outcome])
        except OutboxFull:
            raise NotTaken from None
        if frame.is_broken:
            return b""
        if isinstance(outcome, Mapped):
            return acknowledge(message, "AA", raw=frame.content)
        refusal = outcome.refusal
        code = "AR" if refusal.code in _REJECTED_TYPES else "AE"
        _log.warning("%s refused message=%s", refusal.code, outcome.record.message_id(self.outbox.id_key))
        text = f"{refusal.code} {refusal.text}"
        return acknowledge(message, code, raw=frame.content, text=text, location=refusal.location)

    # --- quarantine ------------------------------------------------------------------------------

    def retry(self, *, numbers: set[int] | None = None, code: str | None = None) -> tuple[int, int]:
        """Map quarantined records again with today's tables; how many wait to be sent, how many stay."""
        freed = stayed = 0
        for item in self.outbox.quarantined():
            if (numbers is not None and item["number"] not in numbers) or (code and item["code"] != code):
                continue
            record = self.outbox.source_record(item["number"])
            if record is not None and self._put_back(item["number"], record):
                freed += 1
            else:
                stayed += 1
        return freed, stayed

    def _put_back(self, number: int, record: SourceRecord) -> bool:
        """Queue a record again; for a single row of HIS, part of a visit, its files are read anew instead."""
        outcome = self._again(record)
        if not is_single_row(record):
            return self.outbox.requeue(number, outcome)
        if isinstance(outcome, Refused) and outcome.refusal.code != _PATIENT_NOT_IN_MASTER:
            return self.outbox.requeue(number, outcome)
        self.outbox.discard(number)
        self.outbox.forget_files()
        return True

    def _again(self, record: SourceRecord) -> Outcome:
        if self.settings.source_kind == "his-trama" and not self._masters.patients:
            self._load_masters()
        return self.mapping.of_record(record, self._masters)

    def _load_masters(self) -> None:
        folder = self.settings.source_folder
        if folder is not None and folder.is_dir():
            for file in stable_files(folder, self.settings.file_pattern, 0):
                content = _content(file)
                table = read_table(file.path.name, content) if content is not None else None
                if table is not None and table.kind != "trama":
                    self._masters.add(table)

    # --- running ---------------------------------------------------------------------------------

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
        )
        sender = Sender(
            self.outbox,
            hub,
            retry=Retry(settings.retry_first_seconds, settings.retry_cap_seconds),
            workers=settings.workers,
            batch_records=settings.batch_records,
        )
        try:
            if once:
                if not settings.is_listener:
                    self.read_folder(stop)
                sender.run(stop, until_empty=True)
            else:
                self._run_on(stop, sender, announce)
        finally:
            hub.close()
        return sender.barred

    def _run_on(self, stop: threading.Event, sender: Sender, announce: Callable[[str], None]) -> None:
        settings = self.settings
        if settings.is_listener:
            listener = MllpListener(
                settings.mllp_host,
                settings.mllp_port,
                self.take_frame,
                max_message_bytes=settings.max_message_bytes,
                idle_seconds=settings.mllp_idle_seconds,
                max_connections=settings.max_connections,
            )
            announce(f"A-210 escuchando MLLP en {settings.mllp_host}:{listener.port}")
            try:
                sender.run(stop)
            finally:
                listener.stop()
        else:
            reader = threading.Thread(target=self._keep_reading, args=(stop,), name="reader")
            reader.start()
            announce(f"A-240 leyendo {settings.source_folder}")
            try:
                sender.run(stop)
            finally:
                stop.set()
                reader.join()

    def _keep_reading(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.read_folder(stop)
            except OutboxFull:
                _log.error("A-501 no room for more records: reading waits")
            except OSError:
                _log.warning("A-502 source folder cannot be read: trying again")
            stop.wait(self.settings.poll_seconds)


def preview(settings: Settings, path: Path | None) -> Iterator[Outcome]:
    """The outcomes of a file, or of the whole folder, without touching the outbox.

    A site that has sent nothing yet has no key of ids: the ids shown are then of this one look.
    """
    id_key = read_key(settings.data_folder / ID_KEY_FILE) or new_key()
    mapping, masters = Mapping(settings, id_key), Masters()
    folder = settings.source_folder
    files = list(stable_files(folder, settings.file_pattern, 0)) if folder and folder.is_dir() else []
    if path is not None:
        stat = path.stat()
        chosen = StableFile(path, "", stat.st_mtime, stat.st_size)
    if settings.source_kind != "his-trama":
        for file in [chosen] if path is not None else files:
            content = _content(file)
            if content is not None:
                yield from mapping.of_file(file, content)
        return
    tables: list[tuple[StableFile, Table]] = []
    for file in files if path is None else [*(item for item in files if item.path != path), chosen]:
        content = _content(file)
        table = read_table(file.path.name, content) if content is not None else None
        if table is not None:
            masters.add(table)
            tables.append((file, table))
    for kind in ("patients", "trama"):
        for file, table in tables:
            if table.kind == kind and (path is None or file is chosen):
                yield from mapping.of_table(table, file, masters, Skipped())


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


def _content(file: StableFile) -> bytes | None:
    if file.size_bytes > _MAX_FILE_BYTES:
        _log.warning("A-503 file exceeds the bound and is skipped")
        return None
    try:
        return file.path.read_bytes()
    except OSError:
        _log.warning("A-502 file cannot be read: trying again")
        return None


def _chunks(outcomes: Iterator[Outcome]) -> Iterator[tuple[Outcome, ...]]:
    while some := tuple(islice(outcomes, _COMMIT_RECORDS)):
        yield some
