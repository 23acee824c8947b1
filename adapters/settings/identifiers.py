"""What an identifier of a source is: by who assigned it and its type there, as the site's own rules say first.

Spec:    docs/adapters.md, "HL7 v2"; HL7 table 0203.
Leaves:  systems and forms of documents to exchange.fhir.peru.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from adapters.settings.checker import Checker

RULE_KEYS: Final = frozenset({"authority", "type", "kind", "system"})
_KIND: Final = re.compile(r"^[a-z0-9][a-z0-9-]{0,39}$")


@dataclass(frozen=True, slots=True)
class IdentifierRule:
    """What an identifier is, by who assigned it and its type at the source; `*` stands for anything."""

    kind: str
    authority: str = "*"
    type: str = "*"
    system: str | None = None


# What identifiers are where a site's own rules say nothing: types of HL7 table 0203 and of local use.
DEFAULT_RULES: Final = (
    IdentifierRule("dni", type="DNI"),
    IdentifierRule("dni", authority="RENIEC", type="NI"),
    IdentifierRule("dni", authority="RENIEC", type=""),
    IdentifierRule("ce", type="CE"),
    IdentifierRule("ce", authority="MIGRACIONES", type=""),
    IdentifierRule("passport", type="PAS"),
    IdentifierRule("passport", type="PPN"),
    IdentifierRule("cnv", type="CNV"),
    IdentifierRule("cnv", type="BCT"),
    IdentifierRule("hc", type="HC"),
    *(IdentifierRule("hc-*", type=name) for name in ("MR", "MRN", "PI", "PT", "")),
    IdentifierRule("id-*"),
)


def identifier_kind(rules: tuple[IdentifierRule, ...], authority: str, kind: str) -> tuple[str, str | None]:
    """What an identifier is, and its system where a rule names one: the first rule that fits.

    A local number of another assigner gets a kind of its own (`hc-lab`): two may give one number twice.
    """
    authority, kind = authority.strip().upper(), kind.strip().upper()
    for rule in (*rules, *DEFAULT_RULES):
        if rule.authority.upper() in {"*", authority} and rule.type.upper() in {"*", kind}:
            if not rule.kind.endswith("-*"):
                return rule.kind, rule.system
            family = rule.kind.removesuffix("-*")
            named = authority if family == "hc" else f"{authority}-{kind}"
            slug = re.sub(r"[^a-z0-9]+", "-", named.lower()).strip("-")[:40]
            return f"{family}-{slug}".rstrip("-"), None
    return "hc", None


def check_rules(checker: Checker) -> tuple[IdentifierRule, ...]:
    """The rules of `[[identifier]]`, in the order of the file."""
    return check_rows(checker, checker.rows("identifier"), "identifier")


def check_rows(checker: Checker, rows: list[Any], place: str) -> tuple[IdentifierRule, ...]:
    """The rules that stand at a place of the file."""
    rules = []
    for part in rows:
        if not isinstance(part, dict) or not all(isinstance(item, str) for item in part.values()):
            text = f"cada [[{place}]] lleva textos: authority, type, kind, system"
            checker.fault("A-109", place, text)
        elif part.keys() - RULE_KEYS and place != "identifier":
            text = f"[[{place}]] solo lleva authority, type, kind y system"
            checker.fault("A-109", place, text)
        elif not _KIND.match(part.get("kind", "")):
            text = f"a un [[{place}]] le falta kind (dni, ce, passport, die, cnv, hc, ignore)"
            checker.fault("A-109", f"{place}.kind", text)
        else:
            rules.append(IdentifierRule(**{key: part[key] for key in RULE_KEYS & part.keys()}))
    return tuple(rules)
