"""The entries of a batch or transaction: each read as the request that it stands for.

Spec:    https://hl7.org/fhir/R4/bundle.html#bundle-unique, https://hl7.org/fhir/R4/http.html#transaction
Leaves:  running them to transaction and to perform.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl

from exchange.fhir.definitions import is_resource_type
from exchange.fhir.resource import parse
from exchange.problems import Malformed, Problem, TooCostly
from exchange.request import Interaction, Request
from exchange.settings import settings

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
READING: Final = ("GET", "HEAD")
MOST_URL_LETTERS: Final = 4_000
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_CONDITIONS: Final = {
    "ifMatch": "if_match",
    "ifNoneMatch": "if_none_match",
    "ifNoneExist": "if_none_exist",
    "ifModifiedSince": "if_modified_since",
}


@dataclass(slots=True)
class Entry:
    """One entry. `number` is its place in the bundle."""

    number: int
    method: str
    request: Request
    full_url: str = ""

    @property
    def place(self) -> str:
        """The entry as problems name it."""
        return f"Bundle.entry[{self.number}]"


def entries_of(outer: Request, kind: str) -> list[Entry | Problem]:
    """The entries of a posted Bundle; one that cannot be read is a problem of its own.

    Raises: Malformed - no Bundle of this kind; TooCostly.
    """
    posted = parse(outer.body, max_bytes=settings().max_body_bytes, max_depth=settings().max_json_depth)
    if posted["resourceType"] != "Bundle" or posted.get("type") != kind:
        raise Malformed("what is posted here is a Bundle of type batch or transaction", "Bundle.type")
    rows = posted.get("entry", [])
    if not isinstance(rows, list):
        raise Malformed("entries are an array", "Bundle.entry")
    if len(rows) > settings().max_bundle_entries:
        raise TooCostly(f"a bundle has at most {settings().max_bundle_entries} entries", "Bundle.entry")
    entries: list[Entry | Problem] = []
    for number, row in enumerate(rows):
        try:
            entries.append(_entry(outer, number, row))
        except Problem as problem:
            entries.append(problem)
    return entries


def _entry(outer: Request, number: int, row: Any) -> Entry:
    place = f"Bundle.entry[{number}]"
    if not isinstance(row, dict) or not isinstance(row.get("request"), dict):
        raise Malformed("an entry has a request", f"{place}.request")
    asked = row["request"]
    method, url = asked.get("method"), asked.get("url")
    if method not in METHODS or not isinstance(url, str):
        raise Malformed("an entry's request has a method and a url such as Patient/123", f"{place}.request")
    told = {name: asked.get(name) for name in _CONDITIONS}
    if any(value is not None and not isinstance(value, str) for value in told.values()):
        raise Malformed("conditions are strings", f"{place}.request")
    resource, full_url = row.get("resource"), row.get("fullUrl", "")
    if not isinstance(full_url, str) or not isinstance(resource, dict | None):
        raise Malformed("a fullUrl is a string and a resource an object", place)
    request = replace(
        _routed(method, url, f"{place}.request.url"),
        resource=resource,
        is_lenient=outer.is_lenient,
        is_safe=method in READING,
        is_head=method == "HEAD",
        prefer=outer.prefer,
        request_id=outer.request_id,
        address=outer.address,
        described=f"{outer.described} [{number}] {method} {url[:MOST_URL_LETTERS]}",
        **{field: told[name] for name, field in _CONDITIONS.items()},
    )
    if method in ("POST", "PUT") and not request.operation:
        if resource is None:
            raise Malformed("an entry that writes holds a resource", f"{place}.resource")
        if resource.get("resourceType") != request.resource_type:
            raise Malformed("the entry's resource is not of the type in its url", f"{place}.resource")
    if method == "PATCH" and resource is None:
        raise Malformed("an entry that patches holds the patch", f"{place}.resource")
    return Entry(number, method, request, full_url)


def _routed(method: str, url: str, place: str) -> Request:
    """The interaction of a method and a url below the base. Raises: Malformed, TooCostly."""
    if len(url) > MOST_URL_LETTERS or "\x00" in url:
        raise TooCostly("the url is too long", place)
    path, _, text = url.removeprefix(settings().fhir_url).lstrip("/").partition("?")
    if "%00" in text:
        raise Malformed("the url holds a NUL character", place)
    query = tuple(parse_qsl(text, keep_blank_values=True))
    parts = path.split("/") if path else []
    operation = ""
    if parts and parts[-1].startswith("$"):
        operation = parts.pop()[1:]
    made = _named(parts, place)
    if operation:
        if method not in ("GET", "HEAD", "POST"):
            raise Malformed("an operation is asked for with GET or POST", place)
        return replace(made, interaction="operation", operation=operation, query=query)
    interaction = _interaction(method, made, parts, is_conditional=bool(query))
    if interaction is None:
        raise Malformed("the method does not go to this url", place)
    return replace(made, interaction=interaction, query=query)


def _named(parts: list[str], place: str) -> Request:
    """The type, id, version and compartment that a path names."""
    history = parts.index("_history") if "_history" in parts else None
    version = ""
    if history is not None:
        version = "/".join(parts[history + 1 :])
        parts = parts[:history]
    first, second = (*parts[:2], "", "")[:2]
    named = Request("read", first, second, version)
    if len(parts) > 2:  # noqa: PLR2004 - type, id, and the type searched in that compartment
        searched = parts[2] if parts[2] != "*" else ""
        named = Request("read", searched, compartment=(parts[0], parts[1]))
    types = [each for each in (parts[0] if parts else "", named.resource_type) if each]
    ids = [*parts[1:2], *([version] if version else [])]
    is_fit = all(map(is_resource_type, types)) and all(map(_ID.fullmatch, ids))
    if not is_fit or len(parts) > 3 or (len(parts) > 2 and history is not None):  # noqa: PLR2004
        raise Malformed("an entry's request has a url such as Patient/123", place)
    return named


def _interaction(
    method: str, named: Request, parts: list[str], *, is_conditional: bool
) -> Interaction | None:
    if method in READING:
        if "_history" in parts:
            if named.version_id:
                return "vread"
            return (
                "history-instance"
                if named.resource_id
                else "history-type"
                if named.resource_type
                else "history-system"
            )
        if named.resource_id:
            return "read"
        return "search-type" if named.resource_type else "search-system"
    if not named.resource_type or named.compartment or "_history" in parts:
        return None
    if method == "POST":
        return "create" if not named.resource_id and not is_conditional else None
    if bool(named.resource_id) == is_conditional:
        return None  # an id, or criteria
    writes: dict[str, Interaction] = {"PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    return writes.get(method)
