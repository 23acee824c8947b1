"""A folder of e-Qhali exports: CSV and Excel, each read as a stream.

Spec:    docs/adapters.md, "e-Qhali".
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from adapters.eqhali import Center, map_export, map_record, open_export, refused_file
from adapters.outbox import Outbox
from adapters.readers.folder import StableFile, stable_files
from adapters.settings import Settings
from adapters.settings.eqhali import EqhaliSettings
from adapters.source_record import Mapped, Outcome, Refusal, SourceRecord
from adapters.source_record.moment import file_instant
from adapters.sources.folder_source import chosen, is_restated, is_taken
from adapters.sources.owners import Nobody, Owners
from adapters.sources.source import Source

_KEPT_OF_UNKNOWN_BYTES: Final = 1_000_000
_SUFFIXES: Final = frozenset({".csv", ".txt", ".xlsx", ".xls"})


class EqhaliFolder(Source):
    """Exports of the FUA detail; one exported again changes only what it says otherwise."""

    def __init__(self, settings: Settings, id_key: bytes) -> None:
        super().__init__(settings, id_key)
        assert isinstance(settings.own, EqhaliSettings)
        self._center = Center(self.origin, settings.zone, self.codes, settings.own.pads_documents)

    def read(self, outbox: Outbox, stop: threading.Event | None = None) -> int:
        """Take every file that is new or changed."""
        count = 0
        for file in self._files(self.settings.settle_seconds):
            if (stop and stop.is_set()) or is_taken(outbox, file):
                continue
            mark = outbox.content_mark(_digest(file.path))
            if not is_restated(outbox, file, mark):
                others: list[int] = []
                count += self.take(
                    outbox, self._outcomes(file, Owners(outbox, self.origin.system), others), stop
                )
                outbox.tally("other_columns", sum(others))
            if not (stop and stop.is_set()):
                outbox.file_taken(file.path.name, file.stamp, mark)
        return count

    def preview(self, path: Path | None) -> Iterator[Outcome]:
        """One file's outcomes, or the whole folder's."""
        for file in self._files(0) if path is None else [chosen(path)]:
            yield from self._outcomes(file, Nobody(), [])

    def again(self, record: SourceRecord) -> Outcome:
        """A row that was kept, mapped with today's settings."""
        return self.guarded(lambda: map_record(self._center, record), record.original)

    def requeue(self, outbox: Outbox, number: int, record: SourceRecord) -> bool:
        """Queue a record again; what was nobody's row is taken under its patient's name."""
        outcome = self.again(record)
        if isinstance(outcome, Mapped) and outcome.record.natural_key != record.natural_key:
            outbox.discard(number)
            outbox.accept([outcome])
            return True
        return outbox.requeue(number, outcome)

    def _files(self, settle_seconds: float) -> list[StableFile]:
        folder = self.settings.source_folder
        assert folder is not None
        found = stable_files(folder, self.settings.file_pattern, settle_seconds)
        return [file for file in found if file.path.suffix.lower() in _SUFFIXES]

    def _outcomes(self, file: StableFile, owner: Owners | Nobody, others: list[int]) -> Iterator[Outcome]:
        file_time = file_instant(file.modified_at)
        with file.path.open("rb") as source:
            try:
                export = open_export(file.path.name, source)
            except Refusal as refusal:
                source.seek(0)
                kept = source.read(_KEPT_OF_UNKNOWN_BYTES)
                yield refused_file(self._center, file.path.name, kept, refusal, file_time)
                return
            others.append(export.other_columns)
            yield from map_export(self._center, export, file_time, owner)


def _digest(path: Path) -> bytes:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").digest()
