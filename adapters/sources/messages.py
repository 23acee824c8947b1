"""HL7 v2 messages, whichever way they come in."""

from __future__ import annotations

from adapters.hl7v2.message import Message, UnreadableMessage, parse
from adapters.secondary import map_message
from adapters.secondary.gather import Hospital
from adapters.settings import Settings
from adapters.source_record import Outcome, SourceRecord
from adapters.source_record.moment import now_instant
from adapters.sources.source import Source


class Messages(Source):
    """A source of HL7 v2 messages."""

    def __init__(self, settings: Settings, id_key: bytes) -> None:
        super().__init__(settings, id_key)
        rules, order = settings.identifier_rules, settings.surname_order
        self._hospital = Hospital(self.origin, settings.zone, self.codes, rules, order)

    def message(self, raw: bytes, location: str, received_at: str = "") -> tuple[Message | None, Outcome]:
        """A message, if it can be read, and its outcome."""
        try:
            message = parse(raw)
        except UnreadableMessage:
            message = None
        at = received_at or now_instant()
        return message, self.guarded(lambda: map_message(self._hospital, raw, at, location, message), raw)

    def again(self, record: SourceRecord) -> Outcome:
        """A message that was kept, mapped with today's tables."""
        return self.guarded(
            lambda: map_message(self._hospital, record.original, record.received_at, record.location),
            record.original,
        )
