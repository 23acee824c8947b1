"""A file that is there whole or not at all: written beside its place, durable, then renamed.

Spec:    POSIX.1-2017, rename(), fsync().
Leaves:  what is written to its caller.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from exchange.problems import Conflict, Unavailable


class NewFile:
    """What is being written, and its digest so far. Units: digest SHA-256; size bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = sha256()
        self.size = 0

    def write(self, content: bytes) -> None:
        """Write more."""
        self._file.write(content)
        self._digest.update(content)
        self.size += len(content)

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that was written."""
        return self._digest.digest()


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """A file of its owner alone, under its name when the block has ended well, and nowhere when it has not.

    What a killed process leaves beside the name is taken over by the next one that writes there.

    Raises: Conflict - the name is taken, or somebody writes there just now; Unavailable - the disk does not take it.
    """
    if path.exists():
        raise Conflict("the file is there already: a backup is never written over")
    beside = path.with_name(f".{path.name}.partial")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            _take(file)
            try:
                yield NewFile(file)
                file.flush()
                os.fsync(file.fileno())
                beside.rename(path)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise
        _sync_folder(path.parent)
    except OSError as error:
        raise Unavailable(f"the file cannot be written: {error.strerror}") from None


def _take(file: BinaryIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Conflict("another command writes this file just now") from None
    os.fchmod(file.fileno(), 0o600)
    file.truncate(0)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
