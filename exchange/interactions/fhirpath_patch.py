"""FHIRPath Patch: operations in a Parameters resource, each on one element that a simple path selects.

Spec:    https://hl7.org/fhir/R4/fhirpatch.html
Leaves:  paths to element_path; identity, narrative and validity of the result to patch.

The result's types are not compared here: it is checked as a whole, like any update.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.fhir.definitions import Element
from exchange.interactions.element_path import Place, Selection, element_of, read_path, root_of
from exchange.problems import Invalid, Malformed, TooCostly

MOST_OPERATIONS: Final = 500
_PARTS: Final = {
    "add": {"path", "name", "value"},
    "insert": {"path", "index", "value"},
    "delete": {"path"},
    "replace": {"path", "value"},
    "move": {"path", "source", "destination"},
}
_STRINGS: Final[tuple[str, ...]] = ("type", "path", "name")
_INTEGERS: Final[tuple[str, ...]] = ("index", "source", "destination")


@dataclass(slots=True)
class _Operation:
    """One operation as it was read. `value` is its part: what it becomes depends on where it goes."""

    kind: str
    place: str
    path: Callable[[Place], Selection]
    name: str = ""
    value: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)


def read(parameters: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The change that a FHIRPath Patch says. Raises: Malformed, NotSupported - a path; TooCostly."""
    rows = parameters.get("parameter", [])
    if not isinstance(rows, list):
        raise Malformed("parameters are an array", "Parameters.parameter")
    if len(rows) > MOST_OPERATIONS:
        raise TooCostly(f"a patch has at most {MOST_OPERATIONS} operations", "Parameters.parameter")
    operations = [_read_one(row, f"Parameters.parameter[{number}]") for number, row in enumerate(rows)]

    def change(resource: dict[str, Any]) -> dict[str, Any]:
        for each in operations:
            _APPLY[each.kind](each, root_of(resource))
        return resource

    return change


def _read_one(row: Any, place: str) -> _Operation:
    if not isinstance(row, dict) or row.get("name") != "operation" or not isinstance(row.get("part"), list):
        raise Malformed("a patch consists of parameters named operation", place)
    parts: dict[str, dict[str, Any]] = {}
    for part in row["part"]:
        name = part.get("name") if isinstance(part, dict) else None
        if not isinstance(name, str) or name in parts:
            raise Malformed("the parts of an operation have names, each its own", f"{place}.part")
        parts[name] = part
    told = {name: _text(parts.get(name), f"{place}.part") for name in _STRINGS if name in parts}
    wanted = _PARTS.get(told.get("type", ""))
    if wanted is None:
        raise Malformed("an operation is add, insert, delete, replace or move", f"{place}.part")
    if parts.keys() != wanted | {"type"}:
        names = ", ".join(sorted(wanted))
        raise Malformed(f"the operation has exactly the parts type, {names}", f"{place}.part")
    numbers = {name: _number(parts[name], f"{place}.part") for name in _INTEGERS if name in parts}
    path = read_path(told["path"], f"{place}.part")
    return _Operation(told["type"], place, path, told.get("name", ""), parts.get("value", {}), numbers)


def _text(part: Any, place: str) -> str:
    values = [value for name, value in part.items() if name in ("valueString", "valueCode")]
    if len(values) != 1 or not isinstance(values[0], str):
        raise Malformed("type, path and name are strings", place)
    return str(values[0])


def _number(part: dict[str, Any], place: str) -> int:
    value = part.get("valueInteger")
    if type(value) is not int or value < 0:
        raise Malformed("index, source and destination are whole numbers from 0 on", place)
    return value


def _one(operation: _Operation, found: list[Place]) -> Place:
    if len(found) != 1:
        some = "several elements" if found else "no element"
        raise Invalid(f"the path selects {some}", operation.place)
    return found[0]


def _add(operation: _Operation, root: Place) -> None:
    owner = _one(operation, operation.path(root).places)
    element = element_of(owner.type, operation.name)
    if element is None:
        raise Invalid("the element has no child of this name", operation.place)
    key, value, extension = _value(operation.value, element, operation.place)
    holder = owner.children(make=True)
    if element.maximum == 1:
        if any(name in holder or f"_{name}" in holder for name, _ in element.properties()):
            raise Invalid("the element stands already: replace it", operation.place)
        _set(holder, key, value, extension)
    else:
        _insert(holder, key, len(holder.get(key, ())), value, extension)


def _insert_at(operation: _Operation, root: Place) -> None:
    holder, key, element = _list_of(operation, root)
    index = operation.numbers["index"]
    if index > len(holder.get(key, ())):
        raise Invalid("the index is beyond the list's end", operation.place)
    _, value, extension = _value(operation.value, element, operation.place)
    _insert(holder, key, index, value, extension)


def _delete(operation: _Operation, root: Place) -> None:
    found = operation.path(root).places
    if not found:
        return  # "the element to delete (if found)"
    place = _one(operation, found)
    if place.parent is None:
        raise Invalid("a patch leaves a resource behind", operation.place)
    place.remove()


def _replace(operation: _Operation, root: Place) -> None:
    place = _one(operation, operation.path(root).places)
    if place.parent is None or place.element is None:
        raise Invalid("a resource is replaced by an update", operation.place)
    holder = place.parent.children()
    key, value, extension = _value(operation.value, place.element, operation.place)
    if place.index is None:
        holder.pop(place.key, None)
        holder.pop(f"_{place.key}", None)
        _set(holder, key, value, extension)
    else:
        holder[place.key][place.index] = value
        _set_sibling(holder, place.key, place.index, extension)


def _move(operation: _Operation, root: Place) -> None:
    holder, key, _ = _list_of(operation, root)
    rows = holder.get(key, [])
    source, destination = operation.numbers["source"], operation.numbers["destination"]
    if source >= len(rows) or destination >= len(rows):
        raise Invalid("source and destination are places of the list", operation.place)
    rows.insert(destination, rows.pop(source))
    siblings = holder.get(f"_{key}")
    if isinstance(siblings, list):
        siblings += [None] * (len(rows) - len(siblings))
        siblings.insert(destination, siblings.pop(source))


_APPLY: Final[dict[str, Callable[[_Operation, Place], None]]] = {
    "add": _add,
    "insert": _insert_at,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}


def _list_of(operation: _Operation, root: Place) -> tuple[dict[str, Any], str, Element]:
    """The list that a path names: the object that holds it, its property, its element."""
    selection = operation.path(root)
    if selection.owner is None or selection.element is None or selection.element.maximum == 1:
        raise Invalid("the path names no list of one element", operation.place)
    return selection.owner.children(make=True), selection.element.name, selection.element


def _insert(holder: dict[str, Any], key: str, index: int, value: Any, extension: Any) -> None:
    rows = holder.setdefault(key, [])
    rows.insert(index, value)
    siblings = holder.get(f"_{key}")
    if isinstance(siblings, list):
        siblings += [None] * (len(rows) - 1 - len(siblings))
        siblings.insert(index, extension)
    else:
        _set_sibling(holder, key, index, extension)


def _set(holder: dict[str, Any], key: str, value: Any, extension: Any) -> None:
    if value is not None:
        holder[key] = value
    if extension is not None:
        holder[f"_{key}"] = extension


def _set_sibling(holder: dict[str, Any], key: str, index: int, extension: Any) -> None:
    """Set the extension of one primitive of a list; the two arrays stay of one length."""
    siblings = holder.get(f"_{key}")
    if extension is None and not isinstance(siblings, list):
        return
    rows = list(siblings) if isinstance(siblings, list) else []
    rows += [None] * (len(holder[key]) - len(rows))
    rows[index] = extension
    if any(row is not None for row in rows):
        holder[f"_{key}"] = rows
    else:
        del holder[f"_{key}"]


def _value(part: dict[str, Any], element: Element, place: str) -> tuple[str, Any, Any]:
    """What a value part says: the property that it becomes, its value, its primitive extension."""
    suffix, value, extension = "", None, None
    for name, told in part.items():
        if name.startswith("value") and len(name) > len("value"):
            suffix, value = name.removeprefix("value"), told
        elif name.startswith("_value"):
            suffix, extension = name.removeprefix("_value"), told
        elif name == "resource":
            value = told
        elif name == "part":
            value = _object(told, element, place)
        elif name not in ("name", "id"):
            raise Malformed("a value is one value[x], a resource or parts", f"{place}.part")
    if value is None and extension is None:
        raise Malformed("the value part is empty", f"{place}.part")
    if not element.is_choice:
        return element.name, value, extension
    for key, _ in element.properties():
        if key == element.name[:-3] + suffix:
            return key, value, extension
    raise Invalid("the element does not take a value of this type", place)


def _object(parts: Any, element: Element, place: str) -> dict[str, Any]:
    """The object that nested parts spell out: for elements without a datatype of their own."""
    if not isinstance(parts, list) or len(element.types) != 1:
        raise Malformed("nested parts spell out one backbone element", f"{place}.part")
    made: dict[str, Any] = {}
    for part in parts:
        name = part.get("name") if isinstance(part, dict) else None
        child = element_of(element.types[0], name) if isinstance(name, str) else None
        if child is None:
            raise Invalid("the element has no child of this name", place)
        key, value, extension = _value(part, child, place)
        if child.maximum == 1:
            _set(made, key, value, extension)
        else:
            _insert(made, key, len(made.get(key, ())), value, extension)
    return made
