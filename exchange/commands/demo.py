"""`exchange demo`: the hub at work on an invented region.

Leaves:  the demonstration to exchange/demo, which is imported only where it runs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from exchange.commands.opened import out
from exchange.settings import settings

app: Final = typer.Typer()


@app.command()
def demo(
    people: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many people the invented region has.")
    ] = 300,
    seed: Annotated[int, typer.Option(help="The same seed makes the same region.")] = 1,
    once: Annotated[
        bool, typer.Option("--once", help="End after the demonstration, with a line of JSON.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where the demonstration lives.")] = Path("var/demo"),
) -> None:
    """Show the exchange at work on an invented La Libertad, then leave it running."""
    from exchange.demo.demonstration import run

    sys.exit(run(people=people, seed=seed, is_once=once, folder=folder))


@app.command("demo-token", hidden=True)
def demo_token(
    client_id: Annotated[str, typer.Argument(help="A client of the demonstration.")],
    folder: Annotated[Path, typer.Option(help="Where the demonstration lives.")] = Path("var/demo"),
) -> None:
    """Print an access token of one of the demonstration's clients."""
    from exchange.demo.client import FhirClient
    from exchange.demo.demonstration import CLINIC_SCOPE
    from exchange.demo.question import ASKING_SCOPE, AUDIT_SCOPE, FILING_SCOPE

    scopes = {"administrator": AUDIT_SCOPE, "clinic": CLINIC_SCOPE, "regional-hospital": ASKING_SCOPE}
    key = folder / "clients" / f"{client_id}.pem"
    if not key.exists():
        known = ", ".join(sorted(each.stem for each in key.parent.glob("*.pem")))
        out.print(f"The demonstration has no such client; it has: {known or 'none yet, run make demo'}.")
        raise typer.Exit(2)
    url = (folder / "url").read_text() if (folder / "url").exists() else settings().base_url
    print(FhirClient(url, client_id, key, scopes.get(client_id, FILING_SCOPE)).token())


@app.command("demo-code", hidden=True)
def demo_code(
    username: Annotated[str, typer.Argument(help="A person of the demonstration.")],
    folder: Annotated[Path, typer.Option(help="Where the demonstration lives.")] = Path("var/demo"),
) -> None:
    """Print the six digits that the person's phone would show."""
    from exchange.demo.people_sign_in import code_of

    print(code_of(folder, username))


@app.command("demo-sign-in", hidden=True)
def demo_sign_in(
    folder: Annotated[Path, typer.Option(help="Where the demonstration lives.")] = Path("var/demo"),
) -> None:
    """Play an app: let somebody sign in with a browser, and print what the hub gives for it."""
    from exchange.demo.people_sign_in import sign_in

    url = (folder / "url").read_text() if (folder / "url").exists() else settings().base_url
    print(json.dumps(sign_in(url), indent=2))
