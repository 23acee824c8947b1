"""The official examples of R4, from the npm package hl7.fhir.r4.examples 4.0.1 (CC0).

They are read from CHASQUI_R4_EXAMPLES, a .tgz, or from var/conformance, into which `npm pack` fetches them once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "hl7.fhir.r4.examples@4.0.1"
FILE = "hl7.fhir.r4.examples-4.0.1.tgz"
CACHE = Path(__file__).resolve().parents[2] / "var" / "conformance"
EXAMPLES = 5_306
ABSENT = f"{FILE} is neither in var/conformance nor in CHASQUI_R4_EXAMPLES, and npm did not fetch it"
NO_EXAMPLES = ("package.json", ".index.json")


@cache
def archive() -> Path | None:
    """The package's file; None where it is neither here nor to be had."""
    given = os.environ.get("CHASQUI_R4_EXAMPLES")
    if given:
        return Path(given) if Path(given).exists() else None
    kept = CACHE / FILE
    npm = shutil.which("npm")
    if not kept.exists() and npm:
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            command = [npm, "pack", PACKAGE, "--silent", "--fetch-retries=0", "--fetch-timeout=20000"]
            subprocess.run(command, cwd=folder, check=False, timeout=90, capture_output=True)
            fetched = Path(folder) / FILE
            if fetched.exists():
                fetched.rename(kept)
    return kept if kept.exists() else None


def examples(largest_bytes: int | None = None, every: int = 1) -> Iterator[tuple[str, bytes]]:
    """Name and text of each example up to a size, or of each n-th; none where the package is not to be had."""
    found = archive()
    if found is None:
        return
    with tarfile.open(found) as package:
        members = [each for each in package.getmembers() if each.name.endswith(".json")]
        members = sorted(
            (each for each in members if Path(each.name).name not in NO_EXAMPLES), key=lambda each: each.name
        )
        assert len(members) == EXAMPLES
        for member in members[::every]:
            file = package.extractfile(member)
            if file is not None and (largest_bytes is None or member.size <= largest_bytes):
                yield Path(member.name).stem, file.read()
