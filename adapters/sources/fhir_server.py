"""A FHIR server of the facility: what changed since the last time, type by type, and what it says it deleted.

Spec:    https://hl7.org/fhir/R4/http.html#search, #history; docs/adapters.md, "FHIR servers".
Leaves:  exports to `fhir_export`; meaning to adapters.fhir_server.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.fhir_server import Server, map_resource, missing_patient, withdrawn
from adapters.outbox import Outbox
from adapters.outbox.withdrawal import is_item
from adapters.readers.web import Answer, Web, WebUnavailable, not_as_asked
from adapters.settings import Settings
from adapters.settings.fhir_server import FhirSettings
from adapters.source_record import Mapped, Outcome, SourceRecord
from adapters.source_record.moment import now_instant
from adapters.sources.fhir_export import Export
from adapters.sources.source import Source

_log = logging.getLogger("adapters.sources")
FHIR_JSON: Final = "application/fhir+json"
_JSON_TYPES: Final = frozenset({"application/fhir+json", "application/json"})
_MAX_PAGES: Final = 100_000
_PREVIEWED: Final = 5
_MAX_KNOWN: Final = 50_000
_OK: Final = 200
_NOT_OFFERED: Final = frozenset({400, 404, 405, 501})


class _Link(msgspec.Struct):
    relation: str = ""
    url: str = ""


class _Request(msgspec.Struct):
    method: str = ""
    url: str = ""


class _Search(msgspec.Struct):
    mode: str = "match"


class _Response(msgspec.Struct):
    lastModified: str = ""  # noqa: N815 - FHIR's own name


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b""))
    search: _Search = msgspec.field(default_factory=_Search)
    request: _Request = msgspec.field(default_factory=_Request)
    response: _Response = msgspec.field(default_factory=_Response)


class Page(msgspec.Struct):
    """A Bundle, its resources as the server wrote them."""

    resourceType: str  # noqa: N815 - FHIR's own name
    entry: list[_Entry] = []
    link: list[_Link] = []


class FhirServer(Source):
    """Resources of one server. `now` is the clock of its reading."""

    def __init__(self, settings: Settings, id_key: bytes) -> None:
        super().__init__(settings, id_key)
        assert isinstance(settings.own, FhirSettings)
        self.own = settings.own
        url = self.own.access.url
        self.server = Server(self.origin, url, frozenset(self.own.types), settings.identifier_rules)
        self.web = Web(self.own.access)
        self.known_patients: set[str] = set()
        self.has_history = self.own.reads_deletions
        self._is_r4 = False
        self._kept: set[str] = set()
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def announcement(self) -> str:
        """What the IT desk is told once reading goes on."""
        return "A-620 leyendo el servidor FHIR"

    def check(self) -> None:
        """Ask the server what it is. Raises: WebUnavailable."""
        try:
            self.require_r4()
        finally:
            self.web.close()

    def read(self, outbox: Outbox, stop: threading.Event | None = None) -> int:
        """Take what is new, changed or deleted. Raises: OutboxFull, WebUnavailable."""
        stop = stop or threading.Event()
        try:
            self.require_r4()
            if self.own.is_bulk:
                return Export(self, outbox, stop).read()
            taking = _Taking(self, outbox, stop)
            return sum(taking.changed(kind) for kind in self.own.types) + sum(
                taking.deleted(kind) for kind in self.own.types
            )
        finally:
            self.web.close()

    def preview(self, path: Path | None) -> Iterator[Outcome]:  # noqa: ARG002
        """What some resources of each type would become; nothing is taken."""
        try:
            self.require_r4()
            for kind in self.own.types:
                answer = self.web.get(self.url(kind), [("_count", str(_PREVIEWED))], accept=FHIR_JSON)
                for raw in resources(page_of(answer))[:_PREVIEWED]:
                    yield self.outcome(raw)
        finally:
            self.web.close()

    def again(self, record: SourceRecord) -> Outcome:
        """A resource that was kept, mapped with today's rules."""
        return self.outcome(record.original, record.received_at)

    def outcome(self, raw: bytes, received_at: str = "") -> Outcome:
        """What a resource becomes."""
        return self.guarded(lambda: map_resource(self.server, raw, received_at or now_instant()), raw)

    def outcomes(self, outbox: Outbox, raws: Sequence[bytes]) -> list[Outcome]:
        """What resources become, each after the patient whom it is about. Raises: WebUnavailable."""
        found: list[Outcome] = []
        if len(self.known_patients) > _MAX_KNOWN:
            self.known_patients.clear()
        for raw in raws:
            outcome = self.outcome(raw)
            if isinstance(outcome, Mapped):
                patient = outcome.record.patient_key
                if outcome.record.natural_key != patient and not self._is_known(outbox, patient):
                    before = self._patient(patient)
                    if before is None:
                        found.append(missing_patient(outcome))
                        continue
                    found.append(before)
                self.known_patients.add(patient)
            found.append(outcome)
        return found

    def deleted(self, outbox: Outbox, name: str, at: str) -> int:
        """What was told of a resource is no longer said; where its type cannot say so, that is told and counted."""
        owner = outbox.owner(self.origin.system, name)
        if owner is None:
            return 0
        if not is_item(name):
            if name in self._kept:
                return 0
            self._kept.add(name)
            outbox.tally("deleted_at_source")
            _log.warning("A-627 deleted at the source, and of a type that cannot say so: it stays")
            return 0
        answers = outbox.accept([withdrawn(self.server, name, owner, at, now_instant())])
        return sum(answer == "new" for answer in answers)

    def url(self, path: str) -> str:
        """An address below the server's base."""
        return f"{self.own.access.url}/{path}"

    def require_r4(self) -> None:
        """Check once that the server speaks FHIR R4. Raises: WebUnavailable."""
        if self._is_r4:
            return
        answer = self.web.get(self.url("metadata"), accept=FHIR_JSON)
        try:
            found: Any = msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = None
        if answer.status != _OK or not isinstance(found, dict):
            raise not_as_asked(f"status {answer.status}")
        if not str(found.get("fhirVersion", "")).startswith("4.0"):
            _log.error("A-626 the server does not speak FHIR R4")
            raise WebUnavailable("A-626", "el servidor de origen no habla FHIR R4 (4.0.1)")
        self._is_r4 = True

    def _is_known(self, outbox: Outbox, patient: str) -> bool:
        return patient in self.known_patients or outbox.owner(self.origin.system, patient) is not None

    def _patient(self, patient: str) -> Outcome | None:
        """A patient whose resources changed, and who did not; nothing where the server does not give them."""
        try:
            answer = self.web.get(self.url(patient), accept=FHIR_JSON)
        except WebUnavailable:
            self._is_r4 = False
            self.require_r4()  # the server answers: it is this patient whom it cannot give
            return None
        is_given = answer.status == _OK and answer.media_type in _JSON_TYPES
        return self.outcome(answer.body) if is_given else None


class _Taking:
    """One round over the server."""

    def __init__(self, source: FhirServer, outbox: Outbox, stop: threading.Event) -> None:
        self._source = source
        self._outbox = outbox
        self._stop = stop

    def changed(self, kind: str) -> int:
        """The resources of a type since the last one taken, oldest change first.

        How far it went is durable with each page while the server keeps the order that was asked for, else with the
        last page.
        """
        name = f"fhir.changed.{kind}"
        mark = _moment(self._outbox.checkpoint(name))
        asked = [("_sort", "_lastUpdated"), ("_count", str(self._source.own.page_resources))]
        if mark is not None:
            asked.insert(0, ("_lastUpdated", f"ge{self._overlapped(mark)}"))
        count, latest, is_ordered = 0, mark, True
        for page in self._pages(self._source.url(kind), asked):
            raws = resources(page)
            for raw in raws:
                at = _moment(changed_at(raw))
                is_ordered = is_ordered and (at is None or latest is None or at >= latest - self._overlap)
                latest = max((each for each in (at, latest) if each is not None), default=None)
            outcomes = self._source.outcomes(self._outbox, raws)
            is_last = not _next(page)
            marks = {name: latest.isoformat()} if latest and (is_ordered or is_last) else {}
            answers = self._outbox.accept(outcomes, marks)
            count += sum(answer in {"new", "refused"} for answer in answers)
            if self._stop.is_set():
                break
        return count

    def deleted(self, kind: str) -> int:
        """What the server's history says was deleted since the last time."""
        source, name = self._source, f"fhir.deleted.{kind}"
        told, began = _moment(self._outbox.checkpoint(name)), source.now()
        if not source.has_history or self._stop.is_set():
            return 0
        if told is None:
            self._outbox.accept([], {name: began.isoformat()})
            return 0
        asked = [("_since", self._overlapped(told)), ("_count", str(source.own.page_resources))]
        count, standing, gone = 0, set(), {}
        for page in self._pages(source.url(f"{kind}/_history"), asked, is_history=True):
            for entry in page.entry:  # newest first: the first of each says how it stands
                logical = _logical_name(kind, entry)
                if logical and logical not in standing:
                    standing.add(logical)
                    if entry.request.method == "DELETE":
                        gone[logical] = entry.response.lastModified
        for logical, at in gone.items():
            count += source.deleted(self._outbox, logical, at)
        if source.has_history and not self._stop.is_set():
            self._outbox.accept([], {name: began.isoformat()})
        return count

    @property
    def _overlap(self) -> timedelta:
        return timedelta(seconds=self._source.own.overlap_seconds)

    def _overlapped(self, mark: datetime) -> str:
        return (
            (mark - self._overlap).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        )

    def _pages(
        self, url: str, asked: Sequence[tuple[str, str]], *, is_history: bool = False
    ) -> Iterator[Page]:
        """Page after page by the server's own links; one that was there before has no end. Raises: WebUnavailable."""
        source, seen = self._source, set()
        for _ in range(_MAX_PAGES):
            answer = source.web.get(url, asked, accept=FHIR_JSON)
            if is_history and answer.status in _NOT_OFFERED:
                _log.warning("A-625 the server does not tell what was deleted: it stays at the exchange")
                source.has_history = False
                return
            page = page_of(answer)
            yield page
            url, asked = _next(page), ()
            if not url or self._stop.is_set():
                return
            if url in seen:
                _log.warning("A-605 the server repeats a page: the search is not complete")
                raise not_as_asked("page repeated")
            seen.add(url)
            source.web.require_own(url)
        raise not_as_asked("pages without end")


def page_of(answer: Answer) -> Page:
    """The Bundle of an answer. Raises: WebUnavailable."""
    if answer.status != _OK or answer.media_type not in _JSON_TYPES:
        raise not_as_asked(f"status {answer.status}")
    try:
        page = msgspec.json.decode(answer.body, type=Page)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise not_as_asked("no Bundle") from None
    if page.resourceType != "Bundle":
        raise not_as_asked("no Bundle")
    return page


def resources(page: Page) -> list[bytes]:
    """The resources that were asked for, as the server wrote them."""
    return [
        bytes(each.resource) for each in page.entry if each.search.mode == "match" and bytes(each.resource)
    ]


class _Meta(msgspec.Struct):
    lastUpdated: str = ""  # noqa: N815 - FHIR's own name


class _Versioned(msgspec.Struct):
    id: str = ""
    meta: _Meta = msgspec.field(default_factory=_Meta)


def changed_at(raw: bytes) -> str:
    """When a resource changed, as its server says."""
    try:
        return msgspec.json.decode(raw, type=_Versioned).meta.lastUpdated
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _logical_name(kind: str, entry: _Entry) -> str:
    """`Type/id` of a history entry."""
    parts = entry.request.url.partition("?")[0].rstrip("/").split("/")
    if "_history" in parts:
        parts = parts[: parts.index("_history")]
    if len(parts) >= 2 and parts[-2] == kind:  # noqa: PLR2004 - type and id
        return f"{kind}/{parts[-1]}"
    try:
        found = msgspec.json.decode(entry.resource, type=_Versioned).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return f"{kind}/{found}" if found else ""


def _next(page: Page) -> str:
    return next((each.url for each in page.link if each.relation == "next"), "")


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
