"""FHIR R4 (4.0.1) itself: resources as text, datatypes, paths, compartments, validation and the official facts."""
