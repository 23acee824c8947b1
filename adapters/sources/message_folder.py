"""A folder of files with HL7 v2 messages: one or many in a file, framed or not, with or without batch headers."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from adapters.hl7v2.batch import is_batch, read_batch, split_messages
from adapters.readers.folder import StableFile
from adapters.source_record import Outcome
from adapters.source_record.moment import file_instant
from adapters.sources.folder_source import FolderSource
from adapters.sources.messages import Messages

_log = logging.getLogger("adapters.sources")


class MessageFolder(Messages, FolderSource):
    """Each file holds messages."""

    def outcomes(self, file: StableFile, content: bytes) -> Iterator[Outcome]:
        """What the messages of one file say."""
        received_at = file_instant(file.modified_at)
        for number, raw in enumerate(split_messages(content), 1):
            yield from self.outcomes_of(raw, f"{file.path.name}:{number}", received_at)
        if is_batch(content) and (miscounted := read_batch(content).miscounted):
            _log.warning("A-207 a batch does not hold as many messages as it says: %s", miscounted)
