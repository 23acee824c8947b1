"""Passwords: argon2id, and the same work for people who do not exist.

Spec:    RFC 9106; NIST SP 800-63B, 5.1.1
Leaves:  how often somebody may try to people.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from exchange.problems import Invalid

MIN_LETTERS: Final = 12
MAX_LETTERS: Final = 200
_HASHER: Final = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=1)
"""Units: memory in KiB. More than RFC 9106's second recommendation asks for one lane."""


def hash_password(password: str) -> str:
    """The hash of a new password. Raises: Invalid - too short or too long; nothing else is asked of it."""
    if not MIN_LETTERS <= len(password) <= MAX_LETTERS:
        raise Invalid(f"a password has {MIN_LETTERS} to {MAX_LETTERS} letters", "password")
    return _HASHER.hash(password)


def is_password(hashed: str, password: str) -> bool:
    """Whether a password is the hash's. An empty hash costs as much and is nobody's."""
    try:
        is_right = _HASHER.verify(hashed or _nobodys(), password[: MAX_LETTERS + 1])
    except (VerificationError, InvalidHashError):
        return False
    return is_right and bool(hashed)


@cache
def _nobodys() -> str:
    return _HASHER.hash("a password that nobody has")
