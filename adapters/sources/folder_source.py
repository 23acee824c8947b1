"""A folder whose every file holds messages or documents of its own: taken once, in the order of their names."""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from adapters.outbox import Outbox
from adapters.readers.folder import StableFile, stable_files
from adapters.source_record import Outcome
from adapters.sources.source import Source

_log = logging.getLogger("adapters.sources")
_MAX_FILE_BYTES: Final = 500_000_000


class FolderSource(Source):
    """Files that stand for themselves; a file written again is read again, and its known content changes nothing."""

    @abstractmethod
    def outcomes(self, file: StableFile, content: bytes) -> Iterator[Outcome]:
        """What one file says."""

    def read(self, outbox: Outbox, stop: threading.Event | None = None) -> int:
        """Take every file that is new or changed."""
        count = 0
        for file in self.files(self.settings.settle_seconds):
            if (stop and stop.is_set()) or is_taken(outbox, file):
                continue
            content = content_of(file)
            if content is None:
                continue
            mark = outbox.content_mark(content)
            if not is_restated(outbox, file, mark):
                count += self.take(outbox, self.outcomes(file, content), stop)
            if not (stop and stop.is_set()):
                outbox.file_taken(file.path.name, file.stamp, mark)
        return count

    def preview(self, path: Path | None) -> Iterator[Outcome]:
        """One file's outcomes, or the whole folder's."""
        for file in self.files(0) if path is None else [chosen(path)]:
            content = content_of(file)
            if content is not None:
                yield from self.outcomes(file, content)

    def files(self, settle_seconds: float) -> list[StableFile]:
        """The files that nobody writes to any more. Raises: OSError."""
        folder = self.settings.source_folder
        assert folder is not None
        return list(stable_files(folder, self.settings.file_pattern, settle_seconds))


def is_taken(outbox: Outbox, file: StableFile) -> bool:
    """Whether this file was taken as it is."""
    known = outbox.file_state(file.path.name)
    return known is not None and known[0] == file.stamp


def is_restated(outbox: Outbox, file: StableFile, mark: str) -> bool:
    """Whether a file was written again with the content that it had."""
    known = outbox.file_state(file.path.name)
    return known is not None and known[1] == mark


def chosen(path: Path) -> StableFile:
    """A file that somebody names. Raises: OSError - there is no such file."""
    stat = path.stat()
    return StableFile(path, "", stat.st_mtime, stat.st_size)


def content_of(file: StableFile) -> bytes | None:
    """A file's bytes, within bounds."""
    if file.size_bytes > _MAX_FILE_BYTES:
        _log.warning("A-503 file exceeds the bound and is skipped")
        return None
    try:
        return file.path.read_bytes()
    except OSError:
        _log.warning("A-502 file cannot be read: trying again")
        return None
