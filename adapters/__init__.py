"""The runners that facilities install: read what a local system holds, normalise it, deliver it once."""
