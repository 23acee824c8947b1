"""What every kind of source can do; what it does otherwise stands in its own file."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from adapters.code_map import read_code_tables
from adapters.outbox import Outbox
from adapters.outbox.sealing import OutboxFull
from adapters.settings import Settings
from adapters.source_record import Origin, Outcome, Refusal, Refused, SourceRecord
from adapters.source_record.moment import now_instant

_log = logging.getLogger("adapters.sources")
_COMMIT_RECORDS: Final = 200


class Source(ABC):
    """One site's source. It changes nothing at the source itself, ever.

    A record is taken only once its outcome is durable; whatever was taken twice changes nothing.
    """

    def __init__(self, settings: Settings, id_key: bytes) -> None:
        self.settings = settings
        self.origin = Origin(settings.renipress, settings.id_prefix, settings.source_system, id_key)
        self.codes = read_code_tables(settings.code_folder)

    @abstractmethod
    def read(self, outbox: Outbox, stop: threading.Event | None = None) -> int:
        """Take what is new; how many outcomes were new. Raises: OutboxFull, OSError."""

    @abstractmethod
    def preview(self, path: Path | None) -> Iterator[Outcome]:
        """The outcomes of what there is, or of one file, without taking anything."""

    @abstractmethod
    def again(self, record: SourceRecord) -> Outcome:
        """A record that was kept, mapped with today's tables."""

    def check(self) -> None:  # noqa: B027 - most have nothing to add
        """Look at what only the source itself can say of the settings. Raises: SettingsError, OSError."""

    @property
    def announcement(self) -> str:
        """What the IT desk is told once reading goes on."""
        return f"A-240 leyendo {self.settings.source_folder}"

    def run(self, outbox: Outbox, stop: threading.Event, announce: Callable[[str], None]) -> None:
        """Take what is new until told to stop."""
        announce(self.announcement)
        while not stop.is_set():
            try:
                self.read(outbox, stop)
            except OutboxFull:
                _log.error("A-501 no room for more records: reading waits")
            except OSError:
                _log.warning("A-502 source cannot be read: trying again")
            stop.wait(self.settings.poll_seconds)

    def requeue(self, outbox: Outbox, number: int, record: SourceRecord) -> bool:
        """Queue a quarantined record again; True where it waits to be sent."""
        return outbox.requeue(number, self.again(record))

    def retry(
        self, outbox: Outbox, *, numbers: set[int] | None = None, code: str | None = None
    ) -> tuple[int, int]:
        """Map quarantined records again with today's tables; how many wait to be sent, how many stay."""
        freed = stayed = 0
        for item in outbox.quarantined():
            if (numbers is not None and item["number"] not in numbers) or (code and item["code"] != code):
                continue
            record = outbox.source_record(item["number"])
            if record is not None and self.requeue(outbox, item["number"], record):
                freed += 1
            else:
                stayed += 1
        return freed, stayed

    def take(self, outbox: Outbox, outcomes: Iterable[Outcome], stop: threading.Event | None) -> int:
        """Make outcomes durable, some hundred in a commit; how many were new."""
        count = 0
        rest = iter(outcomes)
        while some := tuple(islice(rest, _COMMIT_RECORDS)):
            if stop and stop.is_set():
                return count
            count += sum(answer in {"new", "refused"} for answer in outbox.accept(some))
        return count

    def guarded(self, read: Callable[[], Outcome], raw: bytes) -> Outcome:
        """No record may stop the queue: a fault of ours is a reason for quarantine too."""
        try:
            return read()
        except Exception:  # noqa: BLE001 - whatever it is, the bytes are kept and the next record is read
            name = f"sin leer|{name_of(raw)}"
            record = SourceRecord(self.origin.renipress, self.origin.system, name, "", raw, now_instant())
            _log.error("A-299 mapping failed message=%s", record.message_id(self.origin.id_key))
            text = (
                "El adaptador no supo leer este registro. Envíe el número de mensaje al soporte de la región."
            )
            return Refused(record, Refusal("mapping", "A-299", text))


def name_of(raw: bytes) -> str:
    """A name for bytes that have none."""
    return SourceRecord("", "", "", "", raw, "").content_hash[:32]
