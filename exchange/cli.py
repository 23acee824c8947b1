"""`exchange`: run and keep the regional hub.

Exit codes: 0 done · 1 something was found wrong · 2 the command was used wrongly · 3 the hub cannot work now.
Leaves:     each command to its file in commands.
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Final

import typer
from rich.console import Console

from exchange import __version__
from exchange.commands import (
    accounts,
    adapters,
    audit,
    backup,
    clients,
    demo,
    erase,
    facilities,
    keys,
    policy,
    running,
    terminology,
    witness,
)
from exchange.commands.opened import out
from exchange.problems import Problem

app: Final = typer.Typer(
    help="Chasqui: the regional health-record exchange.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(running.app)
app.add_typer(demo.app)
app.add_typer(clients.app, name="clients")
app.add_typer(adapters.app)
app.add_typer(facilities.app, name="facilities")
app.add_typer(accounts.app, name="accounts")
app.add_typer(accounts.people, name="people")
app.add_typer(audit.app, name="audit")
app.add_typer(keys.app, name="keys")
app.add_typer(erase.app)
app.add_typer(backup.app, name="backup")
app.add_typer(backup.restoring)
app.add_typer(terminology.app, name="terminology")
app.add_typer(terminology.packages, name="package")
app.add_typer(policy.app, name="policy")
app.add_typer(witness.app, name="witness")
CANNOT_WORK: Final = 3


def main() -> None:
    """Run a command; a problem is one sentence and an exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        app()
    except Problem as problem:
        Console(stderr=True, soft_wrap=True).print(f"exchange: {problem}", style="red", markup=False)
        sys.exit(CANNOT_WORK)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Chasqui: the regional health-record exchange."""
    if version:
        out.print(__version__)
        raise typer.Exit
