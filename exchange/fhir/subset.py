"""Parts of a resource for a list: _summary and _elements.

Spec:    https://hl7.org/fhir/R4/search.html#summary, https://hl7.org/fhir/R4/search.html#elements
Leaves:  reading the parameters to search.

Whatever is asked, elements that are mandatory stay, and those that modify a meaning; `meta` says that it is a part.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from exchange.fhir.definitions import shape

SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "Resource encoded in summary mode",
}
_ALWAYS: Final = frozenset({"resourceType", "id", "meta"})


def subset(resource: dict[str, Any], summary: str, elements: Collection[str]) -> dict[str, Any]:
    """A resource with what `_summary` (true, text, data) or `_elements` keeps; the resource itself is not changed."""
    resource_type = resource["resourceType"]
    if summary == "true":
        kept = _summarised(resource_type, resource, "", _flags(resource_type)[0])
    else:
        if summary == "data":
            names = {_element_of(resource_type, key) for key in resource} - {"text"}
        else:
            names = set(elements) | ({"text"} if summary == "text" else set())
            names |= _mandatory(resource_type) | (_flags(resource_type)[1] if elements else frozenset())
        names |= _ALWAYS
        kept = {key: value for key, value in resource.items() if _element_of(resource_type, key) in names}
    meta = dict(kept.get("meta") or {})
    meta["tag"] = [*meta.get("tag", ()), SUBSETTED]
    # Where the members stand is kept: id and meta come first, as they were.
    return {
        key: meta if key == "meta" else value
        for key, value in ({"resourceType": "", "id": "", "meta": {}} | kept).items()
    }


def _summarised(
    resource_type: str, node: dict[str, Any], path: str, paths: Collection[str]
) -> dict[str, Any]:
    owner = f"{resource_type}.{path}" if path else resource_type
    kept: dict[str, Any] = {}
    for key, value in node.items():
        name = _element_of(owner, key)
        inner = f"{path}.{name}" if path else name
        if name in _ALWAYS and not path:
            kept[key] = value
        elif inner in paths:
            is_backbone = any(each.startswith(inner + ".") for each in paths) and not key.startswith("_")
            kept[key] = _inside(resource_type, value, inner, paths) if is_backbone else value
    return kept


def _inside(resource_type: str, value: Any, path: str, paths: Collection[str]) -> Any:
    if isinstance(value, list):
        return [_inside(resource_type, each, path, paths) for each in value]
    return _summarised(resource_type, value, path, paths) if isinstance(value, dict) else value


def _element_of(owner: str, key: str) -> str:
    """The element's name behind a JSON property: `valueQuantity` and `_valueString` are `value`."""
    return _properties(owner).get(key.removeprefix("_"), key)


@cache
def _properties(owner: str) -> dict[str, str]:
    try:
        elements = shape(owner).elements
    except KeyError:
        return {}
    return {key: each.name.removesuffix("[x]") for each in elements.values() for key, _ in each.properties()}


@cache
def _mandatory(resource_type: str) -> frozenset[str]:
    elements = shape(resource_type).elements.values()
    return frozenset(each.name.removesuffix("[x]") for each in elements if each.minimum)


@cache
def _table() -> dict[str, list[list[str]]]:
    text = (Path(__file__).parent / "definitions" / "summary.json").read_bytes()
    table: dict[str, list[list[str]]] = msgspec.json.decode(text)
    return table


@cache
def _flags(resource_type: str) -> tuple[frozenset[str], frozenset[str]]:
    summary, modifiers = _table()[resource_type]
    return frozenset(summary), frozenset(modifiers)
