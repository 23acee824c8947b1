"""Regular expressions that cannot run away: time grows with pattern times text, whatever either says.

Spec:    https://www.w3.org/TR/xmlschema-2/#regexs (the part that FHIR's filters and invariants use).
Leaves:  patterns of this program's own to `re`.

A pattern becomes an automaton that is followed in all its states at once (Thompson), so nothing is tried twice.
Groups, alternatives, classes, escapes, repetition and anchors; no back references, no looking around.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

MAX_LENGTH: Final = 2_000
MAX_STATES: Final = 6_000
MAX_TEXT: Final = 100_000
MAX_STEPS: Final = 3_000_000
"""States times characters: a second's work or two at the very most."""
MAX_NESTING: Final = 40
MAX_REMEMBERED: Final = 2_000

_Test = Callable[[str], bool]
_Node = tuple[str, object]

_ASCII_WORD: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_SPACE: Final = frozenset(" \t\n\r\f\v")
_CONTROL: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0"}
_SHORTHANDS: Final[dict[str, _Test]] = {
    "d": lambda c: "0" <= c <= "9",
    "D": lambda c: not "0" <= c <= "9",
    "w": lambda c: c in _ASCII_WORD,
    "W": lambda c: c not in _ASCII_WORD,
    "s": lambda c: c in _SPACE,
    "S": lambda c: c not in _SPACE,
}
_EMPTY, _START, _END = "empty", "start", "end"


class Regular:
    """One pattern. Raises: ValueError - not a pattern, too long, too large, or a part that is not supported."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_LENGTH:
            raise ValueError("the pattern is too long")
        self._tests: list[_Test | str | None] = []
        self._next: list[tuple[int, ...]] = []
        tree = _Reader(pattern).all()
        last = self._state(None, ())
        self._first = self._build(tree, last)
        self._last = last
        self._moves: dict[tuple[frozenset[int], str, bool], frozenset[int]] = {}

    def matches_whole(self, text: str) -> bool:
        """Whether the pattern describes the text from end to end. Raises: ValueError - the text is too long."""
        return self._run(text, is_anywhere=False)

    def search(self, text: str) -> bool:
        """Whether the pattern describes any part of the text. Raises: ValueError - the text is too long."""
        return self._run(text, is_anywhere=True)

    def _run(self, text: str, *, is_anywhere: bool) -> bool:
        if len(text) > MAX_TEXT or len(text) * len(self._next) > MAX_STEPS:
            raise ValueError("the text is too long for the pattern")
        states = self._closure([self._first], at_start=True, at_end=not text)
        for place, character in enumerate(text, start=1):
            if is_anywhere and self._last in states:
                return True
            states = self._step(states, character, at_end=place == len(text), is_anywhere=is_anywhere)
            if not states:
                return False
        return self._last in states

    def _step(
        self, states: frozenset[int], character: str, *, at_end: bool, is_anywhere: bool
    ) -> frozenset[int]:
        key = (states, character, is_anywhere)
        if not at_end and key in self._moves:
            return self._moves[key]
        reached: list[int] = []
        for state in states:
            test = self._tests[state]
            if callable(test) and test(character):
                reached += self._next[state]
        if is_anywhere:
            reached.append(self._first)
        found = self._closure(reached, at_start=False, at_end=at_end)
        if not at_end:
            if len(self._moves) >= MAX_REMEMBERED:
                self._moves.clear()
            self._moves[key] = found
        return found

    def _closure(self, states: Iterable[int], *, at_start: bool, at_end: bool) -> frozenset[int]:
        reached: set[int] = set()
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if state in reached:
                continue
            test = self._tests[state]
            if (test == _START and not at_start) or (test == _END and not at_end):
                continue
            reached.add(state)
            if isinstance(test, str):
                waiting += self._next[state]
        return frozenset(reached)

    def _state(self, test: _Test | str | None, following: tuple[int, ...]) -> int:
        if len(self._next) >= MAX_STATES:
            raise ValueError("the pattern is too large")
        self._tests.append(test)
        self._next.append(following)
        return len(self._next) - 1

    def _build(self, node: _Node, then: int) -> int:
        """The first state of a node that is followed by the state `then`."""
        kind, told = node
        if kind == "test":
            return self._state(told, (then,))  # type: ignore[arg-type]
        if kind in (_START, _END):
            return self._state(kind, (then,))
        if kind == "all":
            for each in reversed(told):  # type: ignore[call-overload]
                then = self._build(each, then)
            return then
        if kind == "any":
            return self._state(_EMPTY, tuple(self._build(each, then) for each in told))  # type: ignore[attr-defined]
        inner, minimum, maximum = told  # type: ignore[misc]
        return self._repeat(inner, minimum, maximum, then)  # type: ignore[has-type]

    def _repeat(self, inner: _Node, minimum: int, maximum: int | None, then: int) -> int:
        if maximum is None:
            loop = self._state(_EMPTY, ())
            self._next[loop] = (self._build(inner, loop), then)
            then = loop
        else:
            done = then
            for _ in range(maximum - minimum):
                then = self._state(_EMPTY, (self._build(inner, then), done))
        for _ in range(minimum):
            then = self._build(inner, then)
        return then


@lru_cache(maxsize=256)
def regular(pattern: str) -> Regular:
    """A pattern, kept. Raises: ValueError."""
    return Regular(pattern)


class _Reader:
    """The text of a pattern as a tree of (kind, told)."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._nesting = 0

    def all(self) -> _Node:
        tree = self._alternatives()
        if self._at < len(self._text):
            raise ValueError("a parenthesis closes nothing")
        return tree

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        character = self._peek()
        if not character:
            raise ValueError("the pattern ends too early")
        self._at += 1
        return character

    def _alternatives(self) -> _Node:
        found = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            found.append(self._sequence())
        return found[0] if len(found) == 1 else ("any", found)

    def _sequence(self) -> _Node:
        found: list[_Node] = []
        while self._peek() not in ("", "|", ")"):
            found.append(self._repeated(self._atom()))
        return "all", found

    def _repeated(self, node: _Node) -> _Node:
        if not self._peek() or self._peek() not in "*+?{":
            return node
        sign = self._take()
        minimum, maximum = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign) or self._bounds()
        if self._peek() == "?":
            self._at += 1  # lazy: the same texts match
        if self._peek() and self._peek() in "*+?{":
            raise ValueError("what is repeated may not be repeated again")
        return "repeat", (node, minimum, maximum)

    def _bounds(self) -> tuple[int, int | None]:
        told, closed, rest = self._text[self._at :].partition("}")
        low, comma, high = told.partition(",")
        if not closed or not low.isdecimal() or (high and not high.isdecimal()) or len(told) > 9:  # noqa: PLR2004
            raise ValueError("a repetition is not understood")
        self._at = len(self._text) - len(rest)
        minimum = int(low)
        maximum = (int(high) if high else None) if comma else minimum
        if max(minimum, maximum or 0) > MAX_STATES or (maximum is not None and maximum < minimum):
            raise ValueError("a repetition is too large")
        return minimum, maximum

    def _atom(self) -> _Node:
        character = self._take()
        match character:
            case "(":
                return self._group()
            case "[":
                return "test", self._class()
            case ".":
                return "test", lambda c: c not in "\r\n"
            case "^":
                return _START, None
            case "$":
                return _END, None
            case "\\":
                return "test", self._escape()
            case "*" | "+" | "?" | "{":
                raise ValueError("there is nothing to repeat")
        return "test", character.__eq__

    def _group(self) -> _Node:
        if self._text.startswith("?", self._at):
            if not self._text.startswith("?:", self._at):
                raise ValueError("only plain groups are supported")
            self._at += 2
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise ValueError("the pattern nests too deeply")
        inner = self._alternatives()
        if self._take() != ")":
            raise ValueError("a parenthesis is not closed")
        self._nesting -= 1
        return inner

    def _escape(self) -> _Test:
        character = self._take()
        if character in _SHORTHANDS:
            return _SHORTHANDS[character]
        return self._escaped(character).__eq__

    def _escaped(self, character: str) -> str:
        if character in ("u", "x"):
            digits = self._text[self._at : self._at + (4 if character == "u" else 2)]
            self._at += len(digits)
            return chr(int(digits, 16))
        if character in _CONTROL:
            return _CONTROL[character]
        if character.isalnum():
            raise ValueError("an escape is not supported")
        return character

    def _class(self) -> _Test:
        is_negated = self._peek() == "^"
        self._at += is_negated
        tests: list[_Test] = []
        is_first = True
        while self._peek() != "]" or is_first:
            is_first = False
            low = self._member(tests)
            if low and self._peek() == "-" and self._text[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                high = self._member([])
                if not high or high < low:
                    raise ValueError("a range is not understood")
                tests.append(_range(low, high))
            elif low:
                tests.append(low.__eq__)
        self._at += 1
        chosen = tuple(tests)
        return lambda c: any(test(c) for test in chosen) != is_negated

    def _member(self, tests: list[_Test]) -> str:
        character = self._take()
        if character == "[" and self._peek() == ":":
            raise ValueError("named classes are not supported")
        if character != "\\":
            return character
        escaped = self._take()
        if escaped in _SHORTHANDS:
            tests.append(_SHORTHANDS[escaped])
            return ""
        return self._escaped(escaped)


def _range(low: str, high: str) -> _Test:
    return lambda c: low <= c <= high
