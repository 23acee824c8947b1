"""On which line of a TOML text each key and each item of an array stands.

Spec:    https://toml.io/en/v1.0.0
Leaves:  reading values to tomllib, which tells no lines; the text is known to be TOML when it comes here.

What stands inside of an inline table or a string of several lines is told with the line of the key that holds it.
"""

from __future__ import annotations

import re
from typing import Final

Path = tuple[str | int, ...]

_HEAD: Final = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_NAME: Final = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEY: Final = re.compile(rf"^\s*({_NAME}(?:\s*\.\s*{_NAME})*)\s*=")
_PART: Final = re.compile(_NAME)
_MARK: Final = re.compile(
    r"""\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}.*?'{3}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[\[\]{},\n]|[^\s\[\]{},#"']+""",
    re.DOTALL,
)


def lines_of(text: str) -> dict[Path, int]:
    """The line of each table, key and item, by its path; an array's items are numbered from 0."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    rows = text.split("\n")
    number = 0
    while number < len(rows):
        row = rows[number]
        head, key = _HEAD.match(row), _KEY.match(row)
        if key is not None:
            path = (*table, *_parts(key.group(1)))
            found.setdefault(path, number + 1)
            rest = "\n".join([row[key.end() :], *rows[number + 1 :]])
            number += _place_items(rest, path, number + 1, found)
        elif head is not None:
            table = _table(_parts(head.group(2)), is_array=head.group(1) == "[[", counts=counts)
            found.setdefault(table, number + 1)
        number += 1
    return found


def line_of(lines: dict[Path, int], path: Path) -> int:
    """The line of a path, or of the nearest thing that holds it; the first line where nothing does."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def _table(parts: tuple[str, ...], *, is_array: bool, counts: dict[Path, int]) -> Path:
    """The path of a header: what stands below an array of tables is in its last one."""
    path: Path = ()
    for place, part in enumerate(parts):
        path = (*path, part)
        if is_array and place == len(parts) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _place_items(text: str, path: Path, line: int, found: dict[Path, int]) -> int:
    """Note the items of the value that the text begins with; on how many further lines the value goes on."""
    depth, item, first = 0, 0, line
    for match in _MARK.finditer(text):
        mark = match.group()
        if mark == "\n":
            line += 1
            if depth == 0:
                return line - 1 - first
        elif mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        elif mark == ",":
            item += depth == 1
        elif not mark.startswith("#"):
            if depth == 1:
                found.setdefault((*path, item), line)
            line += mark.count("\n")
    return line - first
