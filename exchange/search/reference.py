"""Search type reference: relative, absolute, by bare id, by identifier, canonical.

Spec:    https://hl7.org/fhir/R4/search.html#reference
Leaves:  finding a person's records behind a Patient reference to interactions/search.

A reference to the patient in whose record the resource lies is indexed as `Patient/@`: a search for one record of a
person then finds the same in every linked record. One to another patient is indexed by the place of that record, so
that it, too, is found from every record linked to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cache
from typing import Any, Final

from exchange.fhir.compartment import patient_parameters
from exchange.fhir.datatype import parse_reference
from exchange.fhir.definitions import search_parameters
from exchange.problems import NotSupported
from exchange.search import uri
from exchange.search.escape import split_escaped, unescape

OWN_PATIENT: Final = "Patient/@"


def forms(fhir_type: str, value: Any, own_patients: Collection[str], fhir_url: str) -> Iterator[str]:
    """The forms under which an element can be found; `own_patients` are ids of the compartment's patient."""
    if fhir_type != "Reference":
        yield from uri.forms(value)  # canonical, uri
        if fhir_type == "canonical" and isinstance(value, str):
            yield local(value, fhir_url)
        return
    text = value.get("reference")
    if text and not text.startswith("#"):
        form = local(text, fhir_url)
        yield OWN_PATIENT if form.startswith("Patient/") and form[8:] in own_patients else form
    identifier = value.get("identifier")
    if isinstance(identifier, dict) and identifier.get("value"):
        yield f"identifier:{identifier.get('system', '')}|{identifier['value']}"
        yield f"identifier:*|{identifier['value']}"


def of_record(compartment: int) -> str:
    """The form of a reference to the patient of another record."""
    return f"Patient#{compartment}"


def local(text: str, fhir_url: str) -> str:
    """`Type/id` for a reference to this hub, without its version; anything else as it stands."""
    relative = text[len(fhir_url) + 1 :] if text.startswith(fhir_url + "/") else text
    found = parse_reference(relative)
    if found.type and found.id and not found.base:
        return f"{found.type}/{found.id}"
    return relative


def wanted(text: str, name: str, modifier: str, targets: Collection[str], fhir_url: str) -> list[str]:
    """The forms that a search value asks for: one, or one for each target type of a bare id.

    Raises: NotSupported - empty, or a type that the parameter cannot point to.
    """
    value = unescape(text)
    if not value:
        raise NotSupported(f"'{name}' takes [type]/[id], [id] or an absolute URL", f"http.{name}")
    if modifier == "identifier":
        parts = [unescape(part) for part in split_escaped(text, "|")]
        return [f"identifier:{parts[0]}|{parts[1]}" if len(parts) > 1 else f"identifier:*|{parts[0]}"]
    form = local(value, fhir_url)
    if modifier == "below" and ":" in form:  # a canonical, in the versions that begin so
        return [f"={form.partition('|')[0]}"]
    if "/" not in form and ":" not in form:
        types = (modifier,) if modifier else targets
        return [f"{each}/{form}" for each in types]
    if modifier and not form.startswith(modifier + "/"):
        raise NotSupported(f"'{name}:{modifier}' takes an id of that type", f"http.{name}")
    return [form, f"={value}"] if ":" in value else [form]


def test(
    text: str, name: str, modifier: str, targets: Collection[str], fhir_url: str
) -> Callable[[str, Any], bool]:
    """Whether an element refers to what a search value names."""
    sought = set(wanted(text, name, modifier, targets, fhir_url))
    if modifier == "below":
        return uri.version_test(unescape(text))
    return lambda fhir_type, value: any(form in sought for form in forms(fhir_type, value, (), fhir_url))


@cache
def scoping_parameters(resource_type: str) -> frozenset[str]:
    """The parameters whose Patient says in whose record a resource lies.

    `patient` narrows one of the compartment's own parameters to Patients, and is not listed there for every type.
    """
    if resource_type == "Patient" or not patient_parameters(resource_type):
        return frozenset()
    known = search_parameters(resource_type)
    named = {name for name in ("patient", "subject") if name in known and "Patient" in known[name].targets}
    return frozenset(patient_parameters(resource_type)) | named
