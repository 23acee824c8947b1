"""The text of a FHIRPath expression as a tree: the whole grammar of FHIRPath N1.

Spec:    http://hl7.org/fhirpath/N1/#grammar
Leaves:  meaning to compile.py; the smaller language of search expressions to ../path_grammar.py, which is faster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

MAX_LENGTH: Final = 8_000
MAX_NESTING: Final = 60


@dataclass(frozen=True, slots=True)
class Tree:
    """One node: its kind, a name or value, and the trees below it.

    literal, variable ($this, $index, $total), constant (%name), member, call, at (an index), operation, negation, type
    """

    kind: str
    told: Any = None
    below: tuple[Tree, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """A literal date, dateTime or time: its text, and the FHIR type that it is."""

    text: str
    type: str


@dataclass(frozen=True, slots=True)
class Measure:
    """A literal quantity."""

    value: Decimal
    unit: str


_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r\n]+|//[^\r\n]*|/\*(?:[^*]|\*(?!/))*\*/)"
    r"|(?P<moment>@[0-9T][0-9T:.+\-Z]*)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?)"
    r"|(?P<string>'(?:[^'\\]|\\.)*')"
    r"|(?P<constant>%(?:[A-Za-z_][A-Za-z0-9_\-]*|`[^`]+`|'[^']+'|\"[^\"]+\"))"
    r"|(?P<variable>\$this|\$index|\$total)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*|`(?:[^`\\]|\\.)+`|\"[^\"]+\")"
    r"|(?P<symbol><=|>=|!=|!~|[.()\[\]{}|=~<>+\-*/&,])",
    re.DOTALL,
)
# Weakest first.
_LEVELS: Final = (
    ("implies",), ("or", "xor"), ("and",), ("in", "contains"), ("=", "~", "!=", "!~"), ("<=", "<", ">", ">="), ("|",),
)  # fmt: skip
_TYPE_LEVEL: Final = len(_LEVELS)
_SUMS: Final = ("+", "-", "&")
_PRODUCTS: Final = ("*", "/", "div", "mod")
_CALENDAR: Final = frozenset(
    {"year", "month", "week", "day", "hour", "minute", "second", "millisecond", "years", "months", "weeks", "days",
     "hours", "minutes", "seconds", "milliseconds"}
)  # fmt: skip
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


def read(expression: str) -> Tree:
    """The tree of an expression. Raises: ValueError - no FHIRPath, too long, or nested too deeply."""
    if len(expression) > MAX_LENGTH:
        raise ValueError("the expression is too long")
    reader = _Reader(_tokens(expression))
    tree = reader.operation(0)
    if reader.peek()[0] != "end":
        raise ValueError("the expression does not end where it should")
    return tree


def _tokens(expression: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(expression):
        token = _TOKEN.match(expression, position)
        if token is None or token.lastgroup is None:
            raise ValueError(f"unexpected character at position {position}")
        if token.lastgroup != "space":
            found.append((token.lastgroup, token[token.lastgroup]))
        position = token.end()
    found.append(("end", ""))
    return found


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._position = 0
        self._nesting = 0

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._position]

    def _take(self) -> tuple[str, str]:
        token = self.peek()
        self._position += token[0] != "end"
        return token

    def _expect(self, text: str) -> None:
        if self._take() != ("symbol", text):
            raise ValueError(f"{text} expected")

    def operation(self, level: int) -> Tree:
        if level == _TYPE_LEVEL:
            return self._typed()
        left = self.operation(level + 1)
        while self.peek()[0] in ("name", "symbol") and self.peek()[1] in _LEVELS[level]:
            operator = self._take()[1]
            left = Tree("operation", operator, (left, self.operation(level + 1)))
        return left

    def _typed(self) -> Tree:
        left = self._sum()
        while self.peek() in (("name", "is"), ("name", "as")):
            operator = self._take()[1]
            left = Tree("type", (operator, self._type_name()), (left,))
        return left

    def _sum(self) -> Tree:
        left = self._product()
        while self.peek()[0] == "symbol" and self.peek()[1] in _SUMS:
            operator = self._take()[1]
            left = Tree("operation", operator, (left, self._product()))
        return left

    def _product(self) -> Tree:
        left = self._signed()
        while self.peek()[0] in ("name", "symbol") and self.peek()[1] in _PRODUCTS:
            operator = self._take()[1]
            left = Tree("operation", operator, (left, self._signed()))
        return left

    def _signed(self) -> Tree:
        self._enter()
        if self.peek() in (("symbol", "-"), ("symbol", "+")):
            sign = self._take()[1]
            inner = self._signed()
            tree = Tree("negation", None, (inner,)) if sign == "-" else inner
        else:
            tree = self._path()
        self._nesting -= 1
        return tree

    def _path(self) -> Tree:
        tree = self._term()
        while True:
            if self.peek() == ("symbol", "."):
                self._take()
                tree = self._step(tree)
            elif self.peek() == ("symbol", "["):
                self._take()
                tree = Tree("at", None, (tree, self.operation(0)))
                self._expect("]")
            else:
                return tree

    def _term(self) -> Tree:
        kind, text = self.peek()
        if kind == "name" and text not in ("true", "false"):
            return self._step(None)
        self._take()
        match kind:
            case "name":
                return Tree("literal", text == "true")
            case "string":
                return Tree("literal", _unquoted(text))
            case "number":
                return self._number(text)
            case "moment":
                return Tree("literal", _moment(text))
            case "constant":
                return Tree("constant", text[1:].strip("`'\""))
            case "variable":
                return Tree("variable", text)
        if (kind, text) == ("symbol", "("):
            self._enter()
            inner = self.operation(0)
            self._nesting -= 1
            self._expect(")")
            return inner
        if (kind, text) == ("symbol", "{"):
            self._expect("}")
            return Tree("literal", None)
        raise ValueError("an element, a literal or a parenthesis expected")

    def _number(self, text: str) -> Tree:
        kind, unit = self.peek()
        if kind == "string" or (kind == "name" and unit in _CALENDAR):
            self._take()
            return Tree("literal", Measure(Decimal(text), _unquoted(unit) if kind == "string" else unit))
        return Tree("literal", Decimal(text) if "." in text else int(text))

    def _step(self, of: Tree | None) -> Tree:
        kind, name = self._take()
        if kind == "variable" and of is not None:
            raise ValueError("a variable stands at the beginning")
        if kind != "name":
            raise ValueError("an element or a function expected")
        below = () if of is None else (of,)
        if self.peek() != ("symbol", "(") or name[0] in '`"':
            return Tree("member", name.strip('`"'), below)
        self._take()
        if name in ("is", "as", "ofType"):
            tree = Tree("type", (name, self._type_name()), below or (Tree("variable", "$this"),))
            self._expect(")")
            return tree
        arguments: list[Tree] = []
        if self.peek() != ("symbol", ")"):
            self._enter()
            arguments.append(self.operation(0))
            while self.peek() == ("symbol", ","):
                self._take()
                arguments.append(self.operation(0))
            self._nesting -= 1
        self._expect(")")
        return Tree("call", name, (below[0] if below else Tree("variable", "$this"), *arguments))

    def _type_name(self) -> str:
        kind, name = self._take()
        if kind != "name":
            raise ValueError("a type expected")
        name = name.strip("`")
        if name in ("FHIR", "System") and self.peek() == ("symbol", "."):
            self._take()
            return f"{name}.{self._take()[1].strip('`')}"
        return name

    def _enter(self) -> None:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise ValueError("the expression nests too deeply")


def _unquoted(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        told = match[1]
        return chr(int(told[1:], 16)) if len(told) > 1 else _ESCAPES.get(told, told)

    return _ESCAPE.sub(plain, text[1:-1])


def _moment(text: str) -> Moment:
    plain = text[1:]
    if plain.startswith("T"):
        return Moment(plain[1:], "time")
    return Moment(plain.removesuffix("T"), "dateTime" if "T" in plain else "date")
