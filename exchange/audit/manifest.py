"""Disclosure manifests: which versions exactly an act showed of one patient's record.

Spec:    docs/decisions/0012-audit-log.md.
Leaves:  sealing and storing to log; who may open one to operations/disclosure.

An event that names one resource says it itself. Longer lists are sealed beside the event, and opened with a case number.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

from exchange.audit.leaf import BLINDING_BYTES
from exchange.fhir.resource import dump, load

MANIFEST_VERSION: Final = 2
"""What a manifest is sealed to in the place of its event's version, which is always 1."""


def manifest_text(event_id: str, references: Sequence[str]) -> bytes:
    """A manifest's JSON: versions as `Type/id/_history/n`, in the order of the answer."""
    return dump({"event": event_id, "blinding": os.urandom(BLINDING_BYTES).hex(), "shown": list(references)})


def shown_in(text: bytes) -> list[str]:
    """The versions in an opened manifest."""
    found: dict[str, Any] = load(text)
    return [str(each) for each in found["shown"]]
