"""Catalogues: code systems of ten thousand concepts and more that a site brings, in tables of their own.

Spec:    https://hl7.org/fhir/R4/codesystem.html; docs/decisions/0016-terminology.md.
Leaves:  reading a site's files to catalogue_files.py.

A catalogue is public and about no patient, so it lies unsealed. A new version replaces the current one in one
transaction; earlier versions stay, and are asked for as `url|version`.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from exchange.problems import NotSupported
from exchange.store.canonical import renew
from exchange.store.session import Row, Transaction
from exchange.terminology.concept import MOST_CODES, Concept, filter_test, folded, require_listable

MOST_CONCEPTS: Final = 500_000
MOST_LEVELS: Final = 30
_SLICE: Final = 2_000

CURRENT: Final = """
SELECT number, url, version, name, concepts FROM code_system_catalogue
WHERE url = %(url)s AND (CASE WHEN %(version)s = '' THEN is_current ELSE version = %(version)s END)"""
KNOWN: Final = """
SELECT number, digest FROM code_system_catalogue WHERE url = %(url)s AND version = %(version)s"""
ALL: Final = """
SELECT url, version, name, concepts, is_current, loaded_at FROM code_system_catalogue ORDER BY url, loaded_at"""
# One catalogue is loaded at a time: its number is the next.
NUMBER: Final = """
SELECT pg_advisory_xact_lock(7041982211);
SELECT coalesce(max(number), 0) + 1 FROM code_system_catalogue"""
SUPERSEDE: Final = "UPDATE code_system_catalogue SET is_current = false WHERE url = %(url)s"
ENTER: Final = """
INSERT INTO code_system_catalogue (number, url, version, name, digest, concepts, is_current, loaded_at)
VALUES (%(number)s, %(url)s, %(version)s, %(name)s, %(digest)s, %(concepts)s, true, %(now)s)"""
REMOVE: Final = """
DELETE FROM code_system_concept WHERE catalogue = %(number)s;
DELETE FROM code_system_catalogue WHERE number = %(number)s"""

_COLUMNS: Final = "code, display, parent, is_inactive, properties"
GET: Final = f"""
SELECT {_COLUMNS} FROM code_system_concept WHERE catalogue = %(number)s AND code = ANY(%(codes)s)"""  # noqa: S608
SOME: Final = """
SELECT {columns} FROM code_system_concept WHERE catalogue = %(number)s AND NOT (%(active)s AND is_inactive)
AND (starts_with(folded_code, %(words)s) OR folded LIKE ALL(%(patterns)s::text[])) {rest}"""
REACH: Final = """
WITH RECURSIVE reached(code, level) AS (
  SELECT %(code)s::text, 0
  UNION SELECT {following}, reached.level + 1 FROM reached
  JOIN code_system_concept c ON c.catalogue = %(number)s AND {joined}
  WHERE reached.level < %(levels)s AND c.parent IS NOT NULL)
SELECT DISTINCT code FROM reached LIMIT %(limit)s"""
UNDER: Final = REACH.format(following="c.code", joined="c.parent = reached.code")
OVER: Final = REACH.format(following="c.parent", joined="c.code = reached.code")
CHILDREN: Final = """
SELECT code FROM code_system_concept WHERE catalogue = %(number)s AND parent = %(code)s ORDER BY code LIMIT %(limit)s"""
SLICE: Final = f"""
SELECT {_COLUMNS} FROM code_system_concept
WHERE catalogue = %(number)s AND code > %(after)s ORDER BY code LIMIT %(limit)s"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class NewCatalogue:
    """A code system as a site's file has it. `digest` tells whether a file was loaded before."""

    url: str
    version: str
    name: str
    digest: str
    concepts: Collection[Concept]


class CatalogueSystem:
    """A loaded catalogue, read where it lies."""

    is_complete = True

    def __init__(self, transaction: Transaction, row: Row) -> None:
        self._transaction = transaction
        self._number, self.url, self.version, self.name, self._count = row

    @property
    def count(self) -> int:
        """How many concepts there are."""
        return int(self._count)

    def get(self, codes: Collection[str]) -> dict[str, Concept]:
        """Those of the codes that exist."""
        rows = self._transaction.rows(GET, {"number": self._number, "codes": list(codes)})
        return {row[0]: _concept(row) for row in rows}

    def page(self, words: str, offset: int, limit: int, *, active_only: bool) -> tuple[int, list[Concept]]:
        """Concepts whose display has the words, or whose code begins so, in the order of the codes."""
        wanted = folded(words)
        escaped = wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        parameters = {
            "number": self._number, "active": active_only, "words": wanted,
            "patterns": [f"%{word}%" for word in escaped.split()] or ["%"], "offset": offset, "limit": limit,
        }  # fmt: skip
        counted = self._transaction.rows(SOME.format(columns="count(*)", rest=""), parameters)[0][0]
        rest = "ORDER BY code OFFSET %(offset)s LIMIT %(limit)s"
        rows = self._transaction.rows(SOME.format(columns=_COLUMNS, rest=rest), parameters)
        return counted, [_concept(row) for row in rows]

    def below(self, code: str) -> frozenset[str]:
        """A code and everything under it. Raises: TooCostly."""
        return self._reach(UNDER, code)

    def above(self, code: str) -> frozenset[str]:
        """A code and everything over it."""
        return self._reach(OVER, code)

    def children(self, code: str) -> list[str]:
        """The codes directly under a code."""
        told = {"number": self._number, "code": code, "limit": MOST_CODES}
        return [row[0] for row in self._transaction.rows(CHILDREN, told)]

    def select(self, name: str, operator: str, value: str, named: str) -> list[Concept]:
        """The concepts that a filter lets through, slice by slice. Raises: NotSupported, TooCostly."""
        if operator in ("is-a", "descendent-of") and name in ("concept", "code"):
            codes = self.below(value) - ({value} if operator == "descendent-of" else frozenset())
            return require_listable(sorted(self.get(codes).values(), key=lambda each: each.code))
        holds = filter_test(self, name, operator, value, named)
        found: list[Concept] = []
        after = ""
        while True:
            told = {"number": self._number, "after": after, "limit": _SLICE}
            rows = [_concept(row) for row in self._transaction.rows(SLICE, told)]
            found += [each for each in rows if holds(each)]
            require_listable(found)
            if len(rows) < _SLICE:
                return found
            after = rows[-1].code

    def _reach(self, sql: str, code: str) -> frozenset[str]:
        told = {"number": self._number, "code": code, "levels": MOST_LEVELS, "limit": MOST_CODES + 1}
        rows = self._transaction.rows(sql, told)
        require_listable([Concept(row[0]) for row in rows])
        return frozenset(row[0] for row in rows)


def find_catalogue(transaction: Transaction, url: str, version: str = "") -> CatalogueSystem | None:
    """The loaded catalogue of a code system: the current one, or the version asked for."""
    rows = transaction.rows(CURRENT, {"url": url, "version": version})
    return CatalogueSystem(transaction, rows[0]) if rows else None


def loaded(transaction: Transaction) -> list[Row]:
    """Every catalogue: url, version, name, how many concepts, whether it is the current one, when it was loaded."""
    return transaction.rows(ALL)


def load(transaction: Transaction, catalogue: NewCatalogue) -> bool:
    """Load a catalogue and make it the current one; False where the same file is loaded already.

    Raises: NotSupported - nothing in it, too much, or a version that is loaded with another content.
    """
    if not 0 < len(catalogue.concepts) <= MOST_CONCEPTS:
        raise NotSupported(f"a catalogue has 1 to {MOST_CONCEPTS} concepts")
    transaction.run("SET LOCAL statement_timeout = 600000")  # an operator waits longer than a request does
    number = transaction.rows(NUMBER)[0][0]
    known = transaction.rows(KNOWN, {"url": catalogue.url, "version": catalogue.version})
    if known and known[0][1] == catalogue.digest:
        return False
    if known:  # the same version, corrected: what was wrong is not kept
        transaction.run(REMOVE, {"number": known[0][0]})
    told = {
        "number": number, "url": catalogue.url, "version": catalogue.version, "name": catalogue.name,
        "digest": catalogue.digest, "concepts": len(catalogue.concepts), "now": transaction.now,
    }  # fmt: skip
    transaction.run(SUPERSEDE, told)
    transaction.run(ENTER, told)
    columns = "catalogue, code, display, folded, folded_code, parent, is_inactive, properties"
    transaction.copy("code_system_concept", columns, io.StringIO("".join(_lines(number, catalogue.concepts))))
    renew(transaction)
    return True


def _lines(number: int, concepts: Iterable[Concept]) -> Iterable[str]:
    for each in concepts:
        parent = _copied(each.parents[0]) if each.parents else "\\N"
        told = {code: value for code, _, value in each.properties}
        properties = _copied(msgspec.json.encode(told).decode()) if told else "\\N"
        cells = (
            str(number), _copied(each.code), _copied(each.display), _copied(folded(each.display)),
            _copied(folded(each.code)), parent, "t" if each.is_inactive else "f", properties,
        )  # fmt: skip
        yield "\t".join(cells) + "\n"


def _copied(text: str) -> str:
    """A text as COPY reads it."""
    escaped = text.replace("\\", "\\\\").replace("\t", "\\t")
    return escaped.replace("\n", "\\n").replace("\r", "\\r")


def _concept(row: Row) -> Concept:
    code, display, parent, is_inactive, properties = row
    told: dict[str, Any] = properties or {}
    return Concept(
        code, display, (parent,) if parent else (), is_inactive,
        properties=tuple((name, "valueString", value) for name, value in told.items()),
    )  # fmt: skip
