"""Which identifiers and demographics of people a search names: what somebody who tries them all would vary.

Spec:    https://hl7.org/fhir/R4/patient.html#search; docs/clients.md
Leaves:  what the search means to search; counting to limits.

Writes are left out: their criteria reach the caller's own records alone. So is the directory, which everybody may read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from exchange.permit import DIRECTORY_TYPES
from exchange.request import Request

PEOPLE: Final = frozenset({"", "Patient", "Person", "RelatedPerson"})
DEMOGRAPHICS: Final = frozenset(
    {"name", "family", "given", "phonetic", "birthdate", "telecom", "phone", "email", "address", "address-city",
     "address-postalcode", "address-state", "address-country", "address-use", "death-date"}
)  # fmt: skip
MOST_VALUES: Final = 1_000
_SEARCHES: Final = frozenset({"search-type", "search-system", "operation"})
_SPLIT: Final = re.compile(r"(?<!\\),")
_STEPS: Final = re.compile(r"[.:\[\]]+")
_COMPARED: Final = re.compile(r"([A-Za-z.:\-]+)\s+[a-z]{2}\s+(\"(?:[^\"\\]|\\.)*\"|[^\s()]+)")
"""One comparison of a `_filter`: a path, an operator and a value."""


def searched_values(request: Request) -> tuple[str, ...]:
    """`parameter|value` for each value that a search or an operation names, in small letters."""
    if request.interaction not in _SEARCHES:
        return ()
    found: dict[str, None] = {}
    for path, value in _compared(request.query):
        parameter = _personal(request.resource_type, path)
        if parameter and value:
            found[f"{parameter}|{value.casefold()}"] = None
    return tuple(found)[:MOST_VALUES]


def _compared(query: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for name, value in query:
        if name == "_filter":
            yield from ((path, text.strip('"')) for path, text in _COMPARED.findall(value))
        else:
            yield from ((name, each) for each in _SPLIT.split(value))


def _personal(resource_type: str, path: str) -> str:
    """The parameter that a path ends in, where it tells people apart; whether it is the searched type's or a chain's."""
    steps = _STEPS.split(path)
    if steps[-1] == "missing":
        return ""
    for place, step in enumerate(steps):
        if step == "identifier" and (place or resource_type not in DIRECTORY_TYPES):
            return step
        if step in DEMOGRAPHICS and (place or resource_type in PEOPLE):
            return step
    return ""
