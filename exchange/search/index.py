"""What finds a resource: tokens, ranges and the clinical date, taken from its elements.

Spec:    https://hl7.org/fhir/R4/search.html; docs/decisions/0009-two-kinds-of-search.md.
Leaves:  evaluating expressions to fhir/path; storing to store/versions.

A birth date is never stored as a number: day, month and year are hashed, like a token. A token is hashed under the record
that its row lies in, but for those that search/population lists.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final
from zlib import crc32

from exchange.crypto.blind_index import EVERYWHERE, BlindIndex
from exchange.crypto.blind_index import token as token_under
from exchange.fhir.datatype import MAX_INSTANT, MIN_INSTANT
from exchange.fhir.definitions import SearchParameter
from exchange.fhir.path import Element, compile_expression, extractor
from exchange.search import date, reference, string, token, uri
from exchange.search.parameter import ByName, custom_parameters
from exchange.search.population import (
    clinical_parameter,
    has_buckets,
    is_alike_everywhere,
    is_population_form,
    population_parameters,
    reference_parameters,
)
from exchange.settings import settings
from exchange.store.versions import BEGINNING, Index

SEALED_DATES: Final = frozenset({"birthdate", "death-date"})
_NOT_INDEXED: Final = frozenset({"_id", "_lastUpdated"})
_COMPARED_KINDS: Final = (
    "number",
    "quantity",
)  # compared on the opened resource: no number of a chart is at rest
_DATE_LENGTHS: Final = (4, 7, 10)
DAY_FORM: Final = 11
BUCKET: Final = "~"
BUCKETS: Final = 1_024


@cache
def parameter_number(name: str) -> int:
    """The number of a date parameter in a row's ranges; it never changes."""
    return crc32(name.encode()) & 0x7FFF_FFFF


def hash_text(resource_type: str, name: str, form: str) -> str:
    """What is hashed for a form of a parameter's value."""
    return f"{resource_type}|{name}|{form}"


def forms_of(
    parameter: SearchParameter, fhir_type: str, value: Any, own_patients: Collection[str], fhir_url: str
) -> Iterable[str]:
    """The forms under which one element can be found by one parameter."""
    match parameter.kind:
        case "token":
            return token.forms(fhir_type, value)
        case "string":
            return string.forms(fhir_type, value)
        case "uri":
            return uri.forms(value)
        case "reference":
            return reference.forms(fhir_type, value, own_patients, fhir_url)
        case "date" if isinstance(value, str):  # of a person: never stored as a number
            day = date.local_day(value, _place()[0])
            return [f"@{day[:length]}" for length in _DATE_LENGTHS if len(day) >= length]
        case _:
            return ()


def index(
    resource: dict[str, Any], own_patients: Collection[str], blind: BlindIndex, record: int = EVERYWHERE
) -> Index:
    """The index of one resource version. `own_patients` are the ids of the patient of `record`, where it lies."""
    resource_type = resource["resourceType"]
    zone = _place()[0]
    scoping = reference.scoping_parameters(resource_type)
    population = population_parameters(resource_type)
    if not own_patients and resource_type not in ("Patient", "AuditEvent"):
        population |= reference_parameters(
            resource_type
        )  # nobody's record: only so is it found from what it points to
    clinical = clinical_parameter(resource_type)
    tokens: set[int] = set()
    found: set[int] = set()
    ranges: list[int] = []
    clinical_at = BEGINNING
    clinical_until: int | None = None
    custom = custom_parameters(resource_type)
    for parameter, elements in [*extractor(resource_type)(resource), *_custom(custom, resource)]:
        name = parameter.name
        if name in _NOT_INDEXED or parameter.kind in _COMPARED_KINDS:
            continue
        if parameter.kind == "date" and name not in SEALED_DATES:
            number = parameter_number(name)
            for fhir_type, element in elements:
                for low, high in date.ranges(fhir_type, element, zone):
                    ranges += (number, low, high)
                    if name == clinical and MIN_INSTANT < low < MAX_INSTANT:
                        clinical_at = low if clinical_at == BEGINNING else min(low, clinical_at)
                        clinical_until = max(high, clinical_until or high)
            continue
        hashed = hashed_forms(
            resource_type, parameter, elements, own_patients if name in scoping else (), blind, record
        )
        tokens.update(token for each in hashed.values() for token in each)
        if name in population or name in custom:
            wanted = [form for form in hashed if is_population_form(name, form)]
        elif name == "subject":  # a subject that is no patient is found by its bare id, too
            wanted = [form for form in hashed if not form.startswith(("Patient/", "Patient#"))]
        else:
            wanted = [form for form in hashed if form.startswith(BUCKET)]
        found.update(token for form in wanted for token in hashed[form])
    # In no order of the elements: that would tell which token is of which parameter.
    return Index(clinical_at, clinical_until, sorted(tokens), ranges, found)


def hashed_forms(
    resource_type: str,
    parameter: SearchParameter,
    elements: Sequence[Element],
    own_patients: Collection[str],
    blind: BlindIndex,
    record: int,
) -> dict[str, list[int]]:
    """The forms under which the elements that a parameter selects can be found, each with its tokens in a record."""
    name = parameter.name
    prefix = hash_text(resource_type, name, "")
    url = _place()[1]
    forms = {
        reference.of_record(blind.patient_compartment(form[8:])) if _is_other_patient(form) else form
        for fhir_type, element in elements
        for form in forms_of(parameter, fhir_type, element, own_patients, url)
    }
    if resource_type == "AuditEvent":  # committed in the audit log: the same for ever
        return {form: [blind.value(prefix + form)] for form in forms}
    hashed = {
        form: blind.tokens(
            prefix + form, EVERYWHERE if is_alike_everywhere(resource_type, name, form) else record
        )
        for form in forms
    }
    if has_buckets(resource_type, name):
        days = [form for form in forms if len(form) == DAY_FORM]
        hashed |= {
            f"{BUCKET}{day}": [bucket_token(blind, prefix + day, each) for each in blind.versions.writing]
            for day in days
        }
    return hashed


def bucket_token(blind: BlindIndex, text: str, version: int) -> int:
    """The token of the bucket that a value falls into: many values share one, and their rows are told apart by others.

    Units: 1,024 buckets; one holds some thirty of the birth days of a lifetime.
    """
    number = int.from_bytes(blind.trapdoor(text, version)[-2:], "big") % BUCKETS
    return token_under(blind.trapdoor(f"{BUCKET}{text.partition('@')[0]}{number}", version), EVERYWHERE)


def _custom(custom: ByName, resource: dict[str, Any]) -> Iterator[tuple[SearchParameter, list[Element]]]:
    for parameter in custom.values():
        if parameter.kind not in ("date", *_COMPARED_KINDS):
            yield parameter, compile_expression(parameter.expression, resource["resourceType"])(resource)


def _is_other_patient(form: str) -> bool:
    return form.startswith("Patient/") and form != reference.OWN_PATIENT


@cache
def _place() -> tuple[Any, str]:
    return settings().zone, settings().fhir_url
