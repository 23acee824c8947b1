"""`exchange clients`: the systems that may ask.

Leaves:  what a registration may say to authentication/registration.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from exchange.authentication import registration
from exchange.commands.opened import USED_WRONGLY, opened_hub, out
from exchange.requester import ROLES, parse_registered_scopes

app: Final = typer.Typer(
    help="Register, list and suspend the systems that may ask; change their keys.", no_args_is_help=True
)


@app.command("register")
def register_client(
    client_id: Annotated[str, typer.Argument(help="Lower-case letters, digits, dots, hyphens.")],
    organization: Annotated[
        str, typer.Option(help="Id of the facility's Organization, such as ipress-00090011.")
    ],
    scopes: Annotated[str, typer.Option(help="Such as 'system/*.cruds user/*.rs'.")],
    id_prefix: Annotated[str, typer.Option(help="What client-assigned ids begin with, such as posta1-.")],
    jwks: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="File with the public keys (JWKS).")
    ] = None,
    jwks_uri: Annotated[str, typer.Option(help="Instead: https address where the client keeps them.")] = "",
    name: Annotated[str, typer.Option(help="Name that the audit log shows.")] = "",
    role: Annotated[
        list[str] | None, typer.Option(help=f"One of: {', '.join(ROLES)}. Again for further ones.")
    ] = None,
    purposes: Annotated[str, typer.Option(help="v3 ActReason codes, the default one first.")] = "TREAT",
    within: Annotated[
        list[str] | None, typer.Option(help="Organization that the facility belongs to; nearest first.")
    ] = None,
    user_role: Annotated[
        list[str] | None, typer.Option(help="Functional role that its users may have, such as physician.")
    ] = None,
    user_organization: Annotated[
        list[str] | None,
        typer.Option(help="Further facility of its users, with what it is within: ipress-2:red-a:geresa."),
    ] = None,
    redirect_uri: Annotated[
        list[str] | None, typer.Option(help="Address that people who signed in are sent back to.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="An app that can keep no key.")] = False,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=0, help="A limit of its own; 0: none.")
    ] = None,
) -> None:
    """Register a system, or change its registration: what is not said again is taken away."""
    parsed = parse_registered_scopes(scopes)
    roles = [each for each in ROLES for told in role or ["system"] if each == told]
    if parsed is None or len(roles) != len(role or ["system"]):
        out.print("A scope is system/[type].[cruds], letters in order; a role is one of: " + ", ".join(ROLES))
        raise typer.Exit(USED_WRONGLY)
    roles.sort(key=(role or ["system"]).index)
    client = registration.Client(
        client_id, name or client_id, organization, roles[0], parsed, tuple(purposes.split(",")), id_prefix,
        _json(jwks) if jwks is not None else {"keys": []}, redirect_uris=tuple(redirect_uri or ()), is_public=public,
        further_roles=tuple(roles[1:]), within=tuple(within or ()), jwks_uri=jwks_uri,
        user_roles=tuple(user_role or ()), user_organizations=_organizations(user_organization or []),
        requests_per_minute=requests_per_minute,
    )  # fmt: skip
    hub = opened_hub()
    hub.spine.operate(f"clients register {client_id}", lambda tx: registration.register(tx, client))
    out.print(f"registered: {client_id}")


@app.command("rotate")
def rotate_keys(
    client_id: str,
    add: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="File with the new public keys (JWKS).")
    ] = None,
    retire: Annotated[list[str] | None, typer.Option(help="Key id that is no longer good.")] = None,
) -> None:
    """Add keys to a client's, and retire others: first the new one, then, once it is in use, the old one."""
    if add is None and not retire:
        out.print("Say --add, --retire or both.")
        raise typer.Exit(USED_WRONGLY)
    added = _json(add) if add is not None else None
    changed: list[registration.Client] = []
    opened_hub().spine.operate(
        f"clients rotate {client_id}",
        lambda tx: changed.append(registration.change_keys(tx, client_id, added, tuple(retire or ()))),
    )
    out.print("keys now: " + ", ".join(each["kid"] for each in changed[0].jwks["keys"]))


@app.command("list")
def list_clients() -> None:
    """List the registered systems."""
    with opened_hub().store.transaction() as transaction:
        rows = registration.all_clients(transaction)
    table = Table("client", "name", "facility", "roles", "scopes", "prefix", "keys", "active")
    for each in rows:
        scopes = " ".join(map(str, each.scopes))
        keys = each.jwks_uri or ", ".join(key["kid"] for key in each.jwks["keys"]) or "none: public"
        table.add_row(each.client_id, each.name, each.organization_id, ", ".join(each.roles), scopes, each.id_prefix,
                      keys, "yes" if each.is_active else "no")  # fmt: skip
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


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        out.print("The JWKS file is no JSON object.")
        raise typer.Exit(USED_WRONGLY)
    return found


def _organizations(told: list[str]) -> dict[str, tuple[str, ...]]:
    """`id:parent:grandparent` for each."""
    chains = [each.split(":") for each in told]
    return {chain[0]: tuple(chain[1:]) for chain in chains}
