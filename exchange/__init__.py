"""Chasqui's regional hub: one FHIR R4 door to the records that a region's facilities hold."""

__version__ = "0.1.0"
