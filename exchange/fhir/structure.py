"""The structure of a resource against the official element tables, compiled to one closure a shape.

Spec:    https://hl7.org/fhir/R4/conformance-rules.html, https://hl7.org/fhir/R4/json.html
Leaves:  what a single value may be to primitive.py; profiles and invariants to operations.

Checked: unknown elements, cardinality, one type a choice, primitive values, primitive extensions, required
bindings, contained resources. Diagnostics name elements and rules and never repeat a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias

from exchange.fhir.definitions import (
    Element,
    is_resource_type,
    is_subtype,
    primitive_patterns,
    shape,
    value_set_codes,
    value_set_codings,
)
from exchange.fhir.primitive import Test, primitive_test
from exchange.problems import Issue

MAX_ISSUES: Final = 20

Path: TypeAlias = "tuple[Path | None, str, int | None]"
ObjectCheck: TypeAlias = Callable[[dict[str, Any], Path, list[Issue]], None]
FieldCheck: TypeAlias = Callable[[Any, Path, list[Issue], dict[str, Any]], None]

Fields: TypeAlias = dict[str, tuple[FieldCheck, str | None]]
Required: TypeAlias = list[tuple[str, tuple[str, ...]]]

_PLAIN: Final = frozenset({("Extension", "url")})
"""What is no FHIR primitive but a plain string, so that it cannot be extended; every `id` is, too."""
_SHOWABLE: Final = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}")


class _EnoughError(Exception):
    pass


def structural_issues(resource: dict[str, Any]) -> list[Issue]:
    """What is wrong with a resource's structure; [] when nothing is. Units: at most 20 issues."""
    issues: list[Issue] = []
    resource_type = resource.get("resourceType")
    if type(resource_type) is not str or not is_resource_type(resource_type):
        return [Issue("structure", "resourceType is not a resource type of FHIR R4", "resourceType")]
    try:
        _object_check(resource_type)(resource, (None, resource_type, None), issues)
    except _EnoughError:
        pass
    except RecursionError:
        issues.append(Issue("too-costly", "The resource nests too deeply", resource_type))
    return issues


def _report(issues: list[Issue], code: str, text: str, path: Path) -> None:
    issues.append(Issue(code, text, _expression(path)))
    if len(issues) >= MAX_ISSUES:
        raise _EnoughError


def _expression(path: Path) -> str:
    parts: list[str] = []
    at: Path | None = path
    while at is not None:
        parent, name, index = at
        parts.append(name if index is None else f"{name}[{index}]")
        at = parent
    return ".".join(reversed(parts))


@cache
def _object_check(name: str) -> ObjectCheck:
    """The check of one shape; its table is built at the first object that meets it (shapes recurse)."""

    def check(value: dict[str, Any], path: Path, issues: list[Issue]) -> None:
        fields, required = _table(name)
        if not value:
            _report(issues, "structure", "An object must not be empty", path)
        chosen: dict[str, str] = {}
        for key, item in value.items():
            field = fields.get(key)
            if field is None:
                _report_unknown(key, path, issues)
                continue
            test, choice = field
            test(item, path, issues, value)
            if choice is not None and chosen.setdefault(choice, key.lstrip("_")) != key.lstrip("_"):
                _report(
                    issues, "structure", "Only one type of this choice may be given", (path, choice, None)
                )
        for element, keys in required:
            if keys[0] not in value and not any(key in value for key in keys):
                _report(issues, "required", "This element is required", (path, element, None))

    return check


@cache
def _table(name: str) -> tuple[Fields, Required]:
    fields: Fields = {}
    required: Required = []
    for element in shape(name).elements.values():
        keys = _add_fields(name, element, fields)
        if element.minimum:
            required.append((element.name.removesuffix("[x]"), keys))
    if is_resource_type(name):
        fields["resourceType"] = (lambda _item, _path, _issues, _owner: None, None)
    return fields, required


def _report_unknown(key: str, path: Path, issues: list[Issue]) -> None:
    if _SHOWABLE.fullmatch(key):
        _report(issues, "structure", "There is no such element here", (path, key, None))
    else:
        _report(issues, "structure", "There is an element here whose name FHIR does not know", path)


def _add_fields(owner: str, element: Element, fields: Fields) -> tuple[str, ...]:
    name = element.name.removesuffix("[x]")
    choice = name if element.is_choice else None
    keys: list[str] = []
    for key, type_ in element.properties():
        is_list = element.maximum != 1
        keys.append(key)
        if type_ in primitive_patterns():
            test = _bound_primitive(type_, element.value_set)
            fields[key] = (_primitive_field(name, key, test, element if is_list else None), choice)
            if name != "id" and (owner, name) not in _PLAIN:
                fields["_" + key] = (_extension_field(name, key, is_list=is_list), choice)
                keys.append("_" + key)
        else:
            check = _resource_check if type_ == "Resource" else _bound_object(type_, element.value_set)
            field = _list_field(name, check, element) if is_list else _single_field(name, check)
            fields[key] = (field, choice)
    return tuple(keys)


def _bound_primitive(type_: str, value_set: str) -> tuple[Test, str, str]:
    """The test of a primitive with the issue code and text for its failure."""
    test = primitive_test(type_)
    if not value_set or not is_subtype(type_, "code"):
        return test, "value", f"This is not a valid {type_}"
    codes = value_set_codes(value_set)
    return (
        lambda value: type(value) is str and value in codes,
        "code-invalid",
        f"The code is not in the required value set {value_set}",
    )


def _primitive_field(
    name: str, key: str, bound: tuple[Test, str, str], repeating: Element | None
) -> FieldCheck:
    test, code, text = bound

    def single(item: Any, path: Path, issues: list[Issue], _owner: dict[str, Any]) -> None:
        if not test(item):
            _report(issues, code, text, (path, name, None))

    def several(item: Any, path: Path, issues: list[Issue], owner: dict[str, Any]) -> None:
        if not _is_array(item, (path, name, None), issues):
            return
        for index, each in enumerate(item):
            if each is None:
                extensions = owner.get("_" + key)
                if type(extensions) is not list or not extensions[index : index + 1] or not extensions[index]:
                    _report(issues, "structure", "null needs an extension beside it", (path, name, index))
            elif not test(each):
                _report(issues, code, text, (path, name, index))

    return single if repeating is None else several


def _extension_field(name: str, key: str, *, is_list: bool) -> FieldCheck:
    """The check of `_name`: id and extensions of a primitive."""
    check = _object_check("Element")

    def single(item: Any, path: Path, issues: list[Issue], _owner: dict[str, Any]) -> None:
        if type(item) is dict:
            check(item, (path, name, None), issues)
        else:
            _report(issues, "structure", "id and extensions of a value must be an object", (path, name, None))

    def several(item: Any, path: Path, issues: list[Issue], owner: dict[str, Any]) -> None:
        if not _is_array(item, (path, name, None), issues):
            return
        beside = owner.get(key)
        if type(beside) is list and len(beside) != len(item):
            _report(issues, "structure", "Values and their extensions must align", (path, name, None))
        for index, each in enumerate(item):
            if type(each) is dict:
                check(each, (path, name, index), issues)
            elif each is not None or type(beside) is not list:
                _report(
                    issues, "structure", "id and extensions of a value must be an object", (path, name, index)
                )

    return several if is_list else single


def _single_field(name: str, check: ObjectCheck) -> FieldCheck:
    def single(item: Any, path: Path, issues: list[Issue], _owner: dict[str, Any]) -> None:
        if type(item) is dict:
            check(item, (path, name, None), issues)
        else:
            _report(issues, "structure", "This must be an object", (path, name, None))

    return single


def _list_field(name: str, check: ObjectCheck, element: Element) -> FieldCheck:
    minimum, maximum = element.minimum, element.maximum

    def several(item: Any, path: Path, issues: list[Issue], _owner: dict[str, Any]) -> None:
        if not _is_array(item, (path, name, None), issues):
            return
        if len(item) < minimum or (maximum and len(item) > maximum):
            _report(issues, "structure", "There are too few or too many of these", (path, name, None))
        for index, each in enumerate(item):
            if type(each) is dict:
                check(each, (path, name, index), issues)
            else:
                _report(issues, "structure", "This must be an object", (path, name, index))

    return several


def _is_array(item: Any, path: Path, issues: list[Issue]) -> bool:
    if type(item) is list and item:
        return True
    _report(issues, "structure", "This must be an array that is not empty", path)
    return False


def _resource_check(value: dict[str, Any], path: Path, issues: list[Issue]) -> None:
    resource_type = value.get("resourceType")
    if type(resource_type) is not str or not is_resource_type(resource_type):
        _report(issues, "structure", "resourceType is not a resource type of FHIR R4", path)
        return
    if path[1] == "contained" and "contained" in value:
        _report(issues, "structure", "A contained resource must not contain another", path)
    _object_check(resource_type)(value, path, issues)


def _bound_object(type_: str, value_set: str) -> ObjectCheck:
    """The check of a complex type, with its required binding if it is a Coding or CodeableConcept."""
    check = _object_check(type_)
    if not value_set or type_ not in ("Coding", "CodeableConcept"):
        return check
    codings = value_set_codings(value_set)

    def bound(value: dict[str, Any], path: Path, issues: list[Issue]) -> None:
        check(value, path, issues)
        offered = [value] if type_ == "Coding" else value.get("coding")
        if type(offered) is not list:
            offered = []
        for each in offered:
            if type(each) is dict:
                system, code = each.get("system"), each.get("code")
                if type(system) is str and type(code) is str and (system, code) in codings:
                    return
        if "extension" not in value:
            text = f"No coding is in the required value set {value_set}"
            _report(issues, "code-invalid", text, path)

    return bound
