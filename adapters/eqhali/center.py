"""The health centre that exports from e-Qhali."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from adapters.code_map import CodeMap
from adapters.source_record import Origin


@dataclass(frozen=True, slots=True)
class Center:
    """A site of e-Qhali; `pads_documents` says that a spreadsheet ate the zeros of its documents."""

    origin: Origin
    zone: ZoneInfo
    codes: CodeMap
    pads_documents: bool = False
