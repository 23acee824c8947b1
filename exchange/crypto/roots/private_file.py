"""Files that hold a secret: read whole, in bounds, and only where nobody but their owner can read them.

Leaves:  what the secret is good for to the other files of this room.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from exchange.problems import SealBroken

MOST_BYTES: Final = 64 * 1024
_OTHERS: Final = 0o077


def read_private(path: Path, what: str) -> str:
    """The text of a secret's file.

    Raises: SealBroken - absent, unreadable, open to others, no file, or too large.
    """
    try:
        with path.open("rb") as file:
            # The file that was opened is judged, not what its name means a moment later.
            found = os.fstat(file.fileno())
            if found.st_mode & _OTHERS:
                raise SealBroken(f"{what} is open to others: chmod 600 it")
            if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
                raise SealBroken(f"{what} is no file of a few lines")
            return file.read(MOST_BYTES).decode("utf-8", errors="replace")
    except OSError as error:
        raise SealBroken(f"{what} cannot be read: {error.strerror}") from None


def write_private(path: Path, text: str) -> None:
    """Replace a secret's file by a new one, durable before the old one is gone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise SealBroken(f"a secret's file cannot be written: {error.strerror}") from None
