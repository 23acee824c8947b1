"""A FHIR server read by exports: asked for, waited for, taken line by line, and taken up again after a power cut.

Spec:    https://hl7.org/fhir/uv/bulkdata/STU2/export.html
Leaves:  what a line says to adapters.fhir_server.

What is durable: the address where the export is waited for, and how many lines of which file were taken with their
records. Where the server has forgotten the export, another one is asked for: what was taken changes nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from adapters.fhir_server import MAX_RESOURCE_BYTES
from adapters.outbox import Outbox
from adapters.readers.web import not_as_asked, retry_after

if TYPE_CHECKING:
    from adapters.sources.fhir_server import FhirServer

_log = logging.getLogger("adapters.sources")
_JSON: Final = "application/json"
_NDJSON: Final = "application/fhir+ndjson"
_FHIR_JSON: Final = "application/fhir+json"
_STATE: Final = "fhir.export"
_SINCE: Final = "fhir.export.since"
_DONE: Final = "fhir.export.done"
_LINES_A_COMMIT: Final = 200
_POLL_SECONDS: Final = 5.0
_LONGEST_POLL_SECONDS: Final = 120.0
_MAX_FILES: Final = 10_000
_OK: Final = 200
_ACCEPTED: Final = 202
_GONE: Final = frozenset({404, 410})


class _File(msgspec.Struct):
    url: str
    type: str = ""


class _Manifest(msgspec.Struct):
    transactionTime: str  # noqa: N815 - the specification's own name
    output: list[_File]
    deleted: list[_File] = []


class State(msgspec.Struct):
    """An export on its way: where it is waited for, and how much of it was taken."""

    status_url: str
    file: int = 0
    line: int = 0


class _Gone(Exception):  # noqa: N818 - a state of the server
    """The server has forgotten the export."""


class Export:
    """One round: the export that is on its way, or a new one where it is time for it."""

    def __init__(self, source: FhirServer, outbox: Outbox, stop: threading.Event) -> None:
        self._source = source
        self._outbox = outbox
        self._stop = stop

    def read(self) -> int:
        """Take an export, whole or as far as there is time. Raises: OutboxFull, WebUnavailable."""
        state = self._state()
        if state is None:
            if not self._is_time():
                return 0
            state = self._begin()
        try:
            manifest = self._wait(state)
            if manifest is None:
                return 0
            count = self._take(state, manifest)
        except _Gone:
            _log.warning("A-628 the export has expired: another one is asked for")
            self._outbox.accept([], {_STATE: ""})
            return 0
        if not self._stop.is_set():
            now = self._source.now().isoformat()
            self._outbox.accept([], {_STATE: "", _SINCE: manifest.transactionTime, _DONE: now})
            self._source.web.get(state.status_url, accept=_JSON, method="DELETE")
        return count

    def _state(self) -> State | None:
        text = self._outbox.checkpoint(_STATE)
        return msgspec.json.decode(text, type=State) if text else None

    def _is_time(self) -> bool:
        done = self._outbox.checkpoint(_DONE)
        if not done:
            return True
        apart = timedelta(hours=self._source.own.export_hours_apart)
        now = self._source.now()
        return not datetime.fromisoformat(done) <= now < datetime.fromisoformat(done) + apart

    def _begin(self) -> State:
        """Ask for an export of what changed since the last one."""
        own = self._source.own
        path = f"Group/{own.group}/$export" if own.group else "$export"
        asked = [("_outputFormat", _NDJSON), ("_type", ",".join(own.types))]
        if since := self._outbox.checkpoint(_SINCE):
            asked.append(("_since", since))
        headers = {"Prefer": "respond-async"}
        answer = self._source.web.get(self._source.url(path), asked, accept=_FHIR_JSON, headers=headers)
        address = answer.headers.get("content-location", "")
        if answer.status != _ACCEPTED or not address:
            raise not_as_asked(f"status {answer.status}")
        self._source.web.require_own(address)
        state = State(address)
        self._keep(state)
        return state

    def _wait(self, state: State) -> _Manifest | None:
        """The list of files, once there is one; nothing where reading was stopped. Raises: _Gone, WebUnavailable."""
        while not self._stop.is_set():
            answer = self._source.web.get(state.status_url, accept=_JSON)
            if answer.status in _GONE:
                raise _Gone
            if answer.status == _OK:
                return _manifest(answer.body)
            if answer.status != _ACCEPTED:
                self._outbox.accept([], {_STATE: ""})
                raise not_as_asked(f"status {answer.status}")
            told = retry_after(answer.headers)
            self._stop.wait(min(_POLL_SECONDS if told is None else told, _LONGEST_POLL_SECONDS))
        return None

    def _take(self, state: State, manifest: _Manifest) -> int:
        """File after file, patients first; of what is deleted, last. Raises: _Gone, WebUnavailable."""
        types = self._source.own.types
        taken = [each for each in manifest.output if each.type in types]
        taken.sort(key=lambda each: types.index(each.type))
        count = 0
        for number, file in enumerate([*taken, *manifest.deleted][:_MAX_FILES]):
            if number < state.file:
                continue
            if number > state.file:
                state.file, state.line = number, 0
            is_deleted = number >= len(taken)
            with self._source.web.lines(file.url, accept=_NDJSON, max_line_bytes=MAX_RESOURCE_BYTES) as found:
                status, lines = found
                if status in _GONE:
                    raise _Gone
                if status != _OK:
                    raise not_as_asked(f"status {status}")
                rest = islice(lines, state.line, None)
                while some := list(islice(rest, _LINES_A_COMMIT)):
                    if self._stop.is_set():
                        return count
                    count += (
                        self._deleted(some, manifest.transactionTime)
                        if is_deleted
                        else self._lines(some, state)
                    )
                    state.line += len(some)
                    if is_deleted:
                        self._keep(state)
        return count

    def _lines(self, lines: list[bytes], state: State) -> int:
        outcomes = self._source.outcomes(self._outbox, [line for line in lines if line.strip()])
        after = State(state.status_url, state.file, state.line + len(lines))
        answers = self._outbox.accept(outcomes, {_STATE: msgspec.json.encode(after).decode()})
        return sum(answer in {"new", "refused"} for answer in answers)

    def _deleted(self, lines: list[bytes], at: str) -> int:
        names = [name for line in lines for name in _deleted_names(line)]
        return sum(self._source.deleted(self._outbox, name, at) for name in names)

    def _keep(self, state: State) -> None:
        self._outbox.accept([], {_STATE: msgspec.json.encode(state).decode()})


def _manifest(body: bytes) -> _Manifest:
    try:
        found = msgspec.json.decode(body, type=_Manifest)
        if datetime.fromisoformat(found.transactionTime).tzinfo is not None:
            return found
        raise not_as_asked("no time of the export")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise not_as_asked("no list of files") from None


def _deleted_names(line: bytes) -> Iterator[str]:
    """What the Bundles of a file of deletions name."""
    try:
        found: Any = msgspec.json.decode(line or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    entries = found.get("entry") if isinstance(found, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        request = entry.get("request") if isinstance(entry, dict) else None
        if (
            isinstance(request, dict)
            and request.get("method") == "DELETE"
            and isinstance(request.get("url"), str)
        ):
            yield request["url"]
