"""`exchange keys`: the state of the hub's keys.

Leaves:  making and wrapping them to crypto.
"""

from __future__ import annotations

from typing import Final

import typer
from rich.table import Table

from exchange.commands.opened import opened_hub, out

app: Final = typer.Typer(help="The state of the hub's keys.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The state of the hub's keys."""


@app.command("status")
def key_status() -> None:
    """Show which versions of the hub's keys there are, and how many data keys each wraps."""
    with opened_hub().store.transaction() as transaction:
        table = Table("purpose", "version", "wraps data keys")
        counts: dict[int, int] = dict(
            transaction.rows("SELECT wrapping_version, count(*) FROM data_key GROUP BY 1")
        )
        for purpose, version in transaction.rows("SELECT purpose, version FROM hub_key ORDER BY 1, 2"):
            table.add_row(purpose, str(version), str(counts.get(version, 0)) if purpose == "record" else "")
    out.print(table)
