"""Which indexed forms the values of a criterion are, where the index can say so.

Spec:    https://hl7.org/fhir/R4/search.html#ptypes
Leaves:  the forms of each kind of parameter to its file; hashing and SQL to predicate.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from exchange.fhir.datatype import parse_reference
from exchange.search import date, reference, string, uri
from exchange.search import token as token_type
from exchange.search.tree import Criterion
from exchange.settings import settings


def own_patient_criterion(criterion: Criterion, scoped: Collection[str]) -> list[str]:
    """The Patient ids that a criterion asks for, where its parameter places resources in a patient's record.

    `scoped` are the parameters that do so for the type. All values must be Patients for the search to be scoped; an id
    without a type is one only where the parameter says so.
    """
    if criterion.name not in scoped or criterion.modifier not in ("", "Patient"):
        return []
    forms = wanted_forms(criterion) or []
    patients = [form[8:] for form in forms if form.startswith("Patient/")]
    says_patient = criterion.name == "patient" or criterion.modifier == "Patient"
    types = ("Patient", None) if says_patient or criterion.parameter.targets == ("Patient",) else ("Patient",)
    every_value = all(parse_reference(each).type in types for each in criterion.values)
    return patients if every_value else []


def wanted_forms(criterion: Criterion) -> list[str] | None:
    """The indexed forms that a criterion asks for; None when the index cannot say."""
    parameter, modifier = criterion.parameter, criterion.modifier
    match parameter.kind:
        case "token" if modifier == "of-type":
            return [f"#{token_type.wanted_of_type(each, criterion.name)}" for each in criterion.values]
        case "token":
            is_text = modifier in ("text", "below")
            found = [
                None if is_text else token_type.wanted(each, criterion.name) for each in criterion.values
            ]
        case "string":
            is_open = not parameter.expression  # _text and _content look at no element
            found = [None if is_open else string.wanted(each, modifier) for each in criterion.values]
        case "date":
            for each in criterion.values:
                date.parse(each, criterion.name, settings().zone, 0)
            is_plain = not modifier and all(_is_day(each) for each in criterion.values)
            found = [f"@{each}" if is_plain else None for each in criterion.values]
        case "uri":
            return _all([uri.wanted(each, modifier) for each in criterion.values])
        case "reference":
            url, targets = settings().fhir_url, parameter.targets
            return _all(
                [reference.wanted(each, criterion.name, modifier, targets, url) for each in criterion.values]
            )
        case _:
            return None
    return None if None in found else [each for each in found if each is not None]


def _is_day(text: str) -> bool:
    return text[:1].isdigit() and len(text) in (4, 7, 10)


def _all(forms: Sequence[list[str] | None]) -> list[str] | None:
    return None if None in forms else [form for each in forms if each is not None for form in each]
