"""Parameters that shape the answer and not what is found: _count, _sort, _include, _summary and their like.

Spec:    https://hl7.org/fhir/R4/search.html#return
Leaves:  criteria to grammar.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from exchange.fhir.definitions import RESOURCE_TYPES, is_resource_type, shape
from exchange.problems import NotSupported, TooCostly
from exchange.search.parameter import known_parameters
from exchange.search.tree import Include, Query
from exchange.settings import settings

MAX_INCLUDES: Final = 20
MAX_SORTS: Final = 5
MAX_ELEMENTS: Final = 100
MOST_DIGITS: Final = 9
TOTALS: Final = ("none", "estimate", "accurate")
SUMMARIES: Final = ("true", "text", "data", "count", "false")
UNSORTED_KINDS: Final = frozenset({"composite", "special"})
_IGNORED: Final = frozenset({"_format", "_pretty", "_type"})
_RESULT: Final = frozenset(
    {
        "_count",
        "_sort",
        "_include",
        "_revinclude",
        "_total",
        "_summary",
        "_elements",
        "_page",
        "_contained",
        "_containedType",
    }
)
_NAME: Final = re.compile(r"[A-Za-z0-9_\-.:]{1,64}", re.ASCII)
_ELEMENT: Final = re.compile(r"(?:([A-Z][A-Za-z]+)\.)?([a-z][A-Za-z0-9]{0,63})", re.ASCII)


def is_ignored(name: str) -> bool:
    """Whether a parameter is the door's or the caller of the grammar's."""
    return name in _IGNORED


def is_result_parameter(name: str) -> bool:
    """Whether a parameter shapes the answer."""
    return name in _RESULT


def shown(name: str) -> str:
    """A parameter's name as it may stand in an answer: it is the caller's text, so only letters of names."""
    return name if _NAME.fullmatch(name) else "?"


def take(query: Query, key: str, text: str) -> None:
    """Take one result parameter into a query. Raises: NotSupported, TooCostly."""
    name, _, modifier = key.partition(":")
    is_include = name in ("_include", "_revinclude")
    if modifier and not (is_include and modifier in ("iterate", "recurse")):
        raise NotSupported(f"'{name}' has no modifier '{shown(modifier)}'", f"http.{name}")
    match name:
        case "_count":
            query.count = _count(text)
            query.is_count_only = query.is_count_only or query.count == 0
        case "_sort":
            query.sort = _sort_keys(query, text)
        case "_include" | "_revinclude":
            reverse = name == "_revinclude"
            query.includes += _includes(query, text, is_reverse=reverse, is_iterated=bool(modifier))
            if len(query.includes) > MAX_INCLUDES and text != "*":
                raise TooCostly(f"a search has at most {MAX_INCLUDES} includes", f"http.{name}")
        case "_total":
            query.total = _one_of(name, text, TOTALS)
        case "_summary":
            query.summary = _one_of(name, text, SUMMARIES).replace("false", "")
            query.is_count_only = query.is_count_only or text == "count"
        case "_elements":
            query.elements = elements_of(query.resource_type, text, query.types)
        case "_contained":
            _one_of(name, text, ("false",))
        case "_containedType":
            _one_of(name, text, ("container",))
        case _:
            query.page = text


def elements_of(resource_type: str, text: str, types: Sequence[str] = ()) -> tuple[str, ...]:
    """The top-level elements that `_elements` names for a type; `types` are all types of a search over several.

    Raises: NotSupported - none of them has such an element.
    """
    names: list[str] = []
    for part in text.split(","):
        match = _ELEMENT.fullmatch(part)
        if match is None or (match[1] and not is_resource_type(match[1])):
            raise NotSupported("'_elements' takes names of top-level elements", "http._elements")
        if match[1] and match[1] != resource_type:
            continue
        if _has_element(resource_type, match[2]):
            names.append(match[2])
        elif match[1] or not any(_has_element(each, match[2]) for each in types):
            raise NotSupported(f"{resource_type} has no element '{match[2]}'", "http._elements")
    if len(names) > MAX_ELEMENTS:
        raise TooCostly("'_elements' names too many elements", "http._elements")
    return tuple(names)


def _has_element(resource_type: str, name: str) -> bool:
    known = shape(resource_type).elements
    return name in known or name + "[x]" in known


def _one_of(name: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise NotSupported(f"'{name}' takes {', '.join(allowed)}", f"http.{name}")
    return text


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > MOST_DIGITS:
        raise NotSupported("'_count' takes a whole number", "http._count")
    return min(int(text), settings().max_page_size)


def _sort_keys(query: Query, text: str) -> list[tuple[str, bool]]:
    if len(query.types) > 1:  # each type has values of its own, and they are read one after another
        raise NotSupported("'_sort' belongs to a search over one type", "http._sort")
    parts = text.split(",", MAX_SORTS)
    if len(parts) > MAX_SORTS:
        raise TooCostly(f"'_sort' has at most {MAX_SORTS} parameters", "http._sort")
    return [_sort_key(query.resource_type, part) for part in parts]


def _sort_key(resource_type: str, text: str) -> tuple[str, bool]:
    """A sort parameter and whether it falls."""
    name = text.removeprefix("-")
    parameter = known_parameters(resource_type).get(name)
    if parameter is None or parameter.kind in UNSORTED_KINDS or not parameter.expression:
        raise NotSupported(f"{resource_type} cannot be sorted by '{shown(name)}'", "http._sort")
    return name, text.startswith("-")


def _includes(query: Query, text: str, *, is_reverse: bool, is_iterated: bool) -> list[Include]:
    name = "_revinclude" if is_reverse else "_include"
    if text == "*":
        if is_reverse:
            return _everything_that_points_to(query.resource_type, is_iterated=is_iterated)
        return [Include(query.resource_type, _references(query.resource_type), "", is_reverse, is_iterated)]
    parts = text.split(":")
    if len(parts) not in (2, 3) or not is_resource_type(parts[0]):
        raise NotSupported(
            f"'{name}' takes [type]:[parameter] or [type]:[parameter]:[target]", f"http.{name}"
        )
    source, parameter, target = parts[0], parts[1], parts[2] if len(parts) > 2 else ""  # noqa: PLR2004
    if parameter == "*":
        if target and not is_resource_type(target):
            raise NotSupported(f"'{name}' names no resource type", f"http.{name}")
        chosen = _references(source, query.resource_type if is_reverse and not is_iterated else target)
        return [Include(source, chosen, target, is_reverse, is_iterated)]
    known = known_parameters(source).get(parameter)
    if known is None or known.kind != "reference":
        raise NotSupported(f"'{name}' names no reference parameter of {source}", f"http.{name}")
    if target and target not in known.targets:
        raise NotSupported(f"'{name}': that parameter does not point to that type", f"http.{name}")
    if not is_iterated:
        _require_start(query, name, source, known.targets, is_reverse=is_reverse)
    return [Include(source, (parameter,), target, is_reverse, is_iterated)]


def _require_start(
    query: Query, name: str, source: str, targets: tuple[str, ...], *, is_reverse: bool
) -> None:
    """An include without :iterate starts from the matches."""
    types = query.types or (query.resource_type,)
    if is_reverse and not set(types) & set(targets):
        raise NotSupported(
            f"'{name}': that parameter does not point to {query.resource_type}", f"http.{name}"
        )
    if not is_reverse and source not in types:
        raise NotSupported(f"'{name}' starts from {query.resource_type} here", f"http.{name}")


def _everything_that_points_to(resource_type: str, *, is_iterated: bool) -> list[Include]:
    found = [(source, _references(source, resource_type)) for source in RESOURCE_TYPES]
    return [
        Include(source, names, "", is_reverse=True, is_iterated=is_iterated)
        for source, names in found
        if names
    ]


def _references(source: str, target: str = "") -> tuple[str, ...]:
    """The reference parameters of a type, those that can point to a target where one is given."""
    known = known_parameters(source).values()
    return tuple(
        each.name for each in known if each.kind == "reference" and (not target or target in each.targets)
    )
