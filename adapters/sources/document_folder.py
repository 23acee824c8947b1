"""A folder of C-CDA documents."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.readers.folder import StableFile
from adapters.settings import Settings
from adapters.source_record import Outcome, SourceRecord
from adapters.source_record.moment import file_instant
from adapters.sources.folder_source import FolderSource
from adapters.tertiary import Institute, map_document


class DocumentFolder(FolderSource):
    """Each file is one document."""

    def __init__(self, settings: Settings, id_key: bytes) -> None:
        super().__init__(settings, id_key)
        self._institute = Institute(self.origin, settings.zone, self.codes, settings.identifier_rules)

    def outcomes(self, file: StableFile, content: bytes) -> Iterator[Outcome]:
        """What one document says."""
        yield self._mapped(content, file_instant(file.modified_at), file.path.name)

    def again(self, record: SourceRecord) -> Outcome:
        """A document that was kept, mapped with today's tables."""
        return self._mapped(record.original, record.received_at, record.location)

    def _mapped(self, raw: bytes, received_at: str, place: str) -> Outcome:
        return self.guarded(lambda: map_document(self._institute, raw, received_at, place), raw)
