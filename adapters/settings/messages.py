"""What HL7 v2 messages need to be understood: who sends them, and what is particular about each sender.

Spec:    docs/adapters.md, "HL7 v2"; HL7 v2.5.1, 2.15.9 (MSH-3, MSH-4, MSH-18).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from adapters.settings.checker import Checker
from adapters.settings.identifiers import IdentifierRule, check_rows

MESSAGE_KEYS: Final = frozenset({"default_charset", "unknown_senders"})
SENDER_KEYS: Final = frozenset(
    {"application", "facility", "charset", "surname_order", "certificates", "identifier"}
)
# What a site writes, and what Python calls it; `auto` is UTF-8 where the bytes are, else Windows-1252.
CHARSETS: Final = {
    "auto": "", "8859/1": "cp1252", "8859/15": "iso8859-15", "UNICODE UTF-8": "utf-8", "ASCII": "ascii",
}  # fmt: skip
_REMEDY: Final = f"debe ser uno de {', '.join(CHARSETS)}"
_NAME: Final = re.compile(r"^[ -{}]{1,227}$")  # ASCII, without the bar: compared before the charset is known
_SURNAME_ORDERS: Final = frozenset({"given", "maternal"})


@dataclass(frozen=True, slots=True)
class SenderRule:
    """What holds for messages of one application (MSH-3) and facility (MSH-4); `*` stands for any.

    `certificates` are the names of which its connection must have proved one, where TLS is spoken.
    """

    application: str = "*"
    facility: str = "*"
    charset: str | None = None
    surname_order: str | None = None
    certificates: tuple[str, ...] = ()
    identifier_rules: tuple[IdentifierRule, ...] = ()

    def fits(self, application: str, facility: str) -> bool:
        """Whether it is about this sender."""
        pairs = ((self.application, application), (self.facility, facility))
        return all(rule in {"*", told} for rule, told in pairs)


@dataclass(frozen=True, slots=True)
class MessageSettings:
    """The charset of those who name none, the rules by sender, and whether others are refused."""

    charset: str = ""
    senders: tuple[SenderRule, ...] = ()
    refuses_unknown: bool = False

    def rule_of(self, application: str, facility: str) -> SenderRule | None:
        """The first rule that is about a sender."""
        return next((rule for rule in self.senders if rule.fits(application, facility)), None)


NO_RULES: Final = MessageSettings()


def check_messages(checker: Checker) -> MessageSettings:
    """`default_charset` and `unknown_senders` of `[source]`, and every `[[sender]]`."""
    charset = checker.text("source", "default_charset", CHARSETS.__contains__, _REMEDY, "auto")
    remedy = "debe ser accept (se reciben) o refuse (solo los de [[sender]])"
    unknown = checker.text("source", "unknown_senders", {"accept", "refuse"}.__contains__, remedy, "accept")
    senders = tuple(rule for row in checker.rows("sender") if (rule := _sender(checker, row)) is not None)
    if unknown == "refuse" and not senders:
        checker.fault("A-112", "source.unknown_senders", "unknown_senders = refuse necesita algún [[sender]]")
    return MessageSettings(CHARSETS.get(charset, ""), senders, unknown == "refuse")


def _sender(checker: Checker, row: Any) -> SenderRule | None:
    if not isinstance(row, dict):
        return None
    texts = {key: row.get(key, "*") for key in ("application", "facility")}
    if not all(isinstance(text, str) and _NAME.match(text) for text in texts.values()):
        text = "cada [[sender]] lleva textos sin tildes: application (MSH-3.1) y facility (MSH-4.1)"
        checker.fault("A-112", "sender.application", text)
        return None
    charset, order, names = row.get("charset"), row.get("surname_order"), row.get("certificates", [])
    if charset is not None and charset not in CHARSETS:
        checker.fault("A-112", "sender.charset", f"charset en [[sender]] {_REMEDY}")
        return None
    if order is not None and order not in _SURNAME_ORDERS:
        checker.fault(
            "A-112", "sender.surname_order", "surname_order en [[sender]] debe ser given o maternal"
        )
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        checker.fault("A-112", "sender.certificates", 'certificates en [[sender]] debe ser ["nombre", …]')
        return None
    nested = row.get("identifier", [])
    rules = check_rows(checker, nested if isinstance(nested, list) else [nested], "sender.identifier")
    return SenderRule(
        **texts,
        charset=None if charset is None else CHARSETS[charset],
        surname_order=order,
        certificates=tuple(name.lower() for name in names),
        identifier_rules=rules,
    )
