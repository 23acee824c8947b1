"""Search type token: codes, identifiers, booleans, contact points.

Spec:    https://hl7.org/fhir/R4/search.html#token
Leaves:  hashing of the forms to index.

A form is what is hashed: `system|code`, `*|code` for a code whatever its system, `|code` for one without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from exchange.problems import NotSupported
from exchange.search.escape import split_escaped, unescape

SYSTEM_ONLY: Final = "*"


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
        case _ if isinstance(value, str):
            yield "", value


def forms(fhir_type: str, value: Any) -> Iterator[str]:
    """The forms under which an element can be found."""
    for system, code in codings(fhir_type, value):
        if code:
            yield f"*|{code}"
            yield f"{system}|{code}"


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


def matches(fhir_type: str, value: Any, text: str, name: str) -> bool:
    """Whether an element is what a search value asks for."""
    form = wanted(text, name)
    if form is not None:
        return form in forms(fhir_type, value)
    system = unescape(split_escaped(text, "|")[0])
    return any(system == each for each, _ in codings(fhir_type, value))
