"""The runners that facilities install: read what a local system holds, normalise it, deliver it once."""

__version__ = "0.1.0"
