"""The search grammar: a query string becomes a tree of criteria, or a problem that names what is not known.

Spec:    https://hl7.org/fhir/R4/search.html
Leaves:  meaning of values to one file per search type; SQL to predicate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from exchange.fhir.definitions import SearchParameter, is_resource_type, search_parameters
from exchange.problems import NotSupported, TooCostly
from exchange.search.escape import split_escaped
from exchange.settings import settings

MODIFIERS: Final = {
    "token": frozenset({"not", "missing"}),
    "string": frozenset({"exact", "contains", "missing"}),
    "reference": frozenset({"identifier", "missing"}),
    "date": frozenset({"missing"}),
    "uri": frozenset({"missing"}),
}
MAX_CRITERIA: Final = 50
MAX_VALUES: Final = 500
MAX_INCLUDES: Final = 20
_TOTALS: Final = ("none", "estimate", "accurate")
_IGNORED: Final = frozenset({"_format", "_pretty"})
_UNMODIFIED: Final = frozenset({"_id", "_lastUpdated"})


@dataclass(frozen=True, slots=True)
class Criterion:
    """One `name:modifier=value,value`: any of the values suffices."""

    parameter: SearchParameter
    modifier: str
    values: tuple[str, ...]
    text: str

    @property
    def name(self) -> str:
        """The parameter's name, as a problem names it."""
        return self.parameter.name


@dataclass(frozen=True, slots=True)
class Include:
    """One `_include` or `_revinclude`: from a type, by a reference parameter, to a type or to all."""

    source: str
    parameter: str
    target: str
    is_reverse: bool


@dataclass(slots=True)
class Query:
    """A parsed search on one type. `used` is the query that the answer's self link states."""

    resource_type: str
    criteria: list[Criterion] = field(default_factory=list)
    sort: list[tuple[str, bool]] = field(default_factory=list)
    count: int = 0
    includes: list[Include] = field(default_factory=list)
    total: str = ""
    is_count_only: bool = False
    page: str = ""
    used: list[tuple[str, str]] = field(default_factory=list)


def parse(resource_type: str, pairs: tuple[tuple[str, str], ...], *, is_lenient: bool = False) -> Query:
    """The tree of a query.

    Raises: NotSupported - a parameter, modifier or value form that this hub does not know, named;
            TooCostly - more criteria or values than a search may have.
    """
    known = search_parameters(resource_type)
    query = Query(resource_type, count=settings().default_page_size)
    for key, text in pairs:
        name, _, modifier = key.partition(":")
        if "\x00" in key or "\x00" in text:
            raise NotSupported("the query holds a NUL character", "http.query")
        if name in _IGNORED:
            continue
        if not _result_parameter(query, name, modifier, text):
            if name not in known:
                if is_lenient:
                    continue
                raise NotSupported(f"{resource_type} has no search parameter '{_shown(name)}'", "http.query")
            query.criteria.append(_criterion(known[name], modifier, text))
        if name != "_page":
            query.used.append((key, text))
    if len(query.criteria) > MAX_CRITERIA:
        raise TooCostly(f"a search has at most {MAX_CRITERIA} criteria", "http.query")
    return query


def _criterion(parameter: SearchParameter, modifier: str, text: str) -> Criterion:
    name = parameter.name
    allowed = frozenset[str]() if name in _UNMODIFIED else MODIFIERS.get(parameter.kind)
    if allowed is None or not parameter.expression:  # _content, _text and _query look at no element
        raise NotSupported(f"searches of type {parameter.kind} ('{name}') are not supported", f"http.{name}")
    is_type = parameter.kind == "reference" and modifier in parameter.targets
    if modifier and modifier not in allowed and not is_type:
        raise NotSupported(f"'{name}' has no modifier '{_shown(modifier)}'", f"http.{name}")
    values = tuple(split_escaped(text, ","))
    if not all(values):
        raise NotSupported(f"'{name}' has an empty value", f"http.{name}")
    if len(values) > MAX_VALUES:
        raise TooCostly(f"'{name}' has more than {MAX_VALUES} values", f"http.{name}")
    if modifier == "missing" and values not in (("true",), ("false",)):
        raise NotSupported(f"'{name}:missing' takes true or false", f"http.{name}")
    return Criterion(parameter, modifier, values, text)


def _result_parameter(query: Query, name: str, modifier: str, text: str) -> bool:
    """Take a parameter that shapes the answer; whether it was one."""
    if not name.startswith("_") or name in (
        "_id",
        "_lastUpdated",
        "_tag",
        "_profile",
        "_security",
        "_source",
    ):
        return False
    if modifier:
        raise NotSupported(f"'{_shown(name)}' has no modifier here", f"http.{_shown(name)}")
    match name:
        case "_count":
            query.count = _count(text)
            query.is_count_only = query.is_count_only or query.count == 0
        case "_sort":
            query.sort = [_sort_key(query.resource_type, part) for part in text.split(",")]
        case "_include" | "_revinclude":
            query.includes.append(_include(query.resource_type, text, is_reverse=name == "_revinclude"))
            if len(query.includes) > MAX_INCLUDES:
                raise TooCostly(f"a search has at most {MAX_INCLUDES} includes", f"http.{name}")
        case "_total":
            if text not in _TOTALS:
                raise NotSupported("'_total' takes none, estimate or accurate", "http._total")
            query.total = text
        case "_summary":
            if text not in ("count", "false"):
                raise NotSupported("'_summary' takes count or false", "http._summary")
            query.is_count_only = query.is_count_only or text == "count"
        case "_page":
            query.page = text
        case _:
            return False
    return True


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:  # noqa: PLR2004 - int() of long text is slow
        raise NotSupported("'_count' takes a whole number", "http._count")
    return min(int(text), settings().max_page_size)


def _sort_key(resource_type: str, text: str) -> tuple[str, bool]:
    """A sort parameter and whether it falls."""
    name = text.removeprefix("-")
    parameter = search_parameters(resource_type).get(name)
    if parameter is None or parameter.kind not in MODIFIERS:
        raise NotSupported(f"{resource_type} cannot be sorted by '{_shown(name)}'", "http._sort")
    return name, text.startswith("-")


def _include(resource_type: str, text: str, *, is_reverse: bool) -> Include:
    name = "_revinclude" if is_reverse else "_include"
    parts = text.split(":")
    if len(parts) not in (2, 3) or not is_resource_type(parts[0]):
        raise NotSupported(
            f"'{name}' takes [type]:[parameter] or [type]:[parameter]:[target]", f"http.{name}"
        )
    source, parameter, target = parts[0], parts[1], parts[2] if len(parts) > 2 else ""  # noqa: PLR2004
    known = search_parameters(source).get(parameter)
    if known is None or known.kind != "reference":
        raise NotSupported(f"'{name}' names no reference parameter of {source}", f"http.{name}")
    if target and target not in known.targets:
        raise NotSupported(f"'{name}': that parameter does not point to that type", f"http.{name}")
    if is_reverse:
        if resource_type not in known.targets:
            raise NotSupported(f"'{name}': that parameter does not point to {resource_type}", f"http.{name}")
    elif source != resource_type:
        raise NotSupported(f"'{name}' starts from {resource_type} here", f"http.{name}")
    return Include(source, parameter, target, is_reverse)


def _shown(name: str) -> str:
    """A parameter's name as it may stand in an answer: it is the caller's text, so only letters of names."""
    is_plain = len(name) <= 64 and all(letter.isalnum() or letter in "_-.:" for letter in name)  # noqa: PLR2004
    return name if is_plain and name.isascii() else "?"
