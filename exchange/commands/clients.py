"""`exchange clients`: the systems that may ask.

Leaves:  what a registration may say to authentication/registration.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from exchange.authentication import registration
from exchange.commands.opened import opened_hub, out
from exchange.requester import ROLES, parse_registered_scopes

app: Final = typer.Typer(help="Register, list and suspend the systems that may ask.", no_args_is_help=True)


@app.command("register")
def register_client(
    client_id: Annotated[str, typer.Argument(help="Lower-case letters, digits, dots, hyphens.")],
    organization: Annotated[
        str, typer.Option(help="Id of the facility's Organization, such as ipress-00090011.")
    ],
    jwks: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="File with the public keys (JWKS).")
    ],
    scopes: Annotated[str, typer.Option(help="Such as 'system/*.cruds'.")],
    id_prefix: Annotated[str, typer.Option(help="What client-assigned ids begin with, such as posta1-.")],
    name: Annotated[str, typer.Option(help="Name that the audit log shows.")] = "",
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(ROLES)}.")] = "system",
    purposes: Annotated[str, typer.Option(help="v3 ActReason codes, the default one first.")] = "TREAT",
) -> None:
    """Register a system, or change its registration."""
    parsed = parse_registered_scopes(scopes)
    if parsed is None or role not in ROLES:
        out.print("A scope is system/[type].[cruds], letters in order; a role is one of: " + ", ".join(ROLES))
        raise typer.Exit(2)
    try:
        public_keys = json.loads(jwks.read_text())
    except ValueError:
        out.print("The JWKS file is no JSON.")
        raise typer.Exit(2) from None
    client = registration.Client(
        client_id, name or client_id, organization, role,
        parsed, tuple(purposes.split(",")), id_prefix, public_keys,
    )  # fmt: skip
    hub = opened_hub()
    hub.spine.operate(f"clients register {client_id}", lambda tx: registration.register(tx, client))
    out.print(f"registered: {client_id}")


@app.command("list")
def list_clients() -> None:
    """List the registered systems."""
    with opened_hub().store.transaction() as transaction:
        rows = registration.all_clients(transaction)
    table = Table("client", "name", "facility", "role", "scopes", "prefix", "active")
    for each in rows:
        scopes = " ".join(map(str, each.scopes))
        table.add_row(each.client_id, each.name, each.organization_id, each.role, scopes, each.id_prefix,
                      "yes" if each.is_active else "no")  # fmt: skip
    out.print(table)


@app.command("suspend")
def suspend_client(
    client_id: str, back: Annotated[bool, typer.Option("--back", help="Let it back in.")] = False
) -> None:
    """Suspend a system: within five seconds its tokens are worth nothing."""
    known: list[bool] = []
    verb = "let back" if back else "suspended"
    opened_hub().spine.operate(
        f"clients {verb} {client_id}",
        lambda tx: known.append(registration.set_active(tx, client_id, is_active=back)),
    )
    out.print(f"{verb}: {client_id}" if known[0] else "there is no such client")
    raise typer.Exit(0 if known[0] else 1)
