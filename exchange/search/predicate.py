"""A criterion as SQL over the index row, and as a check of the opened resource: side by side.

Spec:    https://hl7.org/fhir/R4/search.html; docs/decisions/0009-two-kinds-of-search.md.
Leaves:  which rows may be looked at to store/visibility.

The SQL may let more rows through than the criterion (a bucket of names); `is_exact` says whether it does. The check
is the criterion itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from exchange.crypto.blind_index import BlindIndex
from exchange.fhir.datatype import parse_reference
from exchange.fhir.path import Element, extractor
from exchange.search import date, reference, string, token
from exchange.search.escape import unescape
from exchange.search.grammar import Criterion
from exchange.search.index import SEALED_DATES, hash_text, parameter_number
from exchange.search.population import is_population_form, population_parameters
from exchange.settings import settings


@dataclass(slots=True)
class Predicate:
    """SQL over the row alias `r`; `hashes` can drive a population search where they are not empty."""

    sql: str = "true"
    parameters: dict[str, Any] = field(default_factory=dict)
    is_exact: bool = True
    hashes: list[int] = field(default_factory=list)


def to_sql(criterion: Criterion, number: int, resource_type: str, blind: BlindIndex, now: int) -> Predicate:
    """The SQL of one criterion; `number` keeps the names of its parameters apart."""
    name = criterion.name
    if name == "_id":
        return Predicate(f"r.id = ANY(%(p{number})s)", {f"p{number}": list(criterion.values)})
    if name == "_lastUpdated":
        return _last_updated(criterion, number, now)
    if criterion.modifier == "missing":
        return Predicate(is_exact=False)
    if criterion.parameter.kind == "date" and name not in SEALED_DATES:
        return _date(criterion, number, now)
    forms = _forms(criterion)
    if forms is None:
        return Predicate(is_exact=False)
    hashes = [blind.value(hash_text(resource_type, name, form)) for form in forms]
    held = f"r.tokens && %(p{number})s::bigint[]"
    parameters = {f"p{number}": hashes}
    if criterion.modifier == "not":
        return Predicate(f"NOT ({held})", parameters)
    own = [blind.patient_compartment(form[8:]) for form in forms if form.startswith("Patient/")]
    if own and name in reference.scoping_parameters(resource_type):
        # In its own patient's record the reference has another form; this criterion asks for others beside patients.
        own_form = blind.value(hash_text(resource_type, name, reference.OWN_PATIENT))
        in_own = f"r.compartment = ANY(%(o{number})s::bigint[]) AND r.tokens @> %(w{number})s::bigint[]"
        return Predicate(
            f"({held} OR ({in_own}))", parameters | {f"o{number}": own, f"w{number}": [own_form]}
        )
    is_populated = name in population_parameters(resource_type)
    is_populated = is_populated and all(is_population_form(name, form) for form in forms)
    is_exact = criterion.parameter.kind != "string"
    return Predicate(held, parameters, is_exact, hashes if is_populated else [])


def holds(
    criterion: Criterion, resource: dict[str, Any], last_updated: int, own_patients: Collection[str], now: int
) -> bool:
    """Whether an opened resource satisfies a criterion."""
    name, parameter = criterion.name, criterion.parameter
    if name == "_id":
        return resource["id"] in criterion.values
    if name == "_lastUpdated":
        wanted = [date.parse(each, name, settings().zone, now) for each in criterion.values]
        return any(date.matches(last_updated, last_updated, each) for each in wanted)
    elements: list[Element] = next(
        (found for each, found in extractor(resource["resourceType"])(resource) if each.name == name), []
    )
    if criterion.modifier == "missing":
        return (not elements) == (criterion.values == ("true",))
    if parameter.kind == "date":
        dates = [date.parse(each, name, settings().zone, now) for each in criterion.values]
        covered = [one for kind, value in elements for one in date.ranges(kind, value, settings().zone)]
        return any(date.matches(low, high, each) for low, high in covered for each in dates)
    if parameter.kind == "token":
        found = any(token.matches(*element, each, name) for element in elements for each in criterion.values)
        return found != (criterion.modifier == "not")
    if parameter.kind == "string":
        return any(
            string.matches(*element, each, criterion.modifier)
            for element in elements
            for each in criterion.values
        )
    sought = set(_forms(criterion) or ())
    url = settings().fhir_url
    return any(
        form in sought for element in elements for form in reference.forms(*element, own_patients, url)
    )


def own_patient_criterion(criterion: Criterion, scoped: Collection[str]) -> list[str]:
    """The Patient ids that a criterion asks for, where its parameter places resources in a patient's record.

    `scoped` are the parameters that do so for the type. All values must be Patients for the search to be scoped; an id
    without a type is one only where the parameter says so.
    """
    if criterion.name not in scoped or criterion.modifier in ("identifier", "missing", "not"):
        return []
    forms = _reference_forms(criterion)
    patients = [form[8:] for form in forms if form.startswith("Patient/")]
    says_patient = criterion.name in ("patient", "subject") or criterion.modifier == "Patient"
    types = ("Patient", None) if says_patient or criterion.parameter.targets == ("Patient",) else ("Patient",)
    every_value = all(parse_reference(each).type in types for each in criterion.values)
    return patients if every_value else []


def _forms(criterion: Criterion) -> list[str] | None:
    """The indexed forms that a criterion asks for; None when the index cannot say."""
    match criterion.parameter.kind:
        case "token":
            tokens = [token.wanted(each, criterion.name) for each in criterion.values]
            return None if None in tokens else [each for each in tokens if each is not None]
        case "string":
            buckets = [string.wanted(each, criterion.modifier) for each in criterion.values]
            return None if None in buckets else [each for each in buckets if each is not None]
        case "date":
            for each in criterion.values:
                date.parse(each, criterion.name, settings().zone, 0)
            equal = [each for each in criterion.values if len(each) in (4, 7, 10) and each[0].isdigit()]
            return [f"@{each}" for each in equal] if len(equal) == len(criterion.values) else None
        case "uri":
            return [f"={unescape(each)}" for each in criterion.values]
        case _:
            return _reference_forms(criterion)


def _reference_forms(criterion: Criterion) -> list[str]:
    url = settings().fhir_url
    forms: list[str] = []
    for each in criterion.values:
        forms += reference.wanted(each, criterion.name, criterion.modifier, criterion.parameter.targets, url)
        if ":" in each and criterion.modifier != "identifier":
            forms.append(f"={each}")
    return forms


def _date(criterion: Criterion, number: int, now: int) -> Predicate:
    parts, parameters = [], {f"n{number}": parameter_number(criterion.name)}
    for index, text in enumerate(criterion.values):
        value = date.parse(text, criterion.name, settings().zone, now)
        low, high = f"low{number}_{index}", f"high{number}_{index}"
        parameters |= {low: value.low, high: value.high}
        compared = date.SQL[value.prefix].replace("%(low)s", f"%({low})s").replace("%(high)s", f"%({high})s")
        parts.append(compared.format(low="r.ranges[i + 1]", high="r.ranges[i + 2]"))
    steps = "generate_series(1, cardinality(r.ranges), 3) i"
    sql = f"EXISTS (SELECT 1 FROM {steps} WHERE r.ranges[i] = %(n{number})s AND ({' OR '.join(parts)}))"  # noqa: S608
    return Predicate(sql, parameters)


def _last_updated(criterion: Criterion, number: int, now: int) -> Predicate:
    parts: list[str] = []
    parameters: dict[str, Any] = {}
    for index, text in enumerate(criterion.values):
        value = date.parse(text, "_lastUpdated", settings().zone, now)
        low, high = f"low{number}_{index}", f"high{number}_{index}"
        parameters |= {low: value.low, high: value.high}
        compared = date.SQL[value.prefix].replace("%(low)s", f"%({low})s").replace("%(high)s", f"%({high})s")
        parts.append(compared.format(low="r.last_updated", high="r.last_updated"))
    return Predicate(f"({' OR '.join(parts)})", parameters)
