"""The text of a FHIRPath expression as a tree: the part of the language that search expressions use.

Spec:    http://hl7.org/fhirpath/N1/#grammar; https://hl7.org/fhir/R4/searchparameter.html#fhirpath
Leaves:  meaning to path.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

MAX_LENGTH: Final = 20_000
MAX_NESTING: Final = 50


@dataclass(frozen=True, slots=True)
class Start:
    """Where a path begins: `$this`, `%resource`, or an unnamed start (the focus)."""

    name: str


@dataclass(frozen=True, slots=True)
class Child:
    """`of.name`; with `of` an unnamed start, `name` may be the resource type itself."""

    of: Node
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """`of.function(arguments)`."""

    of: Node
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """`of[position]`."""

    of: Node
    position: int


@dataclass(frozen=True, slots=True)
class TypeTest:
    """`of is type` or `of as type`."""

    of: Node
    operator: str
    type: str


@dataclass(frozen=True, slots=True)
class Operation:
    """`left operator right` with | = != and or."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, boolean or integer."""

    value: str | bool | int


Node: TypeAlias = Start | Child | Call | Index | TypeTest | Operation | Literal

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<string>'(?:[^'\\]|\\.)*')|(?P<number>[0-9]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*|`[^`]+`)"
    r"|(?P<start>\$this|%resource|%context)|(?P<symbol>!=|[.()\[\]|=,]))"
)
# Weakest first, as in the official grammar; "is" and "as" bind tighter than the union.
_LEVELS: Final = (("or",), ("and",), ("=", "!="), ("|",))


def read_expression(expression: str) -> Node:
    """The tree of an expression.

    Raises: ValueError - not in this part of FHIRPath.
    """
    if len(expression) > MAX_LENGTH:
        raise ValueError("the expression is too long")
    reader = _Reader(_tokens(expression))
    tree = reader.operation(0)
    if reader.peek() != ("end", ""):
        raise ValueError("the expression does not end where it should")
    return tree


def _tokens(expression: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    position = 0
    text = expression.strip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or token.lastgroup is None:
            raise ValueError(f"unexpected character at position {position}")
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

    def take(self) -> tuple[str, str]:
        token = self._tokens[self._position]
        if token[0] != "end":
            self._position += 1
        return token

    def expect(self, text: str) -> None:
        if self.take()[1] != text:
            raise ValueError(f"{text} expected")

    def operation(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self.type_test()
        left = self.operation(level + 1)
        while self.peek()[0] != "string" and self.peek()[1] in _LEVELS[level]:
            operator = self.take()[1]
            left = Operation(operator, left, self.operation(level + 1))
        return left

    def type_test(self) -> Node:
        tested = self.path()
        while self.peek() in (("name", "is"), ("name", "as")):
            tested = TypeTest(tested, self.take()[1], self.type_name())
        return tested

    def type_name(self) -> str:
        kind, name = self.take()
        if kind != "name":
            raise ValueError("a type name expected")
        if name in ("FHIR", "System") and self.peek()[1] == ".":
            self.take()
            name = self.take()[1]
        return name

    def path(self) -> Node:
        node = self.term()
        while True:
            if self.peek() == ("symbol", "."):
                self.take()
                node = self.step(node)
            elif self.peek() == ("symbol", "["):
                self.take()
                kind, number = self.take()
                if kind != "number":
                    raise ValueError("an index must be a number")
                self.expect("]")
                node = Index(node, int(number))
            else:
                return node

    def term(self) -> Node:
        kind, text = self.peek()
        if kind == "name" and text not in ("true", "false"):
            return self.step(Start(""))
        self.take()
        if kind == "name":
            return Literal(text == "true")
        if kind == "string":
            return Literal(re.sub(r"\\(.)", r"\1", text[1:-1]))
        if kind == "number":
            return Literal(int(text))
        if kind == "start":
            return Start(text)
        if (kind, text) == ("symbol", "("):
            return self.nested(")")[0]
        raise ValueError("an element, a literal or a parenthesis expected")

    def step(self, of: Node) -> Node:
        kind, name = self.take()
        if kind != "name":
            raise ValueError("an element or a function expected")
        if self.peek() != ("symbol", "("):
            return Child(of, name.strip("`"))
        self.take()
        if name in ("as", "ofType", "is"):
            type_name = self.type_name()
            self.expect(")")
            return TypeTest(of, "is" if name == "is" else "as", type_name)
        if self.peek() == ("symbol", ")"):
            self.take()
            return Call(of, name, ())
        return Call(of, name, self.nested(")"))

    def nested(self, end: str) -> tuple[Node, ...]:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise ValueError("the expression nests too deeply")
        found = [self.operation(0)]
        while self.peek() == ("symbol", ","):
            self.take()
            found.append(self.operation(0))
        self.expect(end)
        self._nesting -= 1
        return tuple(found)
