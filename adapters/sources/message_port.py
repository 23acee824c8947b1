"""A port to which HL7 v2 messages are sent over MLLP: each is durable before it is acknowledged."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from adapters.hl7v2.acknowledgement import acknowledge
from adapters.hl7v2.framing import Frame
from adapters.outbox import Outbox
from adapters.outbox.sealing import OutboxFull
from adapters.readers.mllp import MllpListener, NotTaken
from adapters.settings import Settings
from adapters.settings.mllp import MllpSettings
from adapters.source_record import Mapped, Outcome, Refusal, Refused
from adapters.sources.folder_source import chosen, content_of
from adapters.sources.message_folder import split_messages
from adapters.sources.messages import Messages

_log = logging.getLogger("adapters.sources")
_REJECTED_TYPES: Final = frozenset({"A-201", "A-202", "A-203", "A-204", "A-221"})


class MessagePort(Messages):
    """Messages that others send."""

    def __init__(self, settings: Settings, id_key: bytes) -> None:
        super().__init__(settings, id_key)
        assert isinstance(settings.own, MllpSettings)
        self._port = settings.own

    def read(self, outbox: Outbox, stop: threading.Event | None = None) -> int:  # noqa: ARG002
        """Nothing can be fetched: what there is comes by itself, while `run` listens."""
        return 0

    def run(self, outbox: Outbox, stop: threading.Event, announce: Callable[[str], None]) -> None:
        """Listen until told to stop."""
        port = self._port
        listener = MllpListener(
            port.host,
            port.port,
            lambda frame: self.take_frame(outbox, frame),
            max_message_bytes=port.max_message_bytes,
            idle_seconds=port.idle_seconds,
            max_connections=port.max_connections,
        )
        announce(f"A-210 escuchando MLLP en {port.host}:{listener.port}")
        try:
            stop.wait()
        finally:
            listener.stop()

    def preview(self, path: Path | None) -> Iterator[Outcome]:
        """What the messages of one file would become."""
        content = content_of(chosen(path)) if path is not None else None
        for raw in split_messages(content) if content else ():
            yield self.message(raw, path.name if path else "")[1]

    def take_frame(self, outbox: Outbox, frame: Frame) -> bytes:
        """A frame from the port: durable first, then its acknowledgement.

        Raises: NotTaken - the outbox has no room: silence is the only honest answer.
        """
        message, outcome = self.message(frame.content, "MLLP")
        if frame.is_broken:
            text = "El mensaje llegó cortado: empezó otro antes de que terminara."
            outcome = Refused(outcome.record, Refusal("mapping", "A-205", text))
        try:
            outbox.accept([outcome])
        except OutboxFull:
            raise NotTaken from None
        if frame.is_broken:
            return b""
        if isinstance(outcome, Mapped):
            return acknowledge(message, "AA", raw=frame.content)
        refusal = outcome.refusal
        code = "AR" if refusal.code in _REJECTED_TYPES else "AE"
        _log.warning("%s refused message=%s", refusal.code, outcome.record.message_id(outbox.id_key))
        text = f"{refusal.code} {refusal.text}"
        return acknowledge(message, code, raw=frame.content, text=text, location=refusal.location)
