"""FHIR search: text to a tree of criteria, the tree to SQL and to an in-memory check, pages, includes."""
