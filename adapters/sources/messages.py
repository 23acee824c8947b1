"""HL7 v2 messages, whichever way they come in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from adapters.hl7v2.message import Message, UnreadableMessage, parse
from adapters.secondary import map_message, separate
from adapters.secondary.identity import Hospital
from adapters.settings import Settings
from adapters.settings.messages import MessageSettings
from adapters.settings.mllp import MllpSettings
from adapters.source_record import Mapped, Outcome, SourceRecord
from adapters.source_record.moment import now_instant
from adapters.sources.source import Source


class Messages(Source):
    """A source of HL7 v2 messages."""

    def __init__(self, settings: Settings, id_key: bytes) -> None:
        super().__init__(settings, id_key)
        own = settings.own.messages if isinstance(settings.own, MllpSettings) else settings.own
        assert isinstance(own, MessageSettings)
        self._hospital = Hospital(
            self.origin,
            settings.zone,
            self.codes,
            settings.identifier_rules,
            settings.surname_order,
            own,
        )

    def message(
        self, raw: bytes, location: str, received_at: str = ""
    ) -> tuple[Message | None, list[Outcome]]:
        """A message, if it can be read, and its outcomes: one, but for several merges in one message."""
        hospital = self._hospital.of_sender(raw)
        try:
            message = parse(raw, hospital.charset)
        except UnreadableMessage:
            message = None
        at = received_at or now_instant()
        parts = separate(raw, message)
        if len(parts) == 1:
            mapped = self.guarded(lambda: map_message(hospital, raw, at, location, message), raw)
            return message, [self._said(mapped, raw, hospital.charset, message)]
        return message, [self._part(hospital, part, at, location) for part in parts]

    def _said(self, outcome: Outcome, raw: bytes, charset: str, message: Message | None = None) -> Outcome:
        """The outcome with what its message says of the patient's authorisation, where a field is known for that."""
        consent = self.settings.consent
        if consent.mode != "source" or not isinstance(outcome, Mapped):
            return outcome
        message = message or parse(raw, charset)
        segment = message.first(consent.segment)
        text = segment.text(consent.field) if segment is not None else ""
        sending = text in consent.values if text else None
        return replace(outcome, record=replace(outcome.record, sending=sending))

    def outcomes_of(self, raw: bytes, location: str, received_at: str = "") -> Iterator[Outcome]:
        """The outcomes of a message."""
        yield from self.message(raw, location, received_at)[1]

    def again(self, record: SourceRecord) -> Outcome:
        """A message that was kept, mapped with today's tables."""
        hospital = self._hospital.of_sender(record.original)
        return self._part(hospital, record.original, record.received_at, record.location)

    def _part(self, hospital: Hospital, raw: bytes, received_at: str, location: str) -> Outcome:
        mapped = self.guarded(lambda: map_message(hospital, raw, received_at, location), raw)
        return self._said(mapped, raw, hospital.charset)
