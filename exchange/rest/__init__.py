"""The FHIR door: HTTP in, requests to the spine, HTTP out."""
