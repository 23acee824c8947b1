"""Search type uri: whole addresses, and the trees that their paths make.

Spec:    https://hl7.org/fhir/R4/search.html#uri
Leaves:  canonicals that a reference parameter holds to reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from exchange.search.escape import unescape

MOST_STEPS: Final = 50


def forms(value: Any) -> Iterator[str]:
    """The forms under which an address can be found; a canonical also without its version."""
    if isinstance(value, str):
        yield f"={value}"
        if "|" in value:
            yield f"={value.split('|')[0]}"


def wanted(text: str, modifier: str) -> list[str] | None:
    """The forms that a search value asks for; None when the index cannot say (everything below an address)."""
    value = unescape(text)
    if modifier == "below":
        return None
    return [f"={each}" for each in (_above(value) if modifier == "above" else [value])]


def test(text: str, modifier: str) -> Callable[[str, Any], bool]:
    """Whether an element is the address, stands above it in the tree of paths, or below it."""
    sought = unescape(text)
    if modifier == "below":
        under = sought if sought.endswith("/") else sought + "/"
        return lambda _type, value: isinstance(value, str) and (value == sought or value.startswith(under))
    allowed = set(wanted(text, modifier) or ())
    return lambda _type, value: any(form in allowed for form in forms(value))


def version_test(sought: str) -> Callable[[str, Any], bool]:
    """Whether a canonical is an address in any version, or in one that begins as the version sought."""
    base, _, version = sought.partition("|")

    def is_wanted(_type: str, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        held, _, own = value.partition("|")
        return held == base and (not version or own == version or own.startswith(version + "."))

    return is_wanted


def _above(value: str) -> list[str]:
    """An address and all whose path it continues, with and without the last slash."""
    parts = value.split("/")[:MOST_STEPS]
    found = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    return [value, *(form for each in found if each for form in (each, each + "/") if form != value)]
