"""Codes and what they mean: code systems, value sets, concept maps - FHIR's own, stored resources, catalogues."""
