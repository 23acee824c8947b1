"""The vectors as they stand in the files: one situation, one question, one answer, and why."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vectors.notation import NotUnderstood

FOLDER = Path(__file__).parent
ANSWERS = ("sees", "does not see", "is refused")
ORDINARY = "Observation"
_KEYS = {
    "name",
    "situation",
    "situacion",
    "consents",
    "resource",
    "also",
    "asks",
    "expected",
    "why",
    "change",
    "steps",
}


@dataclass(frozen=True)
class Vector:
    """One vector. A story has steps instead of consents, an asker and an answer.

    change  further elements of what is named, as JSON: `{ c1 = '{"language": "es"}' }`
    """

    number: int
    subject: str
    name: str
    situation: str
    why: str
    consents: Sequence[str] = ()
    resource: str = ORDINARY
    also: Sequence[str] = ()
    asks: str = "hospital"
    expected: str = ""
    change: Mapping[str, str] | None = None
    steps: Sequence[str] = ()

    def __str__(self) -> str:
        return f"{self.subject}: {self.name}"


def vectors(folder: Path = FOLDER) -> list[Vector]:
    """Every vector of the files, in their order. Raises: NotUnderstood - a key or an answer that there is not."""
    found: list[Vector] = []
    for path in sorted(folder.glob("*.toml")):
        for told in tomllib.loads(path.read_text())["vector"]:
            found.append(_vector(len(found) + 1, path.stem, told))
    names = [str(each) for each in found]
    twice = {each for each in names if names.count(each) > 1}
    if twice:
        raise NotUnderstood(f"a name stands twice: {sorted(twice)}")
    return found


def _vector(number: int, subject: str, told: dict[str, Any]) -> Vector:
    kept = {name: value for name, value in told.items() if name != "situacion"}
    if told.keys() - _KEYS or not {"name", "situation", "why"} <= told.keys():
        raise NotUnderstood(f"{subject}: {told.get('name')}: {sorted(told.keys() - _KEYS)}")
    made = Vector(number, subject, **kept)
    if bool(made.steps) == bool(made.expected) or (made.expected and made.expected not in ANSWERS):
        raise NotUnderstood(f"{made}: it has steps or an answer of {ANSWERS}")
    return made
