"""An image archive over DICOMweb: the days once, the last ones again and again, and by night what is gone.

Spec:    DICOM PS3.18 2024, 10.6 (QIDO-RS); docs/adapters.md, "DICOMweb".
Leaves:  what a study says to adapters.dicomweb.

QIDO-RS has no "changed since". So:
1. Days: each day of studies from the last one read, and the last days once more; what did not change is known by
   what the archive counts of it.
2. Changes, where the archive is an Orthanc whose own list may be read: studies of any day that came in late.
3. By night, in the hours that the site names: every day is compared with what was told of it. What is absent from a
   search that succeeded, and from a search for itself that succeeded, is no longer there. A search that failed says
   nothing.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from adapters.dicomweb import (
    SERIES_TAGS,
    Archive,
    Attributes,
    Known,
    endpoint_record,
    known_of,
    map_cancelled,
    map_kept,
    map_study,
    parse,
    tags_asked,
    unreadable,
)
from adapters.outbox import Outbox
from adapters.readers.web import Web, WebUnavailable, not_as_asked
from adapters.settings import Settings
from adapters.settings.dicomweb import DicomwebSettings
from adapters.source_record import Outcome, Refused, SourceRecord
from adapters.source_record.moment import now_instant
from adapters.sources.owners import Nobody, Owners
from adapters.sources.source import Source

_log = logging.getLogger("adapters.sources")
_JSON: Final = "application/dicom+json"
_JSON_TYPES: Final = frozenset({"application/dicom+json", "application/json"})
_FIRST_DAYS: Final = 30
_MAX_PAGES: Final = 1000
_MAX_SERIES: Final = 1000
_MAX_SEEN: Final = 50_000
_PREVIEWED: Final = 20
_ALWAYS_BELIEVED: Final = 5
_FOUND, _NOTHING = 200, 204
_DAY: Final = "dicomweb.day"
_COMPARED: Final = "dicomweb.compared"
_CHANGE: Final = "dicomweb.change"
_CHANGES_A_PAGE: Final = 100
_ORTHANC_ID: Final = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{8}){4}$")

Study = dict[str, Any]


class ImageArchive(Source):
    """Studies of one archive. `now` is the clock of its reading."""

    def __init__(self, settings: Settings, id_key: bytes) -> None:
        super().__init__(settings, id_key)
        assert isinstance(settings.own, DicomwebSettings)
        self.own = settings.own
        self.archive = Archive(
            self.origin,
            settings.zone,
            self.codes,
            settings.identifier_rules,
            self.own.region_url,
            self.own.accession_system,
        )
        self.web = Web(self.own.access)
        self.changes = (
            Web(replace(self.own.access, url=self.own.changes_url)) if self.own.changes_url else None
        )
        self.seen: dict[str, bytes] = {}
        self.now: Callable[[], datetime] = lambda: datetime.now(settings.zone)

    @property
    def announcement(self) -> str:
        """What the IT desk is told once reading goes on."""
        return "A-610 leyendo el archivo de imágenes por DICOMweb"

    def check(self) -> None:
        """Ask the archive for one study. Raises: WebUnavailable."""
        try:
            self.page([("limit", "1")])
        finally:
            self.close()

    def read(self, outbox: Outbox, stop: threading.Event | None = None) -> int:
        """Take what is new or changed, and by night see what is gone. Raises: OutboxFull, WebUnavailable."""
        try:
            taking = _Taking(self, outbox, stop or threading.Event())
            told = endpoint_record(self.archive, now_instant())
            if told is not None:
                outbox.accept([told])
            return taking.days() + taking.changed() + taking.compare()
        finally:
            self.close()

    def preview(self, path: Path | None) -> Iterator[Outcome]:  # noqa: ARG002
        """What some studies of the last days would become; nothing is taken."""
        first = self.now().date() - timedelta(days=max(self.own.reread_days, 1))
        try:
            window = f"{first:%Y%m%d}-{self.now().date():%Y%m%d}"
            for study in self.page([("StudyDate", window), ("limit", str(_PREVIEWED))])[:_PREVIEWED]:
                yield from self.outcomes(study, Nobody())
        finally:
            self.close()

    def again(self, record: SourceRecord) -> Outcome:
        """A study that was kept, mapped with today's rules and tables."""
        return self.guarded(lambda: map_kept(self.archive, record), record.original)

    def outcomes(self, study: Study, owners: Owners | Nobody) -> list[Outcome]:
        """What a study becomes, its series asked for; a fault of ours sets it aside. Raises: WebUnavailable."""
        uid = Attributes(study).uid("0020000D")
        try:
            series = self.series(uid) if uid else []
        except WebUnavailable:
            self.page([("limit", "1")])  # the archive answers: it is this study that it cannot give
            return [unreadable(self.archive, study, now_instant())]
        found: list[Outcome] = []

        def gather() -> Outcome:
            found.extend(map_study(self.archive, study, series, now_instant(), owners))
            return found[-1]

        outcome = self.guarded(gather, msgspec.json.encode(study))
        return found if found and found[-1] is outcome else [*found, outcome]

    def close(self) -> None:
        """Close the connections."""
        for web in (self.web, self.changes):
            if web is not None:
                web.close()

    # --- asking ----------------------------------------------------------------------------------

    def day(self, day: date) -> Iterator[list[Study]]:
        """The studies of a day, page by page until one is empty. Raises: WebUnavailable.

        A page may be shorter than was asked; the one that brings nothing new, and is not empty, is a page repeated:
        what lies beyond it is not known.
        """
        known: set[str] = set()
        count = 0
        for _ in range(_MAX_PAGES):
            size = str(self.own.page_studies)
            page = self.page([("StudyDate", f"{day:%Y%m%d}"), ("limit", size), ("offset", str(count))])
            if not page:
                return
            names = [_name(study) for study in page]
            fresh = [study for study, name in zip(page, names, strict=True) if name not in known]
            if not fresh:
                _log.warning("A-605 the server repeats a page: the search is not complete")
                raise not_as_asked("page repeated")
            known.update(names)
            count += len(page)
            yield fresh
        raise not_as_asked("pages without end")

    def study(self, uid: str) -> Study | None:
        """One study by its UID; nothing where the archive says that it has none. Raises: WebUnavailable."""
        found = self.page([("StudyInstanceUID", uid)])
        return next((study for study in found if Attributes(study).uid("0020000D") == uid), None)

    def page(self, parameters: Sequence[tuple[str, str]]) -> list[Study]:
        """One answer of a search for studies. Raises: WebUnavailable."""
        asked = [*parameters, *(("includefield", tag) for tag in tags_asked())]
        return _search(self.web, f"{self.own.access.url}/studies", asked)

    def series(self, uid: str) -> list[dict[str, Any]]:
        """The series of a study. Raises: WebUnavailable."""
        asked = [("limit", str(_MAX_SERIES)), *(("includefield", tag) for tag in SERIES_TAGS)]
        return _search(self.web, f"{self.own.access.url}/studies/{quote(uid)}/series", asked)[:_MAX_SERIES]


class _Taking:
    """One round over the archive."""

    def __init__(self, source: ImageArchive, outbox: Outbox, stop: threading.Event) -> None:
        self._source = source
        self._outbox = outbox
        self._stop = stop
        self._owners = Owners(outbox, source.origin.system)

    def days(self) -> int:
        """Each day since the last one read, some days before it, and the next one, where a clock may run ahead."""
        own, today = self._source.own, self._source.now().date()
        told = self._outbox.checkpoint(_DAY)
        first = own.since or today - timedelta(days=_FIRST_DAYS)
        if told is not None:
            first = max(first, min(date.fromisoformat(told), today) - timedelta(days=own.reread_days))
        count = 0
        for number in range((today - first).days + 2):
            if self._stop.is_set():
                break
            day = first + timedelta(days=number)
            for page in self._source.day(day):
                count += self._take(page)
                if self._stop.is_set():
                    return count
            if told is None or day.isoformat() > told:
                self._outbox.accept([], {_DAY: min(day, today).isoformat()})
        return count

    def changed(self) -> int:
        """The studies that an Orthanc says came in, whatever their day."""
        web = self._source.changes
        if web is None:
            return 0
        base, count = web.access.url, 0
        told = self._outbox.checkpoint(_CHANGE)
        if told is None:  # the days were read a moment ago
            last = _object(web, f"{base}/changes", [("last", "")]).get("Last")
            self._outbox.accept([], {_CHANGE: str(last if isinstance(last, int) else 0)})
            return 0
        since = int(told)
        for _ in range(_MAX_PAGES):
            if self._stop.is_set():
                break
            asked = [("since", str(since)), ("limit", str(_CHANGES_A_PAGE))]
            found = _object(web, f"{base}/changes", asked)
            listed = found.get("Changes")
            changes = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
            ids = [
                str(item.get("ID"))
                for item in changes
                if item.get("ChangeType") in {"NewStudy", "StableStudy"}
            ]
            studies = []
            for name in dict.fromkeys(each for each in ids if _ORTHANC_ID.match(each)):
                tags = _object(web, f"{base}/studies/{name}", ()).get("MainDicomTags")
                named = tags.get("StudyInstanceUID") if isinstance(tags, dict) else None
                uid = Attributes({"uid": {"Value": [named]}}).uid("uid")
                study = self._source.study(uid) if uid else None
                if study is not None:
                    studies.append(study)
            last = found.get("Last")
            is_further = isinstance(last, int) and last > since
            since = last if isinstance(last, int) and is_further else since
            count += self._take(studies, {_CHANGE: str(since)})
            if found.get("Done") is not False or not is_further:
                break
        return count

    def compare(self) -> int:
        """Once a night: which of the studies that were told are gone, and which of other days came in late.

        1. A day whose search fails is not judged, now or in part.
        2. What is absent is asked for by itself: only an answer that has nothing counts.
        3. Where half of a day is absent, an archive was emptied or moved, not cleaned up: a person decides.
        """
        source, now = self._source, self._source.now()
        hours = source.own.compare_hours
        if hours is None or now.time() not in hours:
            return 0
        done = _marks(self._outbox.checkpoint(_COMPARED))
        night = now.date().isoformat()
        passed = done["passed"] if done.get("night") == night else 0
        count = 0
        for number in range(int(passed) + 1, source.own.compare_days + 1):
            if self._stop.is_set() or source.now().time() not in hours:
                break
            day = now.date() - timedelta(days=number)
            known = self._inventory(day)
            # 1.
            found: set[str] = set()
            for page in source.day(day):
                found.update(_name(study) for study in page)
                count += self._take([study for study in page if _name(study) not in known])
            # 2.
            gone = [each for uid, each in known.items() if uid not in found and source.study(uid) is None]
            # 3.
            if len(gone) > max(_ALWAYS_BELIEVED, len(known) // 2):
                _log.warning("A-614 half of a day's studies are gone at once: none of them is cancelled")
                gone = []
            outcomes = [map_cancelled(source.archive, each, now_instant()) for each in gone]
            kept = self._inventory(day)
            for each in gone:
                kept.pop(each.uid, None)
                source.seen.pop(each.uid, None)
            marks = {_COMPARED: msgspec.json.encode({"night": night, "passed": number}).decode()}
            if gone:
                marks |= self._packed({_day_name(day): kept})
            count += len(outcomes)
            self._outbox.accept(outcomes, marks)
        return count

    def _take(self, studies: Sequence[Study], marks: Mapping[str, str] | None = None) -> int:
        """Make studies durable, with what is known of their days, in one commit."""
        outcomes: list[Outcome] = []
        digests: dict[str, bytes] = {}
        known: dict[str, dict[str, Known]] = {}
        for study in studies:
            name, digest = _name(study), hashlib.sha256(msgspec.json.encode(study)).digest()
            if self._source.seen.get(name) == digest:
                continue
            if self._stop.is_set():
                return 0
            found = self._source.outcomes(study, self._owners)
            if not any(isinstance(each, Refused) for each in found):
                digests[name] = digest
            day = _day_name(_day_of(study))
            for outcome in found:
                if told := known_of(outcome):
                    known.setdefault(day, self._inventory_named(day))[told.uid] = told
            outcomes.extend(found)
        if not outcomes and not marks:
            return 0
        answers = self._outbox.accept(outcomes, {**(marks or {}), **self._packed(known)})
        if len(self._source.seen) > _MAX_SEEN:
            self._source.seen.clear()
        self._source.seen.update(digests)
        return sum(answer in {"new", "refused"} for answer in answers)

    def _inventory(self, day: date) -> dict[str, Known]:
        return self._inventory_named(_day_name(day))

    def _inventory_named(self, name: str) -> dict[str, Known]:
        """What was told of a day's studies."""
        text = self._outbox.checkpoint(name)
        return {each.uid: each for each in msgspec.json.decode(text or "[]", type=list[Known])}

    def _packed(self, known: Mapping[str, Mapping[str, Known]]) -> dict[str, str]:
        return {name: msgspec.json.encode(list(each.values())).decode() for name, each in known.items()}


def _search(web: Web, url: str, parameters: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The data sets of a search; none where it found nothing, which is not where it failed. Raises: WebUnavailable."""
    answer = web.get(url, parameters, accept=_JSON)
    if answer.status == _NOTHING:
        return []
    if answer.status != _FOUND or answer.media_type not in _JSON_TYPES:
        raise not_as_asked(f"status {answer.status}")
    try:
        return parse(answer.body)
    except ValueError:
        raise not_as_asked("no DICOM JSON") from None


def _object(web: Web, url: str, parameters: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A JSON object; an empty one where there is no such thing. Raises: WebUnavailable."""
    answer = web.get(url, parameters, accept="application/json")
    if answer.status == 404:  # noqa: PLR2004 - it was deleted meanwhile
        return {}
    try:
        found = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if answer.status != _FOUND or not isinstance(found, dict):
        raise not_as_asked("no list of changes")
    return found


def _name(study: Study) -> str:
    """A name of a study within one search: its UID, or what it says where it has none."""
    uid = Attributes(study).uid("0020000D")
    return uid or hashlib.sha256(msgspec.json.encode(study)).hexdigest()


def _day_of(study: Study) -> date | None:
    text = Attributes(study).text("00080020").replace(".", "").replace("-", "")
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a day, in the archive's own zone
    except ValueError:
        return None


def _day_name(day: date | None) -> str:
    return f"dicomweb.studies.{day.isoformat() if day else 'none'}"


def _marks(text: str | None) -> dict[str, Any]:
    found = msgspec.json.decode(text or "{}")
    return found if isinstance(found, dict) else {}
