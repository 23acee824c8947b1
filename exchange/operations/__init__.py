"""FHIR operations, one file each, of the same shape as interactions.

Spec:    https://hl7.org/fhir/R4/operations.html
"""
