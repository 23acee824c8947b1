"""People of the demonstration's provider: enrolled once, each with a password and a one-time code; locked after failures.

Spec:    RFC 6238 (TOTP); NIST SP 800-63B, 5.2.2
Leaves:  pages to routes; what a person may do here to authentication/account.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final

import pyotp

from exchange.problems import Invalid
from exchange.provider.password import hash_password, is_password
from exchange.settings import settings
from exchange.store.sealed_places import ONE_TIME_CODE
from exchange.store.session import Transaction

ENROLMENT_SECONDS: Final = 24 * 3600
MOST_FAILURES: Final = 5
LOCK_SECONDS: Final = 15 * 60
MOST_LOCK_SECONDS: Final = 24 * 3600
STEP_SECONDS: Final = 30
WINDOW: Final = 1
_USERNAME: Final = re.compile(r"[a-z][a-z0-9.\-]{2,62}", re.ASCII)
_CODE: Final = re.compile(r"[0-9]{6}", re.ASCII)

SELECT: Final = """
SELECT subject, username, password_hash, totp_sealed, totp_step, failures, locked_until, enrolment_hash, enrolment_until,
  valid_until
FROM provider_person"""
INSERT: Final = """
INSERT INTO provider_person (subject, username, password_hash, totp_sealed, totp_step, failures, locked_until,
  enrolment_hash, enrolment_until, valid_until)
VALUES (%s, %s, '', '', 0, 0, 0, %s, %s, %s) ON CONFLICT (username) DO NOTHING"""
RESET: Final = """
UPDATE provider_person SET password_hash = '', totp_sealed = '', totp_step = 0, failures = 0, locked_until = 0,
  enrolment_hash = %s, enrolment_until = %s, valid_until = coalesce(%s, valid_until)
WHERE username = %s"""
ENROL: Final = """
UPDATE provider_person SET password_hash = %s, totp_sealed = %s, totp_step = %s, failures = 0, locked_until = 0,
  enrolment_hash = ''
WHERE subject = %s"""


@dataclass(frozen=True, slots=True)
class Person:
    """One person of the provider."""

    subject: str
    username: str
    password_hash: str
    totp_sealed: bytes
    totp_step: int
    failures: int
    locked_until: int
    enrolment_hash: bytes
    enrolment_until: int
    valid_until: date

    def may_try(self) -> bool:
        """Whether the person is neither locked out nor past the last day, which ends in the region's zone."""
        today = datetime.now(UTC).astimezone(settings().zone).date()
        return self.locked_until <= time.time() and today <= self.valid_until


def add_person(transaction: Transaction, username: str, valid_until: date) -> tuple[str, str]:
    """A new person: the subject, and the secret that enrols once. Raises: Invalid - malformed, or taken."""
    if not _USERNAME.fullmatch(username):
        raise Invalid("a user name is 3 to 63 small letters, digits, dots and hyphens", "username")
    subject, secret = str(uuid.uuid4()), secrets.token_urlsafe(16)
    row = (subject, username, _hash(secret), int(time.time()) + ENROLMENT_SECONDS, valid_until)
    if transaction.run(INSERT, row) != 1:
        raise Invalid("this user name is taken", "username")
    return subject, secret


def reset_person(transaction: Transaction, username: str, valid_until: date | None = None) -> str | None:
    """A new secret to enrol with, where password and codes are forgotten from now on; None: nobody of this name."""
    secret = secrets.token_urlsafe(16)
    told = (_hash(secret), int(time.time()) + ENROLMENT_SECONDS, valid_until, username)
    return secret if transaction.run(RESET, told) == 1 else None


def all_people(transaction: Transaction) -> list[Person]:
    """Everybody, by user name."""
    return [_person(row) for row in transaction.rows(SELECT + " ORDER BY username")]


def begin_enrolment(
    transaction: Transaction, username: str, secret: str, password: str
) -> tuple[str, str, str] | None:
    """The subject, the new password's hash and a new secret for codes; None where the enrolment secret is not good.

    The caller commits. Raises: Invalid - the password is too short or too long.
    """
    person = _locked(transaction, username)
    is_right = hmac.compare_digest(person.enrolment_hash if person else b"", _hash(secret))
    if person is None or not person.may_try():
        return None
    if not is_right or person.enrolment_until < time.time():
        _count_failure(transaction, person)
        return None
    return person.subject, hash_password(password), pyotp.random_base32()


def finish_enrolment(
    transaction: Transaction, subject: str, enrolment: str, password_hash: str, totp_secret: str, code: str
) -> bool:
    """Whether the person is enrolled: the secret is still the one, and the code shows that the device has the new one."""
    rows = transaction.rows(SELECT + " WHERE subject = %s FOR UPDATE", (subject,))
    person = _person(rows[0]) if rows else None
    step = _step_of(totp_secret, code, 0)
    if person is None or not person.may_try() or step is None:
        return False
    if not hmac.compare_digest(person.enrolment_hash, _hash(enrolment)):
        return False
    sealed = ONE_TIME_CODE.seal(transaction, subject, totp_secret.encode())
    transaction.run(ENROL, (password_hash, sealed, step, subject))
    return True


def sign_in(transaction: Transaction, username: str, password: str, code: str) -> tuple[str | None, str]:
    """The subject of a person who proves to be it, or None; and why, for the audit log alone. The caller commits.

    1. The same work whoever is named. 2. Attempts on one person wait for each other, so that none goes uncounted.
    3. Password and code are judged together: an answer tells nothing about one of them. 4. A code works once.
    """
    # 1. and 2.
    person = _locked(transaction, username)
    is_right = is_password(person.password_hash if person else "", password)
    if person is None or not person.password_hash:
        return None, "unknown or not enrolled"
    if not person.may_try():
        return None, f"{person.subject} is locked or past the last day"
    # 3. and 4.
    secret = ONE_TIME_CODE.open(transaction, person.subject, person.totp_sealed).decode()
    step = _step_of(secret, code, person.totp_step)
    if not is_right or step is None:
        _count_failure(transaction, person)
        return None, f"{person.subject}: password or code"
    transaction.run(
        "UPDATE provider_person SET failures = 0, locked_until = 0, totp_step = %s WHERE subject = %s",
        (step, person.subject),
    )
    return person.subject, "signed in"


def totp_uri(username: str, secret: str) -> str:
    """What an authenticator app reads."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name="Chasqui (demo)")


def _step_of(secret: str, code: str, last_step: int) -> int | None:
    """The time step of a code, one step early or late, and later than the last one that was used."""
    if not _CODE.fullmatch(code):
        return None
    totp, now = pyotp.TOTP(secret), int(time.time()) // STEP_SECONDS
    found = None
    for step in range(now - WINDOW, now + WINDOW + 1):
        if hmac.compare_digest(totp.generate_otp(step), code) and step > last_step:
            found = step
    return found


def _count_failure(transaction: Transaction, person: Person) -> None:
    """Count; every fifth failure in a row locks, each time for twice as long."""
    failures = person.failures + 1
    locked_until = person.locked_until
    if failures % MOST_FAILURES == 0:
        doubled = LOCK_SECONDS * 2 ** min(failures // MOST_FAILURES - 1, 10)
        locked_until = int(time.time()) + min(doubled, MOST_LOCK_SECONDS)
    transaction.run(
        "UPDATE provider_person SET failures = %s, locked_until = %s WHERE subject = %s",
        (failures, locked_until, person.subject),
    )


def _locked(transaction: Transaction, username: str) -> Person | None:
    if not _USERNAME.fullmatch(username):
        return None
    rows = transaction.rows(SELECT + " WHERE username = %s FOR UPDATE", (username,))
    return _person(rows[0]) if rows else None


def _person(row: tuple[Any, ...]) -> Person:
    values = list(row)
    values[3], values[7] = bytes(row[3]), bytes(row[7])
    return Person(*values)


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
