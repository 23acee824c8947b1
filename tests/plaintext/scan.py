"""Tells a hub of an invented region, and looks for what it was told wherever it left bytes."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.passage.live_hub import live_hub
from tests.plaintext.filling import fill
from tests.plaintext.needles import Needle, a_haystack
from tests.plaintext.places import DATA, PLACES, TABLES, TALKATIVE, Places
from tests.plaintext.search import Hit, Search
from tests.sample.database import an_embedded_server

NEEDLES_OF_A_PERSON = 7
FEWEST_PEOPLE = 12


@dataclass
class Found:
    """What a scan came to."""

    bytes_read: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    hits: list[tuple[str, Needle, Hit]] = field(default_factory=list)
    allowed: Counter[str] = field(default_factory=Counter)

    def by_place(self) -> Counter[tuple[str, str]]:
        return Counter((place, needle.kind) for place, needle, _ in self.hits)


@dataclass
class Scan:
    """A filled hub, and the needles that it was told."""

    places: Places
    needles: list[Needle]
    held: int
    filled_seconds: float

    def __post_init__(self) -> None:
        self._needle_of = {each.text: each for each in self.needles}
        self._search = Search(self._needle_of)

    def of(self, *places: str) -> Found:
        """Look into some places."""
        found = Found()
        for place in places:
            with self.places.files(place) as files:
                found.files[place] = len(files)
                found.bytes_read[place] = sum(each.stat().st_size for each in files if each.exists())
                for hit in self._search.in_files(files):
                    needle = self._needle_of[hit.text]
                    if self.places.is_allowed(place, needle.kind, hit):
                        found.allowed[place] += 1
                    else:
                        found.hits.append((place, needle, hit))
        return found

    def everywhere(self) -> Found:
        return self.of(*PLACES)


@contextmanager
def a_scan(wanted: int, seed: int = 11) -> Iterator[Scan]:
    """A hub on a server of its own that says all it can, told of so many needles.

    What an empty hub holds already - words of PostgreSQL's catalogue - tells nothing of anybody and is not looked for.
    """
    haystack = a_haystack(max(FEWEST_PEOPLE, wanted // NEEDLES_OF_A_PERSON), seed)
    with (
        tempfile.TemporaryDirectory(prefix="chscan") as made,
        an_embedded_server(TALKATIVE) as server,
        live_hub(server) as hub,
    ):
        folder = Path(made)
        every = haystack.needles()
        empty = Places(hub.world, None, folder)
        held = _held(empty, every)
        began = time.monotonic()
        left = fill(hub, haystack, folder)
        needles = [each for each in every if each.text not in held][:wanted]
        assert len(needles) == wanted, f"the region has {len(needles)} needles only"
        yield Scan(Places(hub.world, left, folder), needles, len(held), time.monotonic() - began)


def _held(empty: Places, needles: list[Needle]) -> set[str]:
    search = Search(each.text for each in needles)
    found: set[str] = set()
    for place in (DATA, TABLES):
        with empty.files(place) as files:
            found |= {hit.text for hit in search.in_files(files)}
    return found
