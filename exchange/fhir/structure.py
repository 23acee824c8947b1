"""The structure of a resource against the official element tables, and R4's invariants: one closure a shape.

Spec:    https://hl7.org/fhir/R4/conformance-rules.html, https://hl7.org/fhir/R4/json.html
Leaves:  what a single value may be to primitive.py; what an invariant says to invariants.py; profiles to operations.

Checked: unknown elements, cardinality, one type a choice, primitive values, primitive extensions, required bindings,
contained resources, and invariants of severity error where the structure holds. Diagnostics name elements and rules
and never repeat a value.
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
from exchange.fhir.fhirpath import Item
from exchange.fhir.invariants import Rule, rules_of_element, rules_of_type, unreferenced
from exchange.fhir.primitive import Test, primitive_test
from exchange.problems import Issue

MAX_ISSUES: Final = 20
UNREFERENCED: Final = "dom-3: A contained resource SHALL be referred to from elsewhere in the resource"


class Findings(list[Issue]):
    """What was found so far, and the resource that is being looked at, inside of which other."""

    def __init__(self, resource: Item) -> None:
        super().__init__()
        self.resource = self.root = resource


Path: TypeAlias = "tuple[Path | None, str, int | None]"
ObjectCheck: TypeAlias = Callable[[dict[str, Any], Path, Findings], None]
FieldCheck: TypeAlias = Callable[[Any, Path, Findings, dict[str, Any]], None]

Fields: TypeAlias = dict[str, tuple[FieldCheck, str | None]]
Required: TypeAlias = list[tuple[str, tuple[str, ...]]]

_PLAIN: Final = frozenset({("Extension", "url")})
"""What is no FHIR primitive but a plain string, so that it cannot be extended; every `id` is, too."""
_SHOWABLE: Final = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}")


class _EnoughError(Exception):
    pass


def structural_issues(resource: dict[str, Any]) -> list[Issue]:
    """What is wrong with a resource's structure; [] when nothing is. Units: at most 20 issues."""
    resource_type = resource.get("resourceType")
    issues = Findings(Item(str(resource_type), resource))
    if type(resource_type) is not str or not is_resource_type(resource_type):
        return [Issue("structure", "resourceType is not a resource type of FHIR R4", "resourceType")]
    try:
        _object_check(resource_type)(resource, (None, resource_type, None), issues)
    except _EnoughError:
        pass
    except RecursionError:
        issues.append(Issue("too-costly", "The resource nests too deeply", resource_type))
    return issues


def _report(issues: Findings, code: str, text: str, path: Path) -> None:
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

    def check(value: dict[str, Any], path: Path, issues: Findings) -> None:
        fields, required = _table(name)
        before = len(issues)
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
        if len(issues) == before:
            _hold(_rules(name), Item(name, value), path, issues)
            for place in unreferenced(value) if "contained" in value else ():
                _report(issues, "invariant", UNREFERENCED, (path, "contained", place))

    return check


@cache
def _rules(name: str) -> tuple[Rule, ...]:
    return _enforced(rules_of_type(name))


def _enforced(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule.severity == "error" and rule.expression is not None)


def _hold(rules: tuple[Rule, ...], item: Item, path: Path, issues: Findings) -> None:
    """Hold an element whose structure is right against the rules that it must keep."""
    for rule in rules:
        if rule.is_broken(item, issues.resource, issues.root):
            _report(issues, "invariant", f"{rule.key}: {rule.text}", path)


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


def _report_unknown(key: str, path: Path, issues: Findings) -> None:
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
        rules = (
            _enforced(rules_of_element(f"{owner}.{element.name}", type_))
            if type_ != f"{owner}.{name}"
            else ()
        )
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
        if rules:
            fields[key] = (_ruled_field(name, type_, fields[key][0], rules), choice)
    return tuple(keys)


def _ruled_field(name: str, type_: str, check: FieldCheck, rules: tuple[Rule, ...]) -> FieldCheck:
    """A field with rules of its own, beside those of its type."""

    def ruled(item: Any, path: Path, issues: Findings, owner: dict[str, Any]) -> None:
        before = len(issues)
        check(item, path, issues, owner)
        if len(issues) == before:
            for index, each in enumerate(item if type(item) is list else [item]):
                place = index if type(item) is list else None
                _hold(rules, Item(type_, each), (path, name, place), issues)

    return ruled


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

    def single(item: Any, path: Path, issues: Findings, _owner: dict[str, Any]) -> None:
        if not test(item):
            _report(issues, code, text, (path, name, None))

    def several(item: Any, path: Path, issues: Findings, owner: dict[str, Any]) -> None:
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

    def single(item: Any, path: Path, issues: Findings, _owner: dict[str, Any]) -> None:
        if type(item) is dict:
            check(item, (path, name, None), issues)
        else:
            _report(issues, "structure", "id and extensions of a value must be an object", (path, name, None))

    def several(item: Any, path: Path, issues: Findings, owner: dict[str, Any]) -> None:
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
    def single(item: Any, path: Path, issues: Findings, _owner: dict[str, Any]) -> None:
        if type(item) is dict:
            check(item, (path, name, None), issues)
        else:
            _report(issues, "structure", "This must be an object", (path, name, None))

    return single


def _list_field(name: str, check: ObjectCheck, element: Element) -> FieldCheck:
    minimum, maximum = element.minimum, element.maximum

    def several(item: Any, path: Path, issues: Findings, _owner: dict[str, Any]) -> None:
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


def _is_array(item: Any, path: Path, issues: Findings) -> bool:
    if type(item) is list and item:
        return True
    _report(issues, "structure", "This must be an array that is not empty", path)
    return False


def _resource_check(value: dict[str, Any], path: Path, issues: Findings) -> None:
    resource_type = value.get("resourceType")
    if type(resource_type) is not str or not is_resource_type(resource_type):
        _report(issues, "structure", "resourceType is not a resource type of FHIR R4", path)
        return
    if path[1] == "contained" and "contained" in value:
        _report(issues, "structure", "A contained resource must not contain another", path)
    outer, root = issues.resource, issues.root
    issues.resource = Item(resource_type, value)
    if path[1] != "contained":  # an entry of a bundle stands for itself
        issues.root = issues.resource
    _object_check(resource_type)(value, path, issues)
    issues.resource, issues.root = outer, root


def _bound_object(type_: str, value_set: str) -> ObjectCheck:
    """The check of a complex type, with its required binding if it is a Coding or CodeableConcept."""
    check = _object_check(type_)
    if not value_set or type_ not in ("Coding", "CodeableConcept"):
        return check
    codings = value_set_codings(value_set)

    def bound(value: dict[str, Any], path: Path, issues: Findings) -> None:
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
