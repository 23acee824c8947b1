"""Files of a folder, each when nobody writes to it any more; nothing of the source is ever changed.

Spec:    docs/adapters.md, "Folders".
Leaves:  remembering what was taken to the outbox; meaning to the mappers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HIDDEN = (".", "~")


@dataclass(frozen=True, slots=True)
class StableFile:
    """A file that is not being written. `stamp` changes when the file does. Units: modified_at in seconds."""

    path: Path
    stamp: str
    modified_at: float
    size_bytes: int


def stable_files(folder: Path, pattern: str, settle_seconds: float) -> Iterator[StableFile]:
    """The files that match, in the order of their names, whose size and time have settled.

    Raises: OSError - the folder cannot be read.
    """
    before: dict[Path, tuple[int, int]] = {}
    for path in sorted(folder.iterdir()):
        if _matches(path, pattern):
            found = _stat(path)
            if found is not None:
                before[path] = found
    now = time.time()
    fresh = [path for path, (_, modified) in before.items() if now - modified / 1e9 < settle_seconds]
    if fresh and settle_seconds:
        time.sleep(min(settle_seconds, 1.0))
    for path, stat in before.items():
        if path in fresh and settle_seconds and _stat(path) != stat:
            continue
        size, modified = stat
        yield StableFile(path, f"{size}-{modified}", modified / 1e9, size)


def _matches(path: Path, pattern: str) -> bool:
    return not path.name.startswith(_HIDDEN) and Path(path.name.lower()).match(pattern.lower())


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        if path.is_symlink() or not path.is_file():
            return None
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
