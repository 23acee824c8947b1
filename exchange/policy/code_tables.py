"""The codes of sensitive categories as tables: one look-up for a code, a few where codes nest.

Leaves:  which codes are sensitive to the policy file; walking a resource to sensitivity.

What a code says is a mark: bit 0 restricted, bit 1 very restricted, and one bit for each category.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

RESTRICTED: Final = 1
VERY_RESTRICTED: Final = 2
_FIRST_CATEGORY: Final = 2
CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
OWN_OIDS: Final = {
    "2.16.840.1.113883.5.25": CONFIDENTIALITY,
    "2.16.840.1.113883.1.11.16926": CONFIDENTIALITY,
    "2.16.840.1.113883.5.4": ACT_CODE,
}
MOST_REMEMBERED: Final = 1_000
_MOST_IN_RANGE: Final = 1_000
_RANGE: Final = re.compile(r"([A-Z]*)(\d+)-([A-Z]*)(\d+)", re.ASCII)

Form = tuple[Sequence[str], Sequence[str], Sequence[str], bool, str]
"""Of a system: its addresses, OIDs, parts of an address that tell it, whether its codes nest, letters without meaning."""


@dataclass(slots=True)
class SystemTable:
    """The sensitive codes of one system. `lengths` are those of the beginnings to look for; 0 stands for the whole."""

    marks: dict[str, int] = field(default_factory=dict)
    lengths: tuple[int, ...] = (0,)
    ignored: str = ""

    def mark(self, code: str) -> int:
        """What a code says; 0 where it is not sensitive."""
        if self.lengths == (0,):
            return self.marks.get(code, 0)
        plain = code.replace(self.ignored, "") if self.ignored else code
        if not plain.isupper():
            plain = plain.upper()
        found = 0
        for length in self.lengths:
            found |= self.marks.get(plain[:length], 0)
        return found


class CodeTables:
    """Every sensitive code by its system."""

    def __init__(self, categories: Sequence[str]) -> None:
        self.categories = tuple(categories)
        self.systems: dict[str, SystemTable | None] = {}
        self._contains: list[tuple[str, SystemTable]] = []
        self._clinical: list[SystemTable] = []
        self._known = 0

    @classmethod
    def of(
        cls,
        forms: Mapping[str, Form],
        sensitive: Sequence[tuple[str, str, Iterable[Mapping[str, Sequence[str]]]]],
        told: Mapping[str, str],
    ) -> CodeTables:
        """Tables for categories (code, confidentiality, lists by system); sources may tell those of `told`, too."""
        made = cls([*(code for code, _, _ in sensitive), *told])
        levels = {code: level for code, level, _ in sensitive} | dict(told)
        marks = {code: made.mark_of(level, code) for code, level in levels.items()}
        for name, (urls, oids, contains, nests, ignored) in forms.items():
            table = SystemTable(ignored=ignored)
            for category, _, lists in sensitive:
                codes = [code for each in lists for code in each.get(name, ())]
                for code in codes:
                    for plain in cls.expanded(code, nests=nests, ignored=ignored):
                        table.marks[plain] = table.marks.get(plain, 0) | marks[category]
            if nests:
                table.lengths = tuple(sorted({len(each) for each in table.marks})) or (0,)
            made._enter(table, [*urls, *(f"urn:oid:{oid}" for oid in oids)], contains)
        made.systems[ACT_CODE] = SystemTable(marks)
        made.systems[CONFIDENTIALITY] = SystemTable({"R": RESTRICTED, "V": RESTRICTED | VERY_RESTRICTED})
        for oid, url in OWN_OIDS.items():
            made.systems[f"urn:oid:{oid}"] = made.systems[url]
        made._known = len(made.systems)
        return made

    @staticmethod
    def expanded(code: str, *, nests: bool, ignored: str) -> list[str]:
        """The codes that a line of the policy stands for; none where it is no range that can be counted."""
        if not nests:
            return [code]
        plain = code.replace(ignored, "").upper() if ignored else code.upper()
        match = _RANGE.fullmatch(plain)
        if match is None:
            return [plain] if plain else []
        first, low, second, high = match.groups()
        count = int(high) - int(low) + 1
        if first != second or len(low) != len(high) or not 0 < count <= _MOST_IN_RANGE:
            return []
        return [f"{first}{number:0{len(low)}d}" for number in range(int(low), int(high) + 1)]

    def mark_of(self, confidentiality: str, category: str) -> int:
        """The mark of a category together with its confidentiality."""
        level = RESTRICTED | (VERY_RESTRICTED if confidentiality == "V" else 0)
        return level | 1 << (_FIRST_CATEGORY + self.categories.index(category))

    def names(self, mark: int) -> frozenset[str]:
        """The categories of a mark."""
        rest = mark >> _FIRST_CATEGORY
        return frozenset(name for place, name in enumerate(self.categories) if rest >> place & 1)

    def mark(self, system: object, code: str) -> int:
        """What a coding says. A code whose system is not told is looked for in every clinical system."""
        if not isinstance(system, str):
            found = 0
            for table in self._clinical:
                found |= table.mark(code)
            return found
        if system not in self.systems:
            self._recognise(system)
        known = self.systems.get(system)
        return known.mark(code) if known is not None else 0

    def _enter(self, table: SystemTable, addresses: Sequence[str], contains: Sequence[str]) -> None:
        self._clinical.append(table)
        self._contains += [(part.lower(), table) for part in contains]
        for address in addresses:
            self.systems[address] = table

    def _recognise(self, system: str) -> None:
        """Remember which table an address stands for that the policy does not name; most stand for none."""
        if len(self.systems) >= self._known + MOST_REMEMBERED:
            # Whoever sends ever new addresses costs himself a comparison each time, and the hub no memory.
            self.systems = dict(list(self.systems.items())[: self._known])
        plain = system.lower()
        self.systems[system] = next((table for part, table in self._contains if part in plain), None)
