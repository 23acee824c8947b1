"""The one mapper that a site's kind of source needs, and the guard that keeps a bad record from the rest.

Spec:    docs/adapters.md, "The path of a record".
Leaves:  reading and keeping to the cycle.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Final

from adapters.code_map import read_code_tables
from adapters.hl7v2.framing import END, START
from adapters.hl7v2.message import Message, UnreadableMessage, parse
from adapters.primary import Masters, Post, Skipped, map_patients, map_record, map_trama
from adapters.primary.tables import Table
from adapters.readers.folder import StableFile
from adapters.secondary import map_message
from adapters.secondary.gather import Hospital
from adapters.settings import Settings
from adapters.source_record import Origin, Outcome, Refusal, Refused, SourceRecord
from adapters.source_record.moment import file_instant, now_instant
from adapters.tertiary import Institute, map_document

_log = logging.getLogger("adapters.cycle")
_KEPT_OF_UNKNOWN_BYTES: Final = 1_000_000
_MESSAGE_START: Final = re.compile(rb"(?:^|(?<=[\r\n]))(?=MSH[^A-Za-z0-9\s])")
_BATCH_LINES: Final = re.compile(rb"(?:^|(?<=[\r\n]))(?:FHS|BHS|BTS|FTS)[^\r\n]*[\r\n]*")


class Mapping:
    """The one mapper that a site's kind of source needs, and the guard around it."""

    def __init__(self, settings: Settings, id_key: bytes) -> None:
        origin = Origin(settings.renipress, settings.id_prefix, settings.source_system, id_key)
        codes = read_code_tables(settings.code_folder)
        rules = settings.identifier_rules
        self._kind = settings.source_kind
        self._post = Post(origin, settings.zone, codes, settings.internal_ids)
        self._hospital = Hospital(origin, settings.zone, codes, rules, settings.surname_order)
        self._institute = Institute(origin, settings.zone, codes, rules)
        self._origin = origin

    def of_file(self, file: StableFile, content: bytes) -> Iterator[Outcome]:
        """The outcomes of a file of messages, or of one document."""
        received_at = file_instant(file.modified_at)
        if self._kind == "ccda-folder":
            yield self._guarded(
                lambda: map_document(self._institute, content, received_at, file.path.name), content
            )
            return
        for number, raw in enumerate(split_messages(content), 1):
            yield self.of_message(raw, f"{file.path.name}:{number}", received_at)[1]

    def of_table(
        self, table: Table, file: StableFile, masters: Masters, skipped: Skipped
    ) -> Iterator[Outcome]:
        """The outcomes of an HIS table."""
        file_time = file_instant(file.modified_at)
        if table.kind == "patients":
            return map_patients(self._post, table, file_time)
        return map_trama(self._post, masters, table, file_time, skipped)

    def of_unknown_file(self, file: StableFile, content: bytes) -> Refused:
        """A file whose header belongs to no table of HIS: kept so that somebody asks why it is there."""
        received_at = file_instant(file.modified_at)
        record = SourceRecord(
            facility=self._origin.renipress,
            system=self._origin.system,
            natural_key=f"archivo|{file.path.name}",
            patient_key="",
            original=content[:_KEPT_OF_UNKNOWN_BYTES],
            received_at=received_at,
            location=file.path.name,
        )
        text = (
            "La cabecera no es de una trama ni de un maestro del HIS: falta una columna o sobra el archivo."
        )
        return Refused(record, Refusal("mapping", "A-250", text, location=file.path.name))

    def of_message(self, raw: bytes, location: str, received_at: str = "") -> tuple[Message | None, Outcome]:
        """A v2 message, if it can be read, and its outcome."""
        try:
            message = parse(raw)
        except UnreadableMessage:
            message = None
        at = received_at or now_instant()
        return message, self._guarded(lambda: map_message(self._hospital, raw, at, location, message), raw)

    def of_record(self, record: SourceRecord, masters: Masters) -> Outcome:
        """A quarantined record, mapped again."""
        if self._kind == "his-trama":
            return self._guarded(lambda: map_record(self._post, masters, record), record.original)
        if self._kind == "ccda-folder":
            institute, raw, place = self._institute, record.original, record.location
            return self._guarded(lambda: map_document(institute, raw, record.received_at, place), raw)
        return self._guarded(
            lambda: map_message(self._hospital, record.original, record.received_at, record.location),
            record.original,
        )

    def _guarded(self, read: Callable[[], Outcome], raw: bytes) -> Outcome:
        """No record may stop the queue: a fault of ours is a reason for quarantine too."""
        try:
            return read()
        except Exception:  # noqa: BLE001 - whatever it is, the bytes are kept and the next record is read
            record = SourceRecord(
                self._origin.renipress,
                self._origin.system,
                f"sin leer|{hash_name(raw)}",
                "",
                raw,
                now_instant(),
            )
            _log.error("A-299 mapping failed message=%s", record.message_id(self._origin.id_key))
            text = (
                "El adaptador no supo leer este registro. Envíe el número de mensaje al soporte de la región."
            )
            return Refused(record, Refusal("mapping", "A-299", text))


def hash_name(raw: bytes) -> str:
    """A name for bytes that have none."""
    return SourceRecord("", "", "", "", raw, "").content_hash[:32]


def split_messages(content: bytes) -> list[bytes]:
    """The messages of a file: one or many, framed or not, with or without batch headers."""
    bare = content.replace(START, b"").replace(END, b"")
    bare = _BATCH_LINES.sub(b"", bare)
    parts = [part for part in _MESSAGE_START.split(bare) if part.strip()]
    return parts or [content]
