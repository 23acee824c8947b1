"""Batches: FHS BHS messages BTS FTS, how many messages they say they hold, and the one batch of answers.

Spec:    HL7 v2.5.1, 2.10.3 (batch protocol), 2.15 (FHS, BHS, BTS, FTS).
Leaves:  each message to `message`, each answer to `acknowledgement`.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from adapters.hl7v2.framing import END, START
from adapters.hl7v2.message import Segment, bare, header_of

_HEADERS: Final = frozenset({"FHS", "BHS"})
_ENVELOPE: Final = re.compile(rb"(?:^|(?<=[\r\n]))(?:FHS|BHS|BTS|FTS)(?![A-Za-z0-9])[^\r\n]*[\r\n]*")
_MESSAGE_START: Final = re.compile(rb"(?:^|(?<=[\r\n]))(?=MSH[^A-Za-z0-9\s])")
_MARKS: Final = re.compile(rb"(?:^|(?<=[\r\n]))(MSH|FHS|BHS|BTS|FTS)([^A-Za-z0-9\r\n])([^\r\n]*)")
MAX_MESSAGES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Batch:
    """The messages of a batch, its own segments, and where its counts do not add up (`BTS^1`, `FTS^1`)."""

    envelope: bytes
    messages: tuple[bytes, ...]
    miscounted: str = ""

    @property
    def header(self) -> Segment | None:
        """FHS, or BHS where it is alone."""
        return header_of(self.envelope)


def is_batch(content: bytes) -> bool:
    """Whether bytes begin as a batch does."""
    head = header_of(content)
    return head is not None and head.name in _HEADERS


def read_batch(content: bytes) -> Batch:
    """Take a batch apart and count its messages against BTS-1, its batches against FTS-1."""
    envelope = b"".join(_ENVELOPE.findall(content))
    return Batch(bare(envelope), tuple(split_messages(content)), _miscounted(content))


def split_messages(content: bytes) -> list[bytes]:
    """The messages of a file or batch: one or many, framed or not, with or without batch headers."""
    unframed = content.replace(START, b"").replace(END, b"")
    parts = [part for part in _MESSAGE_START.split(_ENVELOPE.sub(b"", unframed)) if part.strip()]
    return parts or ([] if is_batch(content) else [content])


def answer_batch(batch: Batch, answers: list[bytes]) -> bytes:
    """The answers to every message of a batch, in one batch, in the messages' order."""
    head = batch.header
    separator = head.delimiters.field if head else "|"
    encoding = head.raw(2) if head else "^~\\&"
    addresses = [head.raw(number) for number in (5, 6, 3, 4)] if head else ["", "", "", ""]
    stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    told = "" if not batch.miscounted else f"A-207 {batch.miscounted.replace('^', '-')} no coincide"
    # FHS-9 to FHS-12: name, comment, control id, and the control id of the file that is answered.
    fields = [*addresses, stamp, "", "", told, uuid.uuid4().hex[:20], head.raw(11) if head else ""]
    begin = separator + encoding + separator + re.sub(r"[\x00-\x1f]", "", separator.join(fields))
    parts = ["FHS" + begin, "BHS" + begin] if head and head.name == "FHS" else ["BHS" + begin]
    tail = [f"BTS{separator}{len(answers)}", f"FTS{separator}1"][: len(parts)]
    charset = "latin-1"
    before, after = ("\r".join(lines).encode(charset, "replace") + b"\r" for lines in (parts, tail))
    return before + b"".join(answers) + after


def _miscounted(content: bytes) -> str:
    """The field that tells another number than there is; one that tells none is no fault."""
    messages = batches = 0
    for name, separator, rest in _MARKS.findall(content):
        told = rest.split(separator)[0].strip()
        if name == b"MSH":
            messages += 1
        elif name == b"BHS":
            messages, batches = 0, batches + 1
        elif name == b"BTS":
            if told.isdigit() and int(told[:9]) != messages:
                return "BTS^1"
            messages = 0
        elif name == b"FTS" and told.isdigit() and int(told[:9]) != batches:
            return "FTS^1"
    return ""
