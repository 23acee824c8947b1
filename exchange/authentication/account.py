"""Accounts: who a person at the provider is here - role, facility, and until which day.

Spec:    docs/sign-in.md
Leaves:  proving the person to sign_in; what the role may see to consent.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Final

from exchange.problems import Invalid
from exchange.requester import ROLES, Role, User
from exchange.settings import settings
from exchange.store.session import Transaction

_ORGANIZATION: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_REFERENCE: Final = re.compile(
    r"(Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9\-.]{1,64}", re.ASCII
)
_FUNCTION: Final = re.compile(r"[a-z][a-z0-9\-]{0,62}", re.ASCII)
_LETTERS: Final = "ghjkmnpqrstvwxyz23456789"
MAX_NAME_LETTERS: Final = 200
MOST_WITHIN: Final = 8
_COLUMNS: Final = (
    "account_id, issuer, subject, name, role, organization_id, within, functional_role, reference, valid_from,"
    " valid_until, is_active"
)
SELECT: Final = f"SELECT {_COLUMNS} FROM account"  # noqa: S608 - constants only
INSERT: Final = f"""
INSERT INTO account ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (issuer, subject) DO NOTHING"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Account:
    """One person's account.

    issuer, subject  the person at the provider: one account for each, and one person for each account
    within           the organisations that the facility belongs to, nearest first
    functional_role  a code of the regional policy, such as `physician`
    reference        `Practitioner/[id]`, `Patient/[id]`: what the person is among the records
    valid_until      the last day, whole, in the region's zone; None for patients alone
    """

    issuer: str
    subject: str
    name: str
    role: Role
    organization_id: str
    valid_from: date
    valid_until: date | None
    within: tuple[str, ...] = ()
    functional_role: str = ""
    reference: str = ""
    is_active: bool = True
    account_id: str = ""

    def is_open(self) -> bool:
        """Whether the account lets its person in now."""
        today = datetime.now(UTC).astimezone(settings().zone).date()
        return (
            self.is_active
            and self.valid_from <= today
            and (not self.valid_until or today <= self.valid_until)
        )

    @property
    def user(self) -> User:
        """The person, as requests name them."""
        return User(self.account_id, self.name, self.functional_role, self.reference)

    @property
    def id_prefix(self) -> str:
        """What ids that the person's app gives begin with: nobody else's do."""
        return f"{self.account_id}-"


def add_account(transaction: Transaction, account: Account) -> Account:
    """Enter an account; it comes back with its id.

    Raises: Invalid - a malformed field, no end for staff, or a person who has an account.
    """
    # 1. Who: a person of the provider's.
    if not account.issuer or not 0 < len(account.subject) <= 255 or not account.subject.isprintable():  # noqa: PLR2004
        raise Invalid("an account names an issuer and a subject", "subject")
    if not len(account.name) <= MAX_NAME_LETTERS or not account.name.isprintable():
        raise Invalid("an account has its person's name", "name")
    # 2. What: a role of a person, at a facility; a patient has a record and no facility.
    if account.role not in ROLES or account.role == "system":
        raise Invalid("a person's role is one of: " + ", ".join(ROLES[1:]), "role")
    is_patient = account.role == "patient"
    if not account.name and not is_patient:
        raise Invalid("an account has its person's name", "name")
    organizations = account.within if is_patient else (account.organization_id, *account.within)
    if not all(map(_ORGANIZATION.fullmatch, organizations)) or (is_patient and account.within):
        raise Invalid("an organisation is named by the id of its Organization", "organization_id")
    if len(account.within) > MOST_WITHIN:
        raise Invalid(f"an organisation is within at most {MOST_WITHIN} others", "within")
    if account.functional_role and not _FUNCTION.fullmatch(account.functional_role):
        raise Invalid("a functional role is a code of small letters and hyphens", "functional_role")
    if account.reference and not _REFERENCE.fullmatch(account.reference):
        raise Invalid(
            "a reference names a Practitioner, PractitionerRole, Patient or RelatedPerson", "reference"
        )
    if is_patient != account.reference.startswith(("Patient/", "RelatedPerson/")):
        raise Invalid("a patient's account, and no other, names the own record", "reference")
    # 3. How long: staff leave.
    if account.valid_until is None and not is_patient:
        raise Invalid("an account of staff has a last day", "valid_until")
    if account.valid_until is not None and account.valid_until < account.valid_from:
        raise Invalid("an account ends after it begins", "valid_until")
    account_id = "u" + "".join(secrets.choice(_LETTERS) for _ in range(15))
    # A patient is nobody's staff: what facilities keep is another custodian's. The name stands sealed in the record.
    organization_id = account_id if is_patient else account.organization_id
    name = "" if is_patient else account.name
    made = replace(account, account_id=account_id, organization_id=organization_id, name=name)
    row = (made.account_id, made.issuer, made.subject, made.name, made.role, made.organization_id, list(made.within),
           made.functional_role, made.reference, made.valid_from, made.valid_until, made.is_active)  # fmt: skip
    if transaction.run(INSERT, row) != 1:
        raise Invalid("this person has an account", "subject")
    return made


def find_account(transaction: Transaction, account_id: str) -> Account | None:
    """An account by its id."""
    rows = transaction.rows(SELECT + " WHERE account_id = %s", (account_id,))
    return _account(rows[0]) if rows else None


def account_of(transaction: Transaction, issuer: str, subject: str) -> Account | None:
    """The account of a provider's person."""
    rows = transaction.rows(SELECT + " WHERE issuer = %s AND subject = %s", (issuer, subject))
    return _account(rows[0]) if rows else None


def all_accounts(transaction: Transaction) -> list[Account]:
    """Every account, by facility and name."""
    return [_account(row) for row in transaction.rows(SELECT + " ORDER BY organization_id, name, account_id")]


def set_account_active(transaction: Transaction, account_id: str, *, is_active: bool) -> bool:
    """Suspend an account or open it again; whether it exists."""
    told = (is_active, account_id)
    return transaction.run("UPDATE account SET is_active = %s WHERE account_id = %s", told) == 1


def extend_account(transaction: Transaction, account_id: str, until: date) -> bool:
    """Move an account's last day; whether it exists."""
    told = (until, account_id)
    return transaction.run("UPDATE account SET valid_until = %s WHERE account_id = %s", told) == 1


def _account(row: tuple[Any, ...]) -> Account:
    return Account(
        issuer=row[1], subject=row[2], name=row[3], role=row[4], organization_id=row[5], valid_from=row[9],
        valid_until=row[10], within=tuple(row[6]), functional_role=row[7], reference=row[8], is_active=row[11],
        account_id=row[0],
    )  # fmt: skip
