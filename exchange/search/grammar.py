"""The search grammar: a query string becomes a tree of what must hold, or a problem that names what is not known.

Spec:    https://hl7.org/fhir/R4/search.html
Leaves:  what shapes the answer to result_parameters; `_filter` to filter; meaning of values to the search types.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from exchange.fhir.definitions import SearchParameter, is_resource_type
from exchange.problems import NotSupported, TooCostly
from exchange.search.escape import is_escaped, split_escaped
from exchange.search.filter import parse_filter
from exchange.search.parameter import known_parameters
from exchange.search.result_parameters import is_ignored, is_result_parameter, shown, take
from exchange.search.tree import Chain, Criterion, Has, Listed, Node, Query
from exchange.settings import settings

MODIFIERS: Final = {
    "token": frozenset({"not", "missing", "text", "in", "not-in", "above", "below", "of-type"}),
    "string": frozenset({"exact", "contains", "missing"}),
    "reference": frozenset({"identifier", "missing", "above", "below"}),
    "date": frozenset({"missing"}),
    "number": frozenset({"missing"}),
    "quantity": frozenset({"missing"}),
    "uri": frozenset({"missing", "above", "below"}),
    "composite": frozenset({"missing"}),
    "special": frozenset({"missing"}),
}
MAX_CRITERIA: Final = 50
MAX_VALUES: Final = 500
MAX_DEPTH: Final = 8
HAS_PARTS: Final = 4
_UNMODIFIED: Final = frozenset({"_id", "_lastUpdated", "_text", "_content"})


def parse(
    resource_type: str,
    pairs: Iterable[tuple[str, str]],
    *,
    is_lenient: bool = False,
    types: tuple[str, ...] = (),
) -> Query:
    """The tree of a query on one type; `types` are all types of a search over several.

    Raises: NotSupported - a parameter, modifier or value form that this hub does not know, named;
            TooCostly - more criteria or values, or deeper chains, than a search may have.
    """
    query = Query(resource_type, count=settings().default_page_size, types=types)
    for key, text in pairs:
        name = key.partition(":")[0]
        if "\x00" in key or "\x00" in text:
            raise NotSupported("the query holds a NUL character", "http.query")
        if is_ignored(key):
            if name == "_type":  # Search has read it; each page must be asked of the same types
                query.used.append((key, text))
            continue
        if is_result_parameter(name):
            take(query, key, text)
        elif is_lenient and not _is_known(resource_type, name):
            continue
        else:
            query.nodes.append(read_node(resource_type, key, text))
        if name != "_page":
            query.used.append((key, text))
    if len(query.nodes) > MAX_CRITERIA:
        raise TooCostly(f"a search has at most {MAX_CRITERIA} criteria", "http.query")
    return query


def read_node(resource_type: str, key: str, text: str, depth: int = 0) -> Node:
    """What one `key=text` asks of a resource of a type."""
    if depth > MAX_DEPTH:
        raise TooCostly(f"chains are at most {MAX_DEPTH} deep", "http.query")
    if key.startswith("_has:"):
        return _has(resource_type, key, text, depth)
    if "." in key:
        return _chain(resource_type, key, text, depth)
    name, colon, modifier = key.partition(":")
    if colon and not modifier:
        raise NotSupported(f"'{shown(name)}' has an empty modifier", f"http.{shown(name)}")
    if name == "_list":
        return _listed(modifier, text)
    if name == "_filter":
        if modifier:
            raise NotSupported("'_filter' has no modifier", "http._filter")
        return parse_filter(resource_type, text, depth)
    return _criterion(_known(resource_type, name), modifier, text)


def _has(resource_type: str, key: str, text: str, depth: int) -> Has:
    parts = key.split(":", HAS_PARTS - 1)
    if len(parts) != HAS_PARTS or not is_resource_type(parts[1]):
        raise NotSupported("'_has' takes _has:[type]:[reference parameter]:[parameter]", "http._has")
    _, source, name, rest = parts
    parameter = _known(source, name)
    if parameter.kind != "reference" or resource_type not in parameter.targets:
        raise NotSupported(
            f"'_has': {source} has no reference '{shown(name)}' to {resource_type}", "http._has"
        )
    return Has(source, parameter, read_node(source, rest, text, depth + 1))


def _chain(resource_type: str, key: str, text: str, depth: int) -> Chain:
    head, _, rest = key.partition(".")
    name, colon, target = head.partition(":")
    parameter = _known(resource_type, name)
    if parameter.kind != "reference":
        raise NotSupported(
            f"'{shown(name)}' is no reference, so nothing can be chained to it", f"http.{shown(name)}"
        )
    if colon:
        if target not in parameter.targets:
            raise NotSupported(f"'{shown(name)}' does not point to that type", f"http.{shown(name)}")
        return Chain(parameter, ((target, read_node(target, rest, text, depth + 1)),))
    first = rest.partition(".")[0].partition(":")[0]
    targets = [each for each in parameter.targets if _is_known(each, first)]
    if not targets:
        raise NotSupported(
            f"nothing that '{shown(name)}' points to has a parameter '{shown(first)}'", f"http.{shown(name)}"
        )
    found: list[tuple[str, Node]] = []
    refused: NotSupported | None = None
    for each in targets:
        try:
            found.append((each, read_node(each, rest, text, depth + 1)))
        except NotSupported as problem:  # the rest may be known to some of the types alone
            refused = problem
    if refused is not None and not found:
        raise refused
    return Chain(parameter, tuple(found))


def _listed(modifier: str, text: str) -> Listed:
    if modifier:
        raise NotSupported("'_list' has no modifier", "http._list")
    ids = tuple(each.removeprefix("List/") for each in split_escaped(text, ","))
    if not all(ids) or any(each.startswith("$") for each in ids):
        raise NotSupported("'_list' takes ids of List resources", "http._list")
    return Listed(_bounded("_list", ids))


def _criterion(parameter: SearchParameter, modifier: str, text: str) -> Criterion:
    name = parameter.name
    allowed = frozenset[str]() if name in _UNMODIFIED else MODIFIERS[parameter.kind]
    is_type = parameter.kind == "reference" and modifier in parameter.targets
    if modifier and modifier not in allowed and not is_type:
        raise NotSupported(f"'{name}' has no modifier '{shown(modifier)}'", f"http.{name}")
    if name in ("_text", "_content"):
        return Criterion(parameter, modifier, _bounded(name, (text,)))
    values = _bounded(name, tuple(split_escaped(text, ",")))
    if modifier == "missing" and values not in (("true",), ("false",)):
        raise NotSupported(f"'{name}:missing' takes true or false", f"http.{name}")
    return Criterion(parameter, modifier, values)


def _bounded(name: str, values: tuple[str, ...]) -> tuple[str, ...]:
    if not all(values):
        raise NotSupported(f"'{name}' has an empty value", f"http.{name}")
    if not all(map(is_escaped, values)):
        raise NotSupported(f"'{name}' has a backslash that escapes nothing", f"http.{name}")
    if len(values) > MAX_VALUES:
        raise TooCostly(f"'{name}' has more than {MAX_VALUES} values", f"http.{name}")
    return values


def _known(resource_type: str, name: str) -> SearchParameter:
    parameter = known_parameters(resource_type).get(name)
    if parameter is None or name == "_query":
        raise NotSupported(f"{resource_type} has no search parameter '{shown(name)}'", "http.query")
    return parameter


def _is_known(resource_type: str, name: str) -> bool:
    if name in ("_has", "_list", "_filter"):
        return True
    return name.partition(".")[0] in known_parameters(resource_type) and name != "_query"
