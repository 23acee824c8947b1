"""A hospital's database, read when it may be, in pieces: what is new, what changed, and the last days once more.

Spec:    docs/adapters.md, "GalenHos"; docs/decisions/0031.

1. New: attentions by key, beyond the last one taken.
2. Changed: by the column of the last change, where there is one, with some minutes of overlap, since a change may be
   committed after a later one.
3. Once more: the attentions of the last days by key, since an order may be voided, or a key given before a greater one
   and committed after it, without any column that says so.

How far each went is durable with the records that it brought. What did not change is known by its content.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, SQLAlchemyError

from adapters.galenhos import Case, Hospital, map_case, map_kept, unreadable
from adapters.galenhos.column_map import ColumnMap, read_column_map
from adapters.galenhos.database import Access, Database, DatabaseUnavailable
from adapters.galenhos.reading import (
    TooMuch,
    first_key_since,
    keys_after,
    keys_changed,
    last_keys,
    latest_change,
    read_cases,
    read_patients,
)
from adapters.galenhos.values import as_text
from adapters.outbox import Outbox
from adapters.settings import Settings
from adapters.settings.galenhos import GalenhosSettings
from adapters.source_record import Outcome, Refused, SourceRecord
from adapters.source_record.moment import now_instant
from adapters.sources.owners import Nobody, Owners
from adapters.sources.source import Source

_log = logging.getLogger("adapters.sources")
_OVERLAP: Final = timedelta(minutes=15)
_PREVIEWED: Final = 20
_NEW: Final = "attention.new"
_AGAIN: Final = "attention.again"
_AGAIN_DONE: Final = "attention.again_done"

Mark = Any
NextKeys = Callable[[Connection, Mark], Sequence[tuple[Mark, Any]]]
Read = Callable[[Connection, ColumnMap, Sequence[Any]], tuple[list[Case], int]]


class GalenhosDatabase(Source):
    """Attentions with their patients, of one database. `now` and `wait` are the clock and the patience of its reading."""

    def __init__(self, settings: Settings, id_key: bytes) -> None:
        super().__init__(settings, id_key)
        assert isinstance(settings.own, GalenhosSettings)
        self._own = settings.own
        self.database = Database(Access(self._own.url, self._own.password, self._own.statement_seconds))
        self._map = read_column_map(self._own.map_file)
        self._hospital = Hospital(self.origin, settings.zone, self.codes, self._map)
        self.now: Callable[[], datetime] = lambda: datetime.now(settings.zone)
        self.wait: Callable[[threading.Event, float], object] = threading.Event.wait

    @property
    def announcement(self) -> str:
        """What the IT desk is told once reading goes on."""
        return f"A-295 leyendo la base de datos de GalenHos ({self.database.kind})"

    def check(self) -> None:
        """Look for every mapped table and column, and whether the account may write.

        Raises: SettingsError, DatabaseUnavailable.
        """
        self._open()
        self.database.close()

    def read(self, outbox: Outbox, stop: threading.Event | None = None) -> int:
        """Take what is new, what changed, and now and then the last days once more.

        Raises: OutboxFull, DatabaseUnavailable, SettingsError.
        """
        if not self._may_read():
            return 0
        stop = stop or threading.Event()
        try:
            self._open()
            taking = _Taking(self, outbox, stop)
            for name in ("attention", "patient"):
                taking.begin_changes(name)
            return taking.new() + taking.changed("attention") + taking.changed("patient") + taking.again()
        except SQLAlchemyError as error:
            _log.warning("A-296 the database refused a statement: %s", type(error).__name__)
            raise DatabaseUnavailable from None
        finally:
            self.database.close()

    def preview(self, path: Path | None) -> Iterator[Outcome]:  # noqa: ARG002
        """What the newest attentions would become; nothing is taken."""
        self._open()
        try:
            with self.database.reading() as connection:
                found = connection.execute(last_keys(self.column_map["attention"], _PREVIEWED))
                keys = [row[0] for row in found]
                cases, _ = read_cases(connection, self.column_map, keys)
        finally:
            self.database.close()
        for case in cases:
            yield from self.outcomes(case, Nobody())

    def again(self, record: SourceRecord) -> Outcome:
        """A row that was kept, mapped with today's map."""
        return self.guarded(lambda: map_kept(self._hospital, record), record.original)

    def outcomes(self, case: Case, owners: Owners | Nobody) -> list[Outcome]:
        """What a case becomes; a fault of ours sets it aside, and the next one is read."""
        found: list[Outcome] = []

        def gather() -> Outcome:
            found.extend(map_case(self._hospital, case, now_instant(), owners))
            return found[-1]

        outcome = self.guarded(gather, msgspec.json.encode(case))
        return found if found and found[-1] is outcome else [*found, outcome]

    def unreadable(self, key: Any) -> Refused:
        """An attention that could not be read by itself either."""
        return unreadable(self._hospital, as_text(key), now_instant())

    @property
    def column_map(self) -> ColumnMap:
        """The map, as the database spells it."""
        return self._hospital.column_map

    @property
    def own(self) -> GalenhosSettings:
        """The settings of this kind of source."""
        return self._own

    def may_go_on(self, stop: threading.Event) -> bool:
        """Whether reading was not stopped and its hours are not over."""
        return not stop.is_set() and self._may_read()

    def _may_read(self) -> bool:
        return self._own.hours is None or self.now().time() in self._own.hours

    def _open(self) -> None:
        found = self.database.open(self._map)
        self.database.snapshot_or_committed()
        self._hospital = Hospital(self.origin, self.settings.zone, self.codes, found)


class _Taking:
    """One round over the database, piece by piece."""

    def __init__(self, source: GalenhosDatabase, outbox: Outbox, stop: threading.Event) -> None:
        self._source = source
        self._outbox = outbox
        self._stop = stop
        self._owners = Owners(outbox, source.origin.system)
        self._size = source.own.piece_rows

    def begin_changes(self, name: str) -> None:
        """Note where changes begin, before anything is read: what changes meanwhile is a change."""
        entity = self._source.column_map[name]
        if entity.changed_at and self._mark(_changes(name)) is None:
            with self._source.database.reading() as connection:
                latest = connection.execute(latest_change(entity)).scalar()
            if latest is not None:
                self._outbox.accept([], {_changes(name): _encode([latest, None])})

    def new(self) -> int:
        """The attentions beyond the last one taken."""
        entity, since = self._source.column_map["attention"], self._source.own.since
        mark = self._mark(_NEW)
        start = self._first_key(since) if since is not None and mark is None else None
        if since is not None and mark is None and start is None:
            return 0

        def next_keys(connection: Connection, after: Mark) -> Sequence[tuple[Mark, Any]]:
            statement = keys_after(entity, after, self._size, start=start)
            return [(row[0], row[0]) for row in connection.execute(statement)]

        return self._walk(_NEW, mark, next_keys, read_cases)

    def changed(self, name: str) -> int:
        """What changed since the last change that was taken."""
        entity, mark = self._source.column_map[name], self._mark(_changes(name))
        if not entity.changed_at or mark is None:
            return 0
        if isinstance(mark[0], datetime):
            mark = [mark[0] - _OVERLAP, None]

        def next_keys(connection: Connection, after: Mark) -> Sequence[tuple[Mark, Any]]:
            statement = keys_changed(entity, after[0], after[1], self._size)
            return [([row[0], row[1]], row[1]) for row in connection.execute(statement)]

        read = read_cases if name == "attention" else read_patients
        return self._walk(_changes(name), mark, next_keys, read)

    def again(self) -> int:
        """The last days once more, where it is time for them."""
        own, until = self._source.own, self._mark(_NEW)
        mark, done = self._mark(_AGAIN), self._mark(_AGAIN_DONE)
        now = self._source.now().astimezone(UTC).replace(tzinfo=None)
        is_early = isinstance(done, datetime) and done <= now < done + timedelta(hours=own.reread_hours)
        if not own.reread_days or until is None or (mark is None and is_early):
            return 0
        if done is None:  # everything was read a moment ago
            self._outbox.accept([], {_AGAIN_DONE: _encode(now)})
            return 0
        entity = self._source.column_map["attention"]
        start = self._first_key(self._source.now().date() - timedelta(days=own.reread_days))

        def next_keys(connection: Connection, after: Mark) -> Sequence[tuple[Mark, Any]]:
            statement = keys_after(entity, after, self._size, start=start, until=until)
            return [(row[0], row[0]) for row in connection.execute(statement)]

        count = self._walk(_AGAIN, mark, next_keys, read_cases) if start is not None else 0
        if self._source.may_go_on(self._stop):
            self._outbox.accept([], {_AGAIN: _encode(None), _AGAIN_DONE: _encode(now)})
        return count

    def _walk(self, checkpoint: str, mark: Mark, next_keys: NextKeys, read: Read) -> int:
        """Piece after piece until there is no further one; each is durable before the next is read."""
        count, own = 0, self._source.own
        while self._source.may_go_on(self._stop):
            with self._source.database.reading() as connection:
                found = next_keys(connection, mark)
            if not found:
                break
            mark = found[-1][0]
            keys = list(dict.fromkeys(key for _, key in found))
            outcomes, rows = self._outcomes(keys, read)
            answers = self._outbox.accept(outcomes, {checkpoint: _encode(mark)})
            count += sum(answer in {"new", "refused"} for answer in answers)
            if len(found) < self._size:
                break
            if own.rows_per_minute:
                self._source.wait(self._stop, rows * 60 / own.rows_per_minute)
        return count

    def _outcomes(self, keys: list[Any], read: Read) -> tuple[list[Outcome], int]:
        """What these keys become; where one cannot be read, the others are read without it."""
        try:
            with self._source.database.reading() as connection:
                cases, rows = read(connection, self._source.column_map, keys)
        except (DataError, TooMuch, ValueError, ArithmeticError):
            if len(keys) == 1:
                return ([self._source.unreadable(keys[0])] if read is read_cases else []), 1
            middle = len(keys) // 2
            first, second = self._outcomes(keys[:middle], read), self._outcomes(keys[middle:], read)
            return first[0] + second[0], first[1] + second[1]
        return [outcome for case in cases for outcome in self._source.outcomes(case, self._owners)], rows

    def _first_key(self, day: date) -> Any:
        """The lowest key of what is dated since a day; SQLite compares texts."""
        entity = self._source.column_map["attention"]
        since: Any = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the database's own clock
        if self._source.database.kind == "sqlite":
            since = day.isoformat()
        with self._source.database.reading() as connection:
            return connection.execute(first_key_since(entity, "admitted_date", since)).scalar()

    def _mark(self, name: str) -> Mark:
        text = self._outbox.checkpoint(name)
        return _decode(text) if text is not None else None


def _changes(name: str) -> str:
    return f"{name}.changed"


def _encode(mark: Mark) -> str:
    """A mark as text, its type kept: a key may be a number or a text, and is compared as what it is."""
    if isinstance(mark, list):
        return msgspec.json.encode(["list", [_encode(item) for item in mark]]).decode()
    if isinstance(mark, datetime):
        return msgspec.json.encode(["datetime", mark.isoformat()]).decode()
    if isinstance(mark, Decimal):
        return msgspec.json.encode(["decimal", str(mark)]).decode()
    return msgspec.json.encode(["plain", mark]).decode()


def _decode(text: str) -> Mark:
    kind, value = msgspec.json.decode(text, type=tuple[str, Any])
    if kind == "list":
        return [_decode(item) for item in value]
    if kind == "datetime":
        return datetime.fromisoformat(value)
    return Decimal(value) if kind == "decimal" else value
