"""What an operation is given, by query or by a posted Parameters resource, and what it answers.

Spec:    https://hl7.org/fhir/R4/operations.html#request, https://hl7.org/fhir/R4/parameters.html
Leaves:  which parameters there are to each operation; what is not one of them is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from exchange.fhir.resource import dump, parse
from exchange.fhir.structure import structural_issues
from exchange.problems import Malformed, NotSupported
from exchange.request import Answer, Request
from exchange.settings import settings

_PASSED_OVER: Final = frozenset({"_format", "_pretty"})
_TEXTS: Final = ("valueString", "valueUri", "valueUrl", "valueCanonical", "valueCode", "valueId", "valueDateTime",
                 "valueDate", "valueInstant", "valueMarkdown", "valueOid", "valueUuid")  # fmt: skip
_SHOWABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_INTEGER: Final = re.compile(r"[0-9]{1,9}")
TEXT, BOOLEAN, INTEGER, RESOURCE = "text", "boolean", "integer", "resource"
CODING, CODEABLE = "valueCoding", "valueCodeableConcept"
_KEYS: Final = {
    TEXT: _TEXTS,
    BOOLEAN: ("valueBoolean",),
    INTEGER: ("valueInteger", "valuePositiveInt", "valueUnsignedInt"),
    RESOURCE: ("resource",),
}


class Given:
    """The parameters of one call, each of its kind. A name that stands for several keeps their order."""

    def __init__(
        self, request: Request, known: Mapping[str, str], *, body: str = "", repeating: Iterable[str] = ()
    ) -> None:
        """Read them. `body` names the parameter that a posted resource other than Parameters is.

        Raises: NotSupported - a parameter that is not known; Malformed - one of another kind, or twice.
        """
        self._known = known
        self._values: dict[str, list[Any]] = {}
        for name, text in request.query:
            if name not in _PASSED_OVER:
                self._add(name, text)
        resource = request.resource
        if resource is None and request.body:
            resource = parse(
                request.body, max_bytes=settings().max_body_bytes, max_depth=settings().max_json_depth
            )
        if resource is not None:
            self._read(resource, body)
        for name, values in self._values.items():
            if len(values) > 1 and name not in repeating:
                raise Malformed("the parameter may be given once", f"http.{name}")

    def text(self, name: str) -> str:
        """A text; empty where it is not given."""
        return str(self.one(name) or "")

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Whether a boolean is true."""
        found = self.one(name)
        return default if found is None else bool(found)

    def one(self, name: str) -> Any:
        """A value, or None."""
        values = self._values.get(name)
        return values[0] if values else None

    def all(self, name: str) -> list[Any]:
        """Every value of a name."""
        return self._values.get(name, [])

    def _read(self, resource: dict[str, Any], body: str) -> None:
        if resource["resourceType"] != "Parameters":
            if not body:
                raise Malformed("the body is no Parameters resource", "resourceType")
            self._keep(body, resource)
            return
        # What is posted inside is the operation's to judge: $validate answers what is wrong with it.
        outer = [_without_resource(each) for each in resource.get("parameter", ()) if isinstance(each, dict)]
        is_list = isinstance(resource.get("parameter", []), list)
        issues = structural_issues(resource | {"parameter": outer} if outer and is_list else resource)
        if issues:
            raise Malformed.of(issues)
        for parameter in resource.get("parameter", ()):
            self._add_part(parameter)

    def _add_part(self, part: dict[str, Any]) -> None:
        name = part["name"]
        kind = self._kind(name)
        found = next((part[key] for key in _KEYS.get(kind, (kind,)) if key in part), None)
        if found is None:
            raise Malformed("the parameter has no value of its kind", f"http.{name}")
        self._keep(name, found)

    def _add(self, name: str, text: str) -> None:
        kind = self._kind(name)
        if kind == TEXT and text:
            self._keep(name, text)
        elif kind == BOOLEAN and text in ("true", "false"):
            self._keep(name, text == "true")
        elif kind == INTEGER and _INTEGER.fullmatch(text):
            self._keep(name, int(text))
        else:
            raise Malformed("the parameter has no value of its kind", f"http.{name}")

    def _kind(self, name: str) -> str:
        kind = self._known.get(name)
        if kind is None:
            shown = f"http.{name}" if _SHOWABLE.fullmatch(name) else "http.query"
            raise NotSupported("the operation has no such parameter", shown)
        return kind

    def _keep(self, name: str, value: Any) -> None:
        self._values.setdefault(name, []).append(value)


def _without_resource(part: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(part.get("resource"), dict):
        return part
    return part | {"resource": {"resourceType": "Basic", "code": {"text": "-"}}}


def parameters(*parts: tuple[str, str, Any]) -> Answer:
    """An answer of Parameters: (name, value[x] property or `part`, value); what is None or empty is left out."""
    rows = [{"name": name, key: value} for name, key, value in parts if value not in (None, "", [])]
    return Answer(body=dump({"resourceType": "Parameters", "parameter": rows}))


def part(*parts: tuple[str, str, Any]) -> list[dict[str, Any]]:
    """The parts of one output parameter."""
    return [{"name": name, key: value} for name, key, value in parts if value not in (None, "", [])]
