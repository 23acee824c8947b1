"""`exchange accounts` and `exchange people`: who may sign in, as what, until when.

Leaves:  what an account may say to authentication/account; the demonstration's own provider to provider.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Final

import typer
from rich.table import Column, Table

from exchange.authentication import account as room
from exchange.commands.opened import USED_WRONGLY, opened_hub, out
from exchange.problems import Unavailable
from exchange.provider import people as provider
from exchange.requester import ROLES
from exchange.settings import settings

app: Final = typer.Typer(help="Who may sign in, as what, until when.", no_args_is_help=True)
people: Final = typer.Typer(help="People of the demonstration's own identity provider.", no_args_is_help=True)


@app.command("add")
def add(
    subject: Annotated[str, typer.Argument(help="Who it is at the identity provider: its `sub`.")],
    name: Annotated[
        str, typer.Option(help="The person's name, as the audit log shows it; not kept of a patient.")
    ],
    role: Annotated[str, typer.Option(help="One of: " + ", ".join(ROLES[1:]) + ".")],
    organization: Annotated[
        str, typer.Option(help="Id of the facility's Organization; none for a patient.")
    ] = "",
    until: Annotated[str, typer.Option(help="The last day, such as 2026-12-31; compulsory for staff.")] = "",
    since: Annotated[str, typer.Option("--from", help="The first day; today where none is given.")] = "",
    within: Annotated[
        str, typer.Option(help="Organizations that it belongs to, nearest first, with commas.")
    ] = "",
    functional_role: Annotated[str, typer.Option(help="What the person does there, such as physician.")] = "",
    reference: Annotated[str, typer.Option(help="Practitioner/[id], or Patient/[id] for a patient.")] = "",
    issuer: Annotated[str, typer.Option(help="The identity provider; the hub's where none is given.")] = "",
) -> None:
    """Enter an account: one for each person, never shared."""
    if role not in ROLES:
        out.print("A role is one of: " + ", ".join(ROLES[1:]))
        raise typer.Exit(USED_WRONGLY)
    wanted = room.Account(
        issuer=issuer or settings().openid_issuer_url, subject=subject, name=name, role=role,
        organization_id=organization, valid_from=_day(since) or _today(), valid_until=_day(until),
        within=tuple(each for each in within.split(",") if each), functional_role=functional_role,
        reference=reference,
    )  # fmt: skip
    made: list[room.Account] = []
    opened_hub().spine.operate(
        f"accounts add {role} {organization}", lambda tx: made.append(room.add_account(tx, wanted))
    )
    out.print(f"entered: {made[0].account_id}")


@app.command("list")
def list_accounts() -> None:
    """List the accounts."""
    with opened_hub().store.transaction() as transaction:
        rows = room.all_accounts(transaction)
    table = Table(Column("account", no_wrap=True), "name", "role", "facility", "function", "until", "open")
    for each in rows:
        until = each.valid_until.isoformat() if each.valid_until else ""
        table.add_row(each.account_id, each.name, each.role, each.organization_id, each.functional_role, until,
                      "yes" if each.is_open() else "no")  # fmt: skip
    out.print(table)


@app.command("suspend")
def suspend(
    account_id: str, back: Annotated[bool, typer.Option("--back", help="Let the person back in.")] = False
) -> None:
    """Suspend an account: within five seconds its tokens are worth nothing."""
    verb = "let back" if back else "suspended"
    known: list[bool] = []
    opened_hub().spine.operate(
        f"accounts {verb} {account_id}",
        lambda tx: known.append(room.set_account_active(tx, account_id, is_active=back)),
    )
    _end(known[0], f"{verb}: {account_id}", "there is no such account")


@app.command("extend")
def extend(
    account_id: str, until: Annotated[str, typer.Option(help="The new last day, such as 2026-12-31.")]
) -> None:
    """Move an account's last day, forwards or backwards."""
    day = _day(until)
    if day is None:
        raise typer.Exit(USED_WRONGLY)
    known: list[bool] = []
    opened_hub().spine.operate(
        f"accounts extend {account_id} {day}",
        lambda tx: known.append(room.extend_account(tx, account_id, day)),
    )
    _end(known[0], f"until {day}: {account_id}", "there is no such account")


@people.command("add")
def add_person(
    username: Annotated[str, typer.Argument(help="Small letters, digits, dots and hyphens.")],
    until: Annotated[str, typer.Option(help="The last day, such as 2026-12-31.")],
) -> None:
    """Enter a person; the key to enrol with is printed once and never again."""
    _require_own_provider()
    day = _day(until)
    if day is None:
        raise typer.Exit(USED_WRONGLY)
    made: list[tuple[str, str]] = []
    opened_hub().spine.operate("people add", lambda tx: made.append(provider.add_person(tx, username, day)))
    out.print(f"subject: {made[0][0]}")
    _print_key(made[0][1])


@people.command("list")
def list_people() -> None:
    """List the people of the demonstration's provider."""
    _require_own_provider()
    with opened_hub().store.transaction() as transaction:
        rows = provider.all_people(transaction)
    table = Table("user name", "subject", "until", "enrolled", "may try")
    for each in rows:
        is_enrolled = "yes" if each.password_hash else "no"
        table.add_row(each.username, each.subject, each.valid_until.isoformat(), is_enrolled,
                      "yes" if each.may_try() else "no")  # fmt: skip
    out.print(table)


@people.command("reset")
def reset_person(username: str) -> None:
    """Forget a person's password and phone, and unlock: a new key to enrol with is printed once."""
    _require_own_provider()
    made: list[str | None] = []
    opened_hub().spine.operate("people reset", lambda tx: made.append(provider.reset_person(tx, username)))
    if made[0] is None:
        _end(False, "", "there is nobody of this name")
    else:
        _print_key(made[0])


def _print_key(secret: str) -> None:
    out.print(f"key to enrol with, once, within a day, at {settings().openid_issuer_url}/enrol: {secret}")


def _require_own_provider() -> None:
    if not settings().has_own_provider:
        raise Unavailable("this hub's people are kept by its identity provider, which is another program")


def _today() -> date:
    return datetime.now(UTC).astimezone(settings().zone).date()


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        out.print("a day is written as 2026-12-31")
        raise typer.Exit(USED_WRONGLY) from None


def _end(is_known: bool, done: str, unknown: str) -> None:
    out.print(done if is_known else unknown)
    raise typer.Exit(0 if is_known else 1)
