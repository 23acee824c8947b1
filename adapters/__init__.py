"""The runners that facilities install: read what a local system holds, normalise it, deliver it once."""

__version__ = "0.1.0"
MAPPING_VERSION = "1"
"""Grows whenever the same record would become other FHIR than before; `adapter replay` tells it anew."""
