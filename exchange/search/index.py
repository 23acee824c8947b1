"""What finds a resource: tokens, ranges and the clinical date, taken from its elements.

Spec:    https://hl7.org/fhir/R4/search.html; docs/decisions/0009-two-kinds-of-search.md.
Leaves:  evaluating expressions to fhir/path; storing to store/versions.

A birth date is never stored as a number: day, month and year are hashed, like a token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from typing import Any, Final
from zlib import crc32

from exchange.crypto.blind_index import BlindIndex
from exchange.fhir.datatype import MAX_INSTANT, MIN_INSTANT
from exchange.fhir.definitions import SearchParameter
from exchange.fhir.path import extractor
from exchange.search import date, reference, string, token
from exchange.search.population import clinical_parameter, is_population_form, population_parameters
from exchange.settings import settings
from exchange.store.versions import BEGINNING, Index

SEALED_DATES: Final = frozenset({"birthdate", "death-date"})
_NOT_INDEXED: Final = frozenset({"_id", "_lastUpdated"})
_DATE_LENGTHS: Final = (4, 7, 10)


@cache
def parameter_number(name: str) -> int:
    """The number of a date parameter in a row's ranges; it never changes."""
    return crc32(name.encode()) & 0x7FFF_FFFF


def hash_text(resource_type: str, name: str, form: str) -> str:
    """What is hashed for a form of a parameter's value."""
    return f"{resource_type}|{name}|{form}"


def forms_of(
    parameter: SearchParameter, fhir_type: str, value: Any, own_patients: Collection[str], fhir_url: str
) -> Iterator[str]:
    """The forms under which one element can be found by one parameter."""
    match parameter.kind:
        case "token":
            yield from token.forms(fhir_type, value)
        case "string":
            yield from string.forms(fhir_type, value)
        case "reference" | "uri":
            yield from reference.forms(fhir_type, value, own_patients, fhir_url)
        case "date" if parameter.name in SEALED_DATES and isinstance(value, str):
            yield from (f"@{value[:length]}" for length in _DATE_LENGTHS if len(value) >= length)


def index(resource: dict[str, Any], own_patients: Collection[str], blind: BlindIndex) -> Index:
    """The index of one resource version. `own_patients` are the ids of its compartment's patient."""
    resource_type = resource["resourceType"]
    zone, fhir_url = _place()
    population = population_parameters(resource_type)
    clinical = clinical_parameter(resource_type)
    tokens: set[int] = set()
    found: set[int] = set()
    scoping = reference.scoping_parameters(resource_type)
    ranges: list[int] = []
    clinical_at = BEGINNING
    for parameter, elements in extractor(resource_type)(resource):
        name = parameter.name
        if name in _NOT_INDEXED:
            continue
        if parameter.kind == "date" and name not in SEALED_DATES:
            number = parameter_number(name)
            for fhir_type, value in elements:
                for low, high in date.ranges(fhir_type, value, zone):
                    ranges += (number, low, high)
                    if name == clinical and clinical_at == BEGINNING and MIN_INSTANT < low < MAX_INSTANT:
                        clinical_at = low
            continue
        own = own_patients if name in scoping else ()
        is_populated = name in population
        for fhir_type, value in elements:
            for form in forms_of(parameter, fhir_type, value, own, fhir_url):
                hashed = blind.value(hash_text(resource_type, name, form))
                tokens.add(hashed)
                if is_populated and is_population_form(name, form):
                    found.add(hashed)
    return Index(clinical_at, tokens, ranges, found)


@cache
def _place() -> tuple[Any, str]:
    return settings().zone, settings().fhir_url
