"""Links between the entries of a transaction: found by the types of elements, replaced by what the hub calls the target.

Spec:    https://hl7.org/fhir/R4/http.html#trules, https://hl7.org/fhir/R4/bundle.html#references
Leaves:  looking up conditional references to transaction.

Replaced are references, elements of type uri, url, oid and uuid, and <a href> and <img src> in narratives; canonicals
are not. A version-specific reference stays one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from exchange.fhir.datatype import parse_reference
from exchange.fhir.definitions import is_resource_type, shape
from exchange.problems import Invalid

_URIS: Final = frozenset({"uri", "url", "oid", "uuid"})
_LINK: Final = re.compile(r"""(<(?:a|img)\b[^<>]*?\b(?:href|src)\s*=\s*["'])([^"'<>]{1,2000})""")
_CONDITIONAL: Final = re.compile(r"([A-Z][A-Za-z]{1,63})\?(.+)", re.ASCII | re.DOTALL)


@dataclass(slots=True)
class Target:
    """What a fullUrl stands for. `version_id` is the expected one until everything is admitted."""

    resource_type: str
    resource_id: str
    version_id: int = 0

    @property
    def place(self) -> str:
        """Type/id."""
        return f"{self.resource_type}/{self.resource_id}"


@dataclass(slots=True)
class Links:
    """The links of one resource. `versioned` are those whose version is not known before everything is admitted."""

    targets: Mapping[str, Target]
    full_url: str = ""
    conditional: Callable[[str, str], str] | None = None
    versioned: list[tuple[dict[str, Any], Target]] = field(default_factory=list)

    def replace(self, resource: dict[str, Any]) -> None:
        """Replace every link of a resource in place. Raises: Invalid - one that names nothing."""
        self._object(str(resource.get("resourceType", "")), resource)

    def settle(self) -> None:
        """Set the versions of version-specific references, now that they are known."""
        for node, target in self.versioned:
            node["reference"] = f"{target.place}/_history/{target.version_id}"

    def _object(self, type_: str, node: dict[str, Any]) -> None:
        kinds = _kinds(type_)
        for name, value in node.items():
            kind = "Element" if name.startswith("_") else kinds.get(name, "")
            if type(value) is str:
                if type_ == "Reference" and name == "reference":
                    node[name] = self._reference(node, value)
                elif kind in _URIS:
                    node[name] = self._uri(value)
                elif kind == "xhtml":
                    node[name] = _LINK.sub(lambda found: found[1] + self._uri(found[2]), value)
            elif type(value) is dict:
                self._object(_inner(kind, value), value)
            elif type(value) is list:
                self._list(kind, value)

    def _list(self, kind: str, rows: list[Any]) -> None:
        for index, row in enumerate(rows):
            if type(row) is dict:
                self._object(_inner(kind, row), row)
            elif type(row) is str and kind in _URIS:
                rows[index] = self._uri(row)

    def _uri(self, text: str) -> str:
        head, mark, fragment = text.partition("#")
        target = self.targets.get(head)
        return target.place + mark + fragment if target is not None else text

    def _reference(self, node: dict[str, Any], text: str) -> str:
        head, mark, fragment = text.partition("#")
        head, history, _ = head.partition("/_history/")
        target = self.targets.get(head) or self.targets.get(f"{_base(self.full_url)}/{head}")
        if target is not None:
            if history:
                self.versioned.append((node, target))
                return f"{target.place}/_history/{target.version_id}"
            return target.place + mark + fragment
        condition = conditional_reference(text)
        if condition is not None:
            return self.conditional(*condition) if self.conditional is not None else text
        if text.startswith("urn:uuid:"):
            raise Invalid("a reference names no entry of the bundle")
        return text


def conditional_reference(text: str) -> tuple[str, str] | None:
    """The type and the criteria of a conditional reference, or None."""
    match = _CONDITIONAL.fullmatch(text)
    return (match[1], match[2]) if match is not None and is_resource_type(match[1]) else None


def conditional_types(node: Any) -> set[str]:
    """The types that conditional references in a resource ask for."""
    found: set[str] = set()
    if type(node) is dict:
        text = node.get("reference")
        if type(text) is str and "?" in text:
            condition = conditional_reference(text)
            found |= {condition[0]} if condition else set()
        node = node.values()
    elif type(node) is not list:
        return found
    for each in node:
        if type(each) in (dict, list):
            found |= conditional_types(each)
    return found


def _base(full_url: str) -> str | None:
    """The base that an entry's relative references are relative to; None where its fullUrl is not RESTful."""
    return parse_reference(full_url).base if full_url.startswith("http") else None


def _inner(kind: str, value: dict[str, Any]) -> str:
    """The type of an object: the one that it says where any resource may stand."""
    return str(value.get("resourceType", "")) if kind in ("Resource", "") else kind


@cache
def _kinds(type_: str) -> Mapping[str, str]:
    """The type that each JSON property of a type says."""
    try:
        elements = shape(type_).elements
    except KeyError:
        return {}
    return {name: kind for element in elements.values() for name, kind in element.properties()}
