"""A small disk of its own for an adapter's data folder, which can be filled to the last byte."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

SIZE = "48m"


class SmallDisk:
    """A tmpfs on a folder; where it may not be mounted (only root may), nothing is ever full, and `fillings` stays 0."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True)
        self._folder, self._filler = folder, folder / "filler"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        )
        self.is_mounted = done.returncode == 0
        self.fillings = 0

    def fill(self) -> None:
        if self.is_mounted:
            self.fillings += 1
            with suppress(OSError), self._filler.open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(65536))

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", str(self._folder)], capture_output=True, check=False)
