"""Looks for many texts in many files at once, in every form: grep with fixed strings, in one pass over the bytes.

Leaves:  which texts to needles; which files to places.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.plaintext.forms import forms, plain_forms

BESIDE_BYTES = 40
FILES_AT_ONCE = 500
_RANDOM = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,}", re.IGNORECASE
)


@dataclass(frozen=True)
class Hit:
    """A text that stands where nobody may read it."""

    text: str
    file: Path
    offset: int


class Search:
    """Texts to look for. `is_encoded` looks for UTF-16, hexadecimal, base64 and escaped forms too."""

    def __init__(self, texts: Iterable[str], *, is_encoded: bool = True) -> None:
        of = forms if is_encoded else plain_forms
        self._text_of = {form: text for text in texts for form in of(text)}
        assert not any(b"\n" in form for form in self._text_of)

    def in_files(self, files: Sequence[Path]) -> list[Hit]:
        """Every text that stands in a file, with its place."""
        found: list[Hit] = []
        for begin in range(0, len(files), FILES_AT_ONCE):
            some = [str(each) for each in files[begin : begin + FILES_AT_ONCE]]
            done = subprocess.run(
                ["grep", "-a", "-o", "-b", "-H", "-Z", "-s", "-F", "-f", "-", "--", *some],
                input=b"\n".join(self._text_of), capture_output=True, check=False,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            )  # fmt: skip
            missing = [each for each in some if not Path(each).exists()]
            assert done.returncode in (0, 1) or missing, done.stderr
            for line in done.stdout.split(b"\n")[:-1]:
                file, _, rest = line.partition(b"\0")
                offset, _, form = rest.partition(b":")
                hit = Hit(self._text_of[form], Path(os.fsdecode(file)), int(offset))
                if not (form.isdigit() and _is_chance(hit, len(form))):
                    found.append(hit)
        return found

    def in_bytes(self, data: bytes) -> list[str]:
        """Which texts stand in the data, each once; where, is printed."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "data"
            file.write_bytes(data)
            hits = self.in_files([file])
        for hit in hits:
            print(hit.text, data[max(0, hit.offset - BESIDE_BYTES) : hit.offset + 2 * BESIDE_BYTES])
        return sorted({hit.text for hit in hits})


def _is_chance(hit: Hit, length: int) -> bool:
    """Whether a number is a part of a longer one: eight digits within a keyed hash or a random id are chance."""
    with hit.file.open("rb") as file:
        begin = max(0, hit.offset - BESIDE_BYTES)
        file.seek(begin)
        beside = file.read(hit.offset - begin + length + BESIDE_BYTES)
    place = hit.offset - begin
    return any(
        each.start() <= place and place + length <= each.end() and each.end() - each.start() > length
        for each in _RANDOM.finditer(beside)
    )
