"""One-time codes that are typed and read over the telephone: 120 bits and a check character, in five groups of five.

Spec:    https://www.crockford.com/base32.html
Leaves:  who is invited by one, and until when, to enrolment.
"""

from __future__ import annotations

import secrets
from typing import Final

DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHECKS: Final = DIGITS + "*~$=U"
DATA_LETTERS: Final = 24
GROUP_LETTERS: Final = 5
MOST_TYPED_LETTERS: Final = 64
_MISREAD: Final = str.maketrans("OIL", "011", " -")


def make_code() -> str:
    """A new code, bare. Of the check characters only digits and letters are used: nobody spells out a tilde."""
    while True:
        data = "".join(secrets.choice(DIGITS) for _ in range(DATA_LETTERS))
        if (check := check_character(data)) in DIGITS:
            return data + check


def shown_code(code: str) -> str:
    """A code in its groups, as it is read aloud."""
    return "-".join(code[place : place + GROUP_LETTERS] for place in range(0, len(code), GROUP_LETTERS))


def read_code(typed: str) -> str | None:
    """The bare code that somebody typed, with O for 0 and I or L for 1; None where it cannot be one."""
    if len(typed) > MOST_TYPED_LETTERS:
        return None
    code = typed.upper().translate(_MISREAD)
    if len(code) != DATA_LETTERS + 1 or not set(code) <= set(DIGITS):
        return None
    return code if check_character(code[:DATA_LETTERS]) == code[DATA_LETTERS] else None


def check_character(data: str) -> str:
    """The character that shows a mistyped or exchanged one: the number modulo 37."""
    number = 0
    for letter in data:
        number = number * len(DIGITS) + DIGITS.index(letter)
    return CHECKS[number % len(CHECKS)]
