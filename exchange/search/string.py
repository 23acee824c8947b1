"""Search type string: names, addresses, titles; case and accents folded.

Spec:    https://hl7.org/fhir/R4/search.html#string
Leaves:  hashing of the forms to index.

Only a bucket is indexed - the first three letters of each word - so that a dump ranks no surnames; the rows of a
bucket are opened and compared in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from exchange.fhir.datatype import fold
from exchange.search.escape import unescape

BUCKET_LETTERS: Final = 3
_HUMAN_NAME: Final = ("family", "text")
_HUMAN_NAME_LISTS: Final = ("given", "prefix", "suffix")
_ADDRESS: Final = ("city", "district", "state", "postalCode", "country", "text")


def texts(fhir_type: str, value: Any) -> Iterator[str]:
    """The strings of an element, as they stand."""
    match fhir_type:
        case "HumanName":
            yield from (value[part] for part in _HUMAN_NAME if part in value)
            for part in _HUMAN_NAME_LISTS:
                yield from (each for each in value.get(part, ()) if each is not None)
        case "Address":
            yield from (value[part] for part in _ADDRESS if part in value)
            yield from (each for each in value.get("line", ()) if each is not None)
        case _ if isinstance(value, str):
            yield value


def forms(fhir_type: str, value: Any) -> Iterator[str]:
    """The buckets under which an element can be found."""
    for text in texts(fhir_type, value):
        for word in fold(text).split():
            yield "^" + word[:BUCKET_LETTERS]


def wanted(text: str, modifier: str) -> str | None:
    """The bucket that a search value asks for; None when the whole slice must be compared."""
    words = fold(unescape(text)).split()
    if not words or modifier in ("contains", "ends", "ne"):
        return None
    first = words[0]
    if len(words) == 1 and modifier not in ("exact", "is") and len(first) < BUCKET_LETTERS:
        return None
    return "^" + first[:BUCKET_LETTERS]


def test(text: str, modifier: str) -> Callable[[str, Any], bool]:
    """Whether an element starts with a search value (a word's start counts too), is it, contains it, or ends with it."""
    sought = unescape(text)
    if modifier == "exact":
        return lambda fhir_type, value: sought in texts(fhir_type, value)
    folded = fold(sought)
    match modifier:
        case "contains":
            return lambda fhir_type, value: any(folded in fold(each) for each in texts(fhir_type, value))
        case "starts":
            return lambda fhir_type, value: any(
                fold(each).startswith(folded) for each in texts(fhir_type, value)
            )
        case "ends":
            return lambda fhir_type, value: any(
                fold(each).endswith(folded) for each in texts(fhir_type, value)
            )
        case "is":
            return lambda fhir_type, value: any(fold(each) == folded for each in texts(fhir_type, value))
        case "ne":
            return lambda fhir_type, value: any(fold(each) != folded for each in texts(fhir_type, value))
    inner = f" {folded}"

    def is_wanted(fhir_type: str, value: Any) -> bool:
        held = (fold(each) for each in texts(fhir_type, value))
        return any(each.startswith(folded) or inner in each for each in held)

    return is_wanted
