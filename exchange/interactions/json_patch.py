"""JSON Patch on a resource, bounded: few operations, and a tree that does not outgrow what may be posted.

Spec:    RFC 6902; https://hl7.org/fhir/R4/http.html#patch
Leaves:  identity, narrative and validity of the result to patch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import jsonpatch
import jsonpointer

from exchange.fhir.resource import dump, parse
from exchange.problems import Invalid, Malformed, TooCostly
from exchange.settings import settings

_INAPPLICABLE: Final = (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException)
MOST_OPERATIONS: Final = 500
MOST_POINTER_LETTERS: Final = 2_000
_OPERATIONS: Final = {
    "add": ("path", "value"),
    "replace": ("path", "value"),
    "test": ("path", "value"),
    "remove": ("path",),
    "move": ("path", "from"),
    "copy": ("path", "from"),
}


def read(body: bytes) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The change that a JSON Patch document says. Raises: Malformed, TooCostly."""
    # The reader of resources bounds and reads objects, so that the array travels in one.
    envelope = b'{"resourceType":"Parameters","patch":' + body + b"}"
    told = parse(envelope, max_bytes=settings().max_body_bytes, max_depth=settings().max_json_depth)
    operations = told["patch"]
    if told.keys() != {"resourceType", "patch"} or not isinstance(operations, list):
        raise Malformed("a JSON Patch is an array of operations")
    if len(operations) > MOST_OPERATIONS:
        raise TooCostly(f"a patch has at most {MOST_OPERATIONS} operations")
    for number, operation in enumerate(operations):
        _require_formed(operation, f"[{number}]")
    return lambda resource: _apply(operations, resource)


def _require_formed(operation: Any, place: str) -> None:
    if not isinstance(operation, dict) or operation.get("op") not in _OPERATIONS:
        raise Malformed("an operation is add, remove, replace, move, copy or test", f"{place}.op")
    for name in _OPERATIONS[operation["op"]]:
        if name not in operation:
            raise Malformed("the operation misses a member", f"{place}.{name}")
        if name == "value":
            continue
        pointer = operation[name]
        if not isinstance(pointer, str) or len(pointer) > MOST_POINTER_LETTERS:
            raise Malformed("a pointer is a short string", f"{place}.{name}")
        try:
            jsonpointer.JsonPointer(pointer)
        except jsonpointer.JsonPointerException:
            raise Malformed("a pointer starts with / and escapes with ~0 and ~1", f"{place}.{name}") from None


def _apply(operations: list[dict[str, Any]], resource: dict[str, Any]) -> dict[str, Any]:
    """One operation after the other; what `copy` adds is weighed before it is copied."""
    most = settings().max_body_bytes
    size = _weight(resource)
    tree: Any = resource
    for number, operation in enumerate(operations):
        place = f"[{number}]"
        try:
            if operation["op"] in ("add", "replace"):
                size += _weight(operation["value"])
            elif operation["op"] == "copy":
                size += _weight(jsonpointer.resolve_pointer(tree, operation["from"]))
            if size > most:
                raise TooCostly("the patched resource is larger than this hub takes", place)
            tree = jsonpatch.JsonPatch([operation]).apply(tree, in_place=True)
        except jsonpatch.JsonPatchTestFailed:
            raise Invalid("the test failed", place) from None
        except (*_INAPPLICABLE, TypeError, KeyError, IndexError):
            raise Invalid("the operation cannot be applied to this resource", place) from None
        except RecursionError:
            raise TooCostly("the patched resource nests too deeply", place) from None
    return tree  # type: ignore[no-any-return]


def _weight(value: Any) -> int:
    """The bytes of a value's text."""
    return len(dump(value))
