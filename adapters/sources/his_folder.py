"""A folder of HIS exports: masters first, patients next, births, months last.

Spec:    docs/adapters.md, "HIS".
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from adapters.outbox import Outbox
from adapters.primary import (
    Masters,
    Post,
    Skipped,
    is_single_row,
    map_births,
    map_patients,
    map_record,
    map_trama,
)
from adapters.primary.tables import Table, read_table
from adapters.readers.folder import StableFile, stable_files
from adapters.settings import Settings
from adapters.settings.his import HisSettings
from adapters.source_record import Outcome, Refusal, Refused, SourceRecord
from adapters.source_record.moment import file_instant
from adapters.sources.folder_source import chosen, content_of, is_restated, is_taken
from adapters.sources.source import Source

_OF_PATIENTS: Final = ("patients", "births", "trama")
_KEPT_OF_UNKNOWN_BYTES: Final = 1_000_000
_PATIENT_NOT_IN_MASTER: Final = "A-262"


class HisFolder(Source):
    """Tables that lean on one another: a new master also repairs visits that waited for it."""

    def __init__(self, settings: Settings, id_key: bytes) -> None:
        super().__init__(settings, id_key)
        assert isinstance(settings.own, HisSettings)
        self._post = Post(self.origin, settings.zone, self.codes, settings.own.internal_ids)
        self._kinds: dict[Path, tuple[str, str]] = {}
        self._masters = Masters()

    def read(self, outbox: Outbox, stop: threading.Event | None = None) -> int:
        """Take every table that is new or changed."""
        files = self._files(self.settings.settle_seconds)
        if all(self._is_read(outbox, file) for file in files):
            return 0
        count = 0
        tables = list(self._tables(outbox, files))
        for kind in _OF_PATIENTS:
            for file, table, mark in tables:
                if table.kind == kind and not (stop and stop.is_set()) and not is_taken(outbox, file):
                    count += self._take_table(outbox, file, table, mark, stop)
        return count

    def preview(self, path: Path | None) -> Iterator[Outcome]:
        """What the tables say; every master of the folder is read, also where one file is asked for."""
        folder = self.settings.source_folder
        files = self._files(0) if folder is not None and folder.is_dir() else []
        asked = chosen(path) if path is not None else None
        if asked is not None:
            files = [*(file for file in files if file.path != path), asked]
        masters = Masters()
        tables: list[tuple[StableFile, Table]] = []
        for file in files:
            content = content_of(file)
            table = read_table(file.path.name, content) if content is not None else None
            if table is not None:
                masters.add(table)
                tables.append((file, table))
        for kind in _OF_PATIENTS:
            for file, table in tables:
                if table.kind == kind and (asked is None or file is asked):
                    yield from self._outcomes(file, table, masters, Skipped())

    def again(self, record: SourceRecord) -> Outcome:
        """A row that was kept, mapped with today's masters."""
        if not self._masters.patients:
            self._load_masters()
        return self.guarded(lambda: map_record(self._post, self._masters, record), record.original)

    def requeue(self, outbox: Outbox, number: int, record: SourceRecord) -> bool:
        """Queue a record again; for a single row, part of a visit, its files are read anew instead."""
        outcome = self.again(record)
        if not is_single_row(record):
            return outbox.requeue(number, outcome)
        if isinstance(outcome, Refused) and outcome.refusal.code != _PATIENT_NOT_IN_MASTER:
            return outbox.requeue(number, outcome)
        outbox.discard(number)
        outbox.forget_files()
        return True

    def _files(self, settle_seconds: float) -> list[StableFile]:
        folder = self.settings.source_folder
        assert folder is not None
        return list(stable_files(folder, self.settings.file_pattern, settle_seconds))

    def _is_read(self, outbox: Outbox, file: StableFile) -> bool:
        stamp, kind = self._kinds.get(file.path, ("", ""))
        return stamp == file.stamp and (kind not in _OF_PATIENTS or is_taken(outbox, file))

    def _tables(self, outbox: Outbox, files: list[StableFile]) -> Iterator[tuple[StableFile, Table, str]]:
        """The tables that are new, and every master; what is in the masters is remembered on the way."""
        for file in files:
            if self._is_read(outbox, file) and self._kinds[file.path][1] in {"births", "trama", "unknown"}:
                continue
            content = content_of(file)
            table = read_table(file.path.name, content) if content is not None else None
            self._kinds[file.path] = (file.stamp, table.kind if table else "unknown")
            if table is None:
                if content:
                    outbox.accept([self._of_unknown_file(file, content)])
                continue
            assert content is not None
            self._masters.add(table)
            yield file, table, outbox.content_mark(content)

    def _take_table(
        self, outbox: Outbox, file: StableFile, table: Table, mark: str, stop: threading.Event | None
    ) -> int:
        count = 0
        if not is_restated(outbox, file, mark):
            skipped = Skipped()
            count = self.take(outbox, self._outcomes(file, table, self._masters, skipped), stop)
            outbox.tally("group_activity_rows", skipped.group_activity_rows)
            if table.kind == "patients":
                self.retry(outbox, code=_PATIENT_NOT_IN_MASTER)
        if not (stop and stop.is_set()):
            outbox.file_taken(file.path.name, file.stamp, mark)
        return count

    def _outcomes(
        self, file: StableFile, table: Table, masters: Masters, skipped: Skipped
    ) -> Iterator[Outcome]:
        file_time = file_instant(file.modified_at)
        if table.kind == "patients":
            return map_patients(self._post, table, file_time)
        if table.kind == "births":
            return map_births(self._post, masters, table, file_time)
        return map_trama(self._post, masters, table, file_time, skipped)

    def _of_unknown_file(self, file: StableFile, content: bytes) -> Refused:
        """A file whose header belongs to no table of HIS: kept so that somebody asks why it is there."""
        record = SourceRecord(
            facility=self.origin.renipress,
            system=self.origin.system,
            natural_key=f"archivo|{file.path.name}",
            patient_key="",
            original=content[:_KEPT_OF_UNKNOWN_BYTES],
            received_at=file_instant(file.modified_at),
            location=file.path.name,
        )
        text = (
            "La cabecera no es de una trama ni de un maestro del HIS: falta una columna o sobra el archivo."
        )
        return Refused(record, Refusal("mapping", "A-250", text, location=file.path.name))

    def _load_masters(self) -> None:
        folder = self.settings.source_folder
        if folder is not None and folder.is_dir():
            for file in self._files(0):
                content = content_of(file)
                table = read_table(file.path.name, content) if content is not None else None
                if table is not None and table.kind not in {"births", "trama"}:
                    self._masters.add(table)
