"""A folder of files with HL7 v2 messages: one or many in a file, framed or not, with or without batch headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from adapters.hl7v2.framing import END, START
from adapters.readers.folder import StableFile
from adapters.source_record import Outcome
from adapters.source_record.moment import file_instant
from adapters.sources.folder_source import FolderSource
from adapters.sources.messages import Messages

_MESSAGE_START: Final = re.compile(rb"(?:^|(?<=[\r\n]))(?=MSH[^A-Za-z0-9\s])")
_BATCH_LINES: Final = re.compile(rb"(?:^|(?<=[\r\n]))(?:FHS|BHS|BTS|FTS)[^\r\n]*[\r\n]*")


class MessageFolder(Messages, FolderSource):
    """Each file holds messages."""

    def outcomes(self, file: StableFile, content: bytes) -> Iterator[Outcome]:
        """What the messages of one file say."""
        received_at = file_instant(file.modified_at)
        for number, raw in enumerate(split_messages(content), 1):
            yield self.message(raw, f"{file.path.name}:{number}", received_at)[1]


def split_messages(content: bytes) -> list[bytes]:
    """The messages of a file."""
    bare = content.replace(START, b"").replace(END, b"")
    bare = _BATCH_LINES.sub(b"", bare)
    parts = [part for part in _MESSAGE_START.split(bare) if part.strip()]
    return parts or [content]
