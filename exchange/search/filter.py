"""`_filter`: a small language of comparisons joined by and, or, not and parentheses.

Spec:    https://hl7.org/fhir/R4/search_filter.html
Leaves:  what a comparison of one type means to the search types, as modifiers that only this file gives.

and and or are read from left to right and neither binds closer, as the specification says. Values know no case. A
filter inside of a path (`path[filter].rest`) is refused by name: no R4 parameter of this hub has parts to filter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from exchange.fhir.definitions import SearchParameter
from exchange.problems import NotSupported, TooCostly
from exchange.search.parameter import known_parameters
from exchange.search.tree import All, AnyOf, Chain, Criterion, Node, Not

MAX_LETTERS: Final = 4_096
MAX_COMPARISONS: Final = 50
MAX_NESTING: Final = 10
_TOKEN: Final = re.compile(r'\s*(?:(\()|(\))|("(?:[^"\\]|\\.){0,2000}")|([^\s()\[\]"]+)|(\[))')
_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*(?:\.[A-Za-z_][A-Za-z0-9_\-]*)*", re.ASCII)
_ORDERED: Final = ("date", "number", "quantity")
_PREFIXES: Final = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb"})

# What an operator is for a type of parameter: the modifier of the criterion that it becomes.
_MODIFIERS: Final = {
    "string": {"eq": "is", "ne": "ne", "co": "contains", "sw": "starts", "ew": "ends"},
    "token": {"eq": "", "ne": "ne", "in": "in", "ni": "not-in", "ss": "below", "sb": "above"},
    "reference": {"eq": "", "ne": "ne", "re": ""},
    "uri": {"eq": "", "ne": "ne", "ss": "below", "sb": "above"},
    "composite": {"eq": ""},
    "special": {"eq": ""},
}


def parse_filter(resource_type: str, text: str, depth: int) -> Node:
    """The tree of a filter. Raises: NotSupported - no filter, the parameter named; TooCostly - a very long one."""
    if len(text) > MAX_LETTERS:
        raise TooCostly("'_filter' is too long", "http._filter")
    reader = _Reader(resource_type, _tokens(text), depth)
    node = reader.filter(0)
    if reader.rest:
        raise _refused()
    return node


def _refused() -> NotSupported:
    return NotSupported(
        "'_filter' takes comparisons such as name co \"x\", joined by and, or, not ( )", "http._filter"
    )


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _refused()
        if match[5]:
            raise NotSupported("'_filter' takes no filter inside of a path", "http._filter")
        found.append(match[0].strip())
        position = match.end()
    return found


@dataclass(slots=True)
class _Reader:
    resource_type: str
    rest: list[str]
    depth: int
    comparisons: int = 0

    def _take(self) -> str:
        if not self.rest:
            raise _refused()
        return self.rest.pop(0)

    def filter(self, nesting: int) -> Node:
        """One filter up to its closing parenthesis or the end."""
        if nesting > MAX_NESTING:
            raise TooCostly("'_filter' nests too deeply", "http._filter")
        node = self._term(nesting)
        while self.rest and self.rest[0] in ("and", "or"):
            joins = self._take()
            other = self._term(nesting)
            node = All((node, other)) if joins == "and" else AnyOf((node, other))
        return node

    def _term(self, nesting: int) -> Node:
        first = self._take()
        is_negated = first == "not" and self.rest[:1] == ["("]
        if is_negated:
            first = self._take()
        if first == "(":
            inner = self.filter(nesting + 1)
            if self._take() != ")":
                raise _refused()
            return Not(inner) if is_negated else inner
        return self._comparison(first)

    def _comparison(self, path: str) -> Node:
        self.comparisons += 1
        if self.comparisons > MAX_COMPARISONS:
            raise TooCostly(f"'_filter' has at most {MAX_COMPARISONS} comparisons", "http._filter")
        operator, value = self._take(), self._take()
        if not _PATH.fullmatch(path) or value in ("(", ")"):
            raise _refused()
        names = path.split(".")
        return _path(self.resource_type, names, operator, _unquoted(value), self.depth + len(names) - 1)


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        text: str = msgspec.json.decode(value, type=str)
    except msgspec.MsgspecError:
        raise _refused() from None
    return text


def _path(resource_type: str, names: list[str], operator: str, value: str, depth: int) -> Node:
    if depth > MAX_NESTING:
        raise TooCostly("'_filter' chains too deeply", "http._filter")
    known = known_parameters(resource_type)
    parameter = known.get(names[0])
    if parameter is None or not parameter.expression:
        raise NotSupported(f"{resource_type} has no search parameter '{names[0]}'", "http._filter")
    if len(names) == 1:
        return _compare(parameter, operator, value)
    targets = [each for each in parameter.targets if names[1] in known_parameters(each)]
    if parameter.kind != "reference" or not targets:
        raise NotSupported(
            f"nothing that '{names[0]}' points to has a parameter '{names[1]}'", "http._filter"
        )
    return Chain(parameter, tuple((each, _path(each, names[1:], operator, value, depth)) for each in targets))


def _compare(parameter: SearchParameter, operator: str, value: str) -> Node:
    # A comma, bar or dollar sign in a filter stands for itself in a text, and separates nothing.
    text = value.replace("\\", "\\\\").replace(",", "\\,") if parameter.kind == "string" else value
    if not text:
        raise _refused()
    if parameter.name == "_id":
        if operator not in ("eq", "ne"):
            raise NotSupported("'_filter': '_id' is compared by eq and ne", "http._filter")
        is_that = Criterion(parameter, "", (text,))
        return is_that if operator == "eq" else Not(is_that)
    if operator == "pr" and parameter.name != "_lastUpdated":
        if value not in ("true", "false"):
            raise NotSupported("'_filter': pr takes true or false", "http._filter")
        return Criterion(parameter, "missing", ("false" if value == "true" else "true",))
    if parameter.kind in _ORDERED:
        if operator == "po" and parameter.kind == "date":
            return Criterion(parameter, "overlaps", (text,))
        if operator in _PREFIXES:
            return Criterion(parameter, "", (operator + text,))
    else:
        modifier = _MODIFIERS[parameter.kind].get(operator)
        if modifier is not None:
            return Criterion(parameter, modifier, (text,))
    raise NotSupported(f"'_filter': '{parameter.name}' is not compared in that way", "http._filter")
