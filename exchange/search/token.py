"""Search type token: codes, identifiers, booleans, contact points.

Spec:    https://hl7.org/fhir/R4/search.html#token
Leaves:  hashing of the forms to index.

A form is what is hashed: `system|code`, `*|code` for a code whatever its system, `|code` for one without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from exchange.problems import NotSupported
from exchange.search import string
from exchange.search.escape import split_escaped, unescape

OF_TYPE_PARTS: Final = 3


def codings(fhir_type: str, value: Any) -> Iterator[tuple[str, str]]:
    """The (system, code) pairs of an element; the system is empty where there is none."""
    match fhir_type:
        case "CodeableConcept":
            for coding in value.get("coding", ()):
                yield coding.get("system", ""), coding.get("code", "")
        case "Coding":
            yield value.get("system", ""), value.get("code", "")
        case "Identifier":
            yield value.get("system", ""), value.get("value", "")
        case "ContactPoint":
            yield "", value.get("value", "")
        case "boolean":
            yield "", "true" if value else "false"
        case "string" if isinstance(value, str):  # a token of texts knows no case
            yield "", value.lower()
        case _ if isinstance(value, str):
            yield "", value


def forms(fhir_type: str, value: Any) -> Iterator[str]:
    """The forms under which an element can be found; `#` starts an identifier's type and value."""
    for system, code in codings(fhir_type, value):
        if code:
            yield f"*|{code}"
            yield f"{system}|{code}"
    for typed in forms_of_type(fhir_type, value):
        yield f"#{typed}"


def wanted(text: str, name: str) -> str | None:
    """The form that a search value asks for; None when it asks for any code of a system.

    Raises: NotSupported - more than one bar, or nothing at all.
    """
    parts = split_escaped(text, "|")
    if len(parts) == 1 and parts[0]:
        return f"*|{unescape(parts[0])}"
    if len(parts) == 2 and parts[1]:  # noqa: PLR2004 - a system and a code
        return f"{unescape(parts[0])}|{unescape(parts[1])}"
    if len(parts) == 2 and parts[0]:  # noqa: PLR2004
        return None
    raise NotSupported(f"'{name}' takes [code], [system]|[code], |[code] or [system]|", f"http.{name}")


def test(text: str, name: str, modifier: str) -> Callable[[str, Any], bool]:
    """Whether an element is what a search value asks for; `:not` is turned round by the caller."""
    match modifier:
        case "text":
            has_text = string.test(text, "")
            return lambda fhir_type, value: any(has_text("string", each) for each in _texts(fhir_type, value))
        case "of-type":
            typed = wanted_of_type(text, name)
            return lambda fhir_type, value: typed in forms_of_type(fhir_type, value)
        case "below":  # a kind of content, whatever its parameters
            base = unescape(text).lower()
            return lambda _type, value: (
                isinstance(value, str) and value.partition(";")[0].strip().lower() == base
            )
    form = wanted(text, name)
    if form is not None:
        return lambda fhir_type, value: form in forms(fhir_type, value)
    system = unescape(split_escaped(text, "|")[0])
    return lambda fhir_type, value: any(system == each for each, _ in codings(fhir_type, value))


def wanted_of_type(text: str, name: str) -> str:
    """The form of `[system]|[code]|[value]`: an identifier's type and value. Raises: NotSupported."""
    parts = [unescape(part) for part in split_escaped(text, "|")]
    if len(parts) != OF_TYPE_PARTS or not all(parts):
        raise NotSupported(f"'{name}:of-type' takes [type system]|[type code]|[value]", f"http.{name}")
    return "|".join(parts)


def forms_of_type(fhir_type: str, value: Any) -> Iterator[str]:
    """The `[system]|[code]|[value]` of an Identifier."""
    if fhir_type == "Identifier" and value.get("value"):
        for coding in (value.get("type") or {}).get("coding", ()):
            yield f"{coding.get('system', '')}|{coding.get('code', '')}|{value['value']}"


def _texts(fhir_type: str, value: Any) -> Iterator[str]:
    """The texts beside a code: what was said, and how the codings are displayed."""
    match fhir_type:
        case "CodeableConcept":
            found = [value.get("text"), *(coding.get("display") for coding in value.get("coding", ()))]
        case "Coding":
            found = [value.get("display")]
        case "Identifier":
            found = [(value.get("type") or {}).get("text")]
        case _:
            found = []
    return (each for each in found if each)
