"""Which parameters can be searched across the whole region, which values look equal there, and which date sorts a type.

Spec:    docs/decisions/0009-two-kinds-of-search.md; docs/blind-indexes.md.
Leaves:  everything else to the slice of one patient - a population index on each value costs twice the space.

A value that many people share is named by how often it stands in an index. So only what is about one person or thing -
a document, an order's number, a telephone - has the same token in every record; a name, a code, a tag has another one in
each, and is looked for record by record. A birth date stands in one of a thousand buckets beside.
A search across the region on any other parameter is answered too, by reading what the caller may see.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from exchange.fhir.definitions import search_parameters
from exchange.permit import DIRECTORY_TYPES

_CLINICAL: Final = frozenset({"identifier", "code", "vaccine-code", "medication", "recipient", "_tag"})
_CONTACT: Final = frozenset({"phone", "email", "telecom"})
_PATIENT: Final = frozenset({"identifier", "family", "given", "name", "organization"}) | _CONTACT
_CLINICAL_DATES: Final = (
    "date", "onset-date", "authoredon", "authored", "effective", "authored-on", "recorded-date", "recorded",
    "period", "sent", "created", "issued", "started", "onset", "when-given", "whenhandedover",
)  # fmt: skip


@cache
def population_parameters(resource_type: str) -> frozenset[str]:
    """The parameters of a type that have rows in the population index."""
    names = frozenset(search_parameters(resource_type))
    if resource_type == "AuditEvent":
        return frozenset()
    if resource_type in DIRECTORY_TYPES:
        return names
    if resource_type == "Patient":
        return _PATIENT
    return names & _CLINICAL


@cache
def reference_parameters(resource_type: str) -> frozenset[str]:
    """The reference parameters of a type: where a resource is in nobody's record, they have rows too."""
    known = search_parameters(resource_type).values()
    return frozenset(each.name for each in known if each.kind == "reference")


@cache
def clinical_parameter(resource_type: str) -> str:
    """The date parameter whose start orders a patient's slice; empty where a type has none."""
    known = search_parameters(resource_type)
    return next((name for name in _CLINICAL_DATES if name in known and known[name].kind == "date"), "")


def is_alike_everywhere(resource_type: str, name: str, form: str) -> bool:
    """Whether a form has one token in all records: its value is of one person or thing, or the row says it anyway.

    A reference to another patient is one of those: `members` names that patient's record.
    """
    return (
        name == "identifier"
        or (name in _CONTACT and resource_type == "Patient")
        or (name == "subject" and not form.startswith("Patient/"))
        or form.startswith("Patient#")
    )


def has_buckets(resource_type: str, name: str) -> bool:
    """Whether days of a parameter stand in buckets across the region."""
    return resource_type == "Patient" and name == "birthdate"


def is_population_form(name: str, form: str) -> bool:
    """Whether a form of a populated parameter has a row: an identifier is found by system and value together."""
    return name != "identifier" or not form.startswith("*|")
