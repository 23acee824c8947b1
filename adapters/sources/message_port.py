"""A port to which HL7 v2 messages are sent over MLLP: each is durable before it is acknowledged.

Spec:    docs/adapters.md, "MLLP".
Leaves:  connections to the reader; which answers a message gets to hl7v2.reply.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from adapters.hl7v2.batch import MAX_MESSAGES, Batch, answer_batch, is_batch, read_batch, split_messages
from adapters.hl7v2.framing import Frame
from adapters.hl7v2.message import Message, header_of
from adapters.hl7v2.reply import Fault, is_acknowledgement, original_reply, refused_commit, replies
from adapters.outbox import Outbox
from adapters.outbox.sealing import OutboxFull
from adapters.readers.mllp import Bounds, Door, MllpListener, NotTaken
from adapters.settings import Settings
from adapters.settings.mllp import MllpSettings
from adapters.source_record import Outcome, Refusal, Refused, SourceRecord
from adapters.source_record.moment import now_instant
from adapters.sources.folder_source import chosen, content_of
from adapters.sources.messages import Messages
from adapters.sources.source import name_of

_log = logging.getLogger("adapters.sources")
_REJECTED: Final = frozenset({"A-201", "A-202", "A-203", "A-204", "A-206", "A-221", "A-222"})


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
            lambda frame, names: self.take_frame(outbox, frame, names),
            bounds=Bounds(
                port.max_message_bytes, port.idle_seconds, port.message_seconds, port.answer_seconds
            ),
            max_connections=port.max_connections,
            door=Door(port.tls) if port.tls else None,
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
            yield from self.outcomes_of(raw, path.name if path else "")

    def take_frame(
        self, outbox: Outbox, frame: Frame, names: frozenset[str] = frozenset()
    ) -> Sequence[bytes]:
        """A frame from the port: durable first, then its acknowledgements.

        0. An answer that comes in is passed over, whoever sends it.
        1. Who may not speak as this sender is answered, counted, and not kept.
        2. What is not whole is kept as far as it goes, for a person to see.
        3. A batch is taken whole, in one commit, and answered by one batch; 1. holds for each message in it.
        4. A message is taken, and answered as its sender asked.

        Raises: NotTaken - the outbox has no room: silence is the only honest answer.
        """
        content = frame.content
        # 0.
        if is_acknowledgement(header_of(content)):
            _log.info("A-208 an acknowledgement came in: nothing is done")
            return ()
        # 1.
        refused = None if frame.is_broken else self._refused_sender(outbox, content, names)
        if refused is not None:
            return replies(None, content, refused)
        # 2.
        if frame.is_broken or frame.is_too_large:
            return self._take_part(outbox, frame)
        # 3.
        if is_batch(content):
            batch = read_batch(content)
            if batch.messages and all(is_acknowledgement(header_of(raw)) for raw in batch.messages):
                _log.info("A-208 an acknowledgement came in: nothing is done")
                return ()
            return self._take_batch(outbox, batch, names)
        # 4.
        message, outcomes = self.message(content, "MLLP")
        self._keep(outbox, outcomes)
        return replies(message, content, _fault(outcomes))

    def _refused_sender(self, outbox: Outbox, content: bytes, names: frozenset[str]) -> Fault | None:
        """What keeps a sender out, told in the log and counted."""
        fault = self._fault_of_sender(content, names)
        if fault is not None:
            _log.warning("%s refused message of a sender that may not send it", fault.text[:5])
            outbox.tally("refused_senders", 1)
        return fault

    def _fault_of_sender(self, content: bytes, names: frozenset[str]) -> Fault | None:
        """No rule is about it, or its certificate is not one of its rule's."""
        messages, head = self._port.messages, header_of(content)
        rule = messages.rule_of(head.text(3), head.text(4)) if head else None
        if rule is None:
            if not messages.refuses_unknown:
                return None
            text = "A-222 El sitio no recibe mensajes de este sistema (MSH-3, MSH-4): falta su [[sender]]."
            return Fault(text, "MSH^1^3", is_rejected=True)
        if rule.certificates and self._port.tls is not None and not names & set(rule.certificates):
            text = "A-223 El certificado de la conexión no es el de este sistema (MSH-3, MSH-4)."
            return Fault(text, "MSH^1^3", is_rejected=True)
        return None

    def _take_part(self, outbox: Outbox, frame: Frame) -> Sequence[bytes]:
        """A frame of which something is missing; one that its sender gave up waits for no answer."""
        if frame.is_broken:
            text = "El mensaje llegó cortado: empezó otro antes de que terminara."
            refusal = Refusal("mapping", "A-205", text)
        else:
            text = "El mensaje pasa del tamaño que admite el sitio (max_message_bytes). Envíelo por partes."
            refusal = Refusal("mapping", "A-212", text, location="MSH^1")
        self._keep(outbox, [Refused(self._record(frame.content), refusal)])
        if frame.is_broken:
            return ()
        return refused_commit(frame.content, Fault(f"{refusal.code} {text}", refusal.location))

    def _take_batch(self, outbox: Outbox, batch: Batch, names: frozenset[str]) -> Sequence[bytes]:
        """Every message of a batch, the bad ones too; and that it lost some on its way, where its counts say so."""
        if len(batch.messages) > MAX_MESSAGES:
            refusal = Refusal("mapping", "A-209", f"El lote tiene más de {MAX_MESSAGES} mensajes. Divídalo.")
            self._keep(outbox, [Refused(self._record(batch.envelope), refusal)])
            return refused_commit(batch.envelope, Fault(f"{refusal.code} {refusal.text}"))
        taken: list[tuple[bytes, Message | None, Fault | None]] = []
        outcomes: list[Outcome] = []
        for number, raw in enumerate(batch.messages, 1):
            if (refused := self._refused_sender(outbox, raw, names)) is not None:
                taken.append((raw, None, refused))
                continue
            message, some = self.message(raw, f"MLLP:{number}")
            outcomes += some
            taken.append((raw, message, _fault(some)))
        if batch.miscounted:
            text = "El lote no trae tantos mensajes como dice. Compare con el sistema que lo envía."
            refusal = Refusal("mapping", "A-207", text, location=batch.miscounted)
            outcomes.append(Refused(self._record(batch.envelope), refusal))
        self._keep(outbox, outcomes)
        return [answer_batch(batch, [original_reply(message, raw, fault) for raw, message, fault in taken])]

    def _record(self, raw: bytes) -> SourceRecord:
        """Bytes that are no whole message."""
        name = f"sin leer|{name_of(raw)}"
        return SourceRecord(
            self.origin.renipress, self.origin.system, name, "", raw, now_instant(), location="MLLP"
        )

    def _keep(self, outbox: Outbox, outcomes: list[Outcome]) -> None:
        try:
            outbox.accept(outcomes)
        except OutboxFull:
            raise NotTaken from None
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                code, name = outcome.refusal.code, outcome.record.message_id(outbox.id_key)
                _log.warning("%s refused message=%s", code, name)


def _fault(outcomes: list[Outcome]) -> Fault | None:
    """The first thing wrong with a message."""
    for outcome in outcomes:
        if isinstance(outcome, Refused):
            refusal = outcome.refusal
            text = f"{refusal.code} {refusal.text}"
            return Fault(text, refusal.location, refusal.code in _REJECTED)
    return None
