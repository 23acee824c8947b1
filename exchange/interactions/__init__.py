"""FHIR's interactions, one file each: what an act needs, and the act itself under a Permit.

Spec:    https://hl7.org/fhir/R4/http.html
Leaves:  decision, audit and commit to perform; status codes to rest.
"""
