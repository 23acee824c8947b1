"""`exchange clients`: the systems that may ask.

Leaves:  what a registration may say to authentication/registration.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from exchange.authentication import enrolment, registration
from exchange.authentication.enrolment_code import shown_code
from exchange.commands.opened import USED_WRONGLY, opened_hub, out
from exchange.requester import ROLES, Role, Scope, parse_registered_scopes
from exchange.settings import settings

app: Final = typer.Typer(
    help="Register, invite, list and suspend the systems that may ask; change their keys.",
    no_args_is_help=True,
)


ClientId = Annotated[str, typer.Argument(help="Lower-case letters, digits, dots, hyphens.")]
Organization = Annotated[
    str, typer.Option(help="Id of the facility's Organization, such as ipress-00090011.")
]
Scopes = Annotated[str, typer.Option(help="Such as 'system/*.cruds user/*.rs'.")]
IdPrefix = Annotated[str, typer.Option(help="What client-assigned ids begin with, such as posta1-.")]
Name = Annotated[str, typer.Option(help="Name that the audit log shows.")]
Roles = Annotated[list[str] | None, typer.Option(help=f"One of: {', '.join(ROLES)}. Again for further ones.")]
Purposes = Annotated[str, typer.Option(help="v3 ActReason codes, the default one first.")]
Within = Annotated[
    list[str] | None, typer.Option(help="Organization that the facility belongs to; nearest first.")
]
UserRoles = Annotated[
    list[str] | None, typer.Option(help="Functional role that its users may have, such as physician.")
]
UserOrganizations = Annotated[
    list[str] | None,
    typer.Option(help="Further facility of its users, with what it is within: ipress-2:red-a:geresa."),
]
RedirectUris = Annotated[
    list[str] | None, typer.Option(help="Address that people who signed in are sent back to.")
]
PerMinute = Annotated[int | None, typer.Option(min=0, help="A limit of its own; 0: none.")]
Adapter = Annotated[
    bool,
    typer.Option("--adapter/--no-adapter", help="It reports how it stands, and is missed when it is silent."),
]


@app.command("register")
def register_client(
    client_id: ClientId,
    organization: Organization,
    scopes: Scopes,
    id_prefix: IdPrefix,
    jwks: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="File with the public keys (JWKS).")
    ] = None,
    jwks_uri: Annotated[str, typer.Option(help="Instead: https address where the client keeps them.")] = "",
    name: Name = "",
    role: Roles = None,
    purposes: Purposes = "TREAT",
    within: Within = None,
    user_role: UserRoles = None,
    user_organization: UserOrganizations = None,
    redirect_uri: RedirectUris = None,
    public: Annotated[bool, typer.Option("--public", help="An app that can keep no key.")] = False,
    requests_per_minute: PerMinute = None,
    adapter: Adapter = False,
) -> None:
    """Register a system, or change its registration: what is not said again is taken away."""
    parsed, roles = _reach(scopes, role)
    client = registration.Client(
        client_id, name or client_id, organization, roles[0], parsed, tuple(purposes.split(",")), id_prefix,
        _json(jwks) if jwks is not None else {"keys": []}, redirect_uris=tuple(redirect_uri or ()), is_public=public,
        further_roles=tuple(roles[1:]), within=tuple(within or ()), jwks_uri=jwks_uri,
        user_roles=tuple(user_role or ()), user_organizations=_organizations(user_organization or []),
        requests_per_minute=requests_per_minute, is_adapter=adapter,
    )  # fmt: skip
    hub = opened_hub()
    hub.spine.operate(f"clients register {client_id}", lambda tx: registration.register(tx, client))
    out.print(f"registered: {client_id}")


@app.command("invite")
def invite_client(
    client_id: ClientId,
    organization: Organization = "",
    scopes: Scopes = "system/*.cu",
    id_prefix: IdPrefix = "",
    name: Name = "",
    role: Roles = None,
    purposes: Purposes = "TREAT",
    within: Within = None,
    user_role: UserRoles = None,
    user_organization: UserOrganizations = None,
    redirect_uri: RedirectUris = None,
    requests_per_minute: PerMinute = None,
    adapter: Adapter = True,
    hours: Annotated[
        int, typer.Option(min=1, max=enrolment.MOST_HOURS, help="How long the code is good.")
    ] = enrolment.USUAL_HOURS,
    replace_keys: Annotated[
        bool, typer.Option("--replace-keys", help="It has keys: they stay good until the new one comes.")
    ] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take back a code that nobody used.")] = False,
) -> None:
    """Register a system that brings its key by a one-time code, printed once; inviting again replaces the code."""
    if withdraw:
        _withdraw(client_id)
        return
    if not organization or not id_prefix:
        out.print("Say --organization and --id-prefix, or --withdraw.")
        raise typer.Exit(USED_WRONGLY)
    parsed, roles = _reach(scopes, role)
    client = registration.Client(
        client_id, name or client_id, organization, roles[0], parsed, tuple(purposes.split(",")), id_prefix,
        registration.NO_KEYS, redirect_uris=tuple(redirect_uri or ()), further_roles=tuple(roles[1:]),
        within=tuple(within or ()), user_roles=tuple(user_role or ()),
        user_organizations=_organizations(user_organization or []), requests_per_minute=requests_per_minute,
        is_adapter=adapter,
    )  # fmt: skip
    codes: list[str] = []
    opened_hub().spine.operate(
        f"clients invite {client_id}",
        lambda tx: codes.append(enrolment.invite(tx, client, hours=hours, replaces_keys=replace_keys)),
    )
    out.print(
        f"invited: {client_id}, for {hours} hours. The code, shown this once:\n\n    {shown_code(codes[0])}\n"
    )
    out.print("It is typed at the facility: adapter enrol SITE")


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
        waiting = enrolment.waiting_invitations(transaction)
    table = Table("client", "name", "facility", "roles", "scopes", "prefix", "keys", "active")
    for each in rows:
        scopes = " ".join(map(str, each.scopes))
        none = "none: public" if each.is_public else "none"
        keys = each.jwks_uri or ", ".join(key["kid"] for key in each.jwks["keys"]) or none
        if each.client_id in waiting:
            keys += f"; invited until {_local(waiting[each.client_id])}"
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


def _withdraw(client_id: str) -> None:
    known: list[bool] = []
    opened_hub().spine.operate(
        f"clients invite --withdraw {client_id}",
        lambda tx: known.append(enrolment.withdraw_invitation(tx, client_id)),
    )
    out.print(f"withdrawn: {client_id}" if known[0] else "there is no invitation of this client that waits")
    raise typer.Exit(0 if known[0] else 1)


def _reach(scopes: str, role: list[str] | None) -> tuple[tuple[Scope, ...], list[Role]]:
    """What a registration may ask for, and its roles in the order in which they were said."""
    said = role or ["system"]
    parsed = parse_registered_scopes(scopes)
    roles = [each for each in ROLES for told in said if each == told]
    if parsed is None or len(roles) != len(said):
        out.print("A scope is system/[type].[cruds], letters in order; a role is one of: " + ", ".join(ROLES))
        raise typer.Exit(USED_WRONGLY)
    roles.sort(key=said.index)
    return parsed, roles


def _local(seconds: int) -> str:
    at = datetime.fromtimestamp(seconds, UTC).astimezone(settings().zone)
    return f"{at:%Y-%m-%d %H:%M}" + (" (over)" if seconds <= time.time() else "")


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
