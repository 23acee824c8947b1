"""Redaction: what a resource says in words about another one that is out of sight leaves with it.

Spec:    https://hl7.org/fhir/R4/security-labels.html#core; docs/decisions/0022-redaction.md.
Leaves:  hiding whole resources to visibility.

A reference keeps its id, which the resource was given; the words beside it - the display, and the narratives, which may
repeat any of it - go where its target is not in the permit's reach. A target that is absent counts alike, so that
nothing tells the one from the other. A facility's own resources are whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from exchange.fhir.datatype import parse_reference
from exchange.fhir.definitions import is_resource_type, type_code
from exchange.fhir.resource import dump
from exchange.permit import DIRECTORY_TYPES, Permit
from exchange.store.visibility import visible

if TYPE_CHECKING:
    from exchange.store.session import Transaction
    from exchange.store.versions import Version

REDACTED: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "REDACTED"}
_NAMED: Final = b'"reference":"'
_REFERENCE: Final = re.compile(rb'"reference":"([^"]*)"')
_USUAL: Final = re.compile(rb'\{"reference":"([^"\\]*)"(,"display":"[^"\\]*")?\}')
_PLACE: Final = re.compile(rb"(?:^|/)([A-Z][A-Za-z]{2,40})/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]{1,64})?$")
_NARRATIVE: Final = b'"div":"'

IN_SIGHT: Final = """
SELECT r.type, r.id FROM unnest(%(types)s::smallint[], %(ids)s::text[]) AS asked(type, id)
JOIN resource r ON r.type = asked.type AND r.id = asked.id WHERE NOT r.is_deleted AND """


def redacted(transaction: Transaction, permit: Permit, versions: list[Version]) -> list[Version]:
    """Versions without the words about what is out of sight.

    1. Of another facility's versions, those that say something in words beside what they point to: usually none.
    2. Which of the targets are in sight: one query for all of them.
    3. The words go; the resource says that it was redacted.
    """
    if permit.audit:
        return versions
    # 1.
    wordy: dict[int, set[str]] = {}
    for place, version in enumerate(versions):
        if version.custodian != permit.custodian and version.compartment > 0:
            targets = set(_targets(version.text)) - permit.patients
            if targets:
                wordy[place] = targets
    if not wordy:
        return versions
    # 2.
    seen = _in_sight(transaction, permit, sorted(set().union(*wordy.values())))
    # 3.
    return [
        _without_words(version, hidden) if (hidden := wordy.get(place, set()) - seen) else version
        for place, version in enumerate(versions)
    ]


def _targets(text: bytes) -> Iterator[str]:
    """The resources about which a text says something in words: in the display beside a reference, or in a narrative.

    Told from the bytes, since most texts say nothing: nearly every reference stands alone in its braces, or with its
    display. One that does not counts as one that says something.
    """
    usual = _USUAL.findall(text)
    if _NARRATIVE not in text and len(usual) == text.count(_NAMED):
        found = [named for named, display in usual if display]
    else:
        found = _REFERENCE.findall(text)
    for each in found:
        named = _PLACE.search(each)
        kind = named.group(1).decode() if named else ""
        if named and kind not in DIRECTORY_TYPES and is_resource_type(kind):
            yield f"{kind}/{named.group(2).decode()}"


def _in_sight(transaction: Transaction, permit: Permit, targets: Sequence[str]) -> set[str]:
    where, parameters = visible(permit)
    named = [each.split("/") for each in targets]
    codes = {type_code(kind): kind for kind, _ in named}
    parameters |= {
        "types": [type_code(kind) for kind, _ in named],
        "ids": [each for _, each in named],
    }
    return {f"{codes[row[0]]}/{row[1]}" for row in transaction.prepared(IN_SIGHT + where, parameters)}


def _without_words(version: Version, hidden: set[str]) -> Version:
    resource = version.parsed()
    kept = _cut(resource, hidden)
    meta = kept.get("meta", {})
    kept["meta"] = meta | {"security": [*meta.get("security", ()), REDACTED]}
    return version.with_text(dump(kept))


def _cut(node: Any, hidden: set[str]) -> Any:
    """A copy without narratives, and without the displays of references to what is hidden."""
    if isinstance(node, list):
        return [_cut(each, hidden) for each in node]
    if not isinstance(node, dict):
        return node
    told = node.get("reference")
    is_hidden = isinstance(told, str) and _place(told) in hidden
    return {
        name: _cut(value, hidden)
        for name, value in node.items()
        if not (is_hidden and name in ("display", "_display"))
        and not (isinstance(value, dict) and "div" in value)
    }


def _place(reference: str) -> str:
    named = parse_reference(reference)
    return f"{named.type}/{named.id}"
