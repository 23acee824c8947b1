"""How a site knows which patients let their records be sent: nobody's leaves because nothing was said about it.

Spec:    docs/adapters.md, "Sending consent"; docs/decisions/0034.
Leaves:  reading the table, and holding what may not leave, to the outbox.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.settings.checker import Checker

CONSENT_KEYS: Final = frozenset({"mode", "file", "reason", "field", "values"})
MODES: Final = ("table", "source", "all")
SPEAKING_KINDS: Final = frozenset({"hl7v2-mllp", "hl7v2-folder"})
"""The kinds of source whose records can say it themselves."""
_FIELD: Final = re.compile(r"^([A-Z][A-Z0-9]{2})-([1-9]\d?)$")


@dataclass(frozen=True, slots=True)
class ConsentSettings:
    """`table`: the patients of `file`. `source`: who gives `values` in `field`. `all`: everybody, for a `reason`."""

    mode: str = "all"
    file: Path | None = None
    segment: str = ""
    field: int = 0
    values: frozenset[str] = frozenset()


def check_consent(checker: Checker, source_kind: str) -> ConsentSettings:
    """`[consent]`. Where it says nothing, a table is asked; where there is none, everything waits.

    1. Everybody's records are sent only where somebody wrote why that may be.
    2. A record can only say it where its kind has a place for that.
    """
    mode = checker.text("consent", "mode", MODES.__contains__, f"debe ser uno de {', '.join(MODES)}", "table")
    # 1.
    if mode == "all":
        remedy = "escriba por qué se envía lo de todos: quién lo decidió y dónde están los formatos firmados"
        checker.text("consent", "reason", bool, remedy)
        return ConsentSettings("all")
    # 2.
    if mode == "source":
        return _said_by_records(checker, source_kind)
    if checker.value("consent", "file") is None:
        return ConsentSettings("table", checker.path.parent / "consent.csv")
    return ConsentSettings("table", checker.file("consent", "file"))


def _said_by_records(checker: Checker, source_kind: str) -> ConsentSettings:
    if source_kind not in SPEAKING_KINDS:
        text = (
            f"mode = source no es posible con {source_kind}: sus registros no dicen si se autorizó; use table"
        )
        checker.fault("A-151", "consent.mode", text)
    remedy = "escriba segmento y campo, por ejemplo CON-11"
    found = _FIELD.match(checker.text("consent", "field", _FIELD.match, remedy))
    values = checker.value("consent", "values")
    if (
        not isinstance(values, list)
        or not values
        or not all(isinstance(each, str) and each for each in values)
    ):
        checker.fault("A-151", "consent.values", 'values en [consent] debe ser una lista, por ejemplo ["A"]')
        values = []
    segment, number = found.groups() if found else ("", "0")
    return ConsentSettings("source", None, segment, int(number), frozenset(values))
