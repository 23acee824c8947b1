"""Which version of each resource the hub holds, so that a delivery that arrives late overwrites nothing newer.

Spec:    https://hl7.org/fhir/R4/http.html#concurrency; docs/adapters.md, "Delivery".
Leaves:  what to try next when a condition did not hold to the sender.

A request whose answer never came may still be applied, long after the next version was. So each PUT says on
what it builds: nothing, or the version that this site was told. It holds for one attempt only once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final

from adapters.outbox.spool import Spool, Waiting, WireEntry

Condition = Mapping[str, str]

_ANYTHING: Final[Condition] = {}
_NOTHING_YET: Final[Condition] = {"ifNoneMatch": "*"}
_FIRST: Final = 'W/"1"'
_ETAG: Final = re.compile(r'W/"(\d{1,9})"')


class Builds(IntEnum):
    """On what a delivery builds: what was there before it; itself, applied unheard; or on anything."""

    BEFORE = 0
    ITSELF = 1
    ANYTHING = 2


class Versions(Spool):
    """What the hub told of the resources that it holds for this site."""

    def conditions(self, entries: Sequence[WireEntry], builds: Builds) -> list[Condition]:
        """What must hold on the hub for each entry to be written."""
        if builds is Builds.ANYTHING:
            return [_ANYTHING] * len(entries)
        with self._lock:
            return [self._condition(entry, builds) for entry in entries]

    def _condition(self, entry: WireEntry, builds: Builds) -> Condition:
        if entry.url.startswith("Provenance/"):
            return _ANYTHING  # its id is of its content
        row = self._row(
            "SELECT etag, content_mark FROM version WHERE resource_hash = ?", self._version_of(entry)
        )
        if row is None:
            return _NOTHING_YET if builds is Builds.BEFORE else {"ifMatch": _FIRST}
        etag, mark = row
        if builds is Builds.ITSELF and mark != self._mark(entry):
            etag = _next(etag)
        return {"ifMatch": etag} if etag else _ANYTHING

    def _remember_versions(self, waiting: Waiting, etags: Mapping[str, str]) -> None:
        for entry in waiting.entries:
            if not entry.url.startswith("Provenance/"):
                self._run(
                    "INSERT OR REPLACE INTO version VALUES (?, ?, ?, ?, ?)",
                    self._version_of(entry),
                    etags.get(entry.url, ""),
                    self._mark(entry),
                    waiting.group,
                    waiting.sequence,
                )

    def _version_of(self, entry: WireEntry) -> str:
        return self._seals.hash("version", entry.url)

    def _mark(self, entry: WireEntry) -> str:
        digest = hashlib.sha256(bytes(entry.resource)).hexdigest()
        return self._seals.hash("version content", f"{entry.url}|{digest}")[:16]


def _next(etag: str) -> str:
    """The version after a version, where versions are numbers."""
    found = _ETAG.fullmatch(etag)
    return f'W/"{int(found.group(1)) + 1}"' if found else ""
