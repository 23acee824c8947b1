"""The kinds of sources, each a class of its own: how it is read, looked at without taking, and read again.

Spec:    docs/adapters.md, "Sources".
Leaves:  meaning to the mappers; keeping to the outbox.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from adapters.settings import Settings
from adapters.sources.source import Source

__all__ = ["Source", "source_of"]

# Imported when used: a small PC pays for its own kind of source alone.
_CLASSES: Final = {
    "his-trama": "his_folder:HisFolder",
    "eqhali-folder": "eqhali_folder:EqhaliFolder",
    "galenhos": "galenhos_database:GalenhosDatabase",
    "hl7v2-folder": "message_folder:MessageFolder",
    "hl7v2-mllp": "message_port:MessagePort",
    "ccda-folder": "document_folder:DocumentFolder",
    "dicomweb": "dicomweb:ImageArchive",
    "fhir": "fhir_server:FhirServer",
}


def source_of(settings: Settings, id_key: bytes) -> Source:
    """The source that a site file names; `id_key` is what the ids that leave are made under."""
    module, _, name = _CLASSES[settings.source_kind].partition(":")
    made: Source = getattr(import_module(f"adapters.sources.{module}"), name)(settings, id_key)
    return made
